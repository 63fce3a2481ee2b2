"""The texts for the remote side fit every login shell, and a script's `#!` line is read as Linux reads it."""

import pytest

from rollcall_runner.script import LAUNCHER, STOPPER, Launch, Stopped, command, fileless, interpreter


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
    header = f"{launch.name}\nyes\n35\n3\n/usr/bin/env\npython3\n"
    assert launch.launcher_input().decode() == f"{header}#!/usr/bin/env python3\nprint('ä')\n\n"


@pytest.mark.parametrize(
    ("script", "lines"), [("echo", 1), ("", 2), ("x" * 1_000, 1), ("x" * 1_001, 0), ("echo \0\n", 0)]
)
def test_a_short_script_without_a_zero_byte_may_be_read_as_lines(script: str, lines: int) -> None:
    assert Launch.of(script).launcher_input().split(b"\n")[3] == b"%d" % lines


def test_a_launcher_is_told_to_do_without_a_file() -> None:
    launch = Launch.of("echo hello\n")
    assert launch.announced
    assert launch.launcher_input(announced=True).decode() == f"{launch.name}\nno\n11\n2\n/bin/sh\n\necho hello\n\n"


@pytest.mark.parametrize(
    "script",
    [
        "",
        "echo hello",
        "uptime; cat /proc/meminfo /proc/loadavg\n",
        "#!/bin/bash -eu\necho ${x:-$$} $! $1\n",
        "#!/usr/bin/env bash\nset -o pipefail\n",
        "#!/usr/local/bin/ksh\n",
        "cat <<E\nhello\nE\n",
    ],
)
def test_a_short_shell_script_needs_no_file(script: str) -> None:
    assert fileless(script.encode())


@pytest.mark.parametrize(
    "script",
    [
        "echo $0",
        'cd "$(dirname "${0}")"',
        "echo ${0##*/}",
        "echo $_",
        "n=0; echo ${!n}",
        "echo ${@:0:1}",
        "#!/bin/bash\necho $BASH_SOURCE",
        "#!/bin/bash\ncaller",
        "#!/bin/ksh\necho ${.sh.file}",
        "tr '\\0' ' ' </proc/self/cmdline",
        "cat /proc/$$/cmdline",
        "ls /dev/fd",
        "#!/usr/bin/env python3\nprint()",
        "#!/usr/bin/env -S bash -e\ntrue",
        "#!/bin/bash -x\ntrue",
        "#!/bin/bash -v\ntrue",
        "#!/bin/bash --posix\ntrue",
        "#!/bin/zsh\ntrue",
        "#!/bin/cat\n",
        "#!/bin/sh\r\ntrue\r\n",
        "echo ä",
        "echo \0",
        "echo \\",
        "cat <<E\nhello",
        "#" * 1_001,
    ],
)
def test_a_script_that_could_tell_keeps_its_file(script: str) -> None:
    assert not fileless(script.encode())


def test_the_stopper_reads_where_the_script_is_and_how_long_it_may_take() -> None:
    launch = Launch.of("echo hello")
    assert launch.stopper_input(7) == f"{launch.name}\n7\n\n".encode()
    assert launch.stopper_input(7, "5 5 9") == f"{launch.name}\n7\n5 5 9\n".encode()


def test_no_two_launches_share_a_name() -> None:
    assert len({Launch.of("").name for _ in range(100)}) == 100


@pytest.mark.parametrize("stopped", Stopped)
def test_only_what_is_known_is_confirmed(stopped: Stopped) -> None:
    assert stopped.confirmed == (stopped in (Stopped.GONE, Stopped.ABSENT))
    assert ("are confirmed gone" in stopped.sentence) == stopped.confirmed
    assert ("there" in stopped.sentence) != stopped.confirmed
