"""What a user sees of an invocation at each stage, and the smallest cases of what the simulation found."""

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from rollcall.names import Reason
from rollcall.plan.invocation import reconcile
from rollcall.plan.observed import Observed, Plan, Refusal
from rollcall.plan.pods import DELETED, Phase, Trouble
from rollcall.plan.slices import Slices
from rollcall.plan.starting import TEMPLATE
from rollcall.resources.jobinvocation import JobInvocation, JobInvocationStatus
from rollcall.resources.jobslice import JobSlice
from unit.core.objects import (
    FAILED,
    KEY_SECRET,
    NOW,
    STOPPED,
    SUCCEEDED,
    after,
    asks_for_nothing,
    collected,
    hosts,
    invocation,
    pod,
    resolved,
    slice_,
    stored,
    template,
    written,
)

FINE: dict[str, Any] = {"template": template(), "secrets": {KEY_SECRET: frozenset({"password"})}}


def begun(job: JobInvocation, *known: str, **changes: Any) -> Observed:
    return Observed(**{"invocation": job, "hosts": hosts(*known), **FINE, **changes})


def conditions(status: JobInvocationStatus | None) -> dict[str, tuple[str, str]]:
    assert status is not None
    return {c.type.value: (c.status.value, c.reason) for c in status.conditions}


def names(slices: tuple[JobSlice, ...]) -> list[str]:
    return [entry.metadata.name for entry in slices]


# ---- before anything runs


def test_an_invocation_is_dealt_into_slices_before_any_pod_is_made() -> None:
    plan = reconcile(begun(invocation("a", "b"), "a", "b"), NOW)
    assert names(plan.create_slices) == ["job-0", "job-1"]
    assert plan.start_slices == ()
    assert conditions(plan.status) == {"Valid": ("True", "Accepted"), "Resolved": ("True", "HostsResolved")}
    assert plan.status is not None
    assert plan.status.hosts is not None
    assert (plan.status.state, plan.status.hosts.total, plan.status.hosts.pending) == ("Pending", 2, 2)
    assert plan.again_at == NOW


def test_slices_of_a_dealing_that_was_cut_short_are_discarded_first() -> None:
    plan = reconcile(begun(invocation("a", "b"), "a", "b", slices=Slices([slice_(0, "a")])), NOW)
    assert plan == Plan(discard_slices=True, again_at=NOW)


@pytest.mark.parametrize(
    ("when_empty", "end", "state"), [("Complete", "Complete", "Complete"), ("Fail", "Failed", "Failed")]
)
def test_an_empty_target_ends_the_invocation_as_the_user_chose(when_empty: str, end: str, state: str) -> None:
    job = invocation(targeting={"selector": {}, "whenEmpty": when_empty})
    plan = reconcile(begun(job), NOW)
    assert conditions(plan.status)[end] == ("True", "NoHostsMatched")
    assert plan.status is not None
    assert (plan.status.state, plan.done, plan.create_slices) == (state, True, ())
    assert plan.status.completion_time == NOW


def test_what_is_missing_is_waited_for_and_said_once() -> None:
    observed = begun(invocation("a"), "a", template=None)
    plan = reconcile(observed, after(3))
    assert conditions(plan.status) == {"Valid": ("False", "TemplateNotFound")}
    assert [note.reason for note in plan.notes] == [Reason.TEMPLATE_NOT_FOUND]
    assert plan.notes[0].message == ("there is no JobTemplate run in this namespace; waiting for it until 12:00:30 UTC")
    assert (plan.done, plan.again_at) == (False, after(5))
    again = reconcile(written(observed, plan), after(5))
    assert asks_for_nothing(again)
    assert again.again_at == after(7)


def test_what_stays_missing_fails_the_invocation_with_the_reason() -> None:
    plan = reconcile(begun(invocation("a"), "a", template=None), after(30))
    assert conditions(plan.status) == {"Valid": ("False", "TemplateNotFound"), "Failed": ("True", "TemplateNotFound")}
    assert plan.done
    assert plan.status is not None
    assert (plan.status.state, plan.status.hosts) == ("Failed", JobInvocationStatus.model_validate({"hosts": {}}).hosts)


def test_what_turns_up_in_time_lets_the_invocation_go_on() -> None:
    waiting = reconcile(begun(invocation("a"), "a", template=None), NOW)
    plan = reconcile(written(begun(invocation("a"), "a"), waiting), after(2))
    assert conditions(plan.status) == {"Valid": ("True", "Accepted"), "Resolved": ("True", "HostsResolved")}


def test_a_mistake_that_cannot_heal_fails_the_invocation_at_once() -> None:
    plan = reconcile(begun(invocation("a", inputs={"x": "1"}), "a"), NOW)
    assert conditions(plan.status)["Failed"] == ("True", "InvalidInput")
    assert plan.done


# ---- while it runs


def running(*slices: JobSlice, started: int | None = None, **changes: Any) -> Observed:
    job = resolved(*slices, started=len(slices) if started is None else started)
    return Observed(**{"invocation": job, "slices": Slices(slices), **FINE, **changes})


def test_slices_start_in_their_order_as_far_as_there_is_room() -> None:
    slices = tuple(slice_(index, f"h{index}") for index in range(12))
    job = resolved(*slices, started=0, concurrency=3)
    plan = reconcile(Observed(job, Slices(reversed(slices))), NOW)
    assert names(plan.start_slices) == ["job-0", "job-1", "job-2"]
    assert plan.status is not None
    assert (plan.status.started_slices, plan.status.state, plan.status.start_time) == (3, "Running", NOW)


def test_an_end_makes_room_for_the_next() -> None:
    slices = (slice_(0, "a"), slice_(1, "b"), slice_(2, "c"))
    job = resolved(*slices, started=2, concurrency=2)
    pods = {"job-0": pod(0, Phase.ENDED), "job-1": pod(1)}
    plan = reconcile(Observed(job, Slices(slices), pods, {"job-0": collected(complete=True, a=FAILED)}), NOW)
    assert plan.release_pods == ("job-0",)
    assert names(plan.start_slices) == ["job-2"]
    assert [name for name, _ in plan.slice_statuses][:1] == ["job-0"]
    assert plan.status is not None
    assert [failure.host for failure in plan.status.failures] == ["a"]


@pytest.mark.parametrize(("exit_", "end", "state"), [(SUCCEEDED, "Complete", "Complete"), (FAILED, "Failed", "Failed")])
def test_the_last_end_ends_the_invocation(exit_: Any, end: str, state: str) -> None:
    observed = running(
        slice_(0, "a"), pods={"job-0": pod(0, Phase.ENDED)}, collected={"job-0": collected(complete=True, a=exit_)}
    )
    plan = reconcile(observed, NOW)
    assert (plan.release_pods, plan.clean_up, plan.done) == (("job-0",), True, True)
    assert conditions(plan.status)[end][0] == "True"
    assert plan.status is not None
    assert plan.status.state == state
    assert [note.warning for note in plan.notes] == [state == "Failed"]
    finished = reconcile(written(observed, plan), after(60))
    assert finished.status is None
    assert finished.slice_statuses == ()


def test_a_pod_that_is_held_is_not_let_go_before_all_its_output_is_stored() -> None:
    observed = running(
        slice_(0, "a"), pods={"job-0": pod(0, Phase.ENDED)}, collected={"job-0": collected(complete=False, a=SUCCEEDED)}
    )
    plan = reconcile(observed, NOW)
    assert (plan.release_pods, plan.done) == ((), False)


def test_a_pod_that_waits_too_long_is_given_up_with_the_reason() -> None:
    stuck = pod(0, Phase.WAITING, trouble=Trouble(Reason.IMAGE_PULL, "the runner image cannot be pulled: x"))
    observed = running(slice_(0, "a"), pods={"job-0": stuck})
    assert reconcile(observed, after(599)).delete_pods == ()
    assert reconcile(observed, after(600)).delete_pods == ("job-0",)
    gone = replace(stuck, phase=Phase.ENDED, deleting_since=after(600))
    over = replace(observed, pods={"job-0": gone}, collected={"job-0": collected(complete=True)})
    (status,) = (status for _, status in reconcile(over, after(602)).slice_statuses)
    assert (status.hosts[0].reason, status.hosts[0].message) == (
        "ImagePull",
        "the runner image cannot be pulled: x (given up after 600 s)",
    )


def test_a_refused_pod_is_offered_again_and_given_up_in_the_end() -> None:
    refusal = Refusal(since=NOW, retry_at=after(5), message="exceeded quota")
    observed = running(slice_(0, "a"), started=0, refused={"job-0": refusal})
    waiting = reconcile(observed, after(1))
    assert (waiting.start_slices, waiting.again_at) == ((), after(5))
    assert names(reconcile(observed, after(5)).start_slices) == ["job-0"]
    end = reconcile(observed, after(600))
    assert [status.hosts[0].reason for _, status in end.slice_statuses] == ["PodRefused"]
    assert end.done


def test_a_slice_whose_pod_is_gone_is_not_started_again() -> None:
    plan = reconcile(running(slice_(0, "a")), NOW)
    assert plan.start_slices == ()
    assert [status.hosts[0].reason for _, status in plan.slice_statuses] == ["PodDeleted"]


# ---- when it is deleted


def test_a_deleted_invocation_stops_its_pods_waits_and_lets_them_go() -> None:
    job = resolved(slice_(0, "a"), started=1)
    deleted = job.model_copy(update={"metadata": job.metadata.model_copy(update={"deletion_timestamp": NOW})})
    at_work = Observed(deleted, Slices([slice_(0, "a")]), {"job-0": pod(0)})
    held = frozenset({"job-0", TEMPLATE})
    assert reconcile(at_work, NOW) == Plan(delete_pods=("job-0",), held=held)
    stopping = replace(at_work, pods={"job-0": pod(0, deleting_since=after(30))})
    assert reconcile(stopping, NOW) == Plan(again_at=after(2), held=held)
    assert reconcile(stopping, after(91)).release_pods == ("job-0",)
    ended = replace(at_work, pods={"job-0": pod(0, Phase.ENDED, deleting_since=after(30))})
    assert reconcile(ended, NOW) == Plan(release_pods=("job-0",))
    assert reconcile(replace(at_work, pods={}), NOW) == Plan(done=True)


# ---- the smallest cases of what was found wrong


def test_an_end_that_is_written_too_soon_for_the_invocation_s_status_is_counted_soon() -> None:
    """Host a ends one second after the last progress was written; host b works on in silence for an hour."""
    observed = running(
        slice_(0, "a"),
        slice_(1, "b"),
        pods={"job-0": pod(0, Phase.ENDED), "job-1": pod(1)},
        collected={"job-0": collected(complete=True, a=SUCCEEDED), "job-1": collected(complete=False, b=None)},
        progress_written=NOW,
    )
    progress = reconcile(
        replace(observed, progress_written=None, collected={"job-1": observed.collected["job-1"]}), NOW
    )
    observed = written(observed, progress)
    observed = written(observed, reconcile(observed, after(1)))
    plan = reconcile(observed, after(1))
    later = reconcile(observed, after(2))
    assert later.status is not None
    assert plan.status is not None or (plan.again_at is not None and plan.again_at <= after(2))


def test_an_edited_concurrency_is_acknowledged_soon() -> None:
    observed = running(slice_(0, "a"), pods={"job-0": pod(0)}, progress_written=NOW)
    observed = replace(
        written(observed, reconcile(replace(observed, progress_written=None), NOW)), progress_written=NOW
    )
    edited = observed.invocation.metadata.model_copy(update={"generation": 2})
    observed = replace(observed, invocation=observed.invocation.model_copy(update={"metadata": edited}))
    plan = reconcile(observed, after(1))
    assert plan.status is not None or plan.again_at == after(2)


def test_a_slice_that_was_refused_for_good_does_not_keep_the_operator_running_in_circles() -> None:
    """Slice 0 was given up after ten minutes of refusals; slice 1 works on for an hour."""
    observed = running(
        slice_(0, "a"),
        slice_(1, "b"),
        started=0,
        pods={"job-1": pod(1)},
        refused={"job-0": Refusal(since=NOW, retry_at=after(598), message="exceeded quota")},
    )
    observed = written(observed, reconcile(observed, after(601)))
    observed = replace(observed, progress_written=after(601))
    plan = reconcile(observed, after(610))
    observed = written(observed, plan)
    again = reconcile(observed, after(611))
    assert asks_for_nothing(again)
    assert again.again_at is None or again.again_at > after(611)


def test_a_pod_that_is_given_up_is_not_asked_to_go_in_circles() -> None:
    """The watch takes a moment to tell of the deletion."""
    observed = running(slice_(0, "a"), pods={"job-0": pod(0, Phase.WAITING)})
    plan = reconcile(observed, after(601))
    assert plan.delete_pods == ("job-0",)
    assert plan.again_at is None or plan.again_at > after(601)


def test_the_pod_of_a_slice_that_somebody_deleted_is_let_go_before_the_operator_leaves() -> None:
    observed = replace(running(slice_(0, "a"), pods={"job-0": pod(0)}), slices=Slices())
    plan = reconcile(observed, NOW)
    assert plan.delete_pods == ("job-0",)
    assert not plan.done, "nobody else takes the finalizer off"


def test_a_pod_that_goes_while_an_earlier_slice_is_refused_is_not_made_again() -> None:
    """Slice 0 is refused, slice 1 was started beside it; its pod is gone before the runner was heard."""
    refusal = Refusal(since=NOW, retry_at=after(5), message="exceeded quota")
    observed = running(slice_(0, "a"), slice_(1, "b"), started=0, refused={"job-0": refusal}, pods={"job-1": pod(1)})
    observed = written(observed, reconcile(observed, after(1)))
    assert observed.slices.open["job-1"].status.pod_name == "job-1", "the slice tells that its pod was made"
    plan = reconcile(replace(observed, pods={}), after(6))
    assert "job-1" not in names(plan.start_slices)


def test_a_host_that_was_stopped_with_its_pod_counts_as_failed_whenever_that_is_seen() -> None:
    stopping = pod(0, deleting_since=after(30), trouble=DELETED)
    observed = running(
        slice_(0, "a"), pods={"job-0": stopping}, collected={"job-0": collected(complete=False, a=STOPPED)}
    )
    observed = written(observed, reconcile(observed, NOW))
    over = replace(
        observed,
        pods={"job-0": replace(stopping, phase=Phase.ENDED)},
        collected={"job-0": collected(complete=True, a=STOPPED)},
    )
    plan = reconcile(over, after(3))
    assert plan.status is not None
    assert plan.status.hosts is not None
    assert (plan.status.hosts.failed, plan.status.hosts.cancelled) == (1, 0)


def test_a_slice_that_somebody_made_by_hand_neither_runs_nor_spoils_the_counts() -> None:
    observed = running(slice_(0, "a"), pods={"job-0": pod(0)})
    foreign = slice_(7, "x", "y")
    plan = reconcile(replace(observed, slices=Slices([*observed.slices, foreign])), NOW)
    assert plan.start_slices == ()
    assert plan.status is None or plan.status.hosts is None or plan.status.hosts.failed >= 0


def test_a_status_that_was_wiped_while_pods_are_at_work_does_not_run_them_twice() -> None:
    """`kubectl edit --subresource=status` by hand: slices with pods are no leftovers of a dealing."""
    job = invocation("a")
    plan = reconcile(begun(job, "a", slices=Slices([slice_(0, "a")]), pods={"job-0": pod(0)}), NOW)
    assert not plan.discard_slices


def test_statuses_are_read_back_as_they_were_written() -> None:
    observed = running(slice_(0, "a"), slice_(1, "b"), pods={"job-0": pod(0), "job-1": pod(1)})
    plan = reconcile(observed, after(0.7))
    assert plan.status is not None
    again = written(observed, plan)
    assert asks_for_nothing(reconcile(replace(again, progress_written=after(0.7)), after(0.7) + timedelta(seconds=2)))
    assert stored(again.invocation) == again.invocation
