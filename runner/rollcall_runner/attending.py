"""A script at work, wherever it runs: waited for, stopped when its time is up or it is told to, and described."""

import asyncio
from enum import Enum, auto
from typing import Final, Protocol

from rollcall.outputs import Exit
from rollcall.work import Work
from rollcall_runner.emitter import Emitter
from rollcall_runner.failures import TimeLimit, cancelled, output_limit, timed_out
from rollcall_runner.orders import HostStop
from rollcall_runner.remote import DRAIN_SECONDS, STOPPED_DRAIN_SECONDS
from rollcall_runner.script import Stopped
from rollcall_runner.session import End


class Script(Protocol):
    """A script that has been started."""

    async def ended(self) -> End:
        """Waits until it has ended, or cannot be heard any more."""

    async def exceeded(self) -> None:
        """Waits until it has said more than it may."""

    async def stop(self, grace_seconds: int, forced: asyncio.Event) -> Stopped:
        """Ends its processes: SIGTERM, a grace period, SIGKILL. Once `forced` is set, SIGKILL at once."""

    async def drain(self, seconds: float = DRAIN_SECONDS) -> bool:
        """Waits for the rest of the output; False when something still holds it open."""

    def detach(self) -> None:
        """Makes later output count for nothing."""

    def describe(self, end: End) -> Exit:
        """What that end means for the host."""


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


async def attend(script: Script, emitter: Emitter, stop: HostStop, work: Work, limit: TimeLimit) -> Exit:
    """Waits for the script's end, or brings it about."""
    cause = await _wait(script, stop, limit.seconds)
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
            return timed_out(limit, stopped)
        case _Cause.EXCESS:
            return output_limit(work.output_limit_bytes, stopped)
        case _:
            return cancelled(stopped)


async def _read_rest(script: Script, emitter: Emitter, work: Work) -> Exit:
    """The end of a script that has ended by itself, when its output has been read."""
    end = await script.ended()
    if not await script.drain():
        emitter.debug(
            "The script has ended, but a process that it left behind keeps its output open; no longer reading"
        )
    emitter.finish()
    return output_limit(work.output_limit_bytes, None) if emitter.exceeded else script.describe(end)


async def _wait(script: Script, stop: HostStop, seconds: float) -> _Cause:
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
