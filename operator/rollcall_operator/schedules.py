"""Schedules: one timetable of when to look at which, one task that waits for its head, and a few that look.

No schedule has a task or a timer of its own, and none is looked at before its time, unless it or one of its invocations
changes. When many are due at once, the runs of all are made first, and what is to be said of them is written later.
The wait is cut into short pieces, because a clock that is set forward wakes nobody.
"""

import asyncio
import contextlib
import logging
from collections import defaultdict
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Final

from rollcall.names import ANNOTATION_PLANNED, Kind
from rollcall.resources.jobinvocation import JobInvocation
from rollcall_operator.cluster import Cluster, ClusterError, Document
from rollcall_operator.lineup import Lineup, Rank
from rollcall_operator.schedule_book import ScheduleBook, may_be_untold, settled_until
from rollcall_operator.schedule_ids import RunIds
from rollcall_operator.schedule_runs import ScheduleRuns
from rollcall_operator.store import Key, Store
from rollcall_operator.timetable import Timetable

logger = logging.getLogger(__name__)

WORKERS: Final = 28
"""How many schedules are looked at, at once; each waits for the API server most of the time. The other requests that
may be under way at once are left to whatever else happens while many runs are made."""
LONGEST_WAIT_SECONDS: Final = 5.0
_TOLD_SECONDS: Final = 0.2
"""How often a run that is going looks whether it may."""
RETRY_SECONDS: Final = (0.2, 0.5, 1, 2, 5)
"""How long to wait after the first, second, ... failure in a row."""


def _clock() -> datetime:
    return datetime.now(UTC)


class Schedules:
    """Looks at each schedule when something is to be done for it."""

    def __init__(
        self,
        cluster: Cluster,
        store: Store,
        identity: str,
        take_ids: Callable[[int], Awaitable[range]],
        clock: Callable[[], datetime] = _clock,
        longest_wait_seconds: float = LONGEST_WAIT_SECONDS,
    ) -> None:
        """`take_ids` takes so many from the sequence of JobInvocations. Raises ClusterError."""
        self._store = store
        self._clock = clock
        self._longest_wait_seconds = longest_wait_seconds
        self._book = ScheduleBook(self._look_now)
        self._lineup = Lineup()
        ids = RunIds(take_ids, lambda: self._lineup.due)
        self._runs = ScheduleRuns(cluster, store, self._book, identity, ids, self._know, clock)
        self._timetable = Timetable()
        """When each is to be looked at."""
        self._moved = asyncio.Event()
        self._failures: dict[Key, int] = {}
        self._children: defaultdict[str, dict[Key, bool]] = defaultdict(dict)
        """The invocations of each schedule, by its uid, and whether they have finished."""
        self._owners: dict[Key, str] = {}
        """The uid of the schedule of each invocation."""

    def take_list(self, _plural: str, namespace: str | None, documents: Iterable[Document], version: str) -> None:
        """Take in all schedules as of a resource version, and forget those that are gone."""
        listed: set[Key] = set()
        for document in documents:
            listed.add((document["metadata"]["namespace"], document["metadata"]["name"]))
            if self._book.put(document):
                self._settle(document)
        for key in self._book.vanished(namespace, listed, int(version)):
            self._lose(key, int(version))

    def _lose(self, key: Key, as_of: int = 0) -> None:
        """Forget a schedule that is gone, though nothing told of that."""
        for uid in self._book.uid(key):
            self._runs.forget(uid)
        self._book.forget(key, as_of)
        self._timetable.put(key, None)

    def _remember(self, document: Document) -> None:
        """Take in which invocations the status of a schedule that is looked at soon does not tell of: some may be
        going at this moment."""
        uid = document["metadata"]["uid"]
        for key in self._children.get(uid, ()):
            invocation = self._store.invocations.get(key)
            if invocation is None or invocation.waits_for_schedule:
                continue
            if may_be_untold(document, invocation.metadata.annotations.get(ANNOTATION_PLANNED, "")):
                self._runs.remember(uid, invocation)

    async def until_told(self, key: Key, exiting: Callable[[], bool]) -> None:
        """Wait until the status of an invocation's schedule tells of it: what goes before that would be made again."""
        while (uid := self._owners.get(key)) is not None and not exiting():
            if self._book.of_uid(uid) is None or not self._runs.untold(uid, key[1]):
                return
            await asyncio.sleep(_TOLD_SECONDS)

    def _settle(self, document: Document) -> None:
        metadata = document["metadata"]
        key = (metadata["namespace"], metadata["name"])
        until = settled_until(document, self._invocations(key))
        if until is not None and until > self._clock():
            self._look_at(key, until)
        else:
            self._remember(document)
            self._lineup.add(key, Rank.DUE if until else Rank.SETTLE)

    def take_event(self, _plural: str, event: Document) -> None:
        """Take in a watch event about a schedule."""
        if event["type"] == "BOOKMARK":
            return
        document = event["object"]
        key = (document["metadata"]["namespace"], document["metadata"]["name"])
        if event["type"] != "DELETED":
            if self._book.put(document):
                self._look_now(key)
        elif self._book.drop(document):
            self._timetable.put(key, None)
            self._runs.forget(document["metadata"]["uid"])

    async def compare(self, list_versions: Callable[[], Awaitable[Mapping[Key, int]]], settle_seconds: float) -> bool:
        """Compare with full lists, as resource versions; False when the watch does not tell what happens.

        Heals deletions that it has lost. Raises ClusterError.
        """
        listed = await list_versions()
        gone, untold = self._book.vanished(None, listed), self._book.untold(listed)
        if not gone and not untold:
            return True
        await asyncio.sleep(settle_seconds)
        listed = await list_versions()
        for key in gone & self._book.vanished(None, listed):
            self._lose(key)
        return not any(key in listed for key in self._book.untold(untold))

    def restore(self) -> None:
        """Learn which invocations there are, before any schedule is looked at."""
        for key in self._store.invocations:
            self.notice(key)

    def notice(self, key: Key) -> None:
        """Take in an invocation as the store has it now; its schedule is looked at if that matters to it."""
        for uid in self._know(key):
            schedule = self._book.of_uid(uid)
            if schedule is not None:
                self._look_now(schedule)

    def _know(self, key: Key) -> Sequence[str]:
        """Take in an invocation as the store has it now; the uids of the schedules to which that is news."""
        invocation, before = self._store.invocations.get(key), self._owners.get(key)
        now = _owner(invocation) if invocation is not None else None
        news = []
        if before is not None and before != now:
            del self._owners[key]
            del self._children[before][key]
            if not self._children[before]:
                del self._children[before]
            news.append(before)
        if invocation is not None and now is not None and self._children[now].get(key) is not invocation.finished:
            self._owners[key] = now
            self._children[now][key] = invocation.finished
            news.append(now)
        return news

    def _look_now(self, key: Key) -> None:
        self._lineup.add(key, Rank.SETTLE)

    def _look_at(self, key: Key, moment: datetime | None) -> None:
        """Look at a schedule again at a moment; None: when something happens to it."""
        if self._timetable.put(key, moment):
            self._moved.set()

    async def run(self) -> None:
        """Make the runs of all schedules, for ever."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self._wait_for_times())
            for _ in range(WORKERS):
                group.create_task(self._work())

    async def _wait_for_times(self) -> None:
        while True:
            self._moved.clear()
            now = self._clock()
            for key in self._timetable.take_due(now):
                self._lineup.add(key, Rank.DUE)
            first = self._timetable.first
            patience = None if first is None else min((first - now).total_seconds(), self._longest_wait_seconds)
            # `asyncio.wait_for` of Python 3.11 can lose a cancellation, and who has lost the Lease would never end.
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(patience):
                    await self._moved.wait()

    async def _work(self) -> None:
        while True:
            key, rank = await self._lineup.next()
            try:
                if rank is Rank.DUE:
                    self._look_now(key)
                    await self._make(key)
                else:
                    await self._look(key)
            finally:
                self._lineup.done(key)

    async def _make(self, key: Key) -> None:
        """Make the runs of a schedule that are due."""
        try:
            await self._runs.make(key, self._invocations(key))
        except Exception as error:  # the look that follows meets the same, and says what is to be said
            logger.debug("schedule %s/%s, no run yet: %r", *key, error)

    def _invocations(self, key: Key) -> Sequence[JobInvocation]:
        """The invocations of a schedule."""
        return [
            found
            for uid in self._book.uid(key)
            for child in self._children.get(uid, ())
            if (found := self._store.invocations.get(child)) is not None
        ]

    async def _look(self, key: Key) -> None:
        """Do what there is to do for a schedule, and remember when to look again."""
        try:
            again_at = await self._look_or_give_up(key)
        except ClusterError as error:
            failures = self._failures[key] = self._failures.get(key, 0) + 1
            delay = RETRY_SECONDS[min(failures, len(RETRY_SECONDS)) - 1]
            logger.warning("schedule %s/%s, trying again: %s", *key, error)
            self._look_at(key, self._clock() + timedelta(seconds=delay))
            return
        self._failures.pop(key, None)
        self._look_at(key, again_at)

    async def _look_or_give_up(self, key: Key) -> datetime | None:
        try:
            return await self._runs.look(key, self._invocations(key))
        except ClusterError:
            raise
        except Exception as error:
            # One schedule that nobody has thought of must not stop all others, also after every new start.
            logger.exception("schedule %s/%s is left alone until it changes", *key)
            await self._runs.give_up(key, error)
            return None


def _owner(invocation: JobInvocation) -> str | None:
    """The uid of the schedule that made an invocation."""
    owners = invocation.metadata.owner_references
    return next((owner.uid for owner in owners if owner.kind == Kind.SCHEDULE), None)
