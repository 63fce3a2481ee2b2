"""Who uses and waits for what: `rollcall.plan.locks`, kept for as long as somebody works.

An invocation tells in each reconcile what it uses. When it is gone without one, deleted while no operator was there or
by force, its runner pods still stop what they do: what they work on stays in use until each of them has ended.
"""

from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from functools import partial
from typing import Final

from rollcall.plan.locks import NOTHING, Claimant, Locks
from rollcall.plan.observed import Observed, Plan
from rollcall.plan.restoring import restore_locks
from rollcall.plan.slices import Slices
from rollcall.plan.starting import TEMPLATE, locks_for
from rollcall_operator.store import Key, Store

NONE: Final = frozenset[str]()


class Claims:
    """The locks of all invocations. `nudge` is called with those that may have been let in."""

    def __init__(self, store: Store, nudge: Callable[[Key], None]) -> None:
        self.locks = Locks()
        self._store = store
        self._nudge = nudge
        self._claimants: dict[Key, Claimant] = {}
        self._leaving: dict[Key, set[Claimant]] = {}
        """Those that are gone, of whose pods some may still work."""

    def restore(self, unfinished: Iterable[Observed], now: datetime) -> None:
        """Learn what invocations use and wait for, before any of them goes on."""
        everybody = list(unfinished)
        restore_locks(everybody, now)
        for observed in everybody:
            self._claimants[observed.claimant.namespace, observed.claimant.name] = observed.claimant

    def take(self, observed: Observed, plan: Plan) -> None:
        """Take what the plan works on, at once: nobody else decides before this is known."""
        claimant = observed.claimant
        key = (claimant.namespace, claimant.name)
        starting = {slice_.metadata.name for slice_ in plan.start_slices}
        held = plan.held | starting | ({TEMPLATE} if starting else NONE)
        if self._claimants.setdefault(key, claimant) != claimant:
            self.leave(key)  # another one of that name was there before
        self._claimants[key] = claimant
        self._tell(self.locks.update(claimant, held, partial(locks_for, observed), plan.waited))

    def leave(self, key: Key) -> None:
        """Free what an invocation used that is over, or gone; what its pods still work on, as they end."""
        claimant = self._claimants.pop(key, None)
        if claimant is not None:
            self._leaving.setdefault(key, set()).add(claimant)
        self.settle(key)

    def settle(self, key: Key) -> None:
        """Free what pods worked on that have ended since their invocation left."""
        if key not in self._leaving:
            return
        working = self._left_behind(key)
        claimants = self._leaving[key] if working else self._leaving.pop(key)
        for claimant in claimants:
            held = working | {TEMPLATE} if working else NONE
            self._tell(self.locks.update(claimant, held, lambda _: NOTHING, NOTHING))

    def settle_all(self) -> None:
        """The same for all: time alone makes a pod count as lost with its node."""
        for key in list(self._leaving):
            self.settle(key)

    def _left_behind(self, key: Key) -> frozenset[str]:
        """The slices whose pods work, and are not those of an invocation that is there."""
        present, now = self._store.invocations.get(key), datetime.now(UTC)
        slices = (self._store.dealt.get(present.metadata.uid) if present else None) or Slices()
        pods = (pod for pod in self._store.pods.get(key, {}).values() if not pod.over(now))
        return frozenset(
            pod.slice for pod in pods if (own := slices.get(pod.slice)) is None or own.metadata.uid != pod.owner
        )

    def _tell(self, let_in: Iterable[Claimant]) -> None:
        for other in let_in:
            self._nudge((other.namespace, other.name))
