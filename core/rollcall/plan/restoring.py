"""What an operator that begins knows of locks, from nothing but the cluster: who has them, and who comes next.

Who works keeps what it has. Who waits, or would go on at this moment, waits before anybody goes on: else whoever
happens to be looked at first would slip past those who came before.
"""

from collections.abc import Iterable
from datetime import datetime

from rollcall.names import ConditionType
from rollcall.plan.gates import not_yet_due, suspended, template_lock
from rollcall.plan.holding import chooses_at_start
from rollcall.plan.invocation import reconcile
from rollcall.plan.locks import NOTHING, Lock, Wanted
from rollcall.plan.observed import Observed
from rollcall.plan.starting import TEMPLATE, locks_for


def restore_locks(unfinished: Iterable[Observed], now: datetime) -> None:
    """Enter what unfinished invocations have, and what they wait for or would take now, into the locks they share."""
    in_order = sorted(unfinished, key=lambda observed: observed.claimant)
    for observed in in_order:
        _enter(observed, _held(observed, now), NOTHING)
    for observed in in_order:
        _enter(observed, _held(observed, now), _wanted(observed, now))


def _enter(observed: Observed, held: frozenset[str], wanted: Wanted) -> None:
    observed.locks.update(observed.claimant, held, lambda name: locks_for(observed, name), wanted)


def _known(observed: Observed) -> bool:
    """Whether a decision needs no Secret: its hosts have been dealt, or were before somebody wiped its status."""
    return observed.invocation.condition(ConditionType.RESOLVED) is not None or bool(observed.pods)


def _held(observed: Observed, now: datetime) -> frozenset[str]:
    return reconcile(observed, now).held if _known(observed) else frozenset()


def _wanted(observed: Observed, now: datetime) -> Wanted:
    """What it waits for, and what it would take if it were the only one; before its hosts are chosen, its turn."""
    invocation = observed.invocation
    if _known(observed):
        plan = reconcile(observed, now)
        wanted: dict[Lock, bool] = dict(plan.waited)
        for slice_ in plan.start_slices:
            wanted |= locks_for(observed, slice_.metadata.name)
        if plan.start_slices:
            wanted |= locks_for(observed, TEMPLATE)
        return wanted
    if not chooses_at_start(invocation) or invocation.metadata.deletion_timestamp is not None:
        return NOTHING
    gate = suspended(invocation) or not_yet_due(invocation, now)
    return template_lock(invocation, observed.template) if gate is None else NOTHING
