"""How an invocation ends: exactly one of Complete, Failed and Cancelled becomes true, with the reason."""

from collections.abc import Mapping
from datetime import datetime

from rollcall.names import ConditionType, HostState, Reason
from rollcall.plan.conditions import conclude
from rollcall.plan.counting import counted
from rollcall.plan.observed import Note
from rollcall.plan.stopping import Stop, stopping_all
from rollcall.resources.jobinvocation import (
    FINAL_CONDITIONS,
    HostFate,
    InvocationState,
    JobInvocation,
    JobInvocationStatus,
)
from rollcall.resources.meta import Condition, ConditionStatus

_STATES = {
    ConditionType.COMPLETE: InvocationState.COMPLETE,
    ConditionType.FAILED: InvocationState.FAILED,
    ConditionType.CANCELLED: InvocationState.CANCELLED,
}


def finished_status(
    status: JobInvocationStatus,
    invocation: JobInvocation,
    states: Mapping[HostState, int],
    closing: Stop | None,
    now: datetime,
) -> JobInvocationStatus:
    """The status of an invocation whose hosts have all ended; `closing` is why some were stopped or never started."""
    type_, reason, message = _end(sum(states.values()), states, closing, status.failures)
    condition = (type_, True, reason, message)
    return conclude(status, invocation, now, condition, state=_STATES[type_], completion_time=now)


def _end(
    total: int, states: Mapping[HostState, int], closing: Stop | None, failures: tuple[HostFate, ...]
) -> tuple[ConditionType, Reason, str]:
    succeeded, cancelled = states.get(HostState.SUCCEEDED, 0), states.get(HostState.CANCELLED, 0)
    unproven, failed = states.get(HostState.CANCEL_FAILED, 0), states.get(HostState.FAILED, 0)
    if succeeded == total:
        said = "the host succeeded" if total == 1 else f"all {counted(total)} succeeded"
        return ConditionType.COMPLETE, Reason.ALL_SUCCEEDED, said
    sums = ", ".join(f"{count} {_WORDS[state]}" for state in _WORDS if (count := states.get(state, 0)))
    whole = closing is not None and closing.cancelled
    if (cancelled or unproven) and (whole or not failed) and (closing is None or closing.cancelled):
        reason = Reason.CANCEL_FAILED if unproven else Reason.CANCELLED
        return ConditionType.CANCELLED, reason, f"cancelled on request: of {counted(total)} {sums}"
    if closing is not None and not closing.cancelled:
        return ConditionType.FAILED, closing.cause.reason, f"{closing.cause.message}: of {counted(total)} {sums}"
    lost = total - succeeded
    shown = ", ".join(f"{failure.host} ({failure.reason})" for failure in failures[:3])
    more = f" and {lost - 3} more" if shown and lost > 3 else ""
    message = f"{lost} of {counted(total)} did not succeed" + (f": {shown}{more}" if shown else "")
    return ConditionType.FAILED, Reason.SOME_FAILED, message


_WORDS = {
    HostState.SUCCEEDED: "succeeded",
    HostState.FAILED: "failed",
    HostState.CANCELLED: "were cancelled",
    HostState.CANCEL_FAILED: "could not be proven to have stopped",
    HostState.NOT_STARTED: "were not started",
}


def turn_note(condition: Condition) -> Note:
    """The Event that tells of a condition's turn, but the last one."""
    if condition.type == ConditionType.FAILURE_TARGET:
        return Note(Reason(condition.reason), f"{condition.message}; {stopping_all()}", warning=True)
    return Note(Reason(condition.reason), condition.message)


def closing_note(status: JobInvocationStatus) -> Note:
    """The Event that tells the end."""
    end = next(c for c in status.conditions if c.type in FINAL_CONDITIONS and c.status == ConditionStatus.TRUE)
    unwelcome = end.type == ConditionType.FAILED or end.reason == Reason.CANCEL_FAILED
    return Note(Reason(end.reason), end.message, warning=unwelcome)
