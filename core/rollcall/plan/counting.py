"""What the hosts of an invocation add up to, as its status shows them."""

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from rollcall.names import HostState
from rollcall.plan.retry import RetryPolicy
from rollcall.plan.slices import UNSUCCESSFUL, Slices, Told
from rollcall.resources.jobinvocation import HostCounts
from rollcall.resources.jobslice import HostResult, JobSlice, JobSliceStatus, SliceState


def counted(number: int, word: str = "host") -> str:
    """How many there are, in words: `1 host`, `2 hosts`."""
    return f"{number} {word}" + ("" if number == 1 else "s")


@dataclass(frozen=True)
class View:
    """A slice that was open, and the status that it should have now."""

    slice: JobSlice
    status: JobSliceStatus

    @property
    def name(self) -> str:
        """The slice's name."""
        return self.slice.metadata.name

    @property
    def done(self) -> bool:
        """Whether every host has ended, and all that they said is stored."""
        return self.status.state == SliceState.DONE

    @property
    def unfinished(self) -> int:
        """How many hosts have not ended."""
        return len(self.slice.spec.hosts) - sum(result.state.ended for result in self.status.hosts)

    @property
    def tells_ends(self) -> bool:
        """Whether hosts have ended of which the stored status says that they have not."""
        return self.unfinished < View(self.slice, self.slice.status).unfinished

    @property
    def news(self) -> bool:
        """Whether the stored status lacks something that a reader would want to see."""
        begun = any(result.state != HostState.PENDING for result in self.status.hosts)
        waits = self.status.waiting_reason != self.slice.status.waiting_reason
        return (begun or waits) and self.status != self.slice.status


@dataclass(frozen=True)
class Tally:
    """All hosts of an invocation: those of done slices by their sums, those of open ones one by one."""

    slices: Slices
    views: Sequence[View]
    retry: RetryPolicy
    total: int

    @property
    def states(self) -> Counter[HostState]:
        """How many hosts are in which state. One whose slice somebody deleted counts as failed."""
        states = Counter(self.slices.counts)
        for view in self.views:
            states.update(
                HostState.PENDING if self.again(view, result) else result.state for result in view.status.hosts
            )
            if not view.status.hosts:
                states[HostState.PENDING] += len(view.slice.spec.hosts)
        states[HostState.PENDING] += sum(
            bool(result.retry) for parent in to_try_again(self.slices) for result in parent.status.hosts
        )
        states[HostState.FAILED] += self.total - states.total()
        return states

    @property
    def failed(self) -> int:
        """How many hosts have failed for good."""
        return sum(self.slices.counts.get(state, 0) for state in UNSUCCESSFUL) + sum(
            1 for _ in self._new_ends(UNSUCCESSFUL)
        )

    def ended_in(self, states: tuple[HostState, ...], most: int) -> Iterator[Told]:
        """The first hosts that ended so for good, UNSUCCESSFUL or STOPPED."""
        yield from self.slices.ended_in(states, most)
        if states is UNSUCCESSFUL:
            lost = (parent for parent in self.slices.childless() if parent.status.retry_slice is not None)
            yield from ((parent, result) for parent in lost for result in parent.status.hosts if result.retry)
        yield from self._new_ends(states)

    def _new_ends(self, states: tuple[HostState, ...]) -> Iterator[Told]:
        for view in self.views:
            for result in view.status.hosts:
                if result.state in states and not self.again(view, result):
                    yield view.slice, result

    def again(self, view: View, result: HostResult) -> bool:
        """Whether the host will be tried again; decided when its slice is done, foreseen while that is at work."""
        return bool(result.retry) if view.done else self.retry.again(view.slice, result)


def host_counts(states: Counter[HostState]) -> HostCounts:
    """The states as the status sums them up."""
    return HostCounts(
        total=states.total(),
        pending=states[HostState.PENDING],
        running=states[HostState.RUNNING],
        succeeded=states[HostState.SUCCEEDED],
        failed=sum(states[state] for state in UNSUCCESSFUL),
        cancelled=states[HostState.CANCELLED] + states[HostState.NOT_STARTED],
    )


def to_try_again(slices: Slices) -> Iterable[JobSlice]:
    """The done slices whose failed hosts are to be tried again, but never had a slice for it."""
    return (parent for parent in slices.childless() if parent.status.retry_slice is None)
