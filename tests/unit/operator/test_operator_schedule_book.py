"""What is known of schedules without reading them, and what their invocations look like."""

from datetime import UTC, datetime
from typing import Any

import pytest

from rollcall.plan.scheduling import Run
from rollcall.resources.jobinvocation import JobInvocation
from rollcall.resources.schedule import LastRun, Schedule, ScheduleRequester, ScheduleStatus
from rollcall_operator.permissions import groups_of
from rollcall_operator.schedule_book import ScheduleBook, UnreadableError, may_be_untold, settled_until
from rollcall_operator.schedule_runs import invocation_of, last_status, status_patch


def document(name: str, version: int = 1, created: str = "2026-05-06T12:00:00Z", **status: Any) -> dict[str, Any]:
    return {
        "metadata": {"name": name, "namespace": "jobs", "uid": f"uid-{name}", "resourceVersion": str(version),
                     "creationTimestamp": created, "generation": 1, "managedFields": [{"manager": "kubectl"}]},
        "spec": {"at": "2030-01-01T00:00:00Z", "purpose": "patching", "requestedBy": {"username": "alice"},
                 "invocationTemplate": {"metadata": {"labels": {"team": "web"}},
                                        "spec": {"templateRef": {"name": "t"}, "inputs": {"n": 1}}}},
        "status": status,
    }  # fmt: skip


def test_only_what_is_newer_is_taken_in() -> None:
    book = ScheduleBook()
    assert book.put(document("a", 5, state="Active"))
    assert not book.put(document("a", 4))
    assert not book.put(document("a", 5))
    read = book.read(("jobs", "a"))
    assert read is not None
    assert (read[0].metadata.resource_version, read[1]["metadata"]["managedFields"]) == ("5", None)
    assert book.read(("jobs", "b")) is None


def test_the_purpose_belongs_to_who_is_at_it_then_to_the_oldest() -> None:
    book = ScheduleBook()
    book.put(document("young", created="2026-05-07T12:00:00Z"))
    book.put(document("old"))
    assert (book.holder(("jobs", "young")), book.holder(("jobs", "old"))) == ("old", None)
    book.put(document("young", 2, created="2026-05-07T12:00:00Z", state="Active"))
    assert (book.holder(("jobs", "young")), book.holder(("jobs", "old"))) == (None, "young")
    book.put(document("young", 3, created="2026-05-07T12:00:00Z", state="Finished"))
    assert book.holder(("jobs", "old")) is None
    book.put(document("old", 2, state="Active"))
    assert book.holder(("jobs", "young")) is None, "who has finished does not become invalid"
    assert list(book.rivals(("jobs", "old"))) == [("jobs", "young")]
    book.forget(("jobs", "young"))
    assert list(book.rivals(("jobs", "old"))) == []


def test_who_cannot_be_carried_out_for_a_fault_of_its_own_holds_no_purpose() -> None:
    book = ScheduleBook()
    book.put(document("young", created="2026-05-07T12:00:00Z"))
    for version, reason, holder in ((2, "InvalidSpec", None), (3, "PurposeTaken", "old"), (4, "InternalError", None)):
        said = {"type": "Valid", "status": "False", "reason": reason}
        book.put(document("old", version, state="Invalid", conditions=[said]))
        assert book.holder(("jobs", "young")) == holder, reason
    book.put(document("young", 2, created="2026-05-07T12:00:00Z", state="Active"))
    book.put(document("old", 5))
    assert book.holder(("jobs", "old")) == "young", "who was repaired finds it taken"


def with_purpose(found: dict[str, Any], purpose: str) -> dict[str, Any]:
    return {**found, "spec": {**found["spec"], "purpose": purpose}}


def test_whoever_wants_the_same_purpose_is_told_of_each_change_of_who_may_have_it() -> None:
    told: list[str] = []
    book = ScheduleBook(lambda key: told.append(key[1]))

    def news() -> list[str]:
        found = sorted(told)
        told.clear()
        return found

    for name in ("a", "b"):
        book.put(document(name))
    book.put(with_purpose(document("c"), "other"))
    news()
    book.put(document("a", 2, state="Active"))
    assert news() == ["b"]
    book.put(document("a", 3, state="Active", iteration=1))
    assert news() == [], "that changes nothing for the others"
    book.put(with_purpose(document("a", 4, state="Active"), "other"))
    assert news() == ["b", "c"], "of the purpose that it had, and of the one that it has"
    book.put(document("a", 5, state="Active"))
    assert news() == ["b", "c"]
    book.put(document("a", 6, state="Finished"))
    assert news() == ["b"]
    book.forget(("jobs", "a"))
    assert news() == ["b"]


def test_a_schedule_that_was_deleted_does_not_come_back_with_a_late_answer() -> None:
    """The watch tells of the deletion before the answer to the operator's own status write arrives."""
    book = ScheduleBook()
    book.put(document("a", 5))
    assert not book.drop(document("a", 4)), "this one was made after that"
    assert book.drop(document("a", 8))
    assert (book.put(document("a", 7, state="Active")), len(book)) == (False, 0)
    assert (book.put(document("a", 9)), len(book)) == (True, 1)
    book.forget(("jobs", "a"), 12)
    assert not book.put(document("a", 12)), "it was not in a list of that version"
    assert book.put(document("a", 13))
    book.forget(("jobs", "a"))
    assert not book.put(document("a", 13)), "the API server said that it is not there"


def test_what_a_list_lacks_has_vanished() -> None:
    book = ScheduleBook()
    for name, version in (("a", 1), ("b", 2), ("c", 9)):
        book.put(document(name, version))
    assert book.vanished(None, {("jobs", "a")}, 5) == {("jobs", "b")}
    assert book.vanished(None, {("jobs", "a")}) == {("jobs", "b"), ("jobs", "c")}
    assert book.vanished("other", set(), 99) == set()


def test_what_a_list_has_newer_is_untold() -> None:
    book = ScheduleBook()
    for name, version in (("a", 1), ("b", 2), ("c", 3)):
        book.put(document(name, version))
    book.drop(document("c", 5))
    listed = {("jobs", "a"): 1, ("jobs", "b"): 4, ("jobs", "c"): 3, ("jobs", "d"): 4}
    assert book.untold(listed) == {("jobs", "b"): 4, ("jobs", "d"): 4}


def test_a_status_is_believed_while_nothing_has_happened_since() -> None:
    settled = {"state": "Active", "observedGeneration": 1, "nextTimes": ["2030-01-01T00:00:00Z"], "active": []}
    found = document("a", **settled)
    del found["spec"]["purpose"]
    assert settled_until(found, []) == datetime(2030, 1, 1, tzinfo=UTC)
    unreadable = {"nextTimes": ["0000-01-01T00:00:00Z"]}
    for change in (
        {"observedGeneration": 0},
        {"active": ["run"]},
        {"state": "Suspended"},
        {"nextTimes": []},
        unreadable,
    ):
        assert settled_until({**found, "status": settled | change}, []) is None
    asked = {**found["metadata"], "annotations": {"rollcall.dev/run-now": "yes"}}
    assert settled_until({**found, "metadata": asked}, []) is None


def ended(number: int, end: str, planned: str = "2026-05-06T12:00:00Z") -> JobInvocation:
    condition = {"type": end, "status": "True", "reason": "x", "lastTransitionTime": "2026-05-06T12:30:00Z"}
    return JobInvocation.model_validate({
        "metadata": {"name": f"a-{number}", "annotations": {"rollcall.dev/planned": planned}}, "spec": {},
        "status": {"conditions": [condition]},
    })  # fmt: skip


def ahead(planned: str) -> JobInvocation:
    owner = {"apiVersion": "rollcall.dev/v1alpha1", "kind": "Schedule", "name": "a", "uid": "a"}
    marks = {"rollcall.dev/planned": planned, "rollcall.dev/made-ahead": "x"}
    metadata = {"name": "a-9", "annotations": marks, "ownerReferences": [owner]}
    return JobInvocation.model_validate({"metadata": metadata, "spec": {}})


@pytest.mark.parametrize(
    ("children", "believed"),
    [
        ([], True),
        ([ended(1, "Complete"), ended(2, "Complete"), ended(3, "Failed")], True),
        ([ended(1, "Complete"), ended(2, "Complete"), ended(3, "Complete")], False),
        ([ended(1, "Failed"), ended(2, "Cancelled")], False),
        ([ended(1, "Complete", "2026-05-06T13:00:00Z")], True),
        ([ended(1, "Complete", "2026-05-06T13:00:01Z")], False),
        ([ahead("2026-05-06T13:00:00Z")], False),
        ([ahead("2026-05-06T14:00:00Z")], False),
    ],
)
def test_a_status_is_not_believed_while_runs_are_left_to_delete_or_to_tell_of(
    children: list[JobInvocation], believed: bool
) -> None:
    """The operator died after it had written that status, or before it could write the next, and the clock was set."""
    status = {"state": "Active", "observedGeneration": 1, "decidedUntil": "2026-05-06T13:00:00Z"}
    found = document("a", **status, nextTimes=["2030-01-01T00:00:00Z"])
    found["spec"] = {"successfulJobsHistoryLimit": 2, "failedJobsHistoryLimit": 1}
    assert (settled_until(found, children) is not None) is believed


@pytest.mark.parametrize(
    ("planned", "untold"),
    [
        ("2026-05-06T13:00:00Z", False),
        ("2026-05-06T13:00:01Z", True),
        ("2026-05-06T15:00:00+02:00", False),
        ("Manual", False),
        ("2030-01-01", False),
        ("nonsense", False),
        ("", False),
    ],
)
def test_of_which_runs_a_status_has_yet_to_tell(planned: str, untold: bool) -> None:
    assert may_be_untold(document("a", decidedUntil="2026-05-06T13:00:00Z"), planned) is untold


def test_of_a_run_by_hand_a_status_tells_before_the_request_is_taken_away() -> None:
    found = document("a", decidedUntil="2026-05-06T13:00:00Z")
    found["metadata"]["annotations"] = {"rollcall.dev/run-now": "taken-2026-05-06T12:30:00.123456+00:00"}
    assert may_be_untold(found, "Manual")


def test_what_no_status_tells_of_was_planned_since_the_schedule_was_made() -> None:
    for status in ({}, {"decidedUntil": "0000-01-01T00:00:00Z"}):
        assert may_be_untold(document("a", **status), "2026-05-06T12:00:01Z")
        assert not may_be_untold(document("a", **status), "2026-05-06T12:00:00Z")


def test_what_the_api_server_takes_and_nobody_can_read_is_told() -> None:
    """Its date-times begin with the year 0, and Python's with 1."""
    book = ScheduleBook()
    found = document("a", state="Active", decidedUntil="2026-05-06T12:00:00Z")
    found["spec"]["at"] = "0000-01-01T00:00:00Z"
    book.put(found)
    with pytest.raises(UnreadableError, match=r"spec\.at: ") as error:
        book.read(("jobs", "a"))
    assert error.value.document["metadata"]["resourceVersion"] == "1"
    status = last_status(error.value.document)
    assert status is not None
    assert status.decided_until == datetime(2026, 5, 6, 12, tzinfo=UTC)
    assert last_status(document("a", decidedUntil="0000-01-01T00:00:00Z")) is None


def merged(target: Any, patch: Any) -> Any:
    """RFC 7386."""
    if not isinstance(patch, dict):
        return patch
    kept = {**target} if isinstance(target, dict) else {}
    for key, value in patch.items():
        if value is None:
            kept.pop(key, None)
        else:
            kept[key] = merged(kept.get(key), value)
    return kept


MOMENT = datetime(2026, 5, 6, 12, tzinfo=UTC)
REFUSED = LastRun(time=MOMENT, error="eve may not", reason="PermissionDenied")


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (ScheduleStatus(last_run=REFUSED), ScheduleStatus(last_run=LastRun(time=MOMENT, name="a-1"))),
        (ScheduleStatus(last_run=LastRun(time=MOMENT, name="a-1")), ScheduleStatus(last_run=REFUSED)),
        (ScheduleStatus(last_run=REFUSED, summary="every 5 s", timing="x", decided_until=MOMENT, made_until=MOMENT,
                        template="t", problem="x",
                        next_times=(MOMENT,), active=("a-1",), active_count=1), ScheduleStatus()),
    ],
    ids=["made after a refusal", "refused after one that was made", "nothing of it left"],
)  # fmt: skip
def test_a_status_is_written_whole(before: ScheduleStatus, after: ScheduleStatus) -> None:
    written = merged(before.wire(), status_patch("7", after)["status"])
    assert written == after.wire()
    assert ScheduleStatus.model_validate(written) == after


@pytest.mark.parametrize(("manual", "planned"), [(False, "2030-01-01T00:00:00Z"), (True, "Manual")])
def test_the_invocation_is_the_template_and_belongs_to_the_schedule(manual: bool, planned: str) -> None:
    found = document("a")
    run = Run("a-1", datetime(2030, 1, 1, tzinfo=UTC), manual=manual)
    assert invocation_of(Schedule.model_validate(found), found, run) == {
        "apiVersion": "rollcall.dev/v1alpha1",
        "kind": "JobInvocation",
        "metadata": {
            "name": "a-1",
            "namespace": "jobs",
            "labels": {"team": "web", "rollcall.dev/schedule": "a"},
            "annotations": {"rollcall.dev/planned": planned},
            "finalizers": ["rollcall.dev/invocation"],
            "ownerReferences": [
                {"apiVersion": "rollcall.dev/v1alpha1", "kind": "Schedule", "name": "a", "uid": "uid-a",
                 "controller": True, "blockOwnerDeletion": False}
            ],
        },
        "spec": {"templateRef": {"name": "t"}, "inputs": {"n": 1}, "requestedBy": {"username": "alice"}},
    }  # fmt: skip


def test_a_service_account_is_asked_about_with_the_groups_that_it_always_has() -> None:
    account = ScheduleRequester(username="system:serviceaccount:jobs:cron")
    assert groups_of(account) == ["system:authenticated", "system:serviceaccounts", "system:serviceaccounts:jobs"]
    assert groups_of(ScheduleRequester(username="alice", groups=("ops",))) == ["ops", "system:authenticated"]
