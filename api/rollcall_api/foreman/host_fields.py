"""Fields of hosts that only the facade knows: what jobs did on them (contract §6.5).

They are looked up when a query is asked, and become a test of names; so they work where hosts are chosen at once, and
not in a dynamic query, which the operator asks.
"""

from collections.abc import Callable, Iterator
from typing import Any, Final

from rollcall.names import HostState
from rollcall.query.ast import EACH, EVERYTHING, NAME, NOTHING, And, Has, Not, Or, Path, Query
from rollcall.query.fields import Field
from rollcall.query.fields import Kind as Values
from rollcall.query.foreman import Subject
from rollcall.query.hostrows import TARGETS
from rollcall.query.predicates import Equals
from rollcall_api.cache import Cache
from rollcall_api.records import Job

Accepts = Callable[[Any], bool]

_JOB_ID: Final[Path] = ("jobs", EACH, "id")
_JOB_RESULT: Final[Path] = ("jobs", EACH, "result")
_EXECUTION: Final[Path] = ("executionStatus",)
_CONSTANT: Final[dict[Path, bool]] = {("managed",): True, ("build",): False}
"""Every host is managed, and none is being installed."""
FIELDS: Final = Subject(
    {
        **TARGETS.fields,
        "managed": Field(("managed",), Values.BOOLEAN),
        "build": Field(("build",), Values.BOOLEAN),
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


def looked_up(query: Query, cache: Cache) -> Query:
    """The query with what jobs did in the form of names."""
    match query:
        case Not(part):
            return Not(looked_up(part, cache))
        case Or(parts):
            return Or(tuple(looked_up(part, cache) for part in parts))
        case And(parts):
            of_jobs = [part for part in parts if isinstance(part, Has) and part.path in (_JOB_ID, _JOB_RESULT)]
            others = tuple(looked_up(part, cache) for part in parts if part not in of_jobs)
            return And((*others, _run_in(of_jobs, cache))) if of_jobs else And(others)
        case Has(path, predicate) if path in _CONSTANT:
            return EVERYTHING if predicate.accepts(_CONSTANT[path]) else NOTHING
        case Has(path, _) if path in (_JOB_ID, _JOB_RESULT):
            return _run_in([query], cache)
        case Has(path, predicate) if path == _EXECUTION:
            return _named(name for name, status in _statuses(cache).items() if predicate.accepts(status))
        case _:
            return query


def _run_in(tests: list[Has], cache: Cache) -> Query:
    """The hosts of the jobs that all the tests accept together."""
    ids = [test.predicate.accepts for test in tests if test.path == _JOB_ID]
    results = [test.predicate.accepts for test in tests if test.path == _JOB_RESULT]
    jobs = (job for job in cache.jobs if all(accepts(job.id) for accepts in ids))
    return _named(
        name
        for job in jobs
        for name, state in _states(job, cache)
        if all(accepts(_RESULTS.get(state, "failed")) for accepts in results)
    )


def _states(job: Job, cache: Cache) -> Iterator[tuple[str, HostState]]:
    """The hosts that have been dealt with, each with its last state."""
    dealt = {name: slice_ for slice_ in cache.slices.of(job) for name in slice_.hosts}
    return ((name, slice_.states.get(name, HostState.PENDING)) for name, slice_ in dealt.items())


def _statuses(cache: Cache) -> dict[str, str]:
    """How the last run on each host ended that has."""
    found: dict[str, str] = {}
    for id_ in cache.jobs.ids:
        job = cache.jobs.numbered(id_)
        for name, state in _states(job, cache) if job is not None else ():
            if state.ended:
                found[name] = "ok" if state is HostState.SUCCEEDED else "error"
    return found


def _named(names: Iterator[str]) -> Query:
    found = tuple(sorted(set(names)))
    return Has(NAME, Equals(found)) if found else NOTHING
