"""Named steps run one after the other over one connection, and each tells how it begins and ends."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import replace

from integration.runner.runs import Run, RunWork, run_here
from integration.runner.sshd import Server
from rollcall.names import HostState, Reason, StepState
from rollcall.outputs import StepNews, Stream
from rollcall.work import Credentials, OnExcess, OnFailure, StepWork, Work
from rollcall_runner.connection import Patience

Start = Callable[..., Awaitable[Run]]


def with_steps(server: Server, *steps: tuple[StepWork, str], **changes: object) -> Work:
    """A work with these steps; those that are skipped have no script."""
    scripts = [script for step, script in steps if not step.skipped]
    host = server.host(steps=tuple(range(len(scripts))))
    return server.work(*scripts, hosts=(host,), steps=tuple(step for step, _ in steps), **changes)


def told(run: Run) -> list[tuple[str, str, int | None]]:
    """What was said of steps, the beginnings left out."""
    news = [event.data for event in run.events if isinstance(event.data, StepNews)]
    return [(entry.name, entry.state.value, entry.exit_code) for entry in news if entry.state is not StepState.RUNNING]


async def test_steps_run_in_their_order_over_one_connection(server: Server, run: RunWork) -> None:
    done = await run(
        with_steps(
            server,
            (StepWork("one"), "echo one; echo $SSH_CONNECTION"),
            (StepWork("left", skipped=True), ""),
            (StepWork("two"), "#!/usr/bin/env python3\nimport os\nprint('two')\nprint(os.environ['SSH_CONNECTION'])"),
        )
    )
    exit_ = done.exit()
    assert (exit_.state, exit_.exit_code, exit_.message) == (HostState.SUCCEEDED, 0, None)
    first, connection, second, again = done.stdout.decode().splitlines()
    assert (first, second) == ("one", "two")
    assert connection == again
    streams = [event.stream for event in done.events if event.stream is not Stream.DEBUG]
    assert streams == [
        Stream.STEP, Stream.STDOUT, Stream.STEP, Stream.STEP, Stream.STEP, Stream.STDOUT, Stream.STEP, Stream.EXIT,
    ]  # fmt: skip
    assert told(done) == [("one", "Succeeded", 0), ("left", "Skipped", None), ("two", "Succeeded", 0)]
    assert server.leftovers() == []


async def test_each_end_says_when_its_step_began(server: Server, run: RunWork) -> None:
    done = await run(with_steps(server, (StepWork("one"), "sleep 0.2"), (StepWork("two"), "true")))
    news = [(event.time, event.data) for event in done.events if isinstance(event.data, StepNews)]
    (began, _), (ended, first), (again, _), (_, second) = news
    assert first.start_time is not None
    assert second.start_time is not None
    assert first.start_time <= began < began + 0.2 <= ended <= second.start_time <= again


async def test_a_step_that_fails_ends_the_host_with_its_name(server: Server, run: RunWork) -> None:
    done = await run(
        with_steps(
            server,
            (StepWork("one"), "printf torn; exit 3"),
            (StepWork("left", skipped=True), ""),
            (StepWork("two"), "echo two"),
        )
    )
    exit_ = done.exit()
    assert (exit_.state, exit_.exit_code, exit_.reason) == (HostState.FAILED, 3, Reason.EXIT_CODE)
    assert exit_.message == "step one: the script ended with exit code 3"
    assert told(done) == [("one", "Failed", 3), ("left", "Skipped", None), ("two", "NotStarted", None)]
    assert done.stdout == b"torn"


async def test_a_step_may_fail_and_let_the_next_one_run(server: Server, run: RunWork) -> None:
    go_on = OnFailure.CONTINUE
    done = await run(
        with_steps(
            server,
            (StepWork("one", on_failure=go_on), "exit 3"),
            (StepWork("two", on_failure=go_on, timeout_seconds=1), "sleep 60"),
            (StepWork("three", on_failure=go_on), "kill -KILL $$"),
            (StepWork("four"), "echo four"),
            stop_grace_seconds=1,
        )
    )
    exit_ = done.exit()
    assert (exit_.state, exit_.exit_code, exit_.reason) == (HostState.FAILED, 3, Reason.EXIT_CODE)
    assert exit_.message == "step one: the script ended with exit code 3"
    states = [state for _, state, _ in told(done)]
    assert states == ["Failed", "Failed", "Failed", "Succeeded"]
    assert done.stdout == b"four\n"


async def test_a_step_that_takes_too_long_is_stopped(server: Server, run: RunWork) -> None:
    steps = (StepWork("one", timeout_seconds=30), "true"), (StepWork("two", timeout_seconds=1), "sleep 60")
    exit_ = (await run(with_steps(server, *steps, (StepWork("three"), "true"), stop_grace_seconds=1))).exit()
    assert (exit_.state, exit_.exit_code, exit_.reason) == (HostState.FAILED, None, Reason.TIMEOUT)
    assert str(exit_.message).startswith("step two: the script ran longer than 1 s (timeoutSeconds)")
    assert "confirmed gone" in str(exit_.message)


async def test_all_steps_together_keep_to_the_time_of_the_host(server: Server, run: RunWork) -> None:
    slow = StepWork("one", on_failure=OnFailure.CONTINUE), "sleep 1.2"
    done = await run(
        with_steps(
            server, slow, (StepWork("two", timeout_seconds=60, on_failure=OnFailure.CONTINUE), "sleep 60"),
            (StepWork("three"), "true"), execution_timeout_seconds=2, stop_grace_seconds=1,
        )
    )  # fmt: skip
    exit_ = done.exit()
    assert exit_.reason is Reason.TIMEOUT
    assert str(exit_.message).startswith("step two: the script ran longer than 2 s (executionTimeoutSeconds)")
    assert [state for _, state, _ in told(done)] == ["Succeeded", "Failed", "NotStarted"]


async def test_a_stop_ends_the_step_at_work_and_starts_no_other(server: Server, start: Start) -> None:
    work = with_steps(server, (StepWork("one"), "true"), (StepWork("two"), "echo hello; sleep 60"),
                      (StepWork("three"), "true"), stop_grace_seconds=1)  # fmt: skip
    run = await start(work)
    await run.until(lambda event: event.data == b"hello\n")
    run.process.terminate()
    exit_ = (await run.finish()).exit()
    assert (exit_.state, exit_.reason) == (HostState.CANCELLED, Reason.CANCELLED)
    assert str(exit_.message).startswith("step two: cancelled")
    assert [state for _, state, _ in told(run)] == ["Succeeded", "Cancelled", "NotStarted"]


async def test_a_broken_connection_ends_the_host_whatever_the_step_allows(
    server_with: Callable[..., Server],
) -> None:
    server = server_with()
    work = with_steps(server, (StepWork("one", on_failure=OnFailure.CONTINUE), "echo hello; sleep 60"),
                      (StepWork("two"), "true"))  # fmt: skip
    done = await run_here(work, Patience(), server.kill_sessions)
    exit_ = done.exit()
    assert (exit_.state, exit_.reason) == (HostState.FAILED, Reason.UNREACHABLE)
    assert str(exit_.message).startswith("step one: the connection broke while the script ran")
    assert [state for _, state, _ in told(done)] == ["Failed", "NotStarted"]


async def test_a_step_that_the_host_refuses_to_start_is_told_as_failed(
    server_with: Callable[..., Server], run: RunWork
) -> None:
    server = server_with("MaxSessions 0")
    done = await run(with_steps(server, (StepWork("one"), "true"), (StepWork("two"), "true")))
    assert done.exit().reason is Reason.UNREACHABLE
    assert [state for _, state, _ in told(done)] == ["Failed", "NotStarted"]


async def test_secrets_are_masked_and_limits_hold_over_all_steps(server: Server, run: RunWork) -> None:
    work = with_steps(
        server,
        (StepWork("one"), "printf 'hunter'"),
        (StepWork("two"), "echo hunter22; echo 2hunter2"),
        (StepWork("three"), "yes | head -c 5000"),
        (StepWork("four"), "true"),
    )
    masked = replace(work, masked=("hunter22",), output_limit_bytes=1_000, on_excess=OnExcess.FAIL)
    done = await run(masked)
    exit_ = done.exit()
    assert exit_.reason is Reason.OUTPUT_LIMIT
    assert str(exit_.message).startswith("step three: ")
    assert done.stdout.startswith(b"hunter********\n2hunter2\ny\ny\n")
    assert [state for _, state, _ in told(done)] == ["Succeeded", "Succeeded", "Failed", "NotStarted"]


async def test_hosts_have_their_own_steps_at_the_same_time(server: Server, run: RunWork) -> None:
    steps = StepWork("one"), StepWork("two")
    hosts = tuple(server.host(f"web-{n}", steps=(n, 2)) for n in range(2))
    done = await run(server.work("exit 0", "exit 1", "echo two", hosts=hosts, steps=steps))
    assert [done.exit(f"web-{n}").state for n in range(2)] == [HostState.SUCCEEDED, HostState.FAILED]
    assert done.text(Stream.STDOUT, "web-0") == b"two\n"
    assert done.text(Stream.STDOUT, "web-1") == b""


async def test_a_login_that_fails_says_nothing_of_steps(server: Server, run: RunWork) -> None:
    work = with_steps(server, (StepWork("one"), "true"), credentials=Credentials(password="wrong"))
    done = await asyncio.wait_for(run(work), 60)
    assert done.exit().reason is Reason.AUTHENTICATION_FAILED
    assert told(done) == []
