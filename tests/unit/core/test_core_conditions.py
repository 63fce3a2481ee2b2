"""A condition's transition time says when its status changed, not when it was last said."""

from datetime import datetime
from typing import Any

import pytest

from rollcall.names import ConditionType, Reason
from rollcall.plan.conditions import conclude, unless_same, with_condition
from rollcall.resources.jobinvocation import InvocationState, JobInvocationStatus
from rollcall.resources.meta import Condition
from unit.core.objects import NOW, after, invocation, stored

EARLIER, LATER = NOW.replace(microsecond=0), after(60).replace(microsecond=0)


def condition(type_: str, status: str, moment: datetime, **more: Any) -> Condition:
    return Condition.model_validate(
        {"type": type_, "status": status, "lastTransitionTime": moment, "reason": "Accepted"} | more
    )


def test_the_first_condition_is_added() -> None:
    new = condition("Valid", "True", EARLIER)
    assert with_condition((), new) == (new,)


def test_the_transition_time_is_kept_while_the_status_is_the_same() -> None:
    before = (condition("Valid", "False", EARLIER, message="one thing"), condition("Resolved", "True", EARLIER))
    new = condition("Valid", "False", LATER, message="another", reason="InvalidSpec", observedGeneration=3)
    found = with_condition(before, new)
    assert found[0].last_transition_time == EARLIER
    assert (found[0].message, found[0].reason, found[0].observed_generation) == ("another", "InvalidSpec", 3)
    assert found[1] is before[1]


@pytest.mark.parametrize(("old", "new"), [("False", "True"), ("True", "False"), ("Unknown", "True")])
def test_the_transition_time_changes_with_the_status_and_the_place_stays(old: str, new: str) -> None:
    before = (condition("Valid", old, EARLIER), condition("Resolved", "True", EARLIER))
    found = with_condition(before, condition("Valid", new, LATER))
    assert [(c.type, c.last_transition_time) for c in found] == [("Valid", LATER), ("Resolved", EARLIER)]


def test_a_conclusion_says_what_of_which_generation() -> None:
    job = invocation(metadata={"generation": 4})
    end = (ConditionType.FAILED, True, Reason.SOME_FAILED, "x" * 40_000)
    status = conclude(job.status, job, NOW, end, state=InvocationState.FAILED)
    (found,) = status.conditions
    assert (status.observed_generation, found.observed_generation, status.state) == (4, 4, "Failed")
    assert len(found.message) == 32_768
    assert stored(job.model_copy(update={"status": status})).status == status, "it is read back as it was written"


def test_a_status_that_says_nothing_new_is_not_written() -> None:
    status = JobInvocationStatus(observed_generation=1, started_slices=2)
    job = invocation(status=status.wire())
    assert unless_same(status, job) is None
    assert unless_same(status.model_copy(update={"started_slices": 3}), job) is not None


def test_a_status_that_is_right_for_an_older_generation_is_written_again() -> None:
    status = JobInvocationStatus(observed_generation=1)
    again = unless_same(status, invocation(status=status.wire(), metadata={"generation": 2}))
    assert again is not None
    assert again.observed_generation == 2
