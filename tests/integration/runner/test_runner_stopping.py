"""A script that must not go on is stopped, and its host says whether it really has."""

import os
import signal
import time
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from integration.runner.runs import Run, RunWork
from integration.runner.sshd import Server, is_alive, wait_until
from rollcall.names import HostState, Reason
from rollcall.outputs import Event, Stream
from rollcall.work import Work

STUBBORN = "#!/bin/bash\ntrap 'echo not now' TERM\necho $$\nwhile :; do sleep 0.1; done"


async def test_a_script_that_takes_too_long_is_stopped_with_its_children(server: Server, run: RunWork) -> None:
    done = await run(server.work("sleep 1000 & echo $! $$; wait", execution_timeout_seconds=1))
    exit_ = done.exit()
    assert (exit_.state, exit_.reason, exit_.exit_code) == (HostState.FAILED, Reason.TIMEOUT, None)
    assert "longer than 1 s (executionTimeoutSeconds) and was told to end" in str(exit_.message)
    assert str(exit_.message).endswith("; its processes are confirmed gone")
    assert "Timeout for execution passed, trying to stop the job\n" in done.debug
    assert not any(is_alive(int(pid)) for pid in done.stdout.split())
    wait_until(lambda: not server.leftovers(), "the script's directory is removed")


async def test_a_script_that_ignores_sigterm_is_killed(server: Server, run: RunWork) -> None:
    done = await run(server.work(STUBBORN, execution_timeout_seconds=1))
    exit_ = done.exit()
    assert exit_.reason is Reason.TIMEOUT
    assert "confirmed gone" in str(exit_.message)
    pid, *said = done.stdout.split(b"\n")
    assert said[0] == b"not now"
    assert not is_alive(int(pid))
    order = [event.stream for event in done.events if b"Timeout" in bytes_of(event) or b"not now" in bytes_of(event)]
    assert order[:2] == [Stream.DEBUG, Stream.STDOUT]
    wait_until(lambda: not server.leftovers(), "the script's directory is removed")


def bytes_of(event: Event) -> bytes:
    return event.data if isinstance(event.data, bytes) else b""


async def test_a_script_that_cleans_up_when_told_to_end_may(server: Server, run: RunWork) -> None:
    script = "trap 'echo cleaned; exit 0' TERM; echo ready; while :; do sleep 0.1; done"
    done = await run(server.work(script, execution_timeout_seconds=1))
    assert done.stdout == b"ready\ncleaned\n"
    assert done.exit().reason is Reason.TIMEOUT


async def test_when_the_second_channel_is_refused_the_message_says_so(
    server_with: Callable[..., Server], run: RunWork
) -> None:
    done = await run(server_with("MaxSessions 1").work("sleep 5", execution_timeout_seconds=1))
    assert done.exit().reason is Reason.TIMEOUT
    assert "could not be confirmed stopped" in str(done.exit().message)


async def test_sigterm_stops_what_runs_and_starts_nothing_more(
    server: Server, start: Callable[[Work], Awaitable[Run]]
) -> None:
    hosts = tuple(server.host(f"web-{number}", script=number % 2) for number in range(6))
    run = await start(server.work(STUBBORN, "echo $$; sleep 1000", hosts=hosts, parallelism=2))
    running: set[str] = set()
    while len(running) < 2:
        running.add((await run.until(lambda event: event.stream is Stream.STDOUT)).host)
    run.process.send_signal(signal.SIGTERM)
    began = time.monotonic()
    first = await run.until(lambda event: event.stream is Stream.EXIT)
    assert first.host not in running  # those that wait need not wait for those that are stopped
    await run.finish()
    assert time.monotonic() - began < 30  # the grace, and what a pod has beyond it
    for host in hosts:
        exit_ = run.exit(host.name)
        assert (exit_.state, exit_.reason) == (HostState.CANCELLED, Reason.CANCELLED)
        if host.name in running:
            assert exit_.message == "cancelled; the script was told to end; its processes are confirmed gone"
            assert not is_alive(int(run.text(Stream.STDOUT, host.name).split()[0]))
        else:
            assert exit_.message == "cancelled; the script was not started"
    assert run.process.returncode == 0
    assert run.summary == {"hosts": 6, "cancelled": 6}
    wait_until(lambda: not server.leftovers(), "the scripts' directories are removed")


async def test_sigterm_before_anything_has_begun_is_not_overlooked(
    server: Server, start: Callable[[Work], Awaitable[Run]]
) -> None:
    run = await start(server.work("sleep 1000"))
    # The signal mask is in /proc: the runner blocks SIGTERM as soon as it can.
    wait_until(lambda: blocks_sigterm(run.process.pid), "the runner is prepared")
    run.process.send_signal(signal.SIGTERM)
    await run.finish()
    assert run.exit().state is HostState.CANCELLED
    assert run.process.returncode == 0


def blocks_sigterm(pid: int) -> bool:
    status = Path(f"/proc/{pid}/status").read_text()
    blocked = int(status.split("SigBlk:")[1].split()[0], 16)
    return bool(blocked & 1 << (signal.SIGTERM - 1))


@pytest.mark.parametrize("descriptor", ["", "2>/dev/null", ">/dev/null"])
async def test_a_child_that_keeps_the_output_open_does_not_keep_the_host(
    server: Server, run: RunWork, descriptor: str
) -> None:
    began = time.monotonic()
    done = await run(server.work(f"sleep 30 {descriptor} & echo $!; exit 3"))
    assert time.monotonic() - began < 25
    assert (done.exit().reason, done.exit().exit_code) == (Reason.EXIT_CODE, 3)
    assert "a process that it left behind keeps its output open" in done.debug
    child = int(done.stdout)
    assert is_alive(child)
    os.kill(child, signal.SIGKILL)


async def test_without_a_reader_the_scripts_are_stopped(
    server: Server, start: Callable[..., Awaitable[Run]], tmp_path: Path
) -> None:
    marker = tmp_path / "pid"
    reader, writer = os.pipe()
    run = await start(server.work(f"echo $$ >{marker}; while :; do echo more; sleep 0.1; done"), stdout=writer)
    os.close(writer)
    wait_until(lambda: marker.exists() and marker.read_text() != "", "the script has begun")
    os.close(reader)
    assert await run.process.wait() == 1
    assert not is_alive(int(marker.read_text()))
