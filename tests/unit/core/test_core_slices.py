"""The sums over done slices are always what going over all of them would give."""

from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rollcall.names import HostState
from rollcall.plan.slices import STOPPED, UNSUCCESSFUL, Slices
from rollcall.resources.jobslice import JobSlice
from unit.core.objects import NOW, slice_

HOSTS = ("a", "b")
STATES = st.sampled_from(list(HostState))


@st.composite
def slices(draw: st.DrawFn) -> JobSlice:
    """A slice in one of few places, open or done in some way."""
    index, attempt, batch = draw(st.integers(0, 2)), draw(st.integers(0, 2)), draw(st.integers(0, 1))
    if not draw(st.booleans()):
        return slice_(index, *HOSTS, attempt=attempt, batch=batch)
    retried = draw(st.booleans())
    hosts: list[dict[str, Any]] = []
    for name in HOSTS:
        state = draw(STATES.filter(lambda state: state.ended))
        again = retried and state == HostState.FAILED
        hosts.append({"name": f"{name}{index}", "state": state.value, "retry": again or None})
    status = {
        "state": "Done",
        "completionTime": (NOW + timedelta(seconds=draw(st.integers(0, 9)))).isoformat(),
        "hosts": hosts,
        "podName": draw(st.sampled_from([None, "job-0"])),
        "retrySlice": draw(st.sampled_from([None, "job-0-r1"])),
    }
    return slice_(index, *HOSTS, attempt=attempt, batch=batch, status=status)


def told(found: Slices) -> dict[str, Any]:
    """All that they say."""
    return {
        "names": {entry.metadata.name for entry in found},
        "open": dict(found.open),
        "counts": {state: count for state, count in found.counts.items() if count},
        "ends": [found.batch_end(number) for number in range(3)],
        "childless": {parent.metadata.name for parent in found.childless()},
        "failures": found.ended_in(UNSUCCESSFUL, 3),
        "stopped": found.ended_in(STOPPED, 3),
        "last": found.ends(),
        "begun": found.begun,
    }


@given(st.lists(slices() | st.sampled_from(["job-0", "job-1", "job-0-r1", "job-9"]), max_size=25))
def test_the_sums_are_those_of_a_recount_whatever_was_put_in_and_taken_out(changes: list[JobSlice | str]) -> None:
    known, plain = Slices(), dict[str, JobSlice]()
    for change in changes:
        if isinstance(change, str):
            known.remove(change)
            plain.pop(change, None)
        else:
            known.put(change)
            plain[change.metadata.name] = change
        assert told(known) == told(Slices(plain.values()))
    done = [result for entry in plain.values() if entry.done for result in entry.status.hosts if not result.retry]
    for state in HostState:
        assert known.counts.get(state, 0) == sum(result.state == state for result in done)
    failed = sum(result.state in UNSUCCESSFUL for result in done)
    assert len(known.ended_in(UNSUCCESSFUL, 100)) == failed


def test_a_slice_under_a_name_that_is_not_its_place_s_is_not_ours() -> None:
    foreign = slice_(0, "a")
    foreign = foreign.model_copy(update={"metadata": foreign.metadata.model_copy(update={"name": "job-7"})})
    assert not len(Slices([foreign]))


def end(name: str, state: str, **more: Any) -> dict[str, Any]:
    return {"name": name, "state": state} | more


@pytest.mark.parametrize(
    ("again", "expected"), [("Succeeded", "Succeeded"), ("Failed", "Failed"), (None, "Failed")], ids=str
)
def test_a_host_s_end_is_that_of_its_latest_attempt(again: str | None, expected: str) -> None:
    first = slice_(0, "a", status={"state": "Done", "hosts": [end("a", "Failed", retry=True)]})
    later = slice_(0, "a", attempt=1, status={"hosts": [end("a", again)] if again else []})
    assert Slices([later, first]).ends()["a"].state == expected


def test_a_parent_is_childless_until_the_slice_of_the_next_attempt_exists() -> None:
    first = slice_(3, "a", status={"state": "Done", "hosts": [end("a", "Failed", retry=True)]})
    known = Slices([first])
    assert [parent.metadata.name for parent in known.childless()] == ["job-3"]
    known.put(slice_(3, "a", attempt=1))
    assert not list(known.childless())
    known.remove("job-3-r1")
    assert list(known.childless()) == [first]
