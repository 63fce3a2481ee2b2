"""The slices of one invocation: the open ones one by one, and what the done ones add up to.

A reconcile looks at open slices only, so that its cost does not grow with the hosts that have ended. The sums are kept
up to date as slices are put in and taken out; they are always what going over all done slices would give.
"""

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime
from heapq import nsmallest
from itertools import islice

from rollcall.names import HostState
from rollcall.plan.rollout import child_name, slice_name
from rollcall.resources.jobslice import HostResult, JobSlice

UNSUCCESSFUL = (HostState.FAILED, HostState.CANCEL_FAILED)
STOPPED = (HostState.CANCELLED, HostState.NOT_STARTED)

Told = tuple[JobSlice, HostResult]
"""What a slice says of one of its hosts."""


class Slices:
    """The slices of an invocation by name. One whose name is not its place's is not ours, and is left out."""

    def __init__(self, slices: Iterable[JobSlice] = ()) -> None:
        self._all: dict[str, JobSlice] = {}
        self._open: dict[str, JobSlice] = {}
        self._ended_in: dict[tuple[HostState, ...], dict[str, JobSlice]] = {UNSUCCESSFUL: {}, STOPPED: {}}
        self._parents: dict[str, JobSlice] = {}
        self._counts: Counter[HostState] = Counter()
        self._ends: defaultdict[int, dict[str, datetime]] = defaultdict(dict)
        self._begun = 0
        for slice_ in slices:
            self.put(slice_)

    def put(self, slice_: JobSlice) -> None:
        """Take in a slice as it is now."""
        name = slice_.metadata.name
        if name != slice_name(slice_.spec.invocation_ref.name, slice_.spec.index, slice_.spec.attempt):
            return
        self.remove(name)
        self._all[name] = slice_
        self._add(slice_, 1)
        if not slice_.done:
            self._open[name] = slice_
            return
        for states, slices in self._ended_in.items():
            if any(result.state in states and not result.retry for result in slice_.status.hosts):
                slices[name] = slice_
        if any(result.retry for result in slice_.status.hosts):
            self._parents[name] = slice_

    def remove(self, name: str) -> None:
        """Forget a slice that is gone."""
        slice_ = self._all.pop(name, None)
        if slice_ is not None:
            self._add(slice_, -1)
            for names in (self._open, *self._ended_in.values(), self._parents):
                names.pop(name, None)

    def _add(self, slice_: JobSlice, sign: int) -> None:
        if not slice_.done:
            return
        self._begun += sign * (slice_.status.pod_name is not None)
        ends, ended = self._ends[slice_.spec.batch], slice_.status.completion_time
        if sign > 0 and ended is not None:
            ends[slice_.metadata.name] = ended
        else:
            ends.pop(slice_.metadata.name, None)
        for result in slice_.status.hosts:
            if not result.retry:
                self._counts[result.state] += sign

    def __len__(self) -> int:
        return len(self._all)

    def __iter__(self) -> Iterator[JobSlice]:
        return iter(self._all.values())

    def __contains__(self, name: str) -> bool:
        return name in self._all

    def get(self, name: str) -> JobSlice | None:
        """The slice of that name, if there is one."""
        return self._all.get(name)

    def parent(self, slice_: JobSlice) -> JobSlice | None:
        """The slice of the attempt before, if there is one."""
        attempt = slice_.spec.attempt
        return (
            self.get(slice_name(slice_.spec.invocation_ref.name, slice_.spec.index, attempt - 1)) if attempt else None
        )

    @property
    def open(self) -> Mapping[str, JobSlice]:
        """The slices that are not done, by name."""
        return self._open

    @property
    def counts(self) -> Mapping[HostState, int]:
        """How many hosts of done slices ended in which state, those left out that are tried again."""
        return self._counts

    @property
    def begun(self) -> bool:
        """Whether a done slice ever had a pod."""
        return self._begun > 0

    def batch_end(self, number: int) -> datetime | None:
        """When the last done slice of the batch with that number, from 0, was done."""
        return max(self._ends[number].values(), default=None)

    def childless(self) -> Iterator[JobSlice]:
        """Done slices with hosts to be tried again, for which the slice of the next attempt does not exist."""
        return (parent for parent in self._parents.values() if child_name(parent) not in self._all)

    def ended_in(self, states: tuple[HostState, ...], most: int) -> tuple[Told, ...]:
        """The first hosts of done slices that ended so, UNSUCCESSFUL or STOPPED, in the order of the slices."""
        slices = self._ended_in[states].values()
        first = nsmallest(most, slices, key=lambda slice_: (slice_.spec.index, slice_.spec.attempt))
        ended = (
            (slice_, result)
            for slice_ in first
            for result in slice_.status.hosts
            if result.state in states and not result.retry
        )
        return tuple(islice(ended, most))

    def ends(self) -> dict[str, HostResult]:
        """What is known of each host by its latest attempt; a host of which nothing is known yet is missing."""
        latest: dict[str, tuple[int, HostResult]] = {}
        for slice_ in self._all.values():
            for result in slice_.status.hosts:
                if result.name not in latest or latest[result.name][0] < slice_.spec.attempt:
                    latest[result.name] = (slice_.spec.attempt, result)
        return {name: result for name, (_, result) in latest.items()}
