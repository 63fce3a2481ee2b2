"""The conditions that say why nothing starts: `Suspended`, `Waiting` and `FailureTarget`."""

from datetime import datetime
from typing import Final

from rollcall.names import ConditionType, Reason
from rollcall.plan.conditions import conclude
from rollcall.plan.gates import Wait
from rollcall.plan.stopping import Stop
from rollcall.resources.jobinvocation import JobInvocation, JobInvocationStatus
from rollcall.resources.meta import Condition, ConditionStatus

_TYPES: Final = (ConditionType.SUSPENDED, ConditionType.WAITING, ConditionType.FAILURE_TARGET)


def with_waiting(
    status: JobInvocationStatus, invocation: JobInvocation, wait: Wait | None, now: datetime
) -> JobInvocationStatus:
    """The status with both conditions as they should be; one that was never true is left out."""
    suspended = invocation.spec.suspend
    message = "no further hosts are started while spec.suspend is true" if suspended else "spec.suspend is false"
    reason = Reason.SUSPENDED if suspended else Reason.RESUMED
    status = _with(status, invocation, now, (ConditionType.SUSPENDED, suspended, reason, message))
    keeps = Reason.SUSPENDED if suspended else wait and wait.reason
    status = status.model_copy(update={"waiting_for": keeps})
    if wait is None or wait.reason == Reason.SUSPENDED:
        proceeding = (ConditionType.WAITING, False, Reason.PROCEEDING, "nothing is waited for any more")
        return _with(status, invocation, now, proceeding)
    return _with(status, invocation, now, (ConditionType.WAITING, True, wait.reason, wait.message))


def with_stop(
    status: JobInvocationStatus, invocation: JobInvocation, stop: Stop | None, now: datetime
) -> JobInvocationStatus:
    """The status that says why all hosts are stopped, if they are and nobody asked for it."""
    if stop is None or stop.cancelled:
        return status
    return _with(status, invocation, now, (ConditionType.FAILURE_TARGET, True, stop.cause.reason, stop.cause.message))


def _with(
    status: JobInvocationStatus,
    invocation: JobInvocation,
    now: datetime,
    condition: tuple[ConditionType, bool, Reason, str],
) -> JobInvocationStatus:
    type_, value, reason, message = condition
    before = next((c for c in status.conditions if c.type == type_), None)
    if before is None and not value:
        return status
    same = before is not None and (before.status == ConditionStatus.TRUE) == value and before.reason == reason
    if same and before is not None and before.message == message:
        return status
    return conclude(status, invocation, now, condition)


def turned(status: JobInvocationStatus, before: JobInvocationStatus) -> tuple[Condition, ...]:
    """These conditions, where they have another value or reason than before."""
    known = {c.type: (c.status, c.reason) for c in before.conditions}
    return tuple(c for c in status.conditions if c.type in _TYPES and known.get(c.type) != (c.status, c.reason))
