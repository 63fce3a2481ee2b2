"""Hosts are stopped while others go on, at once where force is ordered, and who cannot be stopped is named."""

import asyncio
import os
import signal
import time
from collections.abc import Awaitable, Callable

from integration.runner.relay import Relay
from integration.runner.runs import Run, run_here
from integration.runner.sshd import Server, is_alive
from rollcall.names import HostState, Reason
from rollcall.outputs import Stream
from rollcall.work import StopOrder, Work
from rollcall_runner.connection import Patience
from rollcall_runner.orders import Orders

STUBBORN = "#!/bin/bash\ntrap 'echo not now' TERM\necho $$\nwhile :; do sleep 0.1; done"
Start = Callable[[Work], Awaitable[Run]]


async def pids_of(run: Run, count: int) -> dict[str, int]:
    """The process that each script says first, when so many have begun."""
    pids: dict[str, int] = {}
    while len(pids) < count:
        event = await run.until(lambda event: event.stream is Stream.STDOUT)
        assert isinstance(event.data, bytes)
        pids.setdefault(event.host, int(event.data.split()[0]))
    return pids


async def test_only_the_hosts_that_are_named_are_stopped(server: Server, start: Start) -> None:
    names = ("runs", "runs-on", "waits", "waits-on")
    hosts = tuple(server.host(name) for name in names)
    script = "trap 'exit 0' USR1; echo $$; while :; do sleep 0.1; done"
    run = await start(server.work(script, hosts=hosts, parallelism=2))
    pids = await pids_of(run, 2)
    run.order(StopOrder(("runs", "waits", "somebody-else")))
    ended = {(await run.until(lambda event: event.stream is Stream.EXIT)).host for _ in range(2)}
    assert ended == {"runs", "waits"}
    assert not is_alive(pids["runs"])
    assert is_alive(pids["runs-on"])
    os.kill(pids["runs-on"], signal.SIGUSR1)
    first = await run.until(lambda event: event.stream is Stream.STDOUT and event.host == "waits-on")
    assert isinstance(first.data, bytes)
    os.kill(int(first.data.split()[0]), signal.SIGUSR1)
    await run.finish()
    for name in ("runs", "waits"):
        assert (run.exit(name).state, run.exit(name).reason) == (HostState.CANCELLED, Reason.CANCELLED)
    assert run.exit("runs").message == "cancelled; the script was told to end; its processes are confirmed gone"
    assert run.exit("waits").message == "cancelled; the script was not started"
    assert run.exit("waits").start_time is None
    for name in ("runs-on", "waits-on"):
        assert run.exit(name).state is HostState.SUCCEEDED
    assert run.summary == {"hosts": 4, "cancelled": 2, "succeeded": 2}


async def test_an_order_for_all_is_obeyed_at_once(server: Server, start: Start) -> None:
    hosts = tuple(server.host(f"web-{number}") for number in range(5))
    run = await start(server.work("echo $$; exec sleep 1000", hosts=hosts, parallelism=3))
    pids = await pids_of(run, 3)
    run.order(StopOrder(None))
    await run.finish()
    assert {run.exit(host.name).state for host in hosts} == {HostState.CANCELLED}
    assert not any(is_alive(pid) for pid in pids.values())


async def test_force_takes_effect_during_the_grace(server: Server, start: Start) -> None:
    hosts = (server.host("web-1"), server.host("web-2"))
    run = await start(server.work(STUBBORN, hosts=hosts, stop_grace_seconds=600))
    pids = await pids_of(run, 2)
    run.order(StopOrder(None))
    await run.until(lambda event: event.data == b"not now\n" and event.host == "web-1")
    run.order(StopOrder(("web-1",), force=True))
    await run.until(lambda event: event.stream is Stream.EXIT)
    assert run.exit("web-1").state is HostState.CANCELLED
    assert "confirmed gone" in str(run.exit("web-1").message)
    assert not is_alive(pids["web-1"])
    assert is_alive(pids["web-2"])
    run.order(StopOrder(None, force=True))
    await run.finish()
    assert run.exit("web-2").state is HostState.CANCELLED
    assert not is_alive(pids["web-2"])


async def test_force_kills_without_asking(server: Server, start: Start) -> None:
    run = await start(server.work(STUBBORN, stop_grace_seconds=600))
    (pid,) = (await pids_of(run, 1)).values()
    run.order(StopOrder(None, force=True))
    await run.finish()
    assert run.exit().state is HostState.CANCELLED
    assert b"not now" not in run.stdout
    assert not is_alive(pid)


async def test_sigterm_leaves_a_script_its_grace_unless_the_order_says_force(server: Server, start: Start) -> None:
    run = await start(server.work(STUBBORN, stop_grace_seconds=600))
    (pid,) = (await pids_of(run, 1)).values()
    run.process.send_signal(signal.SIGTERM)
    await run.until(lambda event: event.data == b"not now\n")
    assert is_alive(pid)
    run.order(StopOrder(None, force=True))
    run.process.send_signal(signal.SIGTERM)
    await run.finish()
    assert run.exit().state is HostState.CANCELLED
    assert not is_alive(pid)


async def test_a_timeout_s_grace_ends_by_force_too(server: Server, start: Start) -> None:
    run = await start(server.work(STUBBORN, execution_timeout_seconds=1, stop_grace_seconds=600))
    await run.until(lambda event: event.data == b"not now\n")
    run.order(StopOrder(("web-1",), force=True))
    await run.finish()
    assert (run.exit().state, run.exit().reason) == (HostState.FAILED, Reason.TIMEOUT)
    assert "confirmed gone" in str(run.exit().message)


async def test_who_does_not_answer_a_forced_stop_has_not_been_stopped_for_sure(server: Server) -> None:
    orders = Orders(("web-1",))
    async with Relay(server.port) as relay:

        def fall_silent() -> None:
            relay.fall_silent()
            orders.obey(StopOrder(None, force=True))

        began = time.monotonic()
        work = server.work("echo hello; exec sleep 3", hosts=(server.host(port=relay.port),), stop_grace_seconds=600)
        done = await run_here(work, Patience(), fall_silent, orders)
    assert time.monotonic() - began < 60
    assert (done.exit().state, done.exit().reason) == (HostState.CANCEL_FAILED, Reason.CANCEL_FAILED)
    assert "could not be confirmed stopped: the host did not answer in time; look for them" in str(done.exit().message)


async def test_who_refuses_a_second_session_has_not_been_stopped_for_sure(
    server_with: Callable[..., Server], start: Start
) -> None:
    run = await start(server_with("MaxSessions 1").work("echo $$; exec sleep 3"))
    await pids_of(run, 1)
    run.order(StopOrder(None))
    await run.finish()
    assert (run.exit().state, run.exit().reason) == (HostState.CANCEL_FAILED, Reason.CANCEL_FAILED)
    assert "opens no second SSH session (MaxSessions" in str(run.exit().message)
    assert run.summary == {"hosts": 1, "cancelfailed": 1}


async def test_starts_are_spread_evenly_and_nobody_is_left_out(server: Server, start: Start) -> None:
    hosts = tuple(server.host(f"web-{number}") for number in range(5))
    run = await start(server.work("echo hello", hosts=hosts, parallelism=2, spread_seconds=2.5))
    await run.finish()
    assert run.summary == {"hosts": 5, "succeeded": 5}
    times = [run.exit(host.name).start_time or 0 for host in hosts]
    for number, start_time in enumerate(times):
        assert number * 0.5 - 0.2 <= start_time - times[0]


async def test_a_stop_ends_those_whose_start_has_not_come(server: Server, start: Start) -> None:
    hosts = tuple(server.host(f"web-{number}") for number in range(4))
    run = await start(server.work("echo hello", hosts=hosts, spread_seconds=100_000))
    await run.until(lambda event: event.stream is Stream.EXIT)
    assert run.exit("web-0").state is HostState.SUCCEEDED
    run.order(StopOrder(("web-2", "web-1")))
    for _ in range(2):
        await run.until(lambda event: event.stream is Stream.EXIT)
    run.process.send_signal(signal.SIGTERM)
    await run.finish()
    for host in hosts[1:]:
        assert run.exit(host.name).message == "cancelled; the script was not started"
    assert run.summary == {"hosts": 4, "succeeded": 1, "cancelled": 3}


async def test_a_stop_in_the_middle_of_the_login_starts_nothing(server: Server, start: Start) -> None:
    gate = asyncio.Event()

    async def hold(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        gate.set()
        await reader.read()
        writer.close()

    async with await asyncio.start_server(hold, "127.0.0.1", 0) as listener:
        run = await start(server.work("echo hello", hosts=(server.host(port=listener.sockets[0].getsockname()[1]),)))
        await gate.wait()
        run.order(StopOrder(("web-1",)))
        await run.finish()
    assert run.exit().message == "cancelled; the script was not started"
