"""Searches and orders of jobs, in whatever language a dialect has for them.

A search looks at the jobs one by one, each only as far as the query asks, and lets other requests in between. A query
that names ids looks at those only. What was found is kept until anything changes that a job is made of.
"""

import heapq
import operator
import time
from array import array
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from rollcall.query.ast import And, Constant, Has, Not, Or, Path, Query
from rollcall.query.ast import parts as parts_of
from rollcall.query.cost import CostError, check_scan
from rollcall.query.evaluate import Steps
from rollcall.query.predicates import Equals
from rollcall_api.access import Reach
from rollcall_api.bounded import WeightedCache
from rollcall_api.jobs import Jobs
from rollcall_api.pace import Pace
from rollcall_api.problems import BadSearch
from rollcall_api.records import Job
from rollcall_api.visibility import Searcher

Matches = Callable[[Job], bool]
Values = Callable[[Job], Iterable[Any]]

_KEPT_BYTES: Final = 8 * 1024 * 1024
_SORTED_AT_ONCE: Final = 2_000
_MOST_TESTS_OF_HOSTS: Final = 16
"""A job may have ten thousand hosts, and each test looks at all of them."""


@dataclass(frozen=True, slots=True)
class Order:
    """How jobs are sorted; `path` None stands for the id."""

    path: Path | None
    descending: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Searched:
    """What a dialect lets people search: what there is of a job at each path, and which of the paths are special."""

    parse: Callable[[str], Query]
    """Reads a search, and raises what the dialect answers to one that it does not understand."""
    values: Mapping[Path, Callable[[Jobs, Job], Iterable[Any]]]
    id: Path
    """Where the id of the job is."""
    uid: Path | None = None
    """Where the uid of the job is."""
    series: Path | None = None
    """Where the id of the job's Schedule is."""
    user: Path | None = None
    """Where the name of who asked for the job is."""
    searcher: str | None = None
    """The word that stands there for the name of whoever searches."""
    of_hosts: frozenset[Path] = frozenset()
    """Who may not see hosts finds nothing by these."""
    of_time: frozenset[Path] = frozenset()
    """What is found by these changes as time goes by."""


class JobSearch:
    """Finds jobs."""

    def __init__(self, jobs: Jobs, pace: Pace, searched: Searched) -> None:
        self._jobs = jobs
        self._pace = pace
        self._searched = searched
        self._found: WeightedCache[tuple[Any, ...], tuple[Any, float, Sequence[int]]] = WeightedCache(_KEPT_BYTES)

    async def find(self, text: str, order: Order, searcher: Searcher) -> Sequence[int]:
        """The ids of the jobs that a search selects, in their order. Raises BadSearch."""
        if order.path is None and not text.strip():
            ids = self.every(searcher)
            return Backwards(ids) if order.descending else ids
        key, stamp = (text, order, searcher), self.stamp
        kept = self._found.get(key)
        if kept is not None and kept[0] == stamp and time.monotonic() < kept[1]:
            return kept[2]
        query = self._searched.parse(text)
        self._check(query)
        found = array("q", await self._pace.run(self._finding(query, order, searcher)))
        lasts = time.monotonic() + (1.0 if self._asks_for_time(query) else 60.0)
        self._found.put(key, (stamp, lasts, found), len(found) * 8 + len(text) + 500)
        return found

    def every(self, searcher: Searcher) -> Sequence[int]:
        """The ids of all jobs that they may see, ascending."""
        table = self._jobs.cache.jobs
        match searcher.reach:
            case Reach.ALL:
                return table.ids
            case Reach.OWN:
                return table.ids_of(searcher.username)
            case Reach.NONE:
                return ()

    @property
    def stamp(self) -> tuple[int, ...]:
        """Changes whenever anything changes that any job is made of."""
        cache = self._jobs.cache
        tables = (cache.jobs, cache.slices, cache.schedules)
        return *(table.changes for table in tables), cache.hosts.generation, cache.templates.generation

    def _finding(self, query: Query, order: Order, searcher: Searcher) -> Steps[Sequence[int]]:
        """The work of looking at each job that can match, and of sorting what does."""
        cache = self._jobs.cache
        candidates = self._candidates(query)
        ids = list(self.every(searcher)) if candidates is None else sorted(candidates)
        matches, found = self._matches(query, searcher), []
        for id_ in ids:
            job = cache.jobs.numbered(id_)
            if job is not None and searcher.sees(job) and matches(job):
                found.append(id_)
            yield
        if order.path is not None:
            return (yield from self._sorted(found, order, searcher))
        return found[::-1] if order.descending else found

    def _sorted(self, ids: Sequence[int], order: Order, searcher: Searcher) -> Steps[Sequence[int]]:
        """Absent values stand last when descending, else first."""
        assert order.path is not None, "ids are sorted already"
        values, table = self._values(order.path, searcher), self._jobs.cache.jobs
        keyed: list[tuple[bool, Any, int]] = []
        for id_ in ids:
            job = table.numbered(id_)
            if job is not None:
                value = min(values(job), default=None)
                keyed.append((value is not None, value, id_))
            yield
        runs: list[list[tuple[bool, Any, int]]] = []
        by_value = operator.itemgetter(0, 1)
        for start in range(0, len(keyed), _SORTED_AT_ONCE):
            run = keyed[start : start + _SORTED_AT_ONCE]
            runs.append(sorted(run, key=by_value, reverse=order.descending))
            yield
        found: list[int] = []
        for entry in heapq.merge(*runs, key=by_value, reverse=order.descending):
            found.append(entry[2])
            yield
        return found

    def _candidates(self, query: Query) -> set[int] | None:
        """The ids of the jobs that can match at all, where the query names them; else None."""
        cache = self._jobs.cache
        match query:
            case Constant(False):
                return set()
            case Has(path, Equals(values)) if path == self._searched.id:
                return {value for value in values if type(value) is int and cache.jobs.numbered(value)}
            case Has(path, Equals(values)) if path == self._searched.uid:
                named = (cache.jobs.with_uid(value) for value in values if isinstance(value, str))
                return {job.id for job in named if job is not None and job.id is not None}
            case Has(path, Equals(values)) if path == self._searched.series:
                series = (cache.schedules.numbered(value) for value in values if type(value) is int)
                names = [schedule.name for schedule in series if schedule is not None]
                return {job.id for name in names for job in cache.jobs.of_schedule(name) if job.id}
            case And(parts):
                some = [found for part in parts if (found := self._candidates(part)) is not None]
                return set.intersection(*some) if some else None
            case Or(parts):
                every = [self._candidates(part) for part in parts]
                return None if None in every else set().union(*(found for found in every if found))
            case _:
                return None

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
                if path == self._searched.user and isinstance(predicate, Equals):
                    names = (searcher.username if v == self._searched.searcher else v for v in predicate.values)
                    predicate = Equals(tuple(names))
                values, accepts = self._values(path, searcher), predicate.accepts
                return lambda job: any(accepts(value) for value in values(job))
            case _:
                raise BadSearch("The search is not understood")

    def _values(self, path: Path, searcher: Searcher) -> Values:
        """What jobs have at a path of the table of fields."""
        if path in self._searched.of_hosts and not searcher.may_view_hosts:
            return lambda _: ()
        values = self._searched.values[path]
        return lambda job: values(self._jobs, job)

    def _check(self, query: Query) -> None:
        tests = sum(isinstance(part, Has) and part.path in self._searched.of_hosts for part in parts_of(query))
        try:
            check_scan(query)
            if tests > _MOST_TESTS_OF_HOSTS:
                raise CostError(f"it has {tests} conditions on hosts or words, and may have {_MOST_TESTS_OF_HOSTS}")
        except CostError as error:
            raise BadSearch(f"The search asks too much: {error}") from None

    def _asks_for_time(self, query: Query) -> bool:
        return any(isinstance(part, Has) and part.path in self._searched.of_time for part in parts_of(query))


class Backwards(Sequence[int]):
    """A view of ids from the last to the first, of which only a page is ever copied."""

    def __init__(self, ids: Sequence[int]) -> None:
        self._ids = ids

    def __len__(self) -> int:
        return len(self._ids)

    def __getitem__(self, place: Any) -> Any:
        """An id by its place, or the ids of a slice that steps by one."""
        count = len(self._ids)
        if isinstance(place, slice):
            first, last, _ = place.indices(count)
            return self._ids[max(count - last, 0) : count - first][::-1] if last > first else []
        return self._ids[~place]
