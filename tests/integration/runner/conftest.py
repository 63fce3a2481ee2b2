"""SSH servers, a user and runners for the tests of this directory."""

import asyncio
import pwd
import shutil
import subprocess
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import suppress
from pathlib import Path

import pytest
import pytest_asyncio

from integration.runner.machine import Machine, start_machine
from integration.runner.runs import RUNNER, Run, RunWork
from integration.runner.sshd import PASSWORD, USER, Server, start_server
from rollcall.work import Work
from support.kube import Kube


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    server = start_server(tmp_path_factory.mktemp("sshd"))
    yield server
    server.stop()


@pytest.fixture
def server_with(tmp_path: Path) -> Iterator[Callable[..., Server]]:
    """Starts a server of the test's own, with further lines of configuration and further environment for sessions."""
    started: list[Server] = []

    def start(*settings: str, **environment: str) -> Server:
        directory = tmp_path / f"sshd{len(started)}"
        directory.mkdir()
        started.append(start_server(directory, *settings, **environment))
        return started[-1]

    yield start
    for server in started:
        server.stop()


@pytest.fixture(scope="session")
def user() -> Iterator[str]:
    """A user with a password, who is not root."""
    with suppress(KeyError):
        pwd.getpwnam(USER)
        subprocess.run(["userdel", "-r", USER], check=True, capture_output=True)
    subprocess.run(["useradd", "-m", "-s", "/bin/bash", USER], check=True)
    subprocess.run(["chpasswd"], input=f"{USER}:{PASSWORD}\n", text=True, check=True)
    yield USER
    subprocess.run(["pkill", "-KILL", "-u", USER], check=False)
    subprocess.run(["userdel", "-r", USER], check=True, capture_output=True)


@pytest.fixture(scope="session")
def machine(kube: Kube, make_namespace: Callable[..., str]) -> Machine:
    return start_machine(kube, make_namespace("runner-machine", enforce="baseline"))


@pytest_asyncio.fixture
async def start() -> AsyncIterator[Callable[..., Awaitable[Run]]]:
    """Starts a runner process with a work; gives a Run. What is left of it at the end of the test is killed."""
    runs: list[Run] = []

    async def start_runner(work: Work, stdout: int = asyncio.subprocess.PIPE) -> Run:
        # Not below tmp_path, which is long: the path of a socket has at most 107 bytes.
        directory = Path(tempfile.mkdtemp(prefix="run-"))
        (directory / "work.json").write_bytes(work.dump())
        (directory / "termination-log").touch()
        process = await asyncio.create_subprocess_exec(
            RUNNER,
            f"--work={directory / 'work.json'}",
            f"--orders={directory / 'stop'}",
            f"--termination-log={directory / 'termination-log'}",
            f"--scratch={directory / 'scratch'}",
            f"--project={directory / 'project'}",
            stdout=stdout,
            stderr=asyncio.subprocess.PIPE,
            env={},
            limit=1 << 20,
        )
        runs.append(Run(process, directory))
        return runs[-1]

    yield start_runner
    for run in runs:
        if run.process.returncode is None:
            run.process.kill()
            await run.process.wait()
        shutil.rmtree(run.directory)


@pytest.fixture
def run(start: Callable[..., Awaitable[Run]]) -> RunWork:
    """Runs a work to its end, which must be regular."""

    async def run_to_end(work: Work) -> Run:
        run = await (await start(work)).finish()
        assert await run.stderr() == b""
        assert run.process.returncode == 0
        return run

    return run_to_end
