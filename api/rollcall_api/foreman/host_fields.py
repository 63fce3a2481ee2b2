"""Fields of hosts that only the facade knows: what jobs did on them, and the ids of taxonomies (contract §6.5).

They are looked up when a query is asked, and become tests of what the index of hosts has; so they work where hosts are
chosen at once, and not in a dynamic query, which the operator asks.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, Final

from rollcall.names import HostState
from rollcall.query.ast import EACH, EVERYTHING, NAME, NOTHING, And, Has, Not, Or, Path, Query, either, parts
from rollcall.query.evaluate import Steps
from rollcall.query.fields import Field
from rollcall.query.fields import Kind as Values
from rollcall.query.foreman import HOSTS, Subject
from rollcall.query.hostrows import TARGETS
from rollcall.query.predicates import Equals, Predicate
from rollcall_api.cache import Cache
from rollcall_api.foreman.numbers import number_of
from rollcall_api.foreman.status import has_planned
from rollcall_api.foreman.taxonomies import Taxonomies, Taxonomy
from rollcall_api.host_search import Sees
from rollcall_api.problems import BadSearch
from rollcall_api.records import Job

MOST_LOOKUPS: Final = 4
"""How many conditions of a query may be about what jobs did: each looks at all hosts of all jobs, or of those named."""
_JOB_ID: Final[Path] = ("jobs", EACH, "id")
_JOB_RESULT: Final[Path] = ("jobs", EACH, "result")
_EXECUTION: Final[Path] = ("executionStatus",)
_OF_JOBS: Final = frozenset({_JOB_ID, _JOB_RESULT, _EXECUTION})
_CONSTANT: Final[dict[Path, bool]] = {("managed",): True, ("build",): False}
"""Every host is managed, and none is being installed."""
_ORGANIZATION: Final[Path] = ("organization",)
_LOCATION: Final[Path] = ("location",)
_GROUP_ID: Final[Path] = ("groupId",)
_GROUPS: Final[Path] = ("groups", EACH)
_TAXONOMY_IDS: Final[dict[Path, Path]] = {("organizationId",): _ORGANIZATION, ("locationId",): _LOCATION}
FIELDS: Final = Subject(
    {
        **TARGETS.fields,
        # Hosts have none, and searches may ask.
        "comment": HOSTS.fields["comment"],
        "managed": Field(("managed",), Values.BOOLEAN),
        "build": Field(("build",), Values.BOOLEAN),
        "hostgroup_id": Field(_GROUP_ID, Values.INTEGER),
        "organization_id": Field(("organizationId",), Values.INTEGER),
        "location_id": Field(("locationId",), Values.INTEGER),
        "job_invocation.id": Field(_JOB_ID, Values.INTEGER),
        "job_invocation.result": Field(_JOB_RESULT),
        "execution_status": Field(_EXECUTION),
    },
    TARGETS.prefixes,
)
_RESULTS: Final = {
    HostState.SUCCEEDED: "success",
    HostState.CANCELLED: "cancelled",
    HostState.PENDING: "pending",
    HostState.RUNNING: "pending",
}


def within(organization: Taxonomy | None, location: Taxonomy | None, taxonomies: Taxonomies) -> Query:
    """The hosts of an organization and a location; of all, for None."""
    chosen = ((_ORGANIZATION, organization, taxonomies.organizations), (_LOCATION, location, taxonomies.locations))
    return And(tuple(_belonging(path, one.name.__eq__, all_) for path, one, all_ in chosen if one is not None))


class Lookup:
    """Turns a query about hosts into one that their index can answer."""

    def __init__(self, cache: Cache, taxonomies: Taxonomies, sees: Sees) -> None:
        self._cache = cache
        self._taxonomies = taxonomies
        self._sees = sees

    def translated(self, query: Query) -> Steps[Query]:
        """The query without fields that only the facade knows. Raises BadSearch where too many are about jobs."""
        count = sum(isinstance(part, Has) and part.path in _OF_JOBS for part in parts(query))
        if count > MOST_LOOKUPS:
            raise BadSearch(f"The search asks too much: it has {count} conditions on jobs, and may have {MOST_LOOKUPS}")
        return self._translated(query)

    def _translated(self, query: Query) -> Steps[Query]:
        match query:
            case Not(part):
                return Not((yield from self._translated(part)))
            case Or(several):
                return Or((yield from self._each(several)))
            case And(several):
                of_jobs = [part for part in several if isinstance(part, Has) and part.path in (_JOB_ID, _JOB_RESULT)]
                others = yield from self._each([part for part in several if part not in of_jobs])
                return And((*others, (yield from self._run_in(of_jobs)))) if of_jobs else And(others)
            case Has(path, predicate) if path in _CONSTANT:
                return EVERYTHING if predicate.accepts(_CONSTANT[path]) else NOTHING
            case Has(path, predicate) if path == _GROUP_ID:
                groups = {str(group) for group in self._cache.hosts.index.values(_GROUPS) if group}
                return _having(_GROUPS, tuple(name for name in sorted(groups) if predicate.accepts(number_of(name))))
            case Has(path, predicate) if path in _TAXONOMY_IDS:
                return _belonging(_TAXONOMY_IDS[path], self._ids(_TAXONOMY_IDS[path], predicate), self._known(path))
            case Has(path, predicate) if path in (_ORGANIZATION, _LOCATION):
                return _belonging(path, predicate.accepts, self._known(path))
            case Has(path, _) if path in (_JOB_ID, _JOB_RESULT):
                return (yield from self._run_in([query]))
            case Has(path, predicate) if path == _EXECUTION:
                statuses = yield from self._statuses()
                return _named(name for name, status in statuses.items() if predicate.accepts(status))
            case _:
                return query

    def _each(self, several: Iterable[Query]) -> Steps[tuple[Query, ...]]:
        found: list[Query] = []
        for part in several:
            found.append((yield from self._translated(part)))
        return tuple(found)

    def _known(self, path: Path) -> Mapping[str, Taxonomy]:
        of_organizations = path in (_ORGANIZATION, ("organizationId",))
        return self._taxonomies.organizations if of_organizations else self._taxonomies.locations

    def _ids(self, path: Path, predicate: Predicate) -> Callable[[str], bool]:
        known = self._known(path)
        return lambda name: predicate.accepts(known[name].id)

    def _run_in(self, tests: list[Has]) -> Steps[Query]:
        """The hosts of the jobs that all the tests accept together."""
        ids = [test.predicate for test in tests if test.path == _JOB_ID]
        results = [test.predicate.accepts for test in tests if test.path == _JOB_RESULT]
        names: set[str] = set()
        for id_ in self._candidates(ids):
            job = self._cache.jobs.numbered(id_)
            if job is not None and self._sees(job) and all(test.accepts(id_) for test in ids):
                names.update(
                    name
                    for name, state in self._states(job)
                    if all(accepts(_RESULTS.get(state, "failed")) for accepts in results)
                )
            yield
        return _named(names)

    def _candidates(self, tests: Iterable[Predicate]) -> list[int]:
        """The ids that the tests name, if any does; else all."""
        for test in tests:
            if isinstance(test, Equals):
                return [value for value in test.values if type(value) is int]
        return list(self._cache.jobs.ids)

    def _states(self, job: Job) -> Iterator[tuple[str, HostState]]:
        """The hosts on which the job is planned, each with its last state."""
        slices = self._cache.slices.of(job) if has_planned(job) else ()
        dealt = {name: slice_ for slice_ in slices for name in slice_.hosts}
        return ((name, slice_.states.get(name, HostState.PENDING)) for name, slice_ in dealt.items())

    def _statuses(self) -> Steps[dict[str, str]]:
        """How the last run on each host ended that has."""
        found: dict[str, str] = {}
        for id_ in list(self._cache.jobs.ids):
            job = self._cache.jobs.numbered(id_)
            for name, state in self._states(job) if job is not None and self._sees(job) else ():
                if state.ended:
                    found[name] = "ok" if state is HostState.SUCCEEDED else "error"
            yield
        return found


def _belonging(path: Path, accepts: Callable[[str], Any], known: Mapping[str, Taxonomy]) -> Query:
    """The hosts of the organizations or locations whose names are accepted; who names none belongs to the default."""
    names = tuple(name for name in known if accepts(name))
    defaults = next(iter(known), None) in names
    return either(_having(path, names), Not(_having(path, tuple(known)))) if defaults else _having(path, names)


def _having(path: Path, names: tuple[str, ...]) -> Query:
    return Has(path, Equals(names)) if names else NOTHING


def _named(names: Iterable[str]) -> Query:
    found = tuple(sorted(set(names)))
    return Has(NAME, Equals(found)) if found else NOTHING
