"""The facade's picture of one namespace, kept up to date by list and watch.

Six kinds are held: JobInvocations, JobSlices, Hosts, JobTemplates, Inventories and Schedules. Each table is first
listed, then watched from the list's resource version; bookmarks keep that version fresh, so that a broken watch resumes
where it was, and only a version that the API server has forgotten (410) leads to a new list. What this process writes
itself goes into the table at once; older news about the same object is then ignored by its version.
"""

import asyncio
import bisect
import itertools
import logging
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, Generic, TypeVar

from prometheus_client.metrics_core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from rollcall.names import Kind
from rollcall.query.hostrows import HostRow
from rollcall.query.index import Index
from rollcall_api import parsing
from rollcall_api.cluster import Cluster, custom
from rollcall_api.feed import Feed, report_end
from rollcall_api.problems import Unavailable
from rollcall_api.records import Host, Inventory, Job, Record, Schedule, Slice, Template

logger = logging.getLogger(__name__)

R = TypeVar("R", bound=Record)


class Table(Generic[R]):
    """The records of one kind, by name and by id.

    Two objects with the same id label cannot come from us: the first one seen keeps the id.
    """

    def __init__(self, parse: Callable[[Mapping[str, Any]], R]) -> None:
        self._parse = parse
        self._by_name: dict[str, R] = {}
        self._by_id: dict[int, R] = {}
        self._ids: list[int] = []
        self.seen = 0
        """The newest resource version that a list or watch has told of."""
        self.generation = 0
        """Grows whenever a record comes, goes or changes its id."""
        self.changes = 0
        """Grows with every change of a record."""
        self.listeners: list[Callable[[R], None]] = []
        """Each is called with a record that came or changed, or with what it was when it went."""

    def __len__(self) -> int:
        return len(self._by_name)

    def __iter__(self) -> Iterator[R]:
        return iter(self._by_name.values())

    def __contains__(self, name: str) -> bool:
        return name in self._by_name

    @property
    def ids(self) -> Sequence[int]:
        """All ids, ascending."""
        return self._ids

    def named(self, name: str) -> R | None:
        """The record of that name."""
        return self._by_name.get(name)

    def numbered(self, id_: int) -> R | None:
        """The record with that id."""
        return self._by_id.get(id_)

    def put(self, raw: Mapping[str, Any]) -> R | None:
        """Takes in an object unless a newer version is here; returns its record, None when it is unreadable."""
        try:
            record = self._parse(raw)
        except ValueError as error:
            name = (raw.get("metadata") or {}).get("name", "")
            logger.warning("ignoring %s %s: %s", raw.get("kind", "object"), name, error)
            self.drop(name, self.seen)
            return None
        old = self._by_name.get(record.name)
        if old is not None and old.version >= record.version:
            return old
        self._forget_id(old)
        self._by_name[record.name] = record
        self._note_id(record)
        self._changed(old, record)
        return record

    def put_written(self, raw: Mapping[str, Any]) -> None:
        """Takes in the answer to a write of ours, unless the watch has told what became of the object since."""
        if int(raw["metadata"]["resourceVersion"]) > self.seen:
            self.put(raw)

    def drop(self, name: str, version: int) -> None:
        """Forgets the object of that name, deleted at that version, unless a newer one has the name by now."""
        old = self._by_name.get(name)
        if old is not None and old.version <= version:
            del self._by_name[name]
            self._forget_id(old)
            self._changed(old, None)

    def retain(self, names: Iterable[str], version: int) -> None:
        """Forgets what a list at that version does not hold, but for what was written after it."""
        kept = set(names)
        for record in list(self._by_name.values()):
            if record.name not in kept:
                self.drop(record.name, version)

    def _note_id(self, record: R) -> None:
        if record.id is not None and record.id not in self._by_id:
            self._by_id[record.id] = record
            bisect.insort(self._ids, record.id)

    def _forget_id(self, old: R | None) -> None:
        if old is None or old.id is None or self._by_id.get(old.id) is not old:
            return
        del self._by_id[old.id]
        del self._ids[bisect.bisect_left(self._ids, old.id)]

    def _changed(self, old: R | None, new: R | None) -> None:
        self.changes += 1
        if old is None or new is None or old.id != new.id:
            self.generation += 1
        record = new or old
        if record is not None:
            for listener in self.listeners:
                listener(record)


class Templates(Table[Template]):
    """The JobTemplates; every change of one counts, because rendered jobs show its texts."""

    def _changed(self, old: Template | None, new: Template | None) -> None:  # noqa: ARG002
        self.changes += 1
        self.generation += 1

    def titled(self, title: str) -> Template | None:
        """A template of that title."""
        return next((template for template in self if template.resource.title == title), None)

    def for_feature(self, label: str) -> Template | None:
        """The template that serves a feature; the one with the first name when there are several."""
        serving = [t for t in self if label in t.resource.spec.features and t.id is not None]
        return min(serving, key=lambda t: t.name, default=None)


class Hosts(Table[Host]):
    """The Hosts, with an index of what queries can ask of them."""

    def __init__(self, parse: Callable[[Mapping[str, Any]], Host]) -> None:
        super().__init__(parse)
        self.index = Index()

    def _changed(self, old: Host | None, new: Host | None) -> None:
        super()._changed(old, new)
        if new is not None:
            self.index.put(new.name, HostRow(new.resource))
        elif old is not None:
            self.index.remove(old.name)


class JobTable(Table[Job]):
    """The JobInvocations, also by uid, by who asked for them, and by the Schedule that they belong to."""

    def __init__(self, parse: Callable[[Mapping[str, Any]], Job]) -> None:
        super().__init__(parse)
        self._by_uid: dict[str, Job] = {}
        self._ids_by_user: dict[str, list[int]] = {}
        self._by_schedule: dict[str, dict[str, Job]] = {}

    def with_uid(self, uid: str) -> Job | None:
        """The job with that uid."""
        return self._by_uid.get(uid)

    def ids_of(self, username: str) -> Sequence[int]:
        """The ids of the jobs that a user asked for, ascending."""
        return self._ids_by_user.get(username, ())

    def of_schedule(self, name: str) -> Iterable[Job]:
        """The jobs of a Schedule."""
        return self._by_schedule.get(name, {}).values()

    def _note_id(self, record: Job) -> None:
        super()._note_id(record)
        if record.id is not None and self.numbered(record.id) is record:
            bisect.insort(self._ids_by_user.setdefault(record.requested_by, []), record.id)

    def _forget_id(self, old: Job | None) -> None:
        if old is not None and old.id is not None and self.numbered(old.id) is old:
            ids = self._ids_by_user[old.requested_by]
            del ids[bisect.bisect_left(ids, old.id)]
            if not ids:
                del self._ids_by_user[old.requested_by]
        super()._forget_id(old)

    def _changed(self, old: Job | None, new: Job | None) -> None:
        super()._changed(old, new)
        if old is not None:
            self._by_uid.pop(old.uid, None)
        if new is not None:
            self._by_uid[new.uid] = new
        if old is not None and old.schedule is not None:
            self._by_schedule[old.schedule].pop(old.name, None)
            if not self._by_schedule[old.schedule]:
                del self._by_schedule[old.schedule]
        if new is not None and new.schedule is not None:
            self._by_schedule.setdefault(new.schedule, {})[new.name] = new


class Slices(Table[Slice]):
    """The JobSlices, by invocation."""

    def __init__(self, parse: Callable[[Mapping[str, Any]], Slice]) -> None:
        super().__init__(parse)
        self._by_invocation: dict[str, dict[str, Slice]] = {}
        self._revisions: dict[str, int] = {}
        self._changes = itertools.count(1)

    def of(self, job: Job) -> list[Slice]:
        """The invocation's slices in the order of their attempt, then of their index."""
        found = self._by_invocation.get(job.name)
        if not found:
            return []
        mine = (whole for whole in found.values() if whole.invocation_uid in ("", job.uid))
        slices = (slice_ for whole in mine for slice_ in whole.parts or (whole,))
        return sorted(slices, key=lambda slice_: (slice_.attempt, slice_.index))

    def revision(self, job: Job) -> int:
        """A number that changes with every change of the invocation's slices."""
        return self._revisions.get(job.name, 0)

    def _changed(self, old: Slice | None, new: Slice | None) -> None:
        self.changes += 1
        for record in (old, new):
            if record is not None:
                self._revisions[record.invocation] = next(self._changes)
        if old is not None:
            self._by_invocation[old.invocation].pop(old.name, None)
        if new is not None:
            self._by_invocation.setdefault(new.invocation, {})[new.name] = new
        elif old is not None and not self._by_invocation[old.invocation]:
            del self._by_invocation[old.invocation], self._revisions[old.invocation]


class Cache(Collector):
    """The tables, and the tasks that keep them."""

    def __init__(self, cluster: Cluster, namespace: str) -> None:
        self._cluster = cluster
        self._namespace = namespace
        self.jobs = JobTable(parsing.parse_job)
        self.slices = Slices(parsing.parse_slice)
        self.hosts = Hosts(parsing.parse_host)
        self.templates = Templates(parsing.parse_template)
        self.inventories: Table[Inventory] = Table(parsing.parse_inventory)
        self.schedules: Table[Schedule] = Table(parsing.parse_schedule)
        self._feeds = [
            Feed(cluster, custom(kind, namespace), table)
            for kind, table in (
                (Kind.JOB_TEMPLATE, self.templates),
                (Kind.HOST, self.hosts),
                (Kind.INVENTORY, self.inventories),
                (Kind.SCHEDULE, self.schedules),
                (Kind.JOB_SLICE, self.slices),
                (Kind.JOB_INVOCATION, self.jobs),
            )
        ]
        self._synced = False
        self._tasks: list[asyncio.Task[None]] = []

    def start(self) -> None:
        """Begins to list and watch."""
        self._tasks = [asyncio.create_task(feed.run()) for feed in self._feeds]
        for task in self._tasks:
            task.add_done_callback(report_end)

    async def stop(self) -> None:
        """Ends all watches."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    @property
    def synced(self) -> bool:
        """Whether every table has been listed once."""
        self._synced = self._synced or all(feed.synced for feed in self._feeds)
        return self._synced

    @property
    def alive(self) -> bool:
        """Whether everything that keeps the tables goes on; also while the API server is away."""
        return not any(task.done() for task in self._tasks)

    @property
    def age(self) -> float:
        """For how many seconds what has changed in the cluster may be missing here; 0 while all watches work."""
        now = time.monotonic()
        return max([feed.age(now) for feed in self._feeds])  # for every answer: a generator takes twice as long

    def collect(self) -> Iterator[Metric]:
        """How much is in the tables and how fresh it is, for Prometheus."""
        objects = GaugeMetricFamily("rollcall_cache_objects", "Objects in the cache.", labels=("resource",))
        age = GaugeMetricFamily(
            "rollcall_watch_age_seconds",
            "How long ago the watch of a resource was seen to work, by an event, a bookmark or a list.",
            labels=("resource",),
        )
        now = time.monotonic()
        for feed in self._feeds:
            objects.add_metric((feed.resource,), feed.objects)
            age.add_metric((feed.resource,), now - feed.last_sign)
        yield objects
        yield age

    def require_sync(self) -> None:
        """Raises Unavailable until every table has been listed once: half a picture is a wrong answer."""
        if not self.synced:
            raise Unavailable("the server is starting and has not read its objects yet")
