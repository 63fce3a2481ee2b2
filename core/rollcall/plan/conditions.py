"""Conditions (KEP-1623) of an invocation: setting one, keeping the others."""

from datetime import datetime

from rollcall.names import ConditionType, Reason
from rollcall.resources.jobinvocation import FINAL_CONDITIONS, JobInvocation, JobInvocationStatus
from rollcall.resources.meta import Condition, ConditionStatus


def with_condition(conditions: tuple[Condition, ...], condition: Condition) -> tuple[Condition, ...]:
    """The conditions with this one set; its transition time changes only when its status does."""
    before = next((c for c in conditions if c.type == condition.type), None)
    if before is None:
        return (*conditions, condition)
    if before.status == condition.status:
        condition = condition.model_copy(update={"last_transition_time": before.last_transition_time})
    return tuple(condition if c.type == condition.type else c for c in conditions)


def conclude(
    status: JobInvocationStatus,
    invocation: JobInvocation,
    now: datetime,
    condition: tuple[ConditionType, bool, Reason, str],
    **changes: object,
) -> JobInvocationStatus:
    """The status with a condition (type, value, reason, message) set and other fields changed."""
    type_, value, reason, message = condition
    generation = invocation.metadata.generation
    ended = {"waiting_for": None} if value and type_ in FINAL_CONDITIONS else {}
    conditions = with_condition(
        status.conditions,
        Condition(
            type=type_,
            status=ConditionStatus.TRUE if value else ConditionStatus.FALSE,
            observed_generation=generation,
            last_transition_time=now.replace(microsecond=0),
            reason=reason.value,
            message=message[:32768],
        ),
    )
    return status.model_copy(update={**ended, **changes, "conditions": conditions, "observed_generation": generation})


def unless_same(status: JobInvocationStatus, invocation: JobInvocation) -> JobInvocationStatus | None:
    """The status to write, marked with the generation that it describes; None when the stored one says the same."""
    marked = status.model_copy(update={"observed_generation": invocation.metadata.generation})
    return None if marked == invocation.status else marked
