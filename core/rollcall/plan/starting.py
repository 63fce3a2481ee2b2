"""Which slices of a resolved invocation start now, and what the others wait for."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Final

from rollcall.plan.gates import (
    Wait,
    between_batches,
    host_locks,
    locked,
    not_yet_due,
    suspended,
    template_lock,
)
from rollcall.plan.locks import NOTHING, Lock, LockKind, Wanted
from rollcall.plan.observed import Observed
from rollcall.plan.rollout import parallelism, room
from rollcall.resources.jobslice import JobSlice
from rollcall.resources.jobtemplate import JobTemplate

MAX_STARTS: Final = 100
"""How many slices one plan starts: while many are being made, those that end must not wait."""
TEMPLATE: Final = ""
"""The name under which an invocation has the lock on its template."""


@dataclass(frozen=True, slots=True)
class Choice:
    """What starts now, and what the next slices wait for."""

    starting: tuple[JobSlice, ...] = ()
    wait: Wait | None = None
    waited: Wanted = field(default_factory=lambda: NOTHING)
    moments: tuple[datetime, ...] = ()
    """When time alone lets more start."""


@dataclass(frozen=True, slots=True)
class Field:
    """The slices that have not been started, in their order, and what is known of the others."""

    pending: tuple[JobSlice, ...]
    busy: Iterable[int]
    """How many hosts each slice at work has left."""
    begun: bool
    """Whether any slice of the invocation was ever started."""
    batch: int
    """The first batch that has not ended: a slice of it is open, or a host of it is tried again."""
    begun_batches: frozenset[int]
    """The batches of the slices at work."""


def choose(observed: Observed, field_: Field, now: datetime) -> Choice:
    """The slices to start now; none while the first of them waits to be offered to the API server again."""
    if not field_.pending:
        return Choice()
    invocation = observed.invocation
    gate = suspended(invocation) or not_yet_due(invocation, now)
    if gate is not None:
        return _waiting(gate)
    lock = NOTHING if field_.begun else _template_lock(observed)
    if obstacle := observed.locks.obstacle(observed.claimant, lock):
        return Choice(wait=locked(*obstacle), waited=lock)
    batch = field_.batch
    candidates = [slice_ for slice_ in field_.pending if slice_.spec.batch == batch]
    if candidates and batch not in field_.begun_batches and batch >= (invocation.status.batch or 1):
        gate = between_batches(invocation, observed.slices, batch, now)
        if gate is not None:
            return _waiting(gate)
    return _select(observed, candidates, field_, now)


def locks_for(observed: Observed, name: str) -> Wanted:
    """What is held while the slice of that name works, or for `TEMPLATE` while the invocation does."""
    if name == TEMPLATE:
        return _template_lock(observed)
    slice_ = observed.slices.get(name)
    return NOTHING if slice_ is None else host_locks(slice_, observed.template, observed.hosts)


def _template_lock(observed: Observed) -> Wanted:
    """The lock of the template that was chosen, for whoever starts or has started.

    If it is gone, or cannot be read, nobody knows whether it allows one invocation at a time. It may come back while
    somebody works.
    """
    invocation, chosen = observed.invocation, observed.invocation.status.template
    if isinstance(observed.template, JobTemplate) or chosen is None:
        return template_lock(invocation, observed.template)
    return {Lock(LockKind.TEMPLATE, invocation.metadata.namespace, chosen.name): True}


def _waiting(gate: Wait) -> Choice:
    return Choice(wait=gate, moments=(gate.until,) if gate.until else ())


def _select(observed: Observed, candidates: Iterable[JobSlice], field_: Field, now: datetime) -> Choice:
    """The candidates for which it is time, for which there is room, and whose hosts are free."""
    rollout = observed.invocation.spec.rollout
    concurrency = rollout.concurrency
    # The span begins with the first start: the others' places in it are known when that is written down.
    first = bool(rollout.time_span_seconds) and observed.invocation.status.start_time is None
    if first and field_.begun:
        return Choice()
    left = room(field_.busy, concurrency)
    starting: list[JobSlice] = []
    waited: dict[Lock, bool] = {}
    wait: Wait | None = None
    moments: list[datetime] = []
    for slice_ in candidates:
        refusal = observed.refused.get(slice_.metadata.name)
        due = refusal.retry_at if refusal is not None else _due(observed, slice_, now)
        if due > now:
            moments.append(due)
            if refusal is not None or slice_.spec.attempt == 0:
                break  # those after it are due later
            continue
        need = parallelism(len(slice_.spec.hosts), concurrency)
        if left is not None and need > left:
            break
        wanted = host_locks(slice_, observed.template, observed.hosts)
        if obstacle := observed.locks.obstacle(observed.claimant, wanted):
            wait = wait or locked(*obstacle)
            waited |= wanted
            continue
        starting.append(slice_)
        if first or len(starting) == MAX_STARTS:
            moments.append(now)
            break
        left = None if left is None else left - need
    return Choice(tuple(starting), wait, waited or NOTHING, tuple(moments))


def _due(observed: Observed, slice_: JobSlice, now: datetime) -> datetime:
    """When the slice may start, at the earliest: after its back-off, or at its place in the time span."""
    if slice_.spec.attempt:
        parent = observed.slices.parent(slice_)
        return now if parent is None or parent.status.retry_time is None else parent.status.retry_time
    status = observed.invocation.status
    span = observed.invocation.spec.rollout.time_span_seconds
    if not span or not status.slices or status.start_time is None:
        return now
    return status.start_time + timedelta(seconds=span * slice_.spec.index / status.slices)


def in_order(slices: Mapping[str, JobSlice]) -> list[JobSlice]:
    """The slices in the order in which they start: new attempts come before new hosts."""
    return sorted(slices.values(), key=lambda slice_: (-slice_.spec.attempt, slice_.spec.index))
