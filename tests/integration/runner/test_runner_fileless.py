"""A short shell script runs without a file: with the same output, and stopped as surely as any other."""

import asyncio
import os
import re
import shutil
import subprocess
from collections.abc import Awaitable, Callable
from dataclasses import replace
from pathlib import Path

import pytest

from integration.runner import test_runner_launcher
from integration.runner.runs import Run, RunWork
from integration.runner.sshd import PASSWORD, Server, is_alive, wait_until
from integration.runner.test_runner_launcher import SHELLS, launch_in, send, stop, wait_for_line
from integration.runner.test_runner_output import arguments_of_all_processes
from rollcall.names import HostState, Reason
from rollcall.outputs import Stream
from rollcall.work import BecomeMethod, Credentials, EffectiveUser, StopOrder, Work
from rollcall_runner.announcement import Announcement
from rollcall_runner.script import LAUNCHER, STOPPER, Launch

NOWHERE = "/no/such/directory"
"""A TMPDIR in which no file can be made."""


@pytest.fixture(params=[*SHELLS, ["bash", "--posix", "old"]], ids="-".join)
def shell(request: pytest.FixtureRequest) -> list[str]:
    return list(request.param)


@pytest.fixture
def environment(tmp_path: Path, shell: list[str]) -> dict[str, str]:
    """With an old bash's way, which keeps here-documents in files without names, a TMPDIR that can be written."""
    if shell[-1] != "old":
        return {"PATH": os.environ["PATH"], "TMPDIR": NOWHERE}
    shell.pop()
    return {"PATH": os.environ["PATH"], "TMPDIR": str(tmp_path), "BASH_COMPAT": "5.0"}


def run_fileless(shell: list[str], environment: dict[str, str], script: str) -> tuple[int, bytes, bytes, str | None]:
    """The exit code, the output, and what was announced."""
    launch = Launch.of(script)
    assert launch.announced
    process = launch_in(shell, environment)
    send(process, launch.launcher_input(announced=True))
    process.wait(30)  # until then, as under sshd, nobody closes its stdin
    stdout, stderr = process.communicate()
    announcement = Announcement(launch.name)
    stderr = announcement.hear(stderr) + announcement.end()
    return process.returncode, stdout, stderr, announcement.place


def test_nothing_is_written_and_the_process_is_announced(shell: list[str], environment: dict[str, str]) -> None:
    code, stdout, stderr, place = run_fileless(shell, environment, "echo $$; echo err >&2; exit 3")
    assert (code, stderr) == (3, b"err\n")
    assert re.fullmatch(rf"{int(stdout)} {int(stdout)} [0-9]+", place or "")


@pytest.mark.parametrize("first", ["", "#!/bin/sh\n", "#!/bin/bash\n", "#!/usr/bin/env bash\n", "#!/bin/dash -eu\n"])
@pytest.mark.parametrize(
    "text",
    [
        pytest.param("".join(f"echo '{chr(c)}'\n" for c in range(1, 128) if chr(c) not in "'\n\0"), id="characters"),
        pytest.param(" \t-n %s %% \\n $x `:` $(:)".join(("cat <<'E'\n", "\n\n\nE\n")), id="here-document"),
        pytest.param("cat <<E\nnever ends\n", id="open here-document"),
        pytest.param("echo a \\\n", id="backslash at the end"),
        pytest.param("\n\nE\nscript=1\necho $? $# $- $*", id="no line end"),
        pytest.param('echo "${script-none}${line-none}${body-none}"', id="no variables"),
        pytest.param("if true; then\necho", id="syntax error"),
        pytest.param("(sleep 0.1; echo late) & wait; exit 7", id="children"),
        pytest.param("kill -USR1 $$", id="signal"),
        pytest.param("cat; sh -c 'true <&3' && echo inherited", id="nothing to read and no descriptor"),
    ],
)
def test_a_script_does_what_it_does_in_a_file(
    environment: dict[str, str], shell: list[str], first: str, text: str, tmp_path: Path
) -> None:
    if len(first + text) > 1_000:
        text = "\n".join(text.split("\n")[30:]) + "\n"
    file = tmp_path / "script"
    file.write_text(first + text)
    command = (first.removeprefix("#!").strip() or "/bin/sh").split(" ", 1)
    done = subprocess.run([*command, file], env=environment, stdin=subprocess.DEVNULL, capture_output=True, check=False)
    code, stdout, stderr, _ = run_fileless(shell, environment, first + text)
    assert (code, stdout) == (done.returncode, done.stdout)
    assert stderr.count(b"\n") == done.stderr.count(b"\n")


def test_no_part_of_it_is_in_the_environment(shell: list[str], environment: dict[str, str]) -> None:
    before = {**environment, "script": "before", "line": "before", "body": "before"}
    code, stdout, _, _ = run_fileless(shell, before, "env # secret")
    assert code == 0
    assert b"PATH=" in stdout
    assert b"secret" not in stdout


def test_a_script_that_does_not_arrive_whole_is_not_started(shell: list[str], environment: dict[str, str]) -> None:
    process = launch_in(shell, environment)
    data = Launch.of("echo started\n" * 3).launcher_input(announced=True)
    stdout, stderr = process.communicate(data[:-10], 30)
    assert (process.returncode, stdout) == (126, b"")
    assert b"rollcall: the script was not started: it did not arrive whole" in stderr


def test_without_descriptors_by_name_there_is_a_file(
    shell: list[str], environment: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(test_runner_launcher, "LAUNCHER", LAUNCHER.replace("/dev/fd/3", "/no/fd/3"))
    with_files = {**environment, "TMPDIR": str(tmp_path)}
    assert run_fileless(shell, with_files, "echo out; echo err >&2; exit 3") == (3, b"out\n", b"err\n", "")
    wait_until(lambda: not os.listdir(tmp_path), "the janitor removes the directory")


def place_of(process: subprocess.Popen[bytes], launch: Launch) -> str:
    assert process.stderr is not None
    announcement = Announcement(launch.name)
    assert announcement.hear(process.stderr.readline()) == b""
    assert announcement.place is not None
    return announcement.place


@pytest.mark.parametrize("own_group", [True, False])
def test_the_stopper_ends_it_with_its_children(shell: list[str], environment: dict[str, str], own_group: bool) -> None:
    launch = Launch.of("sleep 1000 & echo $!; sleep 1000")
    process = launch_in(shell, environment, start_new_session=own_group)
    send(process, launch.launcher_input(announced=True))
    place = place_of(process, launch)
    child = int(wait_for_line(process))
    assert stop(shell, environment, launch, process, place) == "gone\n"
    wait_until(lambda: not is_alive(child), "the child is gone")


@pytest.mark.parametrize("grace", [0, 5])
def test_what_has_taken_over_the_number_is_left_alone(
    shell: list[str], environment: dict[str, str], grace: int
) -> None:
    with subprocess.Popen(["sleep", "1000"], start_new_session=True) as stranger:
        order = Launch.of("").stopper_input(grace, f"{stranger.pid} {stranger.pid} 1")
        done = subprocess.run(
            [*shell, "-c", STOPPER], input=order, env=environment, capture_output=True, check=True, timeout=30
        )
        assert done.stdout == b"gone\n"
        assert stranger.poll() is None
        stranger.kill()


LOGIN_SHELLS = [
    path for name in ("dash", "bash", "zsh", "csh", "tcsh", "fish", "ksh", "mksh") if (path := shutil.which(name))
]


def give(user: str, login_shell: str) -> None:
    subprocess.run(["usermod", "-s", login_shell, user], check=True)


async def test_nothing_is_left_on_the_host_and_nothing_ever_was(
    server_with: Callable[..., Server], run: RunWork
) -> None:
    server = server_with()
    server.temporary.chmod(0o555)
    before = server.temporary.stat().st_mtime_ns
    hosts = tuple(server.host(f"web-{number}") for number in range(10))
    done = await run(server.work("echo out; echo err >&2; exit 3", hosts=hosts))
    for host in hosts:
        assert done.exit(host.name).exit_code == 3
        assert done.text(Stream.STDOUT, host.name) == b"out\n"
        assert done.text(Stream.STDERR, host.name) == b"err\n"
    assert server.temporary.stat().st_mtime_ns == before, "nothing was made there, nor removed"


async def test_it_is_in_no_argument_while_it_runs(
    server: Server, start: Callable[[Work], Awaitable[Run]], tmp_path: Path
) -> None:
    run = await start(server.work(f"TOKEN=hunter2; echo ready; until [ -e {tmp_path}/on ]; do sleep 0.1; done"))
    await run.until(lambda event: event.data == b"ready\n")
    arguments = arguments_of_all_processes()
    assert any(line.startswith(b"/bin/sh\0/dev/fd/3\0") for line in arguments)
    assert not any(b"hunter2" in line for line in arguments)
    (tmp_path / "on").touch()
    assert (await run.finish()).exit().state is HostState.SUCCEEDED


async def test_what_a_login_says_first_is_output_and_the_announcement_is_not(
    server_with: Callable[..., Server], run: RunWork, tmp_path: Path
) -> None:
    (tmp_path / "noise").write_text("printf 'rollcall. says: ' >&2; echo hello")
    # bash reads it because sh is not what sshd starts, but the login shell is.
    server = server_with(f'ForceCommand . {tmp_path}/noise; eval "$SSH_ORIGINAL_COMMAND"')
    done = await run(server.work("echo out; echo err >&2"))
    assert done.stdout == b"hello\nout\n"
    assert done.text(Stream.STDERR) == b"rollcall. says: err\n"


STUBBORN = "trap 'echo not now' TERM; echo $$; while :; do sleep 0.1; done"


@pytest.mark.parametrize("force", [False, True])
async def test_a_script_that_ignores_sigterm_is_killed_with_its_children(
    server: Server, start: Callable[[Work], Awaitable[Run]], force: bool
) -> None:
    run = await start(server.work(f"(trap '' TERM; exec sleep 1000) & echo $!; {STUBBORN}", stop_grace_seconds=1))
    await run.until(lambda _: run.stdout.count(b"\n") == 2)
    run.order(StopOrder(hosts=None, force=force))
    await run.finish()
    exit_ = run.exit()
    assert exit_.state is HostState.CANCELLED, exit_
    assert "confirmed gone" in str(exit_.message)
    pids = [int(line) for line in run.stdout.splitlines() if line.isdigit()]
    assert len(pids) == 2
    assert not any(is_alive(pid) for pid in pids)
    assert (b"not now" in run.stdout) != force


@pytest.mark.parametrize("ends", [False, True])
async def test_a_stop_that_comes_before_the_announcement_waits_for_it(
    server_with: Callable[..., Server], start: Callable[[Work], Awaitable[Run]], tmp_path: Path, ends: bool
) -> None:
    """sh is slow to start on that host, or does not."""
    folder = tmp_path / "bin"
    folder.mkdir()
    wait = f"until [ -e {tmp_path}/on ]; do sleep 0.05; done"
    what = "exit 1" if ends else 'exec /bin/sh "$@"'
    (folder / "sh").write_text(
        f'#!/bin/sh\n[ -e {tmp_path}/here ] && exec /bin/sh "$@"\n>{tmp_path}/here\n{wait}\n{what}\n'
    )
    (folder / "sh").chmod(0o755)
    server = server_with(PATH=f"{folder}:/usr/bin:/bin")
    run = await start(server.work(f"echo $$ >{tmp_path}/pid; exec sleep 1000"))
    wait_until((tmp_path / "here").exists, "the launcher's shell is there")
    run.order(StopOrder(hosts=None))
    await run.until(lambda event: event.stream is Stream.DEBUG and b"trying to stop" in bytes(event.data))  # type: ignore[arg-type]
    await asyncio.to_thread((tmp_path / "on").touch)
    await run.finish()
    assert run.exit().state is HostState.CANCELLED, run.exit()
    assert "confirmed gone" in str(run.exit().message)
    pid = tmp_path / "pid"
    assert not (pid.exists() and pid.read_text() and is_alive(int(pid.read_text())))


async def test_when_the_connection_breaks_it_goes_on_and_that_is_told(
    server_with: Callable[..., Server], start: Callable[[Work], Awaitable[Run]], tmp_path: Path
) -> None:
    server = server_with()
    run = await start(server.work(f"echo $$; until [ -e {tmp_path}/on ]; do sleep 0.05; done; >{tmp_path}/done"))
    await run.until(lambda event: event.stream is Stream.STDOUT)
    server.kill_sessions()
    await run.finish()
    assert run.exit().reason is Reason.UNREACHABLE
    assert "the connection broke while the script ran" in str(run.exit().message)
    assert is_alive(int(run.stdout))
    (tmp_path / "on").touch()
    wait_until((tmp_path / "done").exists, "the script goes on")


@pytest.mark.parametrize("login_shell", LOGIN_SHELLS)
async def test_every_login_shell_hands_the_launcher_on(
    server_with: Callable[..., Server], run: RunWork, user: str, login_shell: str
) -> None:
    give(user, login_shell)
    server = server_with()
    server.temporary.chmod(0o555)
    work = server.work("id -un; echo err >&2; kill -KILL $$", hosts=(server.host(user=user),))
    done = await run(replace(work, credentials=(Credentials(password=PASSWORD),)))
    assert done.stdout == f"{user}\n".encode(), done.exit()
    assert done.text(Stream.STDERR) == b"err\n"
    assert done.exit().reason is Reason.SIGNAL


async def test_another_user_s_is_stopped_too(
    server_with: Callable[..., Server], start: Callable[[Work], Awaitable[Run]], tmp_path: Path
) -> None:
    folder = tmp_path / "bin"
    folder.mkdir()
    (folder / "sudo").write_text('#!/bin/sh\nwhile [ "$1" != -- ]; do shift; done; shift; exec "$@"\n')
    (folder / "sudo").chmod(0o755)
    server = server_with(PATH=f"{folder}:/usr/bin:/bin")
    server.temporary.chmod(0o555)
    before = server.temporary.stat().st_mtime_ns
    user = EffectiveUser("nobody", BecomeMethod.SUDO)
    run = await start(server.work(f"sleep 1000 & echo $!; {STUBBORN}", effective_user=user, stop_grace_seconds=1))
    await run.until(lambda _: run.stdout.count(b"\n") == 2)
    run.order(StopOrder(hosts=None))
    await run.finish()
    assert run.exit().state is HostState.CANCELLED, run.exit()
    assert not any(is_alive(int(line)) for line in run.stdout.splitlines() if line.isdigit())
    assert server.temporary.stat().st_mtime_ns == before
