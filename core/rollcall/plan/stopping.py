"""What stops an invocation, or some of its hosts: a cancellation, its deadline, too much output, too many failures.

Two things follow. Hosts at work are *stopped*: their runner is told so, and their end bears the stop's reason. Hosts
that wait are *never started*. Too many failures and a missed start window concern only the latter.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Final

from rollcall.names import ConditionType, HostState, Reason
from rollcall.plan.counting import counted
from rollcall.plan.pods import Trouble
from rollcall.plan.rollout import share
from rollcall.resources.jobinvocation import CancelPolicy, JobInvocation
from rollcall.resources.jobslice import JobSlice, JobSliceStatus
from rollcall.resources.meta import ConditionStatus

_NAMED: Final = 3
"""How many hosts an Event names."""


@dataclass(frozen=True, slots=True)
class Stop:
    """Which hosts are stopped (None: all), and what for."""

    cause: Trouble
    hosts: frozenset[str] | None = None
    force: bool = False

    @property
    def cancelled(self) -> bool:
        """Whether a person asked for it."""
        return self.cause.reason == Reason.CANCELLED

    def covers(self, host: str) -> bool:
        """Whether the host is stopped."""
        return self.hosts is None or host in self.hosts

    def left(self, slice_: JobSlice, status: JobSliceStatus) -> list[str]:
        """The hosts of the slice that are stopped, and have not ended as that status says."""
        ended = {result.name for result in status.hosts if result.state.ended}
        return [name for name in slice_.spec.hosts if self.covers(name) and name not in ended]

    @property
    def never_started(self) -> HostState:
        """The state of a host that is not started because of it."""
        return HostState.CANCELLED if self.cancelled else HostState.NOT_STARTED


@dataclass(frozen=True, slots=True)
class Stops:
    """What stops each host: that somebody chose it comes before what concerns all."""

    whole: Stop | None = None
    chosen: Stop | None = None

    def of(self, host: str) -> Stop | None:
        """The stop of the host, if it is stopped."""
        return self.chosen if self.chosen is not None and self.chosen.covers(host) else self.whole

    def besides(self, hosts: frozenset[str]) -> "Stops":
        """The same, and that somebody has chosen these hosts before."""
        if not hosts:
            return self
        chosen = self.chosen or Stop(_CANCELLED)
        return replace(self, chosen=replace(chosen, hosts=(chosen.hosts or frozenset()) | hosts))


def deadline(invocation: JobInvocation) -> datetime | None:
    """When the whole must have ended; None while the time does not run.

    As for Jobs (batch/v1), the time does not run while the invocation is suspended, and begins anew when it is resumed.
    """
    seconds, begun = invocation.spec.active_deadline_seconds, invocation.status.start_time
    if seconds is None or begun is None or invocation.spec.suspend:
        return None
    suspended = invocation.condition(ConditionType.SUSPENDED)
    if suspended is not None and suspended.status == ConditionStatus.TRUE:
        return None  # it has been resumed just now; the condition is to say when
    if suspended is not None:
        begun = max(begun, suspended.last_transition_time)
    return begun + timedelta(seconds=seconds)


def stop_all(invocation: JobInvocation, *, output_exceeded: bool, now: datetime) -> Stop | None:
    """Why all hosts are stopped, if they are. Once that is written down, only a cancellation takes its place."""
    cancellation = invocation.spec.cancellation
    if cancellation is not None and cancellation.hosts is None:
        return Stop(_CANCELLED, force=cancellation.policy == CancelPolicy.FORCE)
    struck = invocation.condition(ConditionType.FAILURE_TARGET)
    if struck is not None and struck.status == ConditionStatus.TRUE and struck.reason in set(Reason):
        return Stop(Trouble(Reason(struck.reason), struck.message))
    end = deadline(invocation)
    if end is not None and now >= end:
        seconds = invocation.spec.active_deadline_seconds
        return Stop(Trouble(Reason.DEADLINE_EXCEEDED, f"the invocation took longer than its {seconds} s"))
    if output_exceeded:
        return Stop(Trouble(Reason.OUTPUT_LIMIT, "the hosts of the invocation said more than it may say in all"))
    return None


def stop_some(invocation: JobInvocation) -> Stop | None:
    """The stop of chosen hosts, if some are chosen."""
    cancellation = invocation.spec.cancellation
    if cancellation is None or cancellation.hosts is None:
        return None
    return Stop(_CANCELLED, frozenset(cancellation.hosts), force=cancellation.policy == CancelPolicy.FORCE)


_CANCELLED = Trouble(Reason.CANCELLED, "cancelled on request")


def start_window_missed(invocation: JobInvocation, now: datetime, *, begun: bool) -> Stop | None:
    """Why no host is started, when none could be before `startBefore` (contracts/foreman.md §3.2)."""
    before = invocation.spec.start_before
    if before is None or now < before or begun:
        return None
    message = f"it could not be started before {before:%Y-%m-%d %H:%M:%S} UTC"
    waiting = invocation.condition(ConditionType.WAITING)
    if waiting is not None and waiting.status == ConditionStatus.TRUE:
        message += f": {waiting.message}"
    return Stop(Trouble(Reason.START_WINDOW_MISSED, message))


def too_many_failed(invocation: JobInvocation, failed: int, total: int) -> Stop | None:
    """Why no more hosts are started, when more have failed than may."""
    most = invocation.spec.rollout.max_failed
    if most is None or failed <= share(total, most):
        return None
    return Stop(Trouble(Reason.TOO_MANY_FAILED, f"{counted(failed)} failed, and rollout.maxFailed is {most}"))


def stopping_all(*, force: bool = False) -> str:
    """The sentence about a stop of all hosts."""
    return f"hosts at work are being stopped{' by force' if force else ''}, the others are not started"


def stopping_some(hosts: Sequence[str], *, force: bool) -> str:
    """The sentence about a stop of chosen hosts."""
    more = f" and {len(hosts) - _NAMED} more" if len(hosts) > _NAMED else ""
    how = "stopped by force" if force else "stopped"
    return f"{counted(len(hosts))} will be {how}, or not started: {', '.join(hosts[:_NAMED])}{more}"
