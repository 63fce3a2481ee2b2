"""The work on one host, from the first event to the last."""

import asyncio
from collections.abc import Coroutine
from dataclasses import dataclass, replace
from typing import Any, Final, TypeVar

from rollcall.names import HostState, Reason
from rollcall.outputs import Exit
from rollcall.work import HostWork
from rollcall_runner.connection import Login, Logins, Patience, close, connect
from rollcall_runner.emitter import Emitter
from rollcall_runner.failures import explain, failed
from rollcall_runner.lines import LineWriter
from rollcall_runner.remote import End, RemoteScript
from rollcall_runner.script import Launch

T = TypeVar("T")

NOT_STARTED: Final = Exit(HostState.CANCELLED, None, Reason.CANCELLED, "cancelled; the script was not started")
_EXIT_CODE_HINTS: Final = {
    126: "; by convention: it could not be executed, see its output",
    127: "; by convention: a command or the interpreter in its #! line was not found, see its output",
}


class StopRequestedError(Exception):
    """The runner has been told to stop."""


@dataclass(frozen=True, slots=True)
class Means:
    """What all hosts of a work share."""

    logins: Logins
    writer: LineWriter
    stop: asyncio.Event
    timeout_seconds: int
    patience: Patience


async def run_host(host: HostWork, script: str, emitter: Emitter, means: Means) -> Exit:
    """Runs the script on the host, emits all its events, and returns what the last one says."""
    start_time = emitter.now()
    emitter.debug(f"Connecting to {host.address}:{host.port} as {host.user}")
    login: Login | None = None
    try:
        login = await unless(means.stop, means.logins.get(host.credentials))
        exit_ = await _connect_and_run(host, login, Launch.of(script), emitter, means)
    except StopRequestedError:
        exit_ = NOT_STARTED
    except Exception as error:  # whatever happens to one host, the others must have their results
        exit_ = explain(error, host, login, means.patience)
    exit_ = replace(exit_, start_time=start_time)
    emitter.end(exit_)
    return exit_


async def _connect_and_run(host: HostWork, login: Login, launch: Launch, emitter: Emitter, means: Means) -> Exit:
    connection = await unless(means.stop, connect(host, login, means.patience))
    try:
        script = await unless(means.stop, RemoteScript.start(connection, launch, emitter, means.writer))
        return await _attend(script, emitter, means)
    finally:
        await close(connection)


async def _attend(script: RemoteScript, emitter: Emitter, means: Means) -> Exit:
    """Waits for the script's end, or brings it about."""
    try:
        async with asyncio.timeout(means.timeout_seconds):
            exit_ = describe(await unless(means.stop, script.ended()))
    except TimeoutError:
        emitter.debug("Timeout for execution passed, trying to stop the job")
        stopped = await script.stop()
        exit_ = failed(
            Reason.TIMEOUT,
            f"the script ran longer than {means.timeout_seconds} s and was told to end; {stopped.sentence}",
        )
    except StopRequestedError:
        emitter.debug("Cancelled, trying to stop the job")
        stopped = await script.stop()
        message = f"cancelled; the script was told to end; {stopped.sentence}"
        exit_ = Exit(HostState.CANCELLED, None, Reason.CANCELLED, message)
    if not await script.drain():
        emitter.debug(
            "The script has ended, but a process that it left behind keeps its output open; no longer reading"
        )
    return exit_


def describe(end: End) -> Exit:
    """The result of a script that ended in this way."""
    if end.signal is not None:
        return failed(Reason.SIGNAL, f"signal {end.signal} ended the script")
    if end.exit_code is None:
        return failed(
            Reason.UNREACHABLE, "the connection broke while the script ran; whether it goes on there is not known"
        )
    if end.exit_code == 0:
        return Exit(HostState.SUCCEEDED, 0)
    hint = _EXIT_CODE_HINTS.get(end.exit_code, "")
    return failed(Reason.EXIT_CODE, f"the script ended with exit code {end.exit_code}{hint}", end.exit_code)


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
