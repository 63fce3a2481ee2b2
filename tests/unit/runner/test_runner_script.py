"""The texts for the remote side fit every login shell, and a script's `#!` line is read as Linux reads it."""

import pytest

from rollcall_runner.script import LAUNCHER, STOPPER, Launch, Stopped, command, interpreter


@pytest.mark.parametrize(
    ("script", "expected"),
    [
        (b"echo hello\n", (b"/bin/sh", b"")),
        (b"", (b"/bin/sh", b"")),
        (b"#!\n", (b"/bin/sh", b"")),
        (b"#!/bin/bash", (b"/bin/bash", b"")),
        (b"#! /bin/bash -eu \t\necho", (b"/bin/bash", b"-eu")),
        (b"#!/usr/bin/env\t-S python3 -u\n", (b"/usr/bin/env", b"-S python3 -u")),
        (b"\n#!/bin/bash\n", (b"/bin/sh", b"")),
        (b"#!/bin/bash\0x\n", (b"/bin/bash", b"")),
    ],
)
def test_the_interpreter_is_the_one_of_the_first_line(script: bytes, expected: tuple[bytes, bytes]) -> None:
    assert interpreter(script) == expected


@pytest.mark.parametrize("text", [LAUNCHER, STOPPER])
def test_no_login_shell_changes_the_text(text: str) -> None:
    assert not set("'!\\\n") & set(text)
    assert command(text) == f"exec sh -c '{text}'"
    assert text.isascii()


def test_the_launcher_reads_a_header_and_the_script() -> None:
    launch = Launch.of("#!/usr/bin/env python3\nprint('ä')\n")
    header = f"{launch.directory}\n35\n3\n/usr/bin/env\npython3\n"
    assert launch.launcher_input.decode() == f"{header}#!/usr/bin/env python3\nprint('ä')\n\n"


@pytest.mark.parametrize(
    ("script", "lines"), [("echo", 1), ("", 2), ("x" * 1_000, 1), ("x" * 1_001, 0), ("echo \0\n", 0)]
)
def test_a_short_script_without_a_zero_byte_may_be_read_as_lines(script: str, lines: int) -> None:
    assert Launch.of(script).launcher_input.split(b"\n")[2] == b"%d" % lines


def test_the_stopper_reads_where_the_script_is_and_how_long_it_may_take() -> None:
    launch = Launch.of("echo hello")
    assert launch.stopper_input(7) == f"{launch.directory}\n7\n".encode()


def test_no_two_launches_share_a_directory() -> None:
    assert len({Launch.of("").directory for _ in range(100)}) == 100


@pytest.mark.parametrize("stopped", Stopped)
def test_only_what_is_known_is_confirmed(stopped: Stopped) -> None:
    assert stopped.confirmed == (stopped in (Stopped.GONE, Stopped.ABSENT))
    assert ("are confirmed gone" in stopped.sentence) == stopped.confirmed
    assert ("there" in stopped.sentence) != stopped.confirmed
