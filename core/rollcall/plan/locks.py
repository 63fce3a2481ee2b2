"""Exclusive use of hosts and templates: who has what, who waits for it, and who is next.

A lock is no object in the cluster. What an invocation has follows from its slices at work, and each reconcile says it
anew; so nothing has to be released, and no lock outlives its holder, whatever dies. A lock is shared or exclusive: one
that is exclusive has no holder beside it. Who waits is served in the order of arrival, which is the order of creation;
somebody who arrived later does not slip in, also not where there would be room. An older invocation never waits for a
younger one that waits itself, and who has a lock does not wait for somebody who waits for it, so nobody waits in a
circle.
"""

from collections.abc import Callable, Iterable, Mapping
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Final

NOTHING: Final[Mapping["Lock", bool]] = {}


class LockKind(StrEnum):
    """What can be locked."""

    HOST = "Host"
    TEMPLATE = "JobTemplate"


@dataclass(frozen=True, slots=True)
class Lock:
    """A thing that can be used by one at a time."""

    kind: LockKind
    namespace: str
    name: str


@dataclass(frozen=True, slots=True, order=True)
class Claimant:
    """An invocation; the order is that of their arrival."""

    arrived: datetime
    namespace: str
    name: str
    uid: str


Wanted = Mapping[Lock, bool]
"""Locks, and whether each is wanted exclusively."""


@dataclass
class _Queue:
    """Who has a lock and who waits for it, each with whether it is exclusive."""

    holders: dict[Claimant, bool] = field(default_factory=dict)
    waiters: dict[Claimant, bool] = field(default_factory=dict)

    def ahead(self, claimant: Claimant, *, exclusive: bool) -> Claimant | None:
        """Somebody who has the lock, or who is to have it before, in a way that does not allow this one beside it."""
        for holder, alone in self.holders.items():
            if holder != claimant and (alone or exclusive):
                return holder
        if claimant in self.holders:
            return None
        waiting = (other for other, alone in self.waiters.items() if other < claimant and (alone or exclusive))
        return min(waiting, default=None)


class Locks:
    """All locks of one operator."""

    def __init__(self) -> None:
        self._queues: dict[Lock, _Queue] = {}
        self._held: dict[Claimant, dict[str, Wanted]] = {}
        self._waited: dict[Claimant, Wanted] = {}

    def obstacle(self, claimant: Claimant, wanted: Wanted) -> tuple[Lock, Claimant] | None:
        """The first of the wanted locks that cannot be had now, and who stands in the way."""
        for lock, exclusive in wanted.items():
            queue = self._queues.get(lock)
            other = queue.ahead(claimant, exclusive=exclusive) if queue else None
            if other is not None:
                return lock, other
        return None

    def update(
        self, claimant: Claimant, held: AbstractSet[str], needs: Callable[[str], Wanted], waited: Wanted
    ) -> frozenset[Claimant]:
        """Set what the claimant waits for, and for what it has locks: the names of slices, say.

        `needs` tells the locks of a name that is new; they stay the same as long as the name is held. Returns the
        others that may have been let in by the update.
        """
        before = self._held.setdefault(claimant, {})
        let_go: set[Lock] = set()
        for name in before.keys() - held:
            for lock in before.pop(name):
                self._queues[lock].holders.pop(claimant, None)
                let_go.add(lock)
        for name in held - before.keys():
            before[name] = needs(name)
            for lock, exclusive in before[name].items():
                self._queues.setdefault(lock, _Queue()).holders[claimant] = exclusive
        waited_before = self._waited.get(claimant, NOTHING)
        for lock in waited_before.keys() - waited.keys():
            self._queues[lock].waiters.pop(claimant, None)
            let_go.add(lock)
        let_go |= {lock for lock in waited_before.keys() & waited.keys() if waited_before[lock] and not waited[lock]}
        for lock, exclusive in waited.items():
            self._queues.setdefault(lock, _Queue()).waiters[claimant] = exclusive
        self._waited[claimant] = waited
        if not before and not waited:
            del self._held[claimant], self._waited[claimant]
        return self._next(let_go) - {claimant}

    def drop(self, claimant: Claimant) -> frozenset[Claimant]:
        """Forget somebody who has ended. Returns the others that may have been let in by that."""
        return self.update(claimant, frozenset(), lambda _: NOTHING, NOTHING)

    def _next(self, locks: Iterable[Lock]) -> frozenset[Claimant]:
        """Who waits for one of the locks; a lock that nobody has or wants is forgotten."""
        waiting: set[Claimant] = set()
        for lock in locks:
            queue = self._queues[lock]
            waiting |= queue.waiters.keys()
            if not queue.holders and not queue.waiters:
                del self._queues[lock]
        return frozenset(waiting)
