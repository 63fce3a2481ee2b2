"""How an invocation's hosts are dealt into slices, and which slices start now."""

from collections.abc import Iterable, Sequence
from math import ceil
from typing import Final, Literal

from rollcall.names import LABEL_INVOCATION, LABEL_MANAGED_BY, MANAGED_BY
from rollcall.resources.jobinvocation import JobInvocation
from rollcall.resources.jobslice import MAX_HOSTS_PER_SLICE, JobSlice, JobSliceSpec
from rollcall.resources.meta import LocalReference, Metadata

AUTO_SLICES: Final = 100
"""`auto` gives each host a pod up to this many hosts, and makes about this many slices above."""


def slice_size(total: int, hosts_per_slice: int | Literal["auto"]) -> int:
    """How many hosts go into one slice."""
    if hosts_per_slice == "auto":
        return min(max(1, ceil(total / AUTO_SLICES)), MAX_HOSTS_PER_SLICE)
    return hosts_per_slice


def slice_name(invocation: JobInvocation, index: int) -> str:
    """The name of a slice, which is also its pod's and its work Secret's."""
    return f"{invocation.metadata.name}-{index}"


def deal(invocation: JobInvocation, hosts: Sequence[str]) -> tuple[JobSlice, ...]:
    """The slices of the invocation; their names follow from the invocation's and their index."""
    size = slice_size(len(hosts), invocation.spec.rollout.hosts_per_slice)
    return tuple(
        JobSlice(
            metadata=Metadata(
                name=slice_name(invocation, index),
                namespace=invocation.metadata.namespace,
                labels={LABEL_INVOCATION: invocation.metadata.name, LABEL_MANAGED_BY: MANAGED_BY},
                owner_references=(invocation.owner_reference(),),
            ),
            spec=JobSliceSpec(
                invocation_ref=LocalReference(name=invocation.metadata.name),
                index=index,
                hosts=tuple(hosts[first : first + size]),
            ),
        )
        for index, first in enumerate(range(0, len(hosts), size))
    )


def parallelism(hosts: int, concurrency: int | None) -> int:
    """How many of a slice's hosts its runner may have at work at once."""
    return hosts if concurrency is None else min(hosts, concurrency)


def startable(pending: Iterable[JobSlice], unfinished: Iterable[int], concurrency: int | None) -> tuple[JobSlice, ...]:
    """The slices to start now, the first of `pending` that `concurrency` leaves room for.

    `unfinished` has, for each slice at work, how many of its hosts have not ended.
    """
    if concurrency is None:
        return tuple(pending)
    room = concurrency - sum(parallelism(hosts, concurrency) for hosts in unfinished)
    chosen: list[JobSlice] = []
    for slice_ in pending:
        room -= parallelism(len(slice_.spec.hosts), concurrency)
        if room < 0:
            break
        chosen.append(slice_)
    return tuple(chosen)
