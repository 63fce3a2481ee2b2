"""Which slots are due. A slot is decided once: run, missed, or skipped on request; never again after that.

What has been decided is told by one moment, `decided_until`, that only moves forward. A clock that jumps ahead makes
slots late, as an outage does; one that jumps back makes nothing happen until it has come to that moment again.
"""

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from itertools import islice
from typing import Final

from rollcall.schedule.slots import Slots, between, latest

ON_TIME: Final = timedelta(seconds=60)
"""A run that is no later than this is not a missed one: another operator takes over in that time."""
MAX_COUNTED: Final = 1000
"""How many slots of one outage are counted as missed."""
SHOWN: Final = 5
"""How many of the next times are told."""
_JUST_BEFORE: Final = timedelta(microseconds=1)


class MissedRunPolicy(StrEnum):
    """What becomes of runs whose time came while nobody could start them."""

    SKIP = "Skip"
    LAST = "Last"
    ALL = "All"


@dataclass(frozen=True, slots=True)
class Terms:
    """When runs are planned, and under which terms they are started."""

    slots: Slots
    start_at: datetime | None = None
    end_at: datetime | None = None
    max_iterations: int | None = None
    deadline: timedelta | None = None
    missed_runs: MissedRunPolicy = MissedRunPolicy.LAST
    max_missed: int = 10
    delay: timedelta = timedelta()
    """How long after its slot a run is started: the jitter."""
    skipped: frozenset[datetime] = frozenset()
    suspended: bool = False


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a schedule has come."""

    decided_until: datetime
    iteration: int = 0
    made: frozenset[datetime] = frozenset()
    """Slots whose runs exist; those that no status tells of yet were made by an operator that died before it could."""


@dataclass(frozen=True, slots=True)
class Decision:
    """What follows from the time that it is."""

    run: tuple[datetime, ...] = ()
    """Slots to start a run for now, in order; runs that exist already are among them."""
    missed: int = 0
    """How many slots will never be run because they are too late, up to a thousand of them."""
    decided_until: datetime | None = None
    """The new moment up to which all is decided; None when nothing was."""
    next_times: tuple[datetime, ...] = ()
    """When the next runs will be started, at most five."""
    finished: bool = False
    """Whether no run will ever follow after these."""

    @property
    def again_at(self) -> datetime | None:
        """When to look again."""
        return self.next_times[0] if self.next_times else None


def jitter(uid: str, seconds: int) -> timedelta:
    """The delay of a schedule: always the same for it, and others spread evenly over 0 to `seconds`."""
    digest = hashlib.sha256(f"jitter/{uid}".encode()).digest()
    return timedelta(seconds=int.from_bytes(digest[:8]) % (seconds + 1))


def due(terms: Terms, progress: Progress, now: datetime) -> Decision:
    """What is to be run now, what was missed, and what comes next."""
    if terms.suspended:
        if terms.end_at is None or terms.end_at > now:
            return Decision()
        # Going on would make up for nothing, and the end has come: nothing can follow.
        return Decision(decided_until=max(progress.decided_until, terms.end_at), finished=True)
    since = progress.decided_until
    if terms.start_at is not None:
        since = max(since, terms.start_at - _JUST_BEFORE)
    left = None if terms.max_iterations is None else max(0, terms.max_iterations - progress.iteration)
    if left == 0:
        return Decision(finished=True)
    # They count, also those of other slots, and those that the clock was set back behind.
    untold = frozenset(slot for slot in progress.made if slot > progress.decided_until)
    if left is not None:
        left = max(0, left - len(untold))
    run, missed, decided = _arrived(terms, untold, since, now, left)
    if left is not None:
        left -= len(set(run) - untold)
    since = max(since, decided or since, now - terms.delay, *untold)
    coming = tuple(islice(_coming(terms, since), SHOWN if left is None else min(SHOWN, left)))
    return Decision(run, missed, decided, coming, finished=not coming)


def _arrived(
    terms: Terms, untold: frozenset[datetime], since: datetime, now: datetime, left: int | None
) -> tuple[tuple[datetime, ...], int, datetime | None]:
    """The slots to run, how many are missed, and the last of all that have come."""
    until = now - terms.delay
    if terms.end_at is not None:
        until = min(until, terms.end_at - terms.delay)
    if until <= since:
        return (), 0, None
    come: Sequence[datetime] = between(terms.slots, since, until, MAX_COUNTED)
    if not come:
        return (), 0, None
    counted = [slot for slot in come if slot not in terms.skipped]
    if len(come) == MAX_COUNTED:
        come = latest(terms.slots, since, until, max(terms.max_missed, len(untold), 1))
    wanted = [slot for slot in come if slot not in terms.skipped]
    there = [slot for slot in wanted if slot in untold]
    # Runs are made in order: what lies before one that is there was left out when that one was made.
    open_ = [slot for slot in wanted if slot > max(untold, default=since)]
    run = [*there, *_startable(terms, open_, now)[:left]]
    return tuple(run), max(0, len(counted) - len(run)), come[-1]


def _startable(terms: Terms, come: Sequence[datetime], now: datetime) -> Sequence[datetime]:
    """Those of the slots that the terms let start as late as it is."""
    patience = terms.deadline
    if terms.missed_runs is MissedRunPolicy.SKIP:
        patience = ON_TIME if patience is None else min(patience, ON_TIME)
    if terms.end_at is not None and now > terms.end_at + ON_TIME:
        return ()
    if patience is not None:
        come = [slot for slot in come if slot + terms.delay + patience >= now]
    return come[-terms.max_missed :] if terms.missed_runs is MissedRunPolicy.ALL else come[-1:]


def _coming(terms: Terms, since: datetime) -> Iterator[datetime]:
    """When runs will be started."""
    for slot in terms.slots.after(since):
        moment = slot + terms.delay
        if terms.end_at is not None and moment > terms.end_at:
            return
        if slot not in terms.skipped:
            yield moment
