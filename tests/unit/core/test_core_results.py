"""What becomes of a host: its exit if it said one, else what befell its pod."""

import base64
import json
import random
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from rollcall.names import HostState, Reason
from rollcall.outputs import Exit
from rollcall.plan.observed import Collected
from rollcall.plan.pods import DELETED, Phase, Pod, Trouble
from rollcall.plan.results import final_status, progress_status, with_failures
from rollcall.plan.stopping import Stops
from rollcall.resources.jobslice import MAX_OUTPUT_BYTES, JobSlice, SliceState
from unit.core.objects import (
    FAILED,
    NOW,
    STOPPED,
    SUCCEEDED,
    after,
    collected,
    pod,
    progress,
    slice_,
    stored,
)

OOM = Trouble(Reason.OOM_KILLED, "the runner used more memory than it may")
REFUSED = Trouble(Reason.POD_REFUSED, "exceeded quota")
ENDED = pod(0, Phase.ENDED)


def final(found: Collected | None, runner: Pod | None = ENDED, trouble: Trouble | None = None) -> dict[str, Any]:
    """How host `a` of slice `a, b` ended."""
    status = final_status(slice_(0, "a", "b"), runner, found, trouble, Stops(), NOW)
    assert status.state == SliceState.DONE
    assert all(result.state.ended for result in status.hosts)
    assert status.completion_time is not None
    return status.hosts[0].wire()


@pytest.mark.parametrize(
    ("exit_", "expected"),
    [
        (SUCCEEDED, {"state": "Succeeded", "exitCode": 0}),
        (FAILED, {"state": "Failed", "exitCode": 3, "reason": "ExitCode", "message": FAILED.message}),
        (
            Exit(HostState.FAILED, reason=Reason.UNREACHABLE, message="refused", start_time=NOW.timestamp() - 60),
            {"state": "Failed", "reason": "Unreachable", "startTime": "2026-03-01T11:59:00Z"},
        ),
    ],
)
def test_a_host_ended_as_it_said(exit_: Exit, expected: dict[str, Any]) -> None:
    found = final(collected(complete=True, a=exit_))
    assert expected.items() <= found.items()
    assert found["completionTime"] == "2026-03-01T12:00:01Z"
    assert found["output"] == {"bytes": 6, "cutBytes": 0, "tail": "hello\n"}


@pytest.mark.parametrize("exit_", [SUCCEEDED, FAILED])
@pytest.mark.parametrize("trouble", [DELETED, OOM])
def test_an_outcome_is_kept_whatever_befell_the_pod_afterwards(exit_: Exit, trouble: Trouble) -> None:
    runner = pod(0, Phase.ENDED, trouble=trouble, deleting_since=NOW)
    assert final(collected(complete=True, a=exit_), runner)["state"] == exit_.state.value
    assert final(collected(complete=True, a=exit_), runner, trouble)["state"] == exit_.state.value


@pytest.mark.parametrize(
    ("runner", "trouble", "reason", "words"),
    [
        (pod(0, Phase.ENDED, trouble=OOM), None, "OOMKilled", "more memory"),
        (pod(0, Phase.ENDED, trouble=OOM), REFUSED, "PodRefused", "exceeded quota"),
        (None, None, "PodDeleted", "disappeared before its results were read"),
        (ENDED, None, "RunnerCrashed", "what it did there is not known"),
        (pod(0, deleting_since=after(-61), trouble=DELETED), None, "NodeLost", "nothing on the node"),
    ],
)
@pytest.mark.parametrize("heard", [True, False])
def test_a_host_that_said_no_exit_failed_for_what_befell_its_pod(
    runner: Pod | None, trouble: Trouble | None, reason: str, words: str, heard: bool
) -> None:
    found = final(collected(complete=True, a=None) if heard else collected(complete=True), runner, trouble)
    assert (found["state"], found["reason"]) == ("Failed", reason)
    assert words in found["message"]
    assert ("output" in found) is heard


def test_a_host_that_was_stopped_with_its_pod_failed_for_what_befell_the_pod() -> None:
    found = final(collected(complete=True, a=STOPPED), pod(0, Phase.ENDED, trouble=DELETED))
    assert (found["state"], found["reason"]) == ("Failed", "PodDeleted")
    assert "stopped on request" in found["message"]


def test_a_host_that_was_stopped_with_its_pod_failed_for_it_also_when_that_was_seen_before_the_end() -> None:
    """Its exit is read before the pod has ended; a write of progress in between must not decide otherwise."""
    stopping = pod(0, deleting_since=after(30), trouble=DELETED)
    before = slice_(0, "a", "b")
    seen = progress_status(before, stopping, collected(complete=False, a=STOPPED, b=None), Stops(), NOW)
    later = stored(before.model_copy(update={"status": seen}))
    over = pod(0, Phase.ENDED, deleting_since=after(30), trouble=DELETED)
    done = final_status(later, over, collected(complete=True, a=STOPPED, b=STOPPED), None, Stops(), after(3))
    assert [(result.state, result.reason) for result in done.hosts] == [("Failed", "PodDeleted")] * 2


def test_an_end_that_is_in_the_status_already_does_not_change() -> None:
    ended = {"name": "a", "state": "Failed", "reason": "HostNotFound", "completionTime": "2026-03-01T11:00:00Z"}
    before = slice_(0, "a", "b", status={"hosts": [ended, {"name": "b", "state": "Running"}]})
    for status in (
        progress_status(before, pod(0), collected(complete=False, a=SUCCEEDED), Stops(), NOW),
        final_status(before, ENDED, collected(complete=True, a=SUCCEEDED, b=SUCCEEDED), None, Stops(), NOW),
    ):
        assert status.hosts[0] == before.status.hosts[0]


def states(slice_status: Any) -> list[str]:
    return [result.state.value for result in slice_status.hosts]


@pytest.mark.parametrize(
    ("names", "runner", "found", "expected"),
    [
        (["a"], pod(0, Phase.WAITING), None, ["Pending"]),
        (["a"], pod(0), None, ["Running"]),
        (["a", "b"], pod(0), None, ["Pending", "Pending"]),
        (["a", "b"], pod(0), collected(complete=False, a=None), ["Running", "Pending"]),
        (["a", "b"], pod(0), collected(complete=False, a=SUCCEEDED, b=None), ["Succeeded", "Running"]),
        (["a", "b"], ENDED, collected(complete=False, a=FAILED), ["Failed", "Pending"]),
    ],
)
def test_progress_shows_how_far_each_host_is(
    names: list[str], runner: Pod, found: Collected | None, expected: list[str]
) -> None:
    status = progress_status(slice_(0, *names), runner, found, Stops(), NOW)
    assert states(status) == expected
    assert (status.state, status.completion_time, status.pod_name) == (SliceState.RUNNING, None, "job-0")
    assert status.start_time == runner.created


def test_counts_are_those_of_the_hosts() -> None:
    status = final_status(slice_(0, *"abc"), ENDED, collected(complete=True, a=SUCCEEDED, b=FAILED), None, Stops(), NOW)
    assert (status.succeeded, status.failed, states(status)) == (1, 2, ["Succeeded", "Failed", "Failed"])


@pytest.mark.parametrize(
    ("failing", "state", "expected"),
    [(["a"], SliceState.PENDING, ["Failed", "Pending"]), (["a", "b"], SliceState.DONE, ["Failed", "Failed"])],
)
def test_hosts_that_cannot_be_started_fail_before_the_others_start(
    failing: list[str], state: SliceState, expected: list[str]
) -> None:
    status = with_failures(slice_(0, "a", "b"), dict.fromkeys(failing, REFUSED), NOW)
    assert (status.state, states(status)) == (state, expected)
    assert status.hosts[0].message == "exceeded quota"


def test_a_host_that_has_failed_already_is_not_brought_back_by_another_s_failure() -> None:
    """The pod was refused, and when it is offered again, another host of the slice cannot be started."""
    first = slice_(0, "a", "b", "c")
    first = stored(first.model_copy(update={"status": with_failures(first, {"a": REFUSED}, NOW)}))
    assert states(with_failures(first, {"b": REFUSED}, after(5))) == ["Failed", "Failed", "Pending"]


@pytest.mark.parametrize("moment", [NOW, NOW.replace(microsecond=999_999), after(0.75)])
def test_a_status_is_read_back_as_it_was_written(moment: Any) -> None:
    """Times have whole seconds in the API: what differs only below that would be written for ever."""
    before = slice_(0, "a", "b")
    said = Collected({"a": progress(SUCCEEDED, last=moment.timestamp()), "b": progress()}, complete=False)
    status = progress_status(before, pod(0), said, Stops(), moment)
    again: JobSlice = stored(before.model_copy(update={"status": status}))
    assert progress_status(again, pod(0), said, Stops(), moment + timedelta(seconds=1)) == again.status


def test_little_output_is_written_with_the_results_and_stays_there() -> None:
    found = replace(collected(complete=True, a=SUCCEEDED), output=b"packed")
    working = slice_(0, "a")
    assert "output" not in progress_status(working, ENDED, found, Stops(), NOW).wire()
    status = final_status(working, ENDED, found, None, Stops(), NOW)
    assert status.wire()["output"] == base64.b64encode(b"packed").decode()
    done = stored(working.model_copy(update={"status": status}))
    assert done.status.output == status.output
    kept = done.without_output()
    assert "output" not in kept.status.model_copy(update={"retry_slice": "job-0-r1"}).wire(), "a patch leaves it alone"
    assert kept.status.hosts == done.status.hosts


def test_where_much_output_is_stays_with_the_results() -> None:
    found = replace(collected(complete=True, a=SUCCEEDED), place="2 JobOutputs")
    status = final_status(slice_(0, "a"), ENDED, found, None, Stops(), NOW)
    assert (status.output, status.stored_output) == (None, "2 JobOutputs")


def test_what_kept_a_pod_from_starting_is_taken_away_when_it_has_started() -> None:
    made = slice_(0, "a")
    trouble = Trouble(Reason.UNSCHEDULABLE, "no node")
    stuck = progress_status(made, pod(0, Phase.WAITING, trouble=trouble), None, Stops(), NOW)
    known = stored(made.model_copy(update={"status": stuck}))
    patch = progress_status(known, pod(0), None, Stops(), NOW).patch(known.status)
    assert (patch["waitingReason"], patch["waitingMessage"]) == (None, None)


def test_a_slice_with_output_stays_a_small_object() -> None:
    tail, name = "\N{GRINNING FACE}" * 64, "h" * 253
    host = replace(progress(replace(FAILED, message="m" * 1_000)), tail=tail)
    found = Collected({name: host}, True, random.Random(1).randbytes(MAX_OUTPUT_BYTES))
    made = slice_(0, name)
    full = made.model_copy(update={"status": final_status(made, ENDED, found, None, Stops(), NOW)})
    assert stored(full).status.output == full.status.output
    assert len(json.dumps(full.wire())) < 20_000
