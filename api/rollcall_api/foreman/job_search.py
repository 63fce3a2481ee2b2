"""Searches and orders of jobs (contract §6.4, §6.6).

A search looks at the jobs one by one, each only as far as the query asks, and lets other requests in between. A query
that names ids looks at those only. What was found is kept until anything changes that a job is made of.
"""

import asyncio
import time
from collections import OrderedDict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from rollcall.query.ast import EACH, And, Constant, Has, Not, Or, Path, Query
from rollcall.query.ast import parts as parts_of
from rollcall.query.foreman import JOBS
from rollcall.query.predicates import Equals
from rollcall_api.foreman import echo
from rollcall_api.foreman.errors import e4
from rollcall_api.foreman.search import read
from rollcall_api.foreman.status import status_label
from rollcall_api.jobs import Jobs
from rollcall_api.records import Job

Matches = Callable[[Job], bool]
Values = Callable[[Job], Iterable[Any]]

CHUNK: Final = 200
"""How many jobs are looked at before others have their turn."""
_KEPT: Final = 64
_TIMES: Final = frozenset({("started",), ("startAt",), ("ended",)})
_CURRENT_USER: Final = "current_user"
_IDS: Final[Path] = ("id",)
_SERIES: Final[Path] = ("schedule", "id")


@dataclass(frozen=True, slots=True)
class Searcher:
    """Who searches, and whether they may see hosts."""

    username: str
    may_view_hosts: bool


@dataclass(frozen=True, slots=True)
class Order:
    """How a list is sorted; `path` None stands for the id."""

    path: Path | None
    descending: bool
    by: str | None = None
    direction: str | None = None


DEFAULT_ORDER: Final = Order(None, True)


def job_order(text: str) -> Order:
    """The order of jobs that a parameter asks for. Raises E4 for an unknown field."""
    by, *rest = text.split() or [""]
    if not by:
        return DEFAULT_ORDER
    field = JOBS.fields.get(by)
    if field is None:
        raise e4(f"the field '{by}' in the order statement is not valid field for search")
    direction = rest[0] if rest else "ASC"
    path = None if field.path == _IDS else field.path
    return Order(path, direction.lower() == "desc", by, direction)


class JobSearch:
    """Finds jobs."""

    def __init__(self, jobs: Jobs) -> None:
        self._jobs = jobs
        self._found: OrderedDict[tuple[str, Searcher], tuple[Any, float, Sequence[int]]] = OrderedDict()

    async def find(self, text: str, searcher: Searcher) -> Sequence[int]:
        """The ids of the jobs that a search selects, ascending. Raises E4."""
        key, stamp = (text, searcher), self._stamp()
        kept = self._found.get(key)
        if kept is not None and kept[0] == stamp and time.monotonic() < kept[1]:
            return kept[2]
        query = read(text, JOBS)
        matches = self._matches(query, searcher)
        found = await self._scan(self._candidates(query), matches)
        lasts = time.monotonic() + (1.0 if _asks_for_time(query) else 60.0)
        self._found[key] = stamp, lasts, found
        self._found.move_to_end(key)
        if len(self._found) > _KEPT:
            self._found.popitem(last=False)
        return found

    async def sort(self, ids: Sequence[int], order: Order, searcher: Searcher) -> Sequence[int]:
        """The ids of jobs in an order. Absent values stand last when descending, else first (§6.6)."""
        if order.path is None:
            return ids[::-1] if order.descending else ids
        values, table = self._values(order.path, searcher), self._jobs.cache.jobs
        keyed: list[tuple[tuple[bool, Any], int]] = []
        for place, id_ in enumerate(ids):
            job = table.numbered(id_)
            if job is not None:
                value = min(values(job), default=None)
                keyed.append(((value is not None, value), id_))
            if place % CHUNK == CHUNK - 1:
                await asyncio.sleep(0)
        keyed.sort(key=lambda entry: entry[0], reverse=order.descending)
        return [id_ for _, id_ in keyed]

    def _stamp(self) -> tuple[int, ...]:
        cache = self._jobs.cache
        tables = (cache.jobs, cache.slices, cache.schedules)
        return *(table.changes for table in tables), cache.hosts.generation, cache.templates.generation

    def _candidates(self, query: Query) -> list[int]:
        """The ids of the jobs that can match at all, ascending."""
        cache = self._jobs.cache
        for part in query.parts if isinstance(query, And) else (query,):
            match part:
                case Has(path, Equals(values)) if path == _IDS:
                    return sorted({value for value in values if type(value) is int and cache.jobs.numbered(value)})
                case Has(path, Equals(values)) if path == _SERIES:
                    names = [schedule.name for schedule in cache.schedules if schedule.id in values]
                    return sorted(job.id for name in names for job in cache.jobs.of_schedule(name) if job.id)
                case _:
                    continue
        return list(cache.jobs.ids)

    async def _scan(self, ids: Sequence[int], matches: Matches) -> Sequence[int]:
        table, found = self._jobs.cache.jobs, []
        for start in range(0, len(ids), CHUNK):
            if start:
                await asyncio.sleep(0)
            for id_ in ids[start : start + CHUNK]:
                job = table.numbered(id_)
                if job is not None and matches(job):
                    found.append(id_)
        return found

    def _matches(self, query: Query, searcher: Searcher) -> Matches:
        match query:
            case Constant(value):
                return lambda _: value
            case Not(part):
                inner = self._matches(part, searcher)
                return lambda job: not inner(job)
            case And(parts):
                every = [self._matches(part, searcher) for part in parts]
                return lambda job: all(matches(job) for matches in every)
            case Or(parts):
                some = [self._matches(part, searcher) for part in parts]
                return lambda job: any(matches(job) for matches in some)
            case Has(path, predicate):
                if path == ("user",) and isinstance(predicate, Equals):
                    names = (searcher.username if v == _CURRENT_USER else v for v in predicate.values)
                    predicate = Equals(tuple(names))
                values, accepts = self._values(path, searcher), predicate.accepts
                return lambda job: any(accepts(value) for value in values(job))
            case _:
                raise e4("The search is not understood")

    def _values(self, path: Path, searcher: Searcher) -> Values:
        """What jobs have at a path of the table of fields."""
        if path in _OF_HOSTS and not searcher.may_view_hosts:
            return lambda _: ()
        values = _VALUES[path]
        return lambda job: values(self._jobs, job)


def _present(value: Any) -> Iterable[Any]:
    return () if value is None else (value,)


def _statuses(job: Job) -> Iterable[str]:
    """The words that a job's status answers to: what is queued is not stopped, and so runs (§6.4)."""
    label = status_label(job)
    return ("queued", "running") if label == "queued" else (label,)


def _host_ids(jobs: Jobs, job: Job) -> Iterable[int]:
    hosts = jobs.cache.hosts
    return (host.id for name in jobs.host_names(job) if (host := hosts.named(name)) and host.id is not None)


def _purpose(jobs: Jobs, job: Job) -> Iterable[str]:
    schedule = jobs.cache.schedules.named(job.schedule) if job.schedule else None
    return _present(schedule.resource.spec.purpose) if schedule else ()


def _asks_for_time(query: Query) -> bool:
    return any(isinstance(part, Has) and part.path in _TIMES for part in parts_of(query))


def _category(jobs: Jobs, job: Job) -> Iterable[str]:
    return (echo.category(job, jobs.cache.templates.named(job.template)),)


def _template(jobs: Jobs, job: Job) -> Iterable[str]:
    template = jobs.cache.templates.named(job.template)
    return (job.template if template is None else template.resource.title,)


def _series(jobs: Jobs, job: Job) -> Iterable[int]:
    schedule = jobs.cache.schedules.named(job.schedule) if job.schedule else None
    return _present(schedule.id) if schedule else ()


_HOSTS: Final[Path] = ("hosts", EACH)
_HOST_IDS: Final[Path] = ("hostIds", EACH)
_OF_HOSTS: Final = frozenset({_HOSTS, _HOST_IDS})
_VALUES: Final[Mapping[Path, Callable[[Jobs, Job], Iterable[Any]]]] = {
    _IDS: lambda _, job: (job.id,),
    ("category",): _category,
    ("description",): lambda jobs, job: _present(jobs.description(job)),
    ("user",): lambda _, job: (job.requested_by,),
    ("started",): lambda _, job: () if job.scheduled else (job.created.timestamp(),),
    ("startAt",): lambda _, job: ((job.start_at or job.created).timestamp(),),
    ("ended",): lambda _, job: () if job.completed is None else (job.completed.timestamp(),),
    ("template",): _template,
    ("recurring",): lambda _, job: (job.schedule is not None,),
    ("statuses", EACH): lambda _, job: _statuses(job),
    _HOSTS: lambda jobs, job: (name for slice_ in jobs.cache.slices.of(job) for name in slice_.hosts),
    _HOST_IDS: _host_ids,
    _SERIES: _series,
    ("schedule", "purpose"): _purpose,
}
