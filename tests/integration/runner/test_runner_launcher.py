"""The launcher and the stopper do the same in every shell that hosts have as sh."""

import os
import pty
import shutil
import signal
import subprocess
import tty
from pathlib import Path

import pytest

from integration.runner.sshd import is_alive, wait_until
from rollcall_runner.script import LAUNCHER, STOPPER, Launch

SHELLS = [
    pytest.param(shell, marks=pytest.mark.skipif(shutil.which(shell[0]) is None, reason=f"no {shell[0]} here"))
    for shell in (["dash"], ["bash", "--posix"], ["busybox", "sh"])
]


@pytest.fixture(params=SHELLS, ids=lambda shell: shell[0])
def shell(request: pytest.FixtureRequest) -> list[str]:
    return list(request.param)


@pytest.fixture
def environment(tmp_path: Path) -> dict[str, str]:
    return {"PATH": os.environ["PATH"], "TMPDIR": str(tmp_path)}


def launch_in(
    shell: list[str], environment: dict[str, str], *, start_new_session: bool = True
) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        [*shell, "-c", LAUNCHER],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=environment,
        start_new_session=start_new_session,
    )


def send(process: subprocess.Popen[bytes], data: bytes) -> None:
    assert process.stdin is not None
    process.stdin.write(data)
    process.stdin.flush()


def run_script(shell: list[str], environment: dict[str, str], script: str) -> tuple[int, bytes, bytes]:
    """The exit code and output of a script in a file, whose stdin, as under sshd, is closed when it has ended."""
    process = launch_in(shell, environment)
    send(process, Launch.of(script).launcher_input())
    code = process.wait(30)
    output = process.communicate()
    wait_until(lambda: not os.listdir(environment["TMPDIR"]), "the janitor removes the directory")
    return code, *output


def test_a_terminal_that_closes_at_once_does_not_end_the_janitor(shell: list[str], environment: dict[str, str]) -> None:
    slow = LAUNCHER.replace("( if [ -t 0 ]", "( sleep 1; if [ -t 0 ]")
    assert slow != LAUNCHER
    terminal, theirs = pty.openpty()
    tty.setraw(theirs)
    # The first terminal that the leader of a session opens is the session's.
    command = ["sh", "-c", 'exec <>"$0" >&0 2>&0; exec "$@"', os.ttyname(theirs), *shell, "-c", slow]
    process = subprocess.Popen(command, env=environment, start_new_session=True)
    os.write(terminal, Launch.of("exit 3").launcher_input())
    assert process.wait(30) == 3
    os.close(theirs)
    os.close(terminal)
    wait_until(lambda: not os.listdir(environment["TMPDIR"]), "the janitor removes the directory")


def test_a_script_is_run_by_its_interpreter(shell: list[str], environment: dict[str, str]) -> None:
    assert run_script(shell, environment, "echo out; echo err >&2; exit 3") == (3, b"out\n", b"err\n")
    script = "#!/usr/bin/env python3\nimport sys\nprint(sys.version_info[0], sys.stdin.read())"
    assert run_script(shell, environment, script) == (0, b"3 \n", b"")
    assert run_script(shell, environment, "#!/bin/bash -eu\necho $-\nfalse\necho no")[1].startswith(b"eh")


def test_a_signal_that_ends_the_script_is_seen_as_one(shell: list[str], environment: dict[str, str]) -> None:
    assert run_script(shell, environment, "kill -USR1 $$") == (-signal.SIGUSR1, b"", b"")
    assert run_script(shell, environment, "exit 138") == (138, b"", b"")


def test_a_missing_interpreter_is_told(shell: list[str], environment: dict[str, str]) -> None:
    code, _, stderr = run_script(shell, environment, "#!/no/such/interpreter\n")
    assert code == 127
    assert b"/no/such/interpreter" in stderr


def test_a_script_has_the_umask_of_the_login(shell: list[str], environment: dict[str, str]) -> None:
    before = os.umask(0o027)
    try:
        assert run_script(shell, environment, "umask") == (0, b"0027\n", b"")
    finally:
        os.umask(before)


def test_a_script_finds_no_child_that_is_not_its_own(shell: list[str], environment: dict[str, str]) -> None:
    script = "#!/usr/bin/env python3\nimport os\ntry:\n os.wait()\nexcept ChildProcessError:\n print('none')"
    assert run_script(shell, environment, script) == (0, b"none\n", b"")


def test_a_script_can_start_itself_again(shell: list[str], environment: dict[str, str]) -> None:
    assert run_script(shell, environment, '[ -n "$AGAIN" ] && exit 7; AGAIN=1 exec "$0"')[0] == 7


@pytest.mark.parametrize("locale", ["C", "C.UTF-8"])
@pytest.mark.parametrize(
    "text",
    [
        pytest.param(" \t-n %s %% \\n \\\n\\0 \\c\r\n\n  'ä\U0001f600' \" $0 `:` $(:) \x01\x7f \n\n", id="lines"),
        pytest.param("\n\n-e no line end at the end \\", id="no line end"),
        pytest.param("ä" * 450, id="as long as is read as lines"),
        pytest.param("ä\n" * 2_000, id="longer"),
        pytest.param("a\0b\n\0", id="zero bytes"),
    ],
)
def test_a_script_arrives_byte_by_byte(shell: list[str], environment: dict[str, str], text: str, locale: str) -> None:
    script = f"#!/bin/cat\n{text}"
    assert run_script(shell, {**environment, "LC_ALL": locale}, script) == (0, script.encode(), b"")


def test_no_part_of_a_script_is_in_its_environment(shell: list[str], environment: dict[str, str]) -> None:
    before = {**environment, "line": "before"}
    code, environ, _ = run_script(shell, before, "cat /proc/$$/environ\n# secret")
    assert (code, environ.count(b"PATH="), environ.count(b"secret")) == (0, 1, 0)


def test_no_part_of_a_script_is_in_an_argument_where_printf_is_a_program(
    environment: dict[str, str], tmp_path_factory: pytest.TempPathFactory
) -> None:
    """bash can do without its own printf. The one that is found in its place writes its arguments down."""
    folder = tmp_path_factory.mktemp("printf")
    (folder / "start").write_text("enable -n printf\n")
    (folder / "printf").write_text(f'#!/bin/sh\necho "$*" >>{folder}/arguments\n')
    (folder / "printf").chmod(0o755)
    without = {**environment, "BASH_ENV": str(folder / "start"), "PATH": f"{folder}:{environment['PATH']}"}
    script = "#!/bin/cat\na secret\n"
    assert run_script(["bash"], without, script) == (0, script.encode(), b"")
    assert not (folder / "arguments").exists()


@pytest.mark.parametrize("lines", [pytest.param(3, id="few lines"), pytest.param(100, id="many lines")])
def test_a_script_that_does_not_arrive_whole_is_not_started(
    shell: list[str], environment: dict[str, str], lines: int
) -> None:
    process = launch_in(shell, environment)
    stdout, stderr = process.communicate(Launch.of("echo started\n" * lines).launcher_input()[:-10], 30)
    assert (process.returncode, stdout) == (126, b"")
    assert b"rollcall: the script was not started" in stderr
    assert os.listdir(environment["TMPDIR"]) == []


def test_a_missing_temporary_directory_is_told(shell: list[str], environment: dict[str, str]) -> None:
    process = launch_in(shell, {**environment, "TMPDIR": "/no/such/directory"})
    _, stderr = process.communicate(Launch.of("echo started").launcher_input(), 30)
    assert process.returncode == 126
    assert b"no directory can be made in /no/such/directory" in stderr


def stop(
    shell: list[str], environment: dict[str, str], launch: Launch, process: subprocess.Popen[bytes], place: str = ""
) -> str:
    """Stops as a runner does, while the script's end is noticed as sshd does: it closes the script's stdin.

    Nobody waits for the process before the answer, so that it is a zombie until then.
    """
    stopper = subprocess.Popen([*shell, "-c", STOPPER], stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=environment)
    send(stopper, launch.stopper_input(5, place))
    wait_until(lambda: not is_alive(process.pid), "the script's process is gone")
    assert process.stdin is not None
    process.stdin.close()
    answer, _ = stopper.communicate(timeout=30)
    assert process.wait(30) == -signal.SIGTERM
    assert process.stdout is not None
    assert process.stderr is not None
    process.stdout.close()
    process.stderr.close()
    return answer.decode()


def wait_for_line(process: subprocess.Popen[bytes]) -> bytes:
    assert process.stdout is not None
    return process.stdout.readline()


@pytest.mark.parametrize(
    "own_group",
    [pytest.param(True, id="the server gives a process group"), pytest.param(False, id="setsid makes one")],
)
def test_the_stopper_ends_a_script_with_its_children(
    shell: list[str], environment: dict[str, str], own_group: bool
) -> None:
    launch = Launch.of("sleep 1000 & echo $!; sleep 1000")
    process = launch_in(shell, environment, start_new_session=own_group)
    send(process, launch.launcher_input())
    child = int(wait_for_line(process))
    assert stop(shell, environment, launch, process) == "gone\n"
    wait_until(lambda: not is_alive(child), "the child is gone")
    assert os.listdir(environment["TMPDIR"]) == []


# Not in busybox, which has setsid built in.
@pytest.mark.parametrize("shell", SHELLS[:2], indirect=True, ids=["dash", "bash"])
def test_without_setsid_only_the_process_is_stopped_and_that_is_said(
    shell: list[str], environment: dict[str, str], tmp_path_factory: pytest.TempPathFactory
) -> None:
    tools = tmp_path_factory.mktemp("tools")
    for name in ("sh", "mkdir", "dd", "chmod", "rm", "sleep", "ps", "tr"):
        (tools / name).symlink_to(shutil.which(name) or pytest.skip(f"no {name} here"))
    without = {**environment, "PATH": str(tools)}
    shell = [shutil.which(shell[0]) or "", *shell[1:]]
    launch = Launch.of("#!/bin/sh\necho ready; exec sleep 1000")
    process = launch_in(shell, without, start_new_session=False)
    send(process, launch.launcher_input())
    wait_for_line(process)
    assert stop(shell, without, launch, process) == "alone\n"


def test_a_script_that_never_began_leaves_no_trace(shell: list[str], environment: dict[str, str]) -> None:
    answer = subprocess.run(
        [*shell, "-c", STOPPER], input=Launch.of("").stopper_input(5), env=environment, capture_output=True, check=True
    )
    assert answer.stdout == b"absent\n"
