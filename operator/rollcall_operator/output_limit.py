"""How much of an invocation's output is kept: its own limit, and the operator's for what its store must hold."""

from dataclasses import dataclass, replace

from rollcall.outputs import Event, Stream
from rollcall.resources.jobinvocation import OutputPolicy
from rollcall.work import OnExcess
from rollcall_operator.store import Key, Store


@dataclass(slots=True)
class _Tally:
    """What an invocation has said so far."""

    kept: int
    """Bytes of stdout and stderr that are kept."""
    limit: int | None
    """How many may be."""
    fails: bool
    """Whether all hosts are stopped when there are more."""
    stored: int = 0
    """Bytes in the store, packed."""
    exceeded: bool = False


class OutputLimits:
    """Cuts what an invocation's hosts say beyond its limits. `store_bytes` is how much each may take in the store."""

    def __init__(self, store: Store, store_bytes: int) -> None:
        self._store = store
        self._store_bytes = store_bytes
        self._tallies: dict[Key, _Tally] = {}

    def within(self, invocation: Key, event: Event) -> Event:
        """The event, or a note of how much was cut. Only what scripts say is ever cut, and only whole events; and of
        records, when the store is full, all but their names."""
        if isinstance(event.data, dict) and self._tally(invocation).stored >= self._store_bytes:
            kept = {key: value for key, value in event.data.items() if key in ("event", "uuid")}
            return replace(event, data={**kept, "cut": True})
        if event.stream not in (Stream.STDOUT, Stream.STDERR) or not isinstance(event.data, bytes):
            return event
        tally, size = self._tally(invocation), len(event.data)
        over_own = tally.limit is not None and tally.kept + size > tally.limit
        if over_own or tally.stored >= self._store_bytes:
            tally.exceeded = True
            return Event(event.host, event.seq, event.time, Stream.CUT, size)
        tally.kept += size
        return event

    def count(self, invocation: Key, kept: int, stored: int) -> None:
        """Count what `within` did not see: what an earlier life of the operator has kept, and chunks in the store."""
        tally = self._tally(invocation)
        tally.kept += kept
        tally.stored += stored

    def exceeded(self, invocation: Key) -> bool:
        """Whether something was cut, and the invocation asks for its hosts to be stopped then."""
        tally = self._tallies.get(invocation)
        return tally is not None and tally.exceeded and tally.fails

    def forget(self, invocation: Key) -> None:
        """Forget an invocation that is over."""
        self._tallies.pop(invocation, None)

    def _tally(self, key: Key) -> _Tally:
        tally = self._tallies.get(key)
        if tally is None:
            # Slices that an earlier life of the operator has seen to their end say in their status what they keep.
            done = (slice_ for slice_ in self._store.slices.get(key, {}).values() if slice_.done)
            kept = sum(result.output.bytes for slice_ in done for result in slice_.status.hosts if result.output)
            invocation = self._store.invocations.get(key)
            policy = invocation.spec.output if invocation is not None else OutputPolicy()
            tally = self._tallies[key] = _Tally(kept, policy.limit_bytes, policy.on_excess is OnExcess.FAIL)
        return tally
