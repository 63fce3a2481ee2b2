"""Output arrives soon, whole or with what is missing counted, and nothing secret leaks beside it."""

import asyncio
import base64
import hashlib
import json
import os
import re
import signal
import time
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import pytest

from integration.runner.runs import Run, RunWork
from integration.runner.sshd import PASSWORD, Server, is_alive, wait_until
from rollcall.lastwords import whole_output
from rollcall.names import HostState, Reason
from rollcall.outputs import Stream, parse_line
from rollcall.work import Credentials, OnExcess, Work

MIB = 1 << 20


async def test_bytes_of_any_kind_arrive_as_they_are(server: Server, run: RunWork) -> None:
    script = (
        "#!/usr/bin/env python3\nimport sys\nsys.stdout.buffer.write(bytes(range(256)) * 400 + 'ä€😀'.encode() * 9_999)"
    )
    done = await run(server.work(script))
    assert done.stdout == bytes(range(256)) * 400 + "ä€😀".encode() * 9_999
    assert done.exit().state is HostState.SUCCEEDED
    wait_until(lambda: not server.leftovers(), "the script's directory is removed")


async def test_a_line_is_visible_while_the_script_runs(
    server: Server, start: Callable[[Work], Awaitable[Run]], tmp_path: Path
) -> None:
    go_on = tmp_path / "go-on"
    run = await start(server.work(f"echo first; until [ -e {go_on} ]; do sleep 0.05; done; echo last >&2"))
    await run.until(lambda event: event.data == b"first\n")
    go_on.touch()
    await run.finish()
    assert run.text(Stream.STDERR) == b"last\n"


async def test_30_mib_within_the_limit_arrive_whole(server: Server, run: RunWork) -> None:
    script = "#!/usr/bin/env python3\nfor n in range(30 * 1024): print(f'{n:08}'.ljust(1023, '.'))"
    done = await run(server.work(script, output_limit_bytes=40 * MIB))
    expected = b"".join((b"%08d" % n).ljust(1023, b".") + b"\n" for n in range(30 * 1024))
    assert len(done.stdout) == len(expected) == 30 * MIB
    assert hashlib.sha256(done.stdout).digest() == hashlib.sha256(expected).digest()
    assert not any(event.stream is Stream.CUT for event in done.events)


async def test_30_mib_over_the_limit_are_cut_and_counted(server: Server, run: RunWork) -> None:
    script = f"#!/usr/bin/env python3\nprint('first'); print('x' * {30 * MIB}); print('last')"
    done = await run(server.work(script, output_limit_bytes=MIB))
    (cut,) = [event.data for event in done.events if event.stream is Stream.CUT]
    assert isinstance(cut, int)
    assert len(done.stdout) == MIB
    assert len(done.stdout) + cut == 30 * MIB + len("first\n\nlast\n")
    assert done.stdout.startswith(b"first\n")
    assert done.stdout.endswith(b"last\n")
    assert done.exit().exit_code == 0


async def test_a_slow_reader_slows_the_host_down(
    server: Server, start: Callable[..., Awaitable[Run]], tmp_path: Path
) -> None:
    """While nobody reads the pod's log, the script stands still and the runner's memory does not grow."""
    progress = tmp_path / "progress"
    script = f"""#!/usr/bin/env python3
import os
import signal
for n in range(64):
    os.write(1, b'x' * {MIB})
    with open('{progress}', 'w') as file: file.write(str(n))
"""
    reader, writer = os.pipe()
    run = await start(server.work(script, output_limit_bytes=100 * MIB), stdout=writer)
    os.close(writer)
    wait_until(lambda: stands_still(progress), "the script waits")
    assert int(progress.read_text()) < 16
    assert resident_kib(run.process.pid) < 96 * 1024
    with os.fdopen(reader, "rb") as file:
        lines = await asyncio.to_thread(file.readlines)
    done = Run(run.process, run.directory, [parse_line(line) for line in lines])
    assert done.stdout == b"x" * 64 * MIB
    assert done.exit().state is HostState.SUCCEEDED
    assert await run.process.wait() == 0


def stands_still(progress: Path) -> bool:
    return progress.exists() and progress.read_text() != "" and time.time() - progress.stat().st_mtime > 1


def resident_kib(pid: int) -> int:
    return int(Path(f"/proc/{pid}/status").read_text().split("VmHWM:")[1].split()[0])


def arguments_of_all_processes() -> list[bytes]:
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        with suppress(FileNotFoundError, ProcessLookupError):
            found.append(path.read_bytes())
    return found


def mode_of(*path: str | Path) -> int:
    return Path(*path).stat().st_mode & 0o777


async def test_no_secret_is_in_an_argument_or_an_event(
    server: Server, start: Callable[[Work], Awaitable[Run]], user: str
) -> None:
    script = "#!/bin/sh\n# $0\nexport API_TOKEN=hunter2\ntrap 'exit 0' TERM\necho $$\nwhile :; do sleep 0.1; done"
    run = await start(server.work(script, credentials=Credentials(password=PASSWORD), hosts=(server.host(user=user),)))
    event = await run.until(lambda event: event.stream is Stream.STDOUT)
    arguments = arguments_of_all_processes()
    assert any(bytes(server.temporary / "rollcall.") in line for line in arguments)
    assert not any(b"hunter2" in line or PASSWORD.encode() in line for line in arguments)
    (directory,) = server.leftovers()
    assert (mode_of(server.temporary, directory), mode_of(server.temporary, directory, "script")) == (0o700, 0o700)
    assert isinstance(event.data, bytes)
    os.kill(int(event.data), signal.SIGTERM)
    await run.finish()
    assert run.exit().state is HostState.SUCCEEDED
    assert not any(b"hunter2" in event.line() or PASSWORD.encode() in event.line() for event in run.events)
    wait_until(lambda: not server.leftovers(), "the script's directory is removed")


async def test_100_hosts_at_once_fit_into_96_mib(server: Server, start: Callable[[Work], Awaitable[Run]]) -> None:
    hosts = tuple(server.host(f"web-{number}") for number in range(100))
    masked = tuple(f"secret number {number}" for number in range(3))
    script = "head -c 1000000 /dev/zero | tr '\\0' x"
    run = await start(server.work(script, hosts=hosts, output_limit_bytes=100_000, masked=masked))
    exits = 0
    most = 0
    while exits < 100:
        await run.until(lambda event: event.stream is Stream.EXIT)
        exits += 1
        most = max(most, resident_kib(run.process.pid)) if run.process.returncode is None else most
    await run.finish()
    assert run.summary == {"hosts": 100, "succeeded": 100}
    for host in hosts:
        assert run.exit(host.name).state is HostState.SUCCEEDED
    assert most < 96 * 1024


async def test_who_says_too_much_is_stopped_where_the_work_says_so(server: Server, run: RunWork) -> None:
    script = "trap 'echo bye; exit' TERM; echo $$; while :; do echo 0123456789; done"
    done = await run(server.work(script, output_limit_bytes=100_000, on_excess=OnExcess.FAIL))
    exit_ = done.exit()
    assert (exit_.state, exit_.reason, exit_.exit_code) == (HostState.FAILED, Reason.OUTPUT_LIMIT, None)
    assert "more than 100000 bytes" in str(exit_.message)
    assert "confirmed gone" in str(exit_.message)
    assert "Too much output, trying to stop the job\n" in done.debug
    assert len(done.stdout) == 100_000
    assert not is_alive(int(done.stdout.split()[0]))
    assert [event.stream for event in done.events].count(Stream.CUT) == 1


async def test_who_has_said_too_much_when_they_end_fails_too(server: Server, run: RunWork) -> None:
    hosts = (server.host("within"), server.host("beyond", script=1))
    work = server.work("printf 0123456789", "printf 0123456789x", hosts=hosts)
    done = await run(replace(work, output_limit_bytes=10, on_excess=OnExcess.FAIL))
    assert done.exit("within").state is HostState.SUCCEEDED
    assert done.exit("beyond").reason is Reason.OUTPUT_LIMIT
    for name in ("within", "beyond"):
        assert done.text(Stream.STDOUT, name) == b"0123456789"
    assert [event.data for event in done.events if event.stream is Stream.CUT] == [1]


async def test_values_that_must_not_be_seen_are_masked(server: Server, run: RunWork, user: str) -> None:
    token = "tok/en+äö 4'2"
    script = f"""#!/usr/bin/env python3
import base64, os, sys, time, urllib.parse
token, password = {token!r}, {PASSWORD!r}
print('plain', token, password, 'a line of a key')
print('base64', *(base64.b64encode(b'x' * n + token.encode() + b'y').decode() for n in range(3)))
print('url', urllib.parse.quote(token), urllib.parse.quote_plus(token))
print('torn:', end='', flush=True)
for letter in password:
    os.write(1, letter.encode())
    time.sleep(0.06)  # longer than output waits for more
print('on stderr', token, file=sys.stderr)
print('*last*', password[:10], end='')
"""
    credentials = Credentials(password=PASSWORD)
    hosts = (server.host(user=user),)
    masked = (token, "-- begin --\na line of a key\n")
    done = await run(server.work(script, credentials=credentials, hosts=hosts, masked=masked))
    assert done.exit().state is HostState.SUCCEEDED
    lines = done.stdout.splitlines()
    assert lines[0] == b"plain ******** ******** ********"
    assert re.fullmatch(rb"base64( \S{0,3}\*{8}\S{0,4}){3}", lines[1])
    assert lines[2] == b"url ******** ********"
    assert lines[3] == b"torn:*********last* " + PASSWORD[:10].encode()
    assert done.text(Stream.STDERR) == b"on stderr ********\n"
    everything = b"".join(event.line() for event in done.events)
    assert token.encode() not in everything
    assert PASSWORD.encode() not in everything
    assert b"\n".join(whole_output(done.last_words, ["web-1"])) + b"\n" == everything, "masked as it is in the log"


async def test_values_are_masked_in_the_lines_that_base64_writes(server: Server, run: RunWork) -> None:
    short, long = "tok/en-4711", "a long secret of many words, " * 8 + "and its end"
    script = f"""d=$(mktemp -d) && cd "$d" || exit 1
printf %s '{"x" * 52}{short}{"y" * 100}{long}{"z" * 31}' >file
base64 file
base64 file | sed 's/$/\\r/'
base64 -w 64 file >&2
rm -r "$d"
"""
    done = await run(server.work(script, masked=(short, long)))
    assert done.exit().state is HostState.SUCCEEDED
    assert (done.stdout.count(b"********"), done.text(Stream.STDERR).count(b"********")) == (4, 2)
    begin = base64.b64encode(b"x" * 51)
    assert done.stdout.startswith(begin)
    for said in (done.stdout, done.text(Stream.STDERR)):
        letters = re.sub(rb"[^A-Za-z0-9+/]", b"", said)
        for start in range(4):
            read = base64.b64decode(letters[start : start + (len(letters) - start) // 4 * 4])
            assert short.encode() not in read
            assert b"a long secret" not in read


@pytest.mark.parametrize(("size", "kept"), [(10, True), (100_000, False)])
async def test_the_last_words_hold_all_that_was_said_if_it_is_little(
    server: Server, run: RunWork, size: int, kept: bool
) -> None:
    hosts = (server.host("one"), server.host("other"))
    done = await run(server.work(f"head -c {size} /dev/urandom | base64", hosts=hosts))
    assert done.summary == {"hosts": 2, "succeeded": 2}
    if not kept:
        assert "output" not in json.loads(done.last_words)
        return
    found = [parse_line(line) for line in whole_output(done.last_words, ["one", "other"])]
    assert found == done.events
