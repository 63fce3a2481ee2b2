"""What the hosts that come next wait for: a time, a pause, a person, another run."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from rollcall.names import Reason
from rollcall.plan.locks import Claimant, Lock, LockKind, Wanted
from rollcall.plan.slices import Slices
from rollcall.resources.host import Exclusive, Host
from rollcall.resources.jobinvocation import JobInvocation
from rollcall.resources.jobslice import JobSlice
from rollcall.resources.jobtemplate import ConcurrencyPolicy, JobTemplate
from rollcall.resources.rollout import PauseFor

_FOR_SCHEDULE: Final = "its Schedule has not let it go: see what kubectl describe rsched tells of it"


@dataclass(frozen=True, slots=True)
class Wait:
    """What is waited for; `until` when it is a moment."""

    reason: Reason
    message: str
    until: datetime | None = None


def suspended(invocation: JobInvocation) -> Wait | None:
    """The wait of an invocation that is suspended."""
    return Wait(Reason.SUSPENDED, "spec.suspend is true") if invocation.spec.suspend else None


def not_yet_due(invocation: JobInvocation, now: datetime) -> Wait | None:
    """The wait for `spec.startAt`, or for the Schedule that lets a run go that was made ahead."""
    start = invocation.spec.start_at
    if start is None or now >= start:
        return Wait(Reason.NOT_YET_DUE, _FOR_SCHEDULE) if invocation.waits_for_schedule else None
    return Wait(Reason.NOT_YET_DUE, f"starts at {start:%Y-%m-%d %H:%M:%S} UTC", start)


def between_batches(invocation: JobInvocation, slices: Slices, batch: int, now: datetime) -> Wait | None:
    """The wait of a batch of which nothing has been started, for the time or the person that lets it start."""
    if batch == 0:
        return None
    rollout = invocation.spec.rollout
    if rollout.pause_for == PauseFor.APPROVAL:
        if rollout.approved_batches > batch:
            return None
        message = f"batch {batch} has ended; set spec.rollout.approvedBatches to {batch + 1} to start the next"
        return Wait(Reason.APPROVAL_NEEDED, message)
    ended = slices.batch_end(batch - 1)
    until = ended + timedelta(seconds=rollout.pause_seconds) if ended else now
    if now >= until:
        return None
    return Wait(Reason.PAUSED, f"batch {batch} has ended; the next starts at {until:%H:%M:%S} UTC", until)


def host_locks(slice_: JobSlice, template: JobTemplate | str | None, hosts: Mapping[str, Host]) -> Wanted:
    """The locks that a slice holds while it works, one on each of its hosts that has not ended."""
    alone = isinstance(template, JobTemplate) and template.spec.exclusive == Exclusive.SLICE
    ended = {result.name for result in slice_.status.hosts if result.state.ended}
    namespace = slice_.metadata.namespace
    return {
        Lock(LockKind.HOST, namespace, name): alone or (name in hosts and hosts[name].spec.exclusive == Exclusive.SLICE)
        for name in slice_.spec.hosts
        if name not in ended
    }


def template_lock(invocation: JobInvocation, template: JobTemplate | str | None) -> Wanted:
    """The lock that an invocation holds from its first start to its end, if its template allows only one at a time."""
    if not isinstance(template, JobTemplate) or template.spec.concurrency_policy != ConcurrencyPolicy.FORBID:
        return {}
    return {Lock(LockKind.TEMPLATE, invocation.metadata.namespace, template.metadata.name): True}


def locked(lock: Lock, other: Claimant) -> Wait:
    """The wait for a lock that another invocation has, or is to have before."""
    if lock.kind == LockKind.TEMPLATE:
        message = f"JobTemplate {lock.name} allows one invocation at a time; waiting for {other.name} to finish"
        return Wait(Reason.TEMPLATE_BUSY, message)
    return Wait(Reason.HOSTS_BUSY, f"Host {lock.name} takes one run at a time; waiting for {other.name}")
