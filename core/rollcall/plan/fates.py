"""What an invocation's status tells of single hosts: of those that failed, were stopped, or have not ended.

Each list is short, so that the status stays small however many hosts there are. An entry names the slice that says
more, so that a person finds in `kubectl describe ji` what to describe next. Nothing in it depends on the time: a status
that says the same is not written again.
"""

from collections.abc import Iterable, Iterator, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from itertools import chain
from typing import Final

from rollcall.names import ConditionType, HostState
from rollcall.plan.counting import Tally, View, counted, to_try_again
from rollcall.plan.rollout import child_name
from rollcall.plan.slices import STOPPED, UNSUCCESSFUL
from rollcall.resources.jobinvocation import MAX_FATES, HostFate, JobInvocation, JobInvocationStatus
from rollcall.resources.jobslice import HostResult, JobSlice, JobSliceStatus
from rollcall.resources.meta import ConditionStatus

MAX_MESSAGE_LENGTH: Final = 300
"""How many characters of a message are shown: sixty of them, in any script, leave the status below 100 kB."""
_NAMED: Final = 3
"""How many hosts an Event names."""


def with_fates(
    status: JobInvocationStatus, invocation: JobInvocation, tally: Tally, begun: AbstractSet[str]
) -> JobInvocationStatus:
    """The status with its lists of hosts; `begun` names the open slices that have a pod or get one now.

    What keeps the others is read from the status's conditions.
    """
    return status.model_copy(
        update={
            "failures": _first(_fate(*told) for told in tally.ended_in(UNSUCCESSFUL, MAX_FATES)),
            "stopped": _first(_fate(*told) for told in tally.ended_in(STOPPED, MAX_FATES)),
            "unfinished": _first(_Unfinished(status, invocation, tally, begun).all()),
        }
    )


def _first(fates: Iterable[HostFate]) -> tuple[HostFate, ...]:
    """The first fates, one for each host."""
    found: dict[str, HostFate] = {}
    for fate in fates:
        found.setdefault(fate.host, fate)
        if len(found) == MAX_FATES:
            break
    return tuple(found.values())


def _fate(slice_: JobSlice, result: HostResult) -> HostFate:
    return HostFate(
        host=result.name,
        state=result.state,
        reason=result.reason or "",
        message=_short(result.message or ""),
        attempt=slice_.spec.attempt,
        slice=slice_.object_name,
    )


def _short(message: str) -> str:
    return message if len(message) <= MAX_MESSAGE_LENGTH else f"{message[: MAX_MESSAGE_LENGTH - 1]}…"


@dataclass(frozen=True)
class _Unfinished:
    """The hosts that have not ended."""

    status: JobInvocationStatus
    invocation: JobInvocation
    tally: Tally
    begun: AbstractSet[str]

    def all(self) -> Iterator[HostFate]:
        """Those with a story first, then those at work, then those that wait, in the order of their slices."""
        open_ = [view for view in self.tally.views if not view.done]
        troubled = [view for view in open_ if view.slice.spec.attempt or view.status.waiting_reason]
        failed = self.tally.views if self.tally.retry.limit else ()
        waiting = map(self._waiting, chain(troubled, open_))
        return chain(self._due_again(), chain.from_iterable(map(self._failed, failed)), chain.from_iterable(waiting))

    def _due_again(self) -> Iterator[HostFate]:
        """Hosts whose next attempt gets its slice with this plan."""
        for parent in to_try_again(self.tally.slices):
            place = {"attempt": parent.spec.attempt + 1, "slice": child_name(parent)}
            retried = (result for result in parent.status.hosts if result.retry)
            yield from (_tried_again(parent, parent.status, result).model_copy(update=place) for result in retried)

    def _failed(self, view: View) -> Iterator[HostFate]:
        """Hosts that have failed, and will be tried again when the others of their slice have ended."""
        retried = (result for result in view.status.hosts if self.tally.again(view, result))
        return (_tried_again(view.slice, view.status, result) for result in retried)

    def _waiting(self, view: View) -> Iterator[HostFate]:
        """Hosts of a slice that has not ended."""
        known = {result.name: result for result in view.status.hosts}
        parent = self.tally.slices.parent(view.slice)
        before = {result.name: result for result in parent.status.hosts} if parent else {}
        reason, message = self._wait(view)
        for name in view.slice.spec.hosts:
            result = known.get(name) or HostResult(name=name, state=HostState.PENDING)
            if result.state == HostState.RUNNING:
                yield _fate(view.slice, result)
            elif result.state == HostState.PENDING and parent and name in before and view.name not in self.begun:
                yield _tried_again(view.slice, parent.status, before[name])
            elif result.state == HostState.PENDING:
                yield _fate(view.slice, result.model_copy(update={"reason": reason, "message": message}))

    def _wait(self, view: View) -> tuple[str, str]:
        """What keeps hosts of a slice that have not begun: the reason, if there is a word for it, and a sentence."""
        if view.status.waiting_reason:
            return view.status.waiting_reason, view.status.waiting_message or ""
        if view.name in self.begun:
            return "", "its runner pod is starting, or works on other hosts of the slice"
        for condition in self.status.conditions:
            holds = condition.type in (ConditionType.SUSPENDED, ConditionType.WAITING)
            if holds and condition.status == ConditionStatus.TRUE:
                return condition.reason, condition.message
        if self.status.batch is not None and view.slice.spec.batch >= self.status.batch:
            return "", f"batch {view.slice.spec.batch + 1} has not begun"
        most = self.invocation.spec.rollout.concurrency
        return "", "its turn has not come" + ("" if most is None else f": rollout.concurrency is {most}")


def _tried_again(slice_: JobSlice, status: JobSliceStatus, result: HostResult) -> HostFate:
    """The fate of a host that failed as this status says, and waits for its next attempt."""
    when = "when its slice has ended" if status.retry_time is None else f"from {status.retry_time:%H:%M:%S} UTC on"
    message = f"{result.message or result.reason}; tried again {when}"
    return _fate(slice_, result.model_copy(update={"state": HostState.PENDING, "message": message}))


def retrying(parents: Sequence[JobSlice]) -> str:
    """The sentence about hosts of these slices whose next attempts get their slices now."""
    hosts = [
        f"{result.name} ({result.reason}) in {child_name(parent)}"
        for parent in parents
        for result in parent.status.hosts
        if result.retry
    ]
    more = f" and {len(hosts) - _NAMED} more" if len(hosts) > _NAMED else ""
    return f"{counted(len(hosts))} that failed will be tried again: {', '.join(hosts[:_NAMED])}{more}"
