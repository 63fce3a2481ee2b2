"""A script in the container beside the runner: a launcher in a PID namespace of its own, told and heard by FIFOs."""

import asyncio
import json
import os
import shutil
import signal
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
import pytest_asyncio

from integration.runner.runs import Lines, Run
from integration.runner.sshd import PATIENCE_SECONDS, is_alive, wait_until
from rollcall.names import HostState, Reason
from rollcall.outputs import Exit, StepNews, Stream
from rollcall.podscript import LAUNCHER, SCRIPT_DIRECTORY
from rollcall.work import Credentials, HostWork, OnExcess, OnFailure, StepWork, StopOrder, Work
from rollcall_runner.emitter import Emitter
from rollcall_runner.inpod import run_in_pod
from rollcall_runner.masking import Mask
from rollcall_runner.orders import Orders

SHELLS = [shell for shell in (("dash",), ("bash", "--posix"), ("busybox", "sh")) if shutil.which(shell[0])]
ENVIRONMENT = {"ROLLCALL_HOST_NAME": "web-1", "ROLLCALL_HOST_FACTS": json.dumps({"quote": 'it\'s $HOME `id` "x"\n'})}
WORK = Work(
    hosts=(HostWork("web-1", "192.0.2.1", 22, "root", (), 0, 0, environment=ENVIRONMENT),),
    scripts=(),
    credentials=(Credentials(),),
    parallelism=1,
    execution_timeout_seconds=60,
    output_limit_bytes=1_000_000,
    stop_grace_seconds=1,
)
_CONTAINER = (
    f'mount -t tmpfs none /run; mkdir {SCRIPT_DIRECTORY}; mount --bind "$0" {SCRIPT_DIRECTORY};'
    ' launcher=$1; shift; exec "$@" -c "$launcher"'
)


@dataclass
class Box:
    """A launcher as the first process of a PID namespace, with a folder in the place of the shared volume."""

    directory: Path
    shell: tuple[str, ...]
    process: asyncio.subprocess.Process | None = None

    async def start(self) -> None:
        self.process = await asyncio.create_subprocess_exec(
            "unshare", "--pid", "--mount", "--fork", "--kill-child", "--mount-proc", "sh", "-c", _CONTAINER,
            str(self.directory), LAUNCHER, *self.shell, start_new_session=True,
        )  # fmt: skip

    async def ended(self) -> int:
        assert self.process is not None
        return await asyncio.wait_for(self.process.wait(), PATIENCE_SECONDS)

    @property
    def launcher(self) -> int:
        """The launcher's process as it is seen from outside."""
        assert self.process is not None
        children = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children").read_text().split()
        return int(children[0])


@dataclass
class World:
    """A box and what runs in it."""

    box: Box
    orders: Orders
    on_hello: Callable[[], None] = lambda: None

    async def run(self, *scripts: str, **changes: object) -> Run:
        """Runs a work; a run whose container was lost has no exit."""
        work = replace(WORK, scripts=scripts, **changes)  # type: ignore[arg-type]
        if work.steps:
            work = replace(work, hosts=(replace(work.hosts[0], steps=tuple(range(len(scripts)))),))
        lines = Lines(self.on_hello)
        host = work.hosts[0]
        emitter = Emitter(host.name, lines.write, work.output_limit_bytes, on_excess=work.on_excess,
                          mask=Mask(work.masked))  # fmt: skip
        running = run_in_pod(
            host, ENVIRONMENT, emitter, self.orders.of("web-1"), work, lines, directory=self.box.directory
        )
        async with asyncio.timeout(PATIENCE_SECONDS):
            await running
        return Run(None, Path(), lines.events)  # type: ignore[arg-type]


@pytest_asyncio.fixture(params=SHELLS, ids=lambda shell: shell[0])
async def world(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[World]:
    box = Box(tmp_path, request.param)
    await box.start()
    yield World(box, Orders(["web-1"]))
    assert box.process is not None
    if box.process.returncode is None:
        with suppress(ProcessLookupError):
            os.killpg(box.process.pid, signal.SIGKILL)
    await box.process.wait()


CASES = {
    "succeeds": ("echo hello; echo oops >&2", HostState.SUCCEEDED, 0, None),
    "exit-code": ("exit 3", HostState.FAILED, 3, Reason.EXIT_CODE),
    "high-exit-code": ("exit 200", HostState.FAILED, 200, Reason.EXIT_CODE),
    "signal": ("kill -KILL $$", HostState.FAILED, 137, Reason.SIGNAL),
    "no-interpreter": ("#!/no/such\n", HostState.FAILED, 127, Reason.EXIT_CODE),
    "argument": ("#!/bin/sh -e\nfalse\necho never", HostState.FAILED, 1, Reason.EXIT_CODE),
}


@pytest.mark.parametrize("name", CASES)
async def test_a_script_ends_as_it_ends(world: World, name: str) -> None:
    script, state, code, reason = CASES[name]
    run = await world.run(script)
    exit_ = run.exit()
    assert (exit_.state, exit_.exit_code, exit_.reason) == (state, code, reason)
    assert await world.box.ended() == 0
    if name == "succeeds":
        assert (run.stdout, run.text(Stream.STDERR)) == (b"hello\n", b"oops\n")
    if name == "signal":
        assert exit_.message == "signal KILL ended the script (exit code 137)"


async def test_a_script_reads_its_environment_and_nothing_else(world: World) -> None:
    script = '#!/usr/bin/env python3\nimport os, sys\nprint(os.environ["ROLLCALL_HOST_FACTS"], end="")\n'
    script += "print(repr(sys.stdin.read()), sorted(os.listdir('/proc/self/fd'))[:3])\nprint(os.getpgid(0) != 1)\n"
    run = await world.run(script)
    facts = ENVIRONMENT["ROLLCALL_HOST_FACTS"]
    assert run.stdout.decode() == f"{facts}'' ['0', '1', '2']\nTrue\n"


async def test_much_output_comes_whole_and_in_order(world: World) -> None:
    run = await world.run("#!/bin/sh\nseq 100000\n", output_limit_bytes=10_000_000)
    assert run.stdout == "".join(f"{n}\n" for n in range(1, 100_001)).encode()


async def test_output_is_masked_and_bounded(world: World) -> None:
    run = await world.run("echo my canary-4711", masked=("canary-4711",))
    assert run.stdout == b"my ********\n"


async def test_who_says_too_much_is_stopped(world: World) -> None:
    run = await world.run("yes", output_limit_bytes=1_000, on_excess=OnExcess.FAIL)
    assert run.exit().reason is Reason.OUTPUT_LIMIT
    assert len(run.stdout) == 1_000


STUBBORN = """#!/bin/bash
trap 'echo not now' TERM
(trap '' TERM; exec setsid sleep 1000) &
echo hello
while :; do sleep 0.1; done
"""


async def test_a_script_that_takes_too_long_is_stopped_with_all_that_it_started(world: World) -> None:
    pids: list[int] = []
    world.on_hello = lambda: pids.extend(inhabitants(world.box))
    run = await world.run(STUBBORN, execution_timeout_seconds=2)
    exit_ = run.exit()
    assert exit_.reason is Reason.TIMEOUT
    assert "confirmed gone" in str(exit_.message)
    assert b"not now" in run.stdout
    assert await world.box.ended() == 0
    assert len(pids) >= 3
    assert not any(map(is_alive, pids))


def inhabitants(box: Box) -> list[int]:
    """All processes in the launcher's PID namespace, as they are seen from outside."""
    own = os.stat(f"/proc/{box.launcher}/ns/pid").st_ino
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                if (entry / "ns" / "pid").stat().st_ino == own:
                    found.append(int(entry.name))
            except OSError:
                continue
    return found


@pytest.mark.parametrize("force", [False, True])
async def test_a_cancelled_script_ends_with_all_that_it_started(world: World, force: bool) -> None:
    pids: list[int] = []

    def cancel() -> None:
        pids.extend(inhabitants(world.box))
        world.orders.obey(StopOrder(None, force=force))

    world.on_hello = cancel
    run = await world.run(STUBBORN, stop_grace_seconds=600 if force else 1)
    assert (run.exit().state, run.exit().reason) == (HostState.CANCELLED, Reason.CANCELLED)
    assert "confirmed gone" in str(run.exit().message)
    await world.box.ended()
    assert not any(map(is_alive, pids))


async def test_force_comes_to_the_aid_of_a_gentle_stop(world: World) -> None:
    loop = asyncio.get_running_loop()
    world.on_hello = lambda: world.orders.obey(StopOrder(None))
    loop.call_later(3, world.orders.obey, StopOrder(None, force=True))
    began = loop.time()
    run = await world.run(STUBBORN, stop_grace_seconds=600)
    assert run.exit().state is HostState.CANCELLED
    assert loop.time() - began < 30


async def test_steps_run_one_after_the_other(world: World) -> None:
    steps = StepWork("one", on_failure=OnFailure.CONTINUE), StepWork("two", 1, OnFailure.CONTINUE), StepWork("three")
    run = await world.run("echo one; exit 4", "sleep 100", "echo three", steps=steps)
    assert run.exit().exit_code == 4
    assert run.stdout == b"one\nthree\n"
    ends = [event.data for event in run.events if isinstance(event.data, StepNews) and event.data.start_time]
    assert [(news.state.value, news.exit_code) for news in ends] == [("Failed", 4), ("Failed", None), ("Succeeded", 0)]


async def test_what_a_script_leaves_behind_is_not_waited_for_and_ends_with_the_container(world: World) -> None:
    pids: list[int] = []
    world.on_hello = lambda: pids.extend(inhabitants(world.box))
    run = await world.run("(setsid sleep 1000 &)\nsleep 0.2\necho hello")
    assert run.exit().state is HostState.SUCCEEDED
    assert "keeps its output open" in run.debug
    await world.box.ended()
    assert not any(map(is_alive, pids))


async def test_a_script_that_meddles_harms_only_itself(world: World) -> None:
    meddle = 'cd "$(dirname "$0")/.."; printf "end\\nend x y z\\nend 9 0 0\\nstopped maybe\\n\\377\\n" >pulse'
    run = await world.run(f"{meddle}\nsleep 0.3; exit 3")
    assert run.exit().exit_code == 3


async def test_a_container_that_ends_first_has_no_exit(world: World) -> None:
    world.on_hello = lambda: os.kill(world.box.launcher, signal.SIGKILL)
    run = await world.run("echo hello; sleep 1000")
    assert not any(isinstance(event.data, Exit) for event in run.events)
    assert run.stdout == b"hello\n"
    assert "container has ended" in run.debug


async def test_a_stop_before_the_container_is_there_ends_at_once(tmp_path: Path) -> None:
    world = World(Box(tmp_path, SHELLS[0]), Orders(["web-1"]))
    asyncio.get_running_loop().call_later(0.3, world.orders.obey, StopOrder(None))
    run = await world.run("echo hello")
    assert (run.exit().state, run.exit().message) == (HostState.CANCELLED, "cancelled; the script was not started")
    await world.box.start()
    assert await world.box.ended() == 0, "a launcher that comes too late is told that there is nothing to do"


RUNNER = """
import asyncio, pathlib, sys
from rollcall_runner.container import Container
from rollcall_runner.emitter import Emitter
from rollcall_runner.lines import LineWriter
async def main():
    container = Container(pathlib.Path(sys.argv[1]))
    await container.open()
    await container.ready()
    writer = LineWriter(1)
    await container.start("sleep 1000", {}, Emitter("a", writer.write, 1000), writer)
    print("started", flush=True)
    await asyncio.sleep(1000)
asyncio.run(main())
"""


async def test_the_container_ends_with_its_runner(world: World) -> None:
    runner = await asyncio.create_subprocess_exec(
        sys.executable, "-c", RUNNER, str(world.box.directory), stdout=asyncio.subprocess.PIPE
    )
    assert runner.stdout is not None
    assert await runner.stdout.readline() == b"started\n"
    await asyncio.to_thread(wait_until, lambda: len(inhabitants(world.box)) >= 3, "the script runs")
    pids = inhabitants(world.box)
    runner.kill()
    await runner.wait()
    assert await world.box.ended() == 1
    assert not any(map(is_alive, pids))


async def test_sigterm_does_not_end_a_launcher_at_work_but_one_that_waits(world: World) -> None:
    world.on_hello = lambda: os.kill(world.box.launcher, signal.SIGTERM)
    run = await world.run("echo hello; sleep 1; echo well")
    assert run.stdout == b"hello\nwell\n"
    assert run.exit().state is HostState.SUCCEEDED
