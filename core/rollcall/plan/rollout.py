"""How an invocation's hosts are dealt into batches and slices, and which slices start now."""

import hashlib
from collections.abc import Iterable, Iterator, Sequence
from math import ceil
from typing import Final, Literal

from rollcall.names import LABEL_INVOCATION, LABEL_MANAGED_BY, MANAGED_BY
from rollcall.resources.jobinvocation import JobInvocation
from rollcall.resources.jobslice import MAX_HOSTS_PER_SLICE, JobSlice, JobSliceSpec
from rollcall.resources.meta import LocalReference, Metadata
from rollcall.resources.targeting import HostOrder

AUTO_SLICES: Final = 100
"""`auto` gives each host a pod up to this many hosts, and makes at most this many slices above, while they suffice."""
MIN_PACKED: Final = 20
"""How many hosts `auto` packs at least, if it packs: a pod costs far more than one more host in it."""
PODS_PER_SLICE: Final = 20
"""How many hosts with a pod each share a slice object at most. Fewer objects and fewer writes of their statuses stand
against larger ones (docs/adr/0024)."""
APART: Final = 4
"""Up to so many hosts with a pod each do not share one: their slices are easier to read one by one."""


def slice_size(total: int, hosts_per_slice: int | Literal["auto"], *, together: bool = False) -> int:
    """How many hosts go into one slice. `together` when a slice costs the same however many hosts it has."""
    if hosts_per_slice == "auto":
        if together:
            return ceil(total / max(1, ceil(total / MAX_HOSTS_PER_SLICE))) or 1
        return 1 if total <= AUTO_SLICES else min(max(MIN_PACKED, ceil(total / AUTO_SLICES)), MAX_HOSTS_PER_SLICE)
    return hosts_per_slice


def slice_name(invocation: str, index: int, attempt: int = 0) -> str:
    """The name of a slice, which is also its pod's and its work Secret's.

    No two slices share one: the name of a first attempt ends with `-<digits>`, and that of another with `-r<digits>`
    after it, so neither is a first attempt of an invocation with a longer name.
    """
    return f"{invocation}-{index}" if attempt == 0 else f"{invocation}-{index}-r{attempt}"


def child_name(slice_: JobSlice) -> str:
    """The name of the slice in which hosts of this one are tried again."""
    return slice_name(slice_.spec.invocation_ref.name, slice_.spec.index, slice_.spec.attempt + 1)


def share(total: int, part: int | str) -> int:
    """How many of `total` hosts a number or a percentage means, rounded down."""
    return total * int(part[:-1]) // 100 if isinstance(part, str) else part


def batch_sizes(total: int, batches: Sequence[int | str]) -> Iterator[int]:
    """The sizes of the batches of `total` hosts: at least one host each, the last size again and again."""
    left = total
    while left:
        wanted = batches[0] if batches else total
        batches = batches[1:] or batches
        size = min(left, max(1, share(total, wanted)))
        yield size
        left -= size


def ordered(invocation: JobInvocation, hosts: Sequence[str], order: HostOrder | None) -> Sequence[str]:
    """The hosts in the order in which they are dealt. Shuffling gives the same order whenever it is repeated."""
    match order:
        case HostOrder.NAME:
            return sorted(hosts)
        case HostOrder.SHUFFLED:
            salt = invocation.metadata.uid
            return sorted(hosts, key=lambda name: hashlib.sha256(f"{salt}/{name}".encode()).digest())
        case _:
            return hosts


def deal(
    invocation: JobInvocation,
    hosts: Sequence[str],
    most_per_slice: int = MAX_HOSTS_PER_SLICE,
    *,
    together: bool = False,
    pods_per_slice: int = PODS_PER_SLICE,
) -> tuple[JobSlice, ...]:
    """The slices of the invocation's first attempt; none has hosts of two batches, or more than so many.

    Where more than a few hosts have a pod each, `pods_per_slice` of them share a slice object. For `together` see
    slice_size.
    """
    rollout = invocation.spec.rollout
    size = min(slice_size(len(hosts), rollout.hosts_per_slice, together=together), most_per_slice)
    shared = size == 1 and len(hosts) > min(APART, pods_per_slice)
    if shared:
        size = pods_per_slice
    dealt: list[JobSlice] = []
    begin = place = 0
    for batch, count in enumerate(batch_sizes(len(hosts), rollout.batches)):
        for first in range(begin, begin + count, size):
            members = tuple(hosts[first : min(first + size, begin + count)])
            dealt.append(make_slice(invocation, place, 0, batch, members, pod_per_host=shared))
            place += dealt[-1].spec.places
        begin += count
    return tuple(dealt)


def make_slice(
    invocation: JobInvocation,
    index: int,
    attempt: int,
    batch: int,
    hosts: tuple[str, ...],
    *,
    pod_per_host: bool = False,
) -> JobSlice:
    """A slice to be created; its name follows from the invocation's and its place."""
    return JobSlice(
        metadata=Metadata(
            name=slice_name(invocation.metadata.name, index, attempt),
            namespace=invocation.metadata.namespace,
            labels={LABEL_INVOCATION: invocation.metadata.name, LABEL_MANAGED_BY: MANAGED_BY},
            owner_references=(invocation.owner_reference(),),
        ),
        spec=JobSliceSpec(
            invocation_ref=LocalReference(name=invocation.metadata.name),
            index=index,
            attempt=attempt,
            batch=batch,
            hosts=hosts,
            pod_per_host=True if pod_per_host and len(hosts) > 1 else None,
        ),
    )


def parallelism(hosts: int, concurrency: int | None) -> int:
    """How many of a slice's hosts its runner may have at work at once."""
    return hosts if concurrency is None else min(hosts, concurrency)


def room(unfinished: Iterable[int], concurrency: int | None) -> int | None:
    """How many more hosts may be at work, None without a limit.

    `unfinished` has, for each slice at work, how many of its hosts have not ended.
    """
    if concurrency is None:
        return None
    return concurrency - sum(parallelism(hosts, concurrency) for hosts in unfinished)
