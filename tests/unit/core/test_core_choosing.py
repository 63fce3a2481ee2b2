"""Which hosts of an earlier invocation are run again."""

from typing import Any

import pytest

from rollcall.names import Reason
from rollcall.plan.choosing import RerunError, choose_hosts, hosts_again
from rollcall.plan.invocation import reconcile
from rollcall.plan.observed import Observed, Origin
from rollcall.plan.slices import Slices
from rollcall.resources.jobinvocation import RerunHosts, RerunOf
from unit.core.objects import KEY_SECRET, NOW, hosts, invocation, resolved, slice_, template

STATES = {
    "good": "Succeeded",
    "bad": "Failed",
    "unproven": "CancelFailed",
    "stopped": "Cancelled",
    "left": "NotStarted",
    "busy": "Running",
    "late": "Pending",
}


def end(name: str, state: str, **more: Any) -> dict[str, Any]:
    return {"name": name, "state": state} | more


FIRST = slice_(0, *STATES, "silent", status={"hosts": [end(name, state) for name, state in STATES.items()]})
AGAIN = slice_(
    1, "healed", "retried", "waits", "c",
    status={"state": "Done", "hosts": [end(name, "Failed", retry=True) for name in ("healed", "retried", "waits")]},
)  # fmt: skip
SECOND = slice_(1, "healed", "retried", attempt=1,
                status={"hosts": [end("healed", "Succeeded"), end("retried", "Failed")]})  # fmt: skip
ORIGIN = Origin(resolved(FIRST, AGAIN, started=2), Slices([SECOND, AGAIN, FIRST]))
ALL = (*STATES, "silent", "healed", "retried", "waits", "c")


@pytest.mark.parametrize(
    ("which", "expected"),
    [
        ("All", ALL),
        ("Failed", ("bad", "unproven", "retried")),
        ("NotStarted", ("left",)),
        ("Cancelled", ("unproven", "stopped")),
        ("Succeeded", ("good", "healed")),
        ("Unsuccessful", ("bad", "unproven", "stopped", "left", "retried")),
    ],
)
def test_an_invocation_that_still_runs_gives_the_hosts_as_they_are_now(which: str, expected: tuple[str, ...]) -> None:
    """One that is tried again, or has not ended, has not failed yet."""
    assert hosts_again(RerunOf(name="job", hosts=RerunHosts(which)), (), ORIGIN) == expected


def test_listed_hosts_must_have_been_part_of_it() -> None:
    listed = RerunOf(name="job", hosts=RerunHosts.LISTED)
    assert hosts_again(listed, ("c", "good"), ORIGIN) == ("c", "good")
    with pytest.raises(RerunError, match=r"^the JobInvocation job did not run on other, x$"):
        hosts_again(listed, ("x", "good", "other"), ORIGIN)


FINAL = {"type": "Failed", "status": "True", "lastTransitionTime": "2026-03-01T12:00:00Z", "reason": "X"}


@pytest.mark.parametrize(
    ("uid", "origin", "words", "may_heal"),
    [
        (None, None, "there is no JobInvocation job in this namespace to run again", True),
        ("uid-of-another", ORIGIN, "is another one: its uid is not uid-of-another", False),
        (None, Origin(invocation("a"), Slices()), "has not chosen its hosts yet", True),
        (None, Origin(invocation("a", status={"conditions": [FINAL]}), Slices()), "never chose its hosts", False),
    ],
)
def test_what_cannot_be_run_again_says_why(uid: str | None, origin: Origin | None, words: str, may_heal: bool) -> None:
    with pytest.raises(RerunError, match=words) as refused:
        hosts_again(RerunOf(name="job", uid=uid), (), origin)
    assert refused.value.may_heal is may_heal


def test_the_uid_of_the_earlier_invocation_may_be_given() -> None:
    assert hosts_again(RerunOf(name="job", uid="uid-of-the-job"), (), ORIGIN) == ALL


@pytest.mark.parametrize(
    ("order", "expected"), [("Given", ["c", "a", "b"]), ("Name", ["a", "b", "c"]), (None, ["c", "a", "b"])]
)
def test_hosts_are_dealt_in_the_order_that_was_asked_for(order: str | None, expected: list[str]) -> None:
    job = invocation(targeting={"hosts": ["c", "a", "b"], "order": order})
    assert list(choose_hosts(Observed(job, hosts=hosts("a", "b", "c")), NOW)) == expected


def test_shuffled_hosts_have_the_same_order_whenever_they_are_asked_for() -> None:
    names = [f"web{number}" for number in range(20)]
    job = invocation(targeting={"hosts": names, "order": "Shuffled"})
    first, second = (choose_hosts(Observed(job, hosts=hosts(*names)), NOW) for _ in range(2))
    assert first == second
    assert sorted(first) == sorted(names)
    assert list(first) != names
    other = invocation(targeting={"hosts": names, "order": "Shuffled"}, metadata={"uid": "another"})
    assert choose_hosts(Observed(other, hosts=hosts(*names)), NOW) != first


def test_hosts_of_an_earlier_invocation_are_chosen_also_when_they_are_gone() -> None:
    job = invocation(name="again", rerunOf={"name": "job", "hosts": "Failed"}, targeting=None)
    assert tuple(choose_hosts(Observed(job, origin=ORIGIN), NOW)) == ("bad", "unproven", "retried")


TEMPLATE = template()
NOW_IS = {"name": "run", "uid": TEMPLATE.metadata.uid, "generation": TEMPLATE.metadata.generation}


@pytest.mark.parametrize(
    ("before", "said"),
    [
        (NOW_IS, None),
        (None, None),
        ({**NOW_IS, "generation": 7}, "the template is run, generation {now}; the earlier run had run, generation 7"),
        (
            {**NOW_IS, "uid": "uid-of-the-old"},
            "the template is run, generation {now}; the earlier run had run, generation {now}, "
            "which has been deleted since",
        ),
        (
            {"name": "old", "uid": "uid-of-the-old", "generation": 2},
            "the template is run, generation {now}; the earlier run had old, generation 2",
        ),
    ],
    ids=["the same", "never known", "edited", "made anew", "another"],
)
def test_a_rerun_says_when_its_template_is_not_the_one_that_ran(
    before: dict[str, Any] | None, said: str | None
) -> None:
    first = slice_(0, "a", status={"state": "Done", "hosts": [end("a", "Failed")]})
    ran = resolved(first, started=1)
    origin = Origin(invocation("a", status=ran.status.wire() | {"template": before}), Slices([first]))
    job = invocation(name="again", rerunOf={"name": "job", "hosts": "Failed"}, targeting=None)
    secrets = {KEY_SECRET: frozenset({"password"})}
    plan = reconcile(Observed(job, hosts=hosts("a"), template=TEMPLATE, secrets=secrets, origin=origin), NOW)
    notes = [note.message for note in plan.notes if note.reason is Reason.TEMPLATE_CHANGED]
    assert notes == ([] if said is None else [said.format(now=TEMPLATE.metadata.generation)])
    assert [made.spec.hosts for made in plan.create_slices] == [("a",)]
