"""The work on one host, from the first event to the last."""

import asyncio
from collections.abc import Coroutine
from dataclasses import dataclass, replace
from enum import Enum, auto
from typing import Any, Final, TypeVar

from rollcall.names import HostState, Reason
from rollcall.outputs import Exit
from rollcall.work import HostWork, Work
from rollcall_runner.connection import Login, Logins, Patience, close, connect
from rollcall_runner.elevation import Elevation
from rollcall_runner.emitter import Emitter
from rollcall_runner.failures import cancelled, describe, explain, listed, lost, output_limit, timed_out
from rollcall_runner.hostkeys import HostKeys, unchecked
from rollcall_runner.jumps import JumpHosts
from rollcall_runner.lines import LineWriter
from rollcall_runner.orders import HostStop
from rollcall_runner.remote import STOPPED_DRAIN_SECONDS, RemoteScript
from rollcall_runner.script import Launch, Stopped
from rollcall_runner.session import Shell, window_bytes

T = TypeVar("T")

NOT_STARTED: Final = Exit(HostState.CANCELLED, None, Reason.CANCELLED, "cancelled; the script was not started")


class StopRequestedError(Exception):
    """The runner has been told to stop the host."""


@dataclass(frozen=True, slots=True)
class Means:
    """What all hosts of a work share."""

    work: Work
    logins: Logins
    host_keys: HostKeys
    jump_hosts: JumpHosts
    writer: LineWriter
    patience: Patience


async def run_host(host: HostWork, emitter: Emitter, stop: HostStop, means: Means) -> Exit:
    """Runs the host's script, emits all its events, and returns what the last one says."""
    start_time = emitter.now()
    way = means.work.way(host)
    emitter.debug(f"Connecting to {host.where} as {host.user}{f' over {listed(way)}' if way else ''}")
    for name in unchecked((*way, host)):
        emitter.debug(f"The host key of {name} is not checked (hostKeyPolicy: Ignore)")
    login: Login | None = None
    try:
        login = await unless(stop.asked, means.logins.get(host.credentials))
        exit_ = await _connect_and_run(host, login, emitter, stop, means)
    except StopRequestedError:
        exit_ = NOT_STARTED
    except Exception as error:  # whatever happens to one host, the others must have their results
        exit_ = explain(error, host, login, means.patience, way)
    exit_ = lost(exit_, way, means.jump_hosts.broken(host))
    exit_ = replace(exit_, start_time=start_time, accepted_keys=means.host_keys.accepted((*way, host)))
    emitter.end(exit_)
    return exit_


async def _connect_and_run(host: HostWork, login: Login, emitter: Emitter, stop: HostStop, means: Means) -> Exit:
    work = means.work
    elevation = Elevation.of(host.user, work.effective_user, work.credentials[host.credentials])
    over = await unless(stop.asked, means.jump_hosts.to(host))
    connection = await unless(stop.asked, connect(host, login, means.patience, means.host_keys, over))
    try:
        for accepted in means.host_keys.accepted((*work.way(host), host)):
            emitter.debug(f"No host key was known for {accepted.host}: accepted {accepted.key}")
        if elevation is not None:
            emitter.debug(f"Becoming {elevation.user.name} by {elevation.program}")
        seconds, window = means.patience.elevation, window_bytes(min(work.parallelism, len(work.hosts)))
        shell = Shell(connection, elevation, seconds=seconds, window=window, tell=emitter.debug)
        launch = Launch.of(work.scripts[host.script])
        script = await unless(stop.asked, RemoteScript.start(shell, launch, emitter, means.writer, tty=work.tty))
        return await _attend(script, emitter, stop, work)
    finally:
        await close(connection)


class _Cause(Enum):
    """Why a script is not waited for any longer."""

    ENDED = auto()
    TIMEOUT = auto()
    STOP = auto()
    EXCESS = auto()


_ANNOUNCEMENTS: Final = {
    _Cause.TIMEOUT: "Timeout for execution passed, trying to stop the job",
    _Cause.STOP: "Cancelled, trying to stop the job",
    _Cause.EXCESS: "Too much output, trying to stop the job",
}


async def _attend(script: RemoteScript, emitter: Emitter, stop: HostStop, work: Work) -> Exit:
    """Waits for the script's end, or brings it about."""
    cause = await _wait(script, stop, work.execution_timeout_seconds)
    if cause is _Cause.ENDED:
        return await _read_rest(script, emitter, work)
    emitter.debug(_ANNOUNCEMENTS[cause])
    stopped = await script.stop(work.stop_grace_seconds, stop.forced)
    if stopped is Stopped.UNKNOWN:
        script.detach()
    elif not await script.drain(STOPPED_DRAIN_SECONDS):
        emitter.debug("A process keeps the script's output open; no longer reading")
    match cause:
        case _Cause.TIMEOUT:
            return timed_out(work.execution_timeout_seconds, stopped)
        case _Cause.EXCESS:
            return output_limit(work.output_limit_bytes, stopped)
        case _:
            return cancelled(stopped)


async def _read_rest(script: RemoteScript, emitter: Emitter, work: Work) -> Exit:
    """The end of a script that has ended by itself, when its output has been read."""
    end = await script.ended()
    if not await script.drain():
        emitter.debug(
            "The script has ended, but a process that it left behind keeps its output open; no longer reading"
        )
    emitter.finish()
    return output_limit(work.output_limit_bytes, None) if emitter.exceeded else describe(end)


async def _wait(script: RemoteScript, stop: HostStop, seconds: float) -> _Cause:
    """What comes first; of what has come at the same time, the script's end."""
    causes = {
        _Cause.ENDED: asyncio.ensure_future(script.ended()),
        _Cause.STOP: asyncio.ensure_future(stop.asked.wait()),
        _Cause.EXCESS: asyncio.ensure_future(script.exceeded()),
    }
    try:
        await asyncio.wait(causes.values(), timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
        return next((cause for cause, task in causes.items() if task.done()), _Cause.TIMEOUT)
    finally:
        for task in causes.values():
            task.cancel()
        await asyncio.wait(causes.values())


async def unless(stop: asyncio.Event, work: Coroutine[Any, Any, T]) -> T:
    """The result of the work. Raises StopRequestedError, with the work abandoned, when `stop` is set before its end."""
    task = asyncio.ensure_future(work)
    stopping = asyncio.ensure_future(stop.wait())
    try:
        await asyncio.wait({task, stopping}, return_when=asyncio.FIRST_COMPLETED)
        if task.done():
            return task.result()
        raise StopRequestedError
    finally:
        stopping.cancel()
        task.cancel()
        await asyncio.wait({task})
