"""Hosts are dealt into slices, all of them and once; slices start in order, never more than there is room for."""

from math import ceil

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rollcall.names import LABEL_INVOCATION
from rollcall.plan.observed import Observed
from rollcall.plan.rollout import PODS_PER_SLICE, batch_sizes, deal, parallelism, slice_size
from rollcall.plan.slices import Slices
from rollcall.plan.starting import Field, choose
from rollcall.plan.units import units
from rollcall.resources.jobslice import MAX_HOSTS_PER_SLICE
from unit.core.objects import NOW, invocation, resolved, slice_

PER_SLICE = st.integers(1, MAX_HOSTS_PER_SLICE) | st.just("auto")
SIZES = st.lists(st.integers(1, 6), max_size=8)


@pytest.mark.parametrize(
    ("total", "hosts_per_slice", "size"),
    [
        (0, "auto", 1), (1, "auto", 1), (100, "auto", 1), (101, "auto", 20), (2_000, "auto", 20), (2_001, "auto", 21),
        (10_000, "auto", 100), (25_000, "auto", 250), (100_000, "auto", 250), (5, 1, 1), (5, 250, 250), (5, 7, 7),
    ],
)  # fmt: skip
def test_auto_packs_above_a_hundred_hosts(total: int, hosts_per_slice: int, size: int) -> None:
    assert slice_size(total, hosts_per_slice) == size


@given(st.integers(0, 400), PER_SLICE)
def test_every_host_is_dealt_once_and_in_order(total: int, hosts_per_slice: int | str) -> None:
    names = [f"web{number}" for number in range(total)]
    dealt = deal(invocation(rollout={"hostsPerSlice": hosts_per_slice}), names)
    slices = [slice_ for whole in dealt for slice_ in units(whole)]
    assert [name for one in slices for name in one.spec.hosts] == names
    assert [one.spec.index for one in slices] == list(range(len(slices)))
    assert len({len(one.spec.hosts) for one in slices[:-1]}) <= 1
    assert all(len(one.spec.hosts) <= MAX_HOSTS_PER_SLICE for one in slices)
    shared = len({len(one.spec.hosts) for one in slices} | {1}) == 1 and total > PODS_PER_SLICE
    assert len(dealt) == (ceil(total / PODS_PER_SLICE) if shared else len(slices))
    if hosts_per_slice == "auto":
        assert len(slices) == min(total, 100) if total <= 100 else len(slices) <= 100


@pytest.mark.parametrize(
    ("total", "batches", "sizes"),
    [
        (0, [1], []),
        (10, [], [10]),
        (10, [1, "30%", "100%"], [1, 3, 6]),
        (10, [1, 2], [1, 2, 2, 2, 2, 1]),
        (10, ["25%"], [2, 2, 2, 2, 2]),
        (3, ["1%"], [1, 1, 1]),
        (3, [0, 5], [1, 2]),
        (2, [5, 5], [2]),
    ],
)
def test_batches_have_at_least_one_host_and_the_last_size_is_repeated(
    total: int, batches: list[int | str], sizes: list[int]
) -> None:
    assert list(batch_sizes(total, batches)) == sizes


@given(st.integers(0, 60), st.integers(1, 7), st.lists(st.integers(1, 20) | st.sampled_from(["0%", "33%", "100%"])))
def test_no_slice_has_hosts_of_two_batches(total: int, size: int, batches: list[int | str]) -> None:
    names = [f"web{number}" for number in range(total)]
    slices = deal(invocation(rollout={"hostsPerSlice": size, "batches": batches[:20]}), names)
    assert [name for dealt in slices for name in dealt.spec.hosts] == names
    assert [dealt.spec.batch for dealt in slices] == sorted(dealt.spec.batch for dealt in slices)
    sums = dict.fromkeys(range(len(slices)), 0)
    for dealt in slices:
        sums[dealt.spec.batch] += len(dealt.spec.hosts)
    assert [count for count in sums.values() if count] == list(batch_sizes(total, batches[:20]))


def test_slices_have_names_labels_and_owners_that_follow_from_the_invocation() -> None:
    first, second = deal(invocation("a", "b", name="patch"), ["a", "b"])
    assert [first.metadata.name, second.metadata.name] == ["patch-0", "patch-1"]
    assert second.metadata.labels[LABEL_INVOCATION] == "patch"
    assert second.metadata.owner_references[0].wire() == {
        "apiVersion": "rollcall.dev/v1alpha1",
        "kind": "JobInvocation",
        "name": "patch",
        "uid": "uid-of-the-job",
        "controller": True,
        "blockOwnerDeletion": False,
    }


def test_the_longest_name_s_slices_fit_into_a_label() -> None:
    last = deal(invocation(name="n" * 52), [f"h{number}" for number in range(10_000)])[-1]
    assert len(last.metadata.name) <= 63


def start(pending: list[int], unfinished: list[int], concurrency: int | None) -> list[int]:
    """The indexes of the slices that start, of `pending` sizes, while others have so many `unfinished` hosts."""
    waiting = tuple(
        slice_(index, *(f"h{index}x{number}" for number in range(size))) for index, size in enumerate(pending)
    )
    rollout = {} if concurrency is None else {"concurrency": concurrency}
    observed = Observed(resolved(*waiting, started=0, rollout=rollout), Slices(waiting))
    field = Field(waiting, unfinished, begun=bool(unfinished), batch=0, begun_batches=frozenset())
    return [chosen.spec.index for chosen in choose(observed, field, NOW).starting]


@given(SIZES, SIZES, st.none() | st.integers(1, 8))
def test_never_more_hosts_are_at_work_than_the_concurrency(
    pending: list[int], unfinished: list[int], concurrency: int | None
) -> None:
    started = start(pending, unfinished, concurrency)
    assert started == list(range(len(started))), "slices start in their order"
    if concurrency is None:
        assert len(started) == len(pending)
        return
    busy = sum(parallelism(hosts, concurrency) for hosts in unfinished)
    new = sum(parallelism(size, concurrency) for size in pending[: len(started)])
    assert not started or busy + new <= concurrency
    if len(started) < len(pending):
        assert busy + new + parallelism(pending[len(started)], concurrency) > concurrency, "there is room for no more"


@given(SIZES.filter(bool), st.integers(1, 8))
def test_while_nothing_is_at_work_something_can_start(pending: list[int], concurrency: int) -> None:
    assert start(pending, [], concurrency)
    assert start(pending, [0, 0], concurrency)


@given(SIZES, st.integers(1, 8), st.integers(1, 8))
def test_hosts_started_under_a_higher_concurrency_hold_back_new_ones(sizes: list[int], high: int, low: int) -> None:
    """Whatever a runner was started with, `unfinished` counts enough of it when the concurrency changes."""
    at_work = sum(parallelism(size, high) for size in sizes)
    started = start([1], sizes, low)
    assert not started or at_work + 1 <= max(low, high)
    assert not started or high <= low or at_work + 1 <= low


@pytest.mark.parametrize(
    ("hosts", "concurrency", "expected"), [(5, None, 5), (5, 3, 3), (2, 3, 2), (0, 3, 0), (250, 1, 1)]
)
def test_a_runner_works_on_as_many_of_its_hosts_as_it_may(hosts: int, concurrency: int | None, expected: int) -> None:
    assert parallelism(hosts, concurrency) == expected
