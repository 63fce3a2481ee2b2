"""A work file that a runner cannot carry out is refused without showing its content."""

from dataclasses import replace
from pathlib import Path

import pytest

from rollcall.work import Credentials, HostWork, JumpHost, StepWork, Work
from rollcall_runner.main import UnusableWorkError, main, read_work

WORK = Work(
    hosts=(HostWork("web-1", "10.0.0.5", 22, "root", (), 0, 0),),
    scripts=("echo hunter2",),
    credentials=(Credentials(password="hunter2"),),
    parallelism=1,
    execution_timeout_seconds=60,
    output_limit_bytes=1_000,
)
JUMP = JumpHost("gate", "10.0.0.1", 22, "root", (), 0)


def test_a_work_is_read_as_it_was_written(tmp_path: Path) -> None:
    path = tmp_path / "work.json"
    path.write_bytes(WORK.dump())
    assert read_work(path) == WORK


@pytest.mark.parametrize(
    "content",
    [
        b"hunter2",
        b'{"hosts": "hunter2"}',
        replace(WORK, scripts=()).dump(),
        replace(WORK, credentials=()).dump(),
        replace(WORK, steps=(StepWork("build"),)).dump(),
        replace(WORK, parallelism=0).dump(),
        replace(WORK, execution_timeout_seconds=0).dump(),
        replace(WORK, stop_grace_seconds=-1).dump(),
        replace(WORK, spread_seconds=-1).dump(),
        replace(WORK, hosts=(replace(WORK.hosts[0], via=0),)).dump(),
        replace(WORK, hosts=(replace(WORK.hosts[0], known_hosts=0),)).dump(),
        replace(WORK, jump_hosts=(JUMP, replace(JUMP, via=1))).dump(),
        replace(WORK, jump_hosts=(replace(JUMP, credentials=1),)).dump(),
    ],
)
def test_an_unusable_work_is_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "work.json"
    path.write_bytes(content)
    with pytest.raises(UnusableWorkError, match="work file") as caught:
        read_work(path)
    assert "hunter2" not in str(caught.value)


def test_a_missing_work_file_is_told_on_stderr_and_in_the_termination_log(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("rollcall_runner.main._STOP_SIGNALS", frozenset())
    monkeypatch.setattr("rollcall_runner.main._prepare_process", lambda: None)
    log = tmp_path / "termination-log"
    log.touch()
    with pytest.raises(SystemExit) as caught:
        main([f"--work={tmp_path / 'none'}", f"--termination-log={log}"])
    assert caught.value.code == 2
    output = capsys.readouterr()
    assert output.out == ""
    assert output.err == f"rollcall-runner: {log.read_text()}\n"
    assert "No such file" in output.err


def test_help_says_where_the_work_is(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("rollcall_runner.main._STOP_SIGNALS", frozenset())
    with pytest.raises(SystemExit):
        main(["--help"])
    output = capsys.readouterr().out
    assert "/run/rollcall/work.json" in output
    assert "/run/rollcall-orders/stop" in output
