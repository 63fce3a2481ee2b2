"""Invocations that choose their hosts when they start, and what these wait for until then.

Nothing is frozen before the first host could start: not before `startAt`, not while suspended, and not before the turn
has come at a template that allows one invocation at a time. What no host can change is told at once all the same.

The turn is kept until the first host starts, also while something is missing, or the first hosts are busy. Nobody waits
in a circle for that: who has the turn waits for hosts at most, and who waits for hosts waits for slices at work in the
end, which wait for nothing. What a person or a time keeps from starting has no turn.
"""

from datetime import datetime, timedelta
from typing import Final

from rollcall.names import ConditionType, Reason
from rollcall.plan.conditions import conclude, unless_same
from rollcall.plan.gates import Wait, locked, not_yet_due, suspended, template_lock
from rollcall.plan.locks import NOTHING
from rollcall.plan.observed import Note, Observed, Plan
from rollcall.plan.resolution import Problem, Resolution, needed_secrets, shared_secrets
from rollcall.plan.starting import TEMPLATE
from rollcall.plan.stopping import start_window_missed
from rollcall.plan.waiting import turned, with_waiting
from rollcall.resources.jobinvocation import HostCounts, InvocationState, JobInvocation, JobInvocationStatus
from rollcall.resources.meta import ConditionStatus
from rollcall.resources.targeting import Resolve

LOOK_AGAIN: Final = timedelta(seconds=60)
"""How soon one that is held back looks again for what it lacks: nothing tells it that a Host or an Inventory came."""


def chooses_at_start(invocation: JobInvocation) -> bool:
    """Whether the hosts are chosen when the first of them could start. Those of an earlier run are known before."""
    spec = invocation.spec
    return spec.rerun_of is None and spec.targeting is not None and spec.targeting.resolve == Resolve.AT_START


def held_by(observed: Observed, now: datetime) -> Wait | None:
    """What keeps hosts that are chosen at the start from being chosen yet."""
    invocation = observed.invocation
    if not chooses_at_start(invocation):
        return None
    if (gate := suspended(invocation) or not_yet_due(invocation, now)) is not None:
        return gate
    obstacle = observed.locks.obstacle(observed.claimant, template_lock(invocation, observed.template))
    return locked(*obstacle) if obstacle else None


def secrets_to_read(observed: Observed, now: datetime) -> frozenset[str]:
    """The Secrets of which `reconcile` wants to know the keys; those of hosts only when these are to be chosen."""
    return needed_secrets(observed, now) if held_by(observed, now) is None else shared_secrets(observed)


def hold_back(observed: Observed, found: Problem | Resolution, now: datetime) -> Plan | None:
    """The plan of an invocation whose hosts are not to be chosen yet; None when they are.

    `found` is what choosing them now would give, whether they can be logged in to or not.
    """
    invocation = observed.invocation
    if not chooses_at_start(invocation):
        return None
    missed = start_window_missed(invocation, now, begun=False)
    if missed is not None:
        return _give_up(invocation, missed.cause.message, now)
    gate = held_by(observed, now)
    if gate is None or (isinstance(found, Problem) and not found.may_heal):
        return None
    status = _waiting_status(invocation, found, gate, now)
    look_again = now + LOOK_AGAIN if isinstance(found, Problem) else None
    moments = [moment for moment in (gate.until, invocation.spec.start_before, look_again) if moment is not None]
    waits = tuple(Note(Reason(c.reason), c.message) for c in turned(status, invocation.status))
    return Plan(
        status=unless_same(status, invocation),
        notes=(*waits, *_warnings(invocation, found)),
        waited=template_lock(invocation, observed.template) if gate.reason is Reason.TEMPLATE_BUSY else NOTHING,
        again_at=min(moments, default=None),
    )


def turn(observed: Observed, now: datetime) -> frozenset[str]:
    """What an invocation has whose turn to choose its hosts has come, until the first of them starts: its template.

    One that has no lock is not named: it would stay without one if the template came, or were changed, meanwhile.
    """
    invocation = observed.invocation
    locks = template_lock(invocation, observed.template)
    mine = locks and chooses_at_start(invocation) and held_by(observed, now) is None
    return frozenset({TEMPLATE}) if mine else frozenset()


def may_choose_since(invocation: JobInvocation, now: datetime) -> datetime:
    """Since when the hosts may be chosen: what is missing is waited for from then on."""
    created = invocation.metadata.creation_timestamp or now
    if not chooses_at_start(invocation):
        return created
    gates = [invocation.condition(ConditionType.SUSPENDED), invocation.condition(ConditionType.WAITING)]
    opened = [
        now if gate.status == ConditionStatus.TRUE else gate.last_transition_time for gate in gates if gate is not None
    ]
    return max(created, invocation.spec.start_at or created, *opened)


def latest_choice(invocation: JobInvocation) -> datetime | None:
    """Until when the hosts must have been chosen, where that is the start."""
    return invocation.spec.start_before if chooses_at_start(invocation) else None


def _warnings(invocation: JobInvocation, found: Problem | Resolution) -> tuple[Note, ...]:
    """The Event about what is not as it should be by now; none when that reason is known."""
    said = invocation.condition(ConditionType.VALID)
    if not isinstance(found, Problem):
        return ()
    known = said is not None and said.status == ConditionStatus.FALSE and said.reason == found.reason
    return () if known else (Note(found.reason, _not_yet(found), warning=True),)


def _not_yet(problem: Problem) -> str:
    return f"{problem.message}; it may turn up, or be mended, before the start"


def _waiting_status(
    invocation: JobInvocation, found: Problem | Resolution, gate: Wait, now: datetime
) -> JobInvocationStatus:
    """The status that says what is waited for, and what is not as it should be by now."""
    state = InvocationState.SUSPENDED if invocation.spec.suspend else InvocationState.PENDING
    said = (ConditionType.VALID, True, Reason.ACCEPTED, "nothing is wrong with it")
    description = invocation.status.description
    if isinstance(found, Problem):
        said = (ConditionType.VALID, False, found.reason, _not_yet(found))
    else:
        description = found.description
    status = conclude(invocation.status, invocation, now, said, state=state, description=description)
    return with_waiting(status, invocation, gate, now)


def _give_up(invocation: JobInvocation, message: str, now: datetime) -> Plan:
    """End an invocation that could not be started in time."""
    text = f"{message}; its hosts were never chosen"
    status = conclude(
        with_waiting(invocation.status, invocation, None, now), invocation, now,
        (ConditionType.FAILED, True, Reason.START_WINDOW_MISSED, text),
        state=InvocationState.FAILED, hosts=HostCounts(), completion_time=now,
    )  # fmt: skip
    return Plan(status=status, notes=(Note(Reason.START_WINDOW_MISSED, text, warning=True),), done=True)
