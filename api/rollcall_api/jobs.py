"""Jobs as every dialect sees them: made in the requester's name, and read from the cache."""

import logging
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

from rollcall import template as templates
from rollcall.inputs import CONCEALED, concealed_inputs, plain
from rollcall.names import GROUP, LABEL_ID, HostState, Kind
from rollcall.plan.schedule import run_name
from rollcall.resources.jobinvocation import CancelPolicy
from rollcall_api.access import impersonate
from rollcall_api.cache import Cache
from rollcall_api.cluster import Cluster, Object, core, custom
from rollcall_api.job_manifests import JobRequest, invocation, run, schedule, secrets
from rollcall_api.problems import Conflict, Forbidden, NotFound, Problem, Rejected, Unavailable
from rollcall_api.records import Host, HostEnd, Job, Schedule, Slice, Template, parse_schedule
from rollcall_api.recurring import next_slot
from rollcall_api.sequences import Sequences
from rollcall_api.users import Identity

Stamp = tuple[int, int, int, int, int, int]

logger = logging.getLogger(__name__)

_NAME_ATTEMPTS: Final = 100
KEPT_RUNS: Final = 1_000
"""How many runs of a series are kept of those that went well, and of the others."""


@dataclass(frozen=True, slots=True)
class Member:
    """A host in a job: its Host object while there is one, and the slice that runs it once it is dealt into one."""

    name: str
    host: Host | None
    slice: Slice | None

    @property
    def state(self) -> HostState | None:
        """The host's state; None before it is dealt into a slice."""
        return self.slice.states.get(self.name, HostState.PENDING) if self.slice else None

    @property
    def end(self) -> HostEnd | None:
        """Why the host did not succeed."""
        return self.slice.ends.get(self.name) if self.slice else None


@dataclass(frozen=True, slots=True)
class View:
    """A job with what belongs to it."""

    job: Job
    template: Template | None
    members: tuple[Member, ...]
    schedule: Schedule | None = None
    """The Schedule that the job belongs to, while there is it."""
    runs: tuple[Job, ...] = ()
    """All jobs of that Schedule."""

    @property
    def missing(self) -> int:
        """How many of the resolved hosts have been deleted since."""
        return sum(member.host is None for member in self.members) if self.job.resolved else 0

    @property
    def description(self) -> str | None:
        """What the job does: as the operator wrote it, and until then as it will."""
        return _description(self.job, self.template)

    @property
    def inputs(self) -> dict[str, str]:
        """The value of each of the template's inputs that has one, as text, in the template's order; a hidden one as
        asterisks."""
        if self.template is None:
            return {}
        values: dict[str, str] = {}
        inputs, has_secrets = self.job.inputs, self.job.has_secret_inputs
        for entry in self.template.resource.spec.inputs:
            value = inputs.get(entry.name)
            if value is not None:
                values[entry.name] = CONCEALED if entry.concealed else plain(value)
            elif entry.concealed and has_secrets:
                values[entry.name] = CONCEALED
        return values


class Jobs:
    """Makes jobs and finds them."""

    def __init__(self, cluster: Cluster, cache: Cache, sequences: Sequences, namespace: str) -> None:
        self._cluster = cluster
        self._cache = cache
        self._sequences = sequences
        self._namespace = namespace

    @property
    def cache(self) -> Cache:
        """The tables behind the views."""
        return self._cache

    def view(self, job: Job) -> View:
        """The job with its template and hosts as they are now."""
        template, members = self._cache.templates.named(job.template), self._members(job)
        if job.schedule is None:
            return View(job, template, members)
        runs = tuple(self._cache.jobs.of_schedule(job.schedule))
        return View(job, template, members, self._cache.schedules.named(job.schedule), runs)

    def stamp(self, job: Job) -> Stamp:
        """Changes whenever anything changes that a view of the job shows."""
        cache = self._cache
        series = (0, 0) if job.schedule is None else (cache.schedules.changes, cache.jobs.changes)
        return job.version, cache.slices.revision(job), cache.hosts.generation, cache.templates.generation, *series

    def description(self, job: Job) -> str | None:
        """What the job does."""
        return _description(job, self._cache.templates.named(job.template))

    def host_names(self, job: Job) -> Iterable[str]:
        """The job's hosts: in the order of the targeting if it names them, else of the slices."""
        if job.hosts is not None:
            return job.hosts
        return dict.fromkeys(name for slice_ in self._cache.slices.of(job) for name in slice_.hosts)

    def _members(self, job: Job) -> tuple[Member, ...]:
        """The job's hosts: in the order of the targeting if it names them, else of the slices; each with its latest."""
        slices = self._cache.slices.of(job)
        dealt = {name: slice_ for slice_ in slices for name in slice_.hosts}
        names = dealt if job.hosts is None else job.hosts
        return tuple(Member(name, self._cache.hosts.named(name), dealt.get(name)) for name in names)

    async def create(self, request: JobRequest, user: Identity) -> Job:
        """Stores a new JobInvocation, with its Secrets, and returns it; for a recurrence a Schedule, and its first run.

        What owns the Secrets comes first, because its uid makes them go away with it; the operator waits for them.
        When one cannot be stored the owner is taken back.
        Raises Forbidden, Rejected or Unavailable; then there is no new job.
        """
        kind = Kind.SCHEDULE if request.recurrence else Kind.JOB_INVOCATION
        stored = await self._create_owner(kind, request, user)
        try:
            for secret in secrets(stored, request):
                await self._create_secret(secret)
            if kind is Kind.SCHEDULE:
                return await self._create_first(stored)
        except Problem:
            await self._take_back(kind, stored["metadata"]["name"], stored["metadata"]["uid"])
            raise
        return self._taken_in(stored)

    async def create_run(self, series: Schedule, slot: datetime) -> Job | None:
        """Stores the JobInvocation of a run that is still to come; None when somebody else was faster.

        Raises Forbidden, Rejected or Unavailable.
        """
        requester = series.resource.spec.requested_by
        id_ = await self._sequences.next(Kind.JOB_INVOCATION)
        body = run(series, run_name(series.resource, slot), slot, id_)
        headers = impersonate(Identity(requester.username, requester.groups))
        try:
            stored = await self._cluster.create(custom(Kind.JOB_INVOCATION, self._namespace), body, headers)
        except Conflict:
            return None
        return self._taken_in(stored)

    async def cancel(
        self, job: Job, user: Identity | None, *, force: bool = False, hosts: Sequence[str] | None = None
    ) -> Job:
        """Asks for a job to be stopped, or only for these of its hosts, at once with `force`.

        It is written in the user's name; in the facade's own for None. A cancellation only grows.
        Raises NotFound, Forbidden, Rejected or Unavailable.
        """
        before = job.cancellation
        if before is not None and hosts is not None:
            hosts = None if before.hosts is None else sorted({*before.hosts, *hosts})
        policy = CancelPolicy.FORCE if force or (before and before.force) else CancelPolicy.GRACEFUL
        patch = {"spec": {"cancellation": {"policy": policy.value, "hosts": None if hosts is None else list(hosts)}}}
        path = custom(Kind.JOB_INVOCATION, self._namespace, job.name)
        headers = None if user is None else impersonate(user)
        stored = await self._cluster.merge(path, {"metadata": {"uid": job.uid}, **patch}, headers)
        return self._taken_in(stored)

    def _taken_in(self, stored: Object) -> Job:
        self._cache.jobs.put_written(stored)
        job = self._cache.jobs.named(stored["metadata"]["name"])
        if job is None:
            raise Unavailable("the job was deleted as soon as it was made")
        return job

    async def _create_first(self, stored: Object) -> Job:
        self._cache.schedules.put_written(stored)
        series = parse_schedule(stored)
        slot = next_slot(series.resource, (), datetime.now(UTC))
        if slot is None:
            raise Rejected("no run of the schedule would ever start")
        job = await self.create_run(series, slot)
        if job is not None:
            return job
        name = run_name(series.resource, slot)  # who keeps series was faster
        return self._taken_in(await self._cluster.get(custom(Kind.JOB_INVOCATION, self._namespace, name)))

    async def _create_owner(self, kind: Kind, request: JobRequest, user: Identity) -> Object:
        headers = impersonate(user)
        for _ in range(_NAME_ATTEMPTS):
            id_ = await self._sequences.next(kind)
            body = invocation(request, id_, user)
            if request.recurrence is not None:
                body = schedule(request, request.recurrence, id_, user, KEPT_RUNS)
            try:
                return await self._cluster.create(custom(kind, self._namespace), body, headers)
            except Conflict:
                continue  # somebody took the name by hand: the id is lost, the next one will do
            except Forbidden as problem:
                logger.info("the API server refuses %s a job: %s", user.username, problem)
                raise
            except Unavailable:
                await self._take_back_unanswered(kind, body)
                raise
        raise Unavailable("no free name for a job was found")

    async def _create_secret(self, secret: Object) -> None:
        try:
            await self._cluster.create(core("secrets", self._namespace), secret)
        except (Conflict, Forbidden, Rejected) as problem:
            # A quota, or a right that the facade lacks: nothing that the requester could change.
            raise Unavailable(f"the job's Secrets cannot be stored: {problem}") from problem

    async def _take_back_unanswered(self, kind: Kind, body: Object) -> None:
        """After a create without an answer: if the object was stored after all, deletes it.

        It is ours when it carries the id that nobody else was given.
        """
        name = body["metadata"]["name"]
        try:
            stored = await self._cluster.get(custom(kind, self._namespace, name))
        except NotFound:
            return
        except Problem as problem:
            logger.error("cannot tell whether %s was made: %s", name, type(problem).__name__)
            return
        if (stored["metadata"].get("labels") or {}).get(LABEL_ID) == body["metadata"]["labels"][LABEL_ID]:
            await self._take_back(kind, name, stored["metadata"]["uid"])

    async def _take_back(self, kind: Kind, name: str, uid: str) -> None:
        try:
            await self._cluster.delete(custom(kind, self._namespace, name), uid)
        except (NotFound, Conflict):
            pass
        except Problem as problem:
            logger.error("cannot take back %s, which ends as failed without its Secret: %s", name, problem)


def _description(job: Job, template: Template | None) -> str | None:
    if job.description is not None or template is None:
        return job.description
    inputs = {key: value for key, value in job.inputs.items() if isinstance(value, (str, int, float))}
    if job.has_secret_inputs:
        inputs |= dict.fromkeys(concealed_inputs(template.resource), CONCEALED)
    return templates.describe(template.resource, inputs, job.description_format)


def echo_key(dialect: str, key: str) -> str:
    """The annotation under which a dialect hears something again."""
    return f"{dialect}.{GROUP}/{key}"
