"""Hosts with a pod each that share an object are, to decisions and readers, slices as they would be by themselves."""

from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rollcall.names import HostState, Reason
from rollcall.plan.invocation import reconcile
from rollcall.plan.observed import Observed
from rollcall.plan.rollout import deal
from rollcall.plan.slices import Slices
from rollcall.plan.units import combined, units
from rollcall.resources.jobslice import (
    MAX_OUTPUT_BYTES_PER_POD,
    MAX_PODS_PER_SLICE,
    HostOutput,
    HostResult,
    JobSlice,
    JobSliceStatus,
    SliceState,
)
from unit.core.objects import NOW, hosts, invocation, resolved, slice_, slices_with_pods, stored, template
from unit.core.simulation import fleet

WHOLE = NOW.replace(microsecond=0)
NAMES = ("a", "b", "c")


def status(state: SliceState, result: HostState, name: str, **more: Any) -> JobSliceStatus:
    """What a slice of one host says."""
    return JobSliceStatus(
        state=state,
        pod_name=f"job-{name}",
        start_time=WHOLE,
        completion_time=WHOLE + timedelta(seconds=3) if state is SliceState.DONE else None,
        succeeded=int(result is HostState.SUCCEEDED),
        failed=int(result in (HostState.FAILED, HostState.CANCEL_FAILED)),
        hosts=(HostResult(name=name, state=result, reason=Reason.EXIT_CODE if result is HostState.FAILED else None),),
        **more,
    )


def written(whole: JobSlice, statuses: dict[str, JobSliceStatus]) -> JobSlice:
    """The object after these statuses have been written and read back; what was not mentioned of outputs stays."""
    after = combined(whole, statuses)
    kept = (whole.status.outputs or {}) | (after.outputs or {}) or None
    changed: JobSlice = stored(whole.model_copy(update={"status": after.model_copy(update={"outputs": kept})}))
    return changed


def test_each_host_is_a_slice_with_the_name_of_its_place_and_the_object_s_identity() -> None:
    parts = units(slices_with_pods(20, *NAMES))
    assert [part.metadata.name for part in parts] == ["job-20", "job-21", "job-22"]
    assert [(part.spec.index, part.spec.hosts) for part in parts] == [(20, ("a",)), (21, ("b",)), (22, ("c",))]
    assert {part.metadata.uid for part in parts} == {"uid-of-job-20"}
    assert {part.object_name for part in parts} == {part.owner_reference().name for part in parts} == {"job-20"}
    assert {part.status for part in parts if part.status != JobSliceStatus()} == set()


def test_an_ordinary_slice_is_itself() -> None:
    whole = slice_(3, "a", "b")
    assert units(whole) == (whole,)
    assert whole.object_name == "job-3"
    done = status(SliceState.DONE, HostState.SUCCEEDED, "a")
    assert combined(whole, {"job-3": done}) == done


def test_an_object_with_a_name_that_is_not_its_place_s_claims_nobody_else_s_slices() -> None:
    whole = slices_with_pods(0, *NAMES)
    alien = whole.model_copy(update={"metadata": whole.metadata.model_copy(update={"name": "alien"})})
    assert units(alien) == (alien,)


STATUSES = st.dictionaries(
    st.integers(0, 2),
    st.tuples(st.sampled_from(SliceState), st.sampled_from(HostState), st.none() | st.text("AB", max_size=4)),
)


@given(st.lists(STATUSES, max_size=4))
def test_whatever_is_written_of_some_is_read_back_and_the_others_stay(rounds: list[dict[int, Any]]) -> None:
    whole = slices_with_pods(0, *NAMES)
    expected = {part.metadata.name: part.status for part in units(whole)}
    for changes in rounds:
        news = {
            f"job-{place}": status(state, result, NAMES[place], output=output or expected[f"job-{place}"].output)
            for place, (state, result, output) in changes.items()
        }
        # The operator keeps what is said in no memory: it writes over an object without it.
        kept = whole.status.outputs
        whole = written(whole.without_output(), news)
        whole = whole.model_copy(
            update={"status": whole.status.model_copy(update={"outputs": (kept or {}) | (whole.status.outputs or {})})}
        )
        expected |= news
        assert {part.metadata.name: part.status for part in units(whole)} == expected


@pytest.mark.parametrize(
    ("states", "expected"),
    [
        ({}, SliceState.PENDING),
        ({"job-1": SliceState.PENDING}, SliceState.PENDING),
        ({"job-1": SliceState.RUNNING}, SliceState.RUNNING),
        ({"job-1": SliceState.DONE}, SliceState.RUNNING),
        (dict.fromkeys(("job-0", "job-1", "job-2"), SliceState.DONE), SliceState.DONE),
    ],
)
def test_the_object_says_what_its_hosts_add_up_to(states: dict[str, SliceState], expected: SliceState) -> None:
    news = {
        name: status(
            state, HostState.SUCCEEDED if state is SliceState.DONE else HostState.PENDING, NAMES[int(name[4:])]
        )
        for name, state in states.items()
    }
    found = combined(slices_with_pods(0, *NAMES), news)
    assert found.state is expected
    assert found.succeeded == sum(state is SliceState.DONE for state in states.values())
    assert (found.completion_time is not None) == (expected is SliceState.DONE)
    assert (found.start_time is not None) == bool(states)


def test_hosts_with_a_pod_each_share_objects_when_they_are_many() -> None:
    names = [f"h{number}" for number in range(45)]
    few, many = (deal(invocation(rollout={"hostsPerSlice": 1}), names[:count]) for count in (4, 45))
    assert len(few) == 4
    assert not any(made.spec.pod_per_host for made in few)
    assert [(made.metadata.name, made.spec.index, len(made.spec.hosts)) for made in many] == [
        ("job-0", 0, 20), ("job-20", 20, 20), ("job-40", 40, 5),
    ]  # fmt: skip
    assert all(made.spec.pod_per_host for made in many)


def test_no_object_has_hosts_of_two_batches() -> None:
    names = [f"h{number}" for number in range(30)]
    made = deal(invocation(rollout={"hostsPerSlice": 1, "batches": [1, 25, "100%"]}), names)
    assert [(one.spec.batch, one.spec.index, len(one.spec.hosts)) for one in made] == [
        (0, 0, 1), (1, 1, 20), (1, 21, 5), (2, 26, 4),
    ]  # fmt: skip
    assert [one.spec.pod_per_host for one in made] == [None, True, True, True]


def test_the_invocation_counts_pods_and_says_how_many_objects_there_are() -> None:
    names = [f"h{number}" for number in range(30)]
    known = hosts(*names)
    secrets = {"ops-key": frozenset({"ssh-privatekey"})}
    plan = reconcile(Observed(invocation(*names), hosts=known, template=template(), secrets=secrets), NOW)
    assert plan.status is not None
    assert (len(plan.create_slices), plan.status.slices) == (2, 30)
    condition = next(c for c in plan.status.conditions if c.type == "Resolved")
    dealt, _, hint = condition.message.partition("; ")
    assert dealt == "30 hosts in 2 slices, with a pod for each host"
    assert hint == "see them with kubectl describe js -l rollcall.dev/invocation=job"


@pytest.mark.parametrize(("steps", "objects"), [(0, 2), (4, 2), (10, 3), (32, 10)])
def test_results_of_many_steps_leave_room_for_fewer_hosts(steps: int, objects: int) -> None:
    names = [f"h{number}" for number in range(30)]
    named = [{"name": f"s{number}", "script": "true"} for number in range(steps)]
    many = template(ssh={"steps": named}) if steps else template()
    secrets = {"ops-key": frozenset({"ssh-privatekey"})}
    job = invocation(*names, rollout={"hostsPerSlice": 1})
    plan = reconcile(Observed(job, hosts=hosts(*names), template=many, secrets=secrets), NOW)
    assert len(plan.create_slices) == objects
    assert all(made.spec.pod_per_host for made in plan.create_slices)


def test_the_largest_object_stays_below_100_kb() -> None:
    """All hosts have failed, at length, and each has said as much as is kept in the slice."""
    names = [f"{'h' * 200}{number}" for number in range(MAX_PODS_PER_SLICE)]
    whole = slices_with_pods(0, *names)
    output = "A" * (4 * -(-MAX_OUTPUT_BYTES_PER_POD // 3))
    news = {}
    for place, name in enumerate(names):
        said = HostOutput(bytes=10**9, cut_bytes=10**9, tail="x" * 256)
        result = HostResult(
            name=name, state=HostState.CANCEL_FAILED, exit_code=255, reason="PrivilegeEscalationFailed",
            message="m" * 300, start_time=WHOLE, completion_time=WHOLE, output=said,
        )  # fmt: skip
        done = status(SliceState.DONE, HostState.FAILED, name, output=output)
        news[f"job-{place}"] = done.model_copy(update={"hosts": (result,), "retry_time": WHOLE})
    whole = whole.model_copy(update={"status": combined(whole, news)})
    assert len(whole.model_dump_json(by_alias=True, exclude_none=True)) < 100_000


def test_a_plan_that_ends_many_hosts_writes_each_object_once() -> None:
    """Twelve hosts in objects of four end at the same time: three writes tell of it."""
    sim = fleet(12, pods_per_slice=4)
    for _ in range(3):
        sim.step()
        sim.deliver()
    for name in sim.pods:
        sim.begin_pod(name)
        sim.begin_host(name)
        sim.end_host(name)
        sim.end_pod(name)
    sim.deliver()
    sim.step()
    for name in list(sim.heard):
        sim.collect(name)
    writes: list[str] = []
    put = sim.put_slice_status
    sim.put_slice_status = lambda name, status: (writes.append(name), put(name, status))[1]  # type: ignore[method-assign]
    sim.step()
    assert sorted(writes) == ["job-0", "job-4", "job-8"]
    assert all(slice_.done for slice_ in sim.stored_slices("job"))


def test_a_resolved_invocation_of_shared_slices_starts_all_pods() -> None:
    whole = slices_with_pods(0, *NAMES)
    parts = units(whole)
    plan = reconcile(
        Observed(resolved(*parts, started=0), slices=Slices(parts), hosts=hosts(*NAMES), template=template()), NOW
    )
    assert [slice_.metadata.name for slice_ in plan.start_slices] == ["job-0", "job-1", "job-2"]
