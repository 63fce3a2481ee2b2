"""Jobs as every dialect sees them: made in the requester's name, and read from the cache."""

import asyncio
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from typing import Final

from rollcall import template as templates
from rollcall.inputs import CONCEALED, concealed_inputs, plain
from rollcall.names import GROUP, HostState, Kind
from rollcall.plan.schedule import run_name
from rollcall.resources.jobinvocation import CancelPolicy
from rollcall_api.access import impersonate
from rollcall_api.cache import Cache
from rollcall_api.cluster import Cluster, Object, custom
from rollcall_api.job_manifests import JobRequest, invocation, run, schedule, secrets
from rollcall_api.making import Making
from rollcall_api.parsing import parse_job, parse_schedule
from rollcall_api.problems import Conflict, NotFound, Rejected, Unavailable
from rollcall_api.records import Host, HostEnd, Job, Schedule, Slice, Template
from rollcall_api.recurring import next_slot
from rollcall_api.sequences import Sequences
from rollcall_api.users import Identity

Stamp = tuple[int, int, int, int, int, int]

_CHANGE_ATTEMPTS: Final = 50
_OUTCOME_LOOKS: Final = 100
_OUTCOME_SECONDS: Final = 0.05
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


def awaits_outcome(member: Member, job: Job) -> bool:
    """Whether how the host ended is still to be told: news of a job's end can come before that of its slices."""
    return job.finished and job.dealt and not (member.state is not None and member.state.ended)


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
        self._making = Making(cluster, sequences, namespace)

    @property
    def cache(self) -> Cache:
        """The tables behind the views."""
        return self._cache

    async def settled(self) -> None:
        """Returns when nothing that could not be made is being taken back any more."""
        await self._making.settled()

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

    async def outcomes(self, job: Job) -> Sequence[Member]:
        """The job's hosts; of a job that has ended, once all their ends are known. Raises Unavailable."""
        for _ in range(_OUTCOME_LOOKS):
            members = self._members(job)
            if not any(awaits_outcome(member, job) for member in members):
                return members
            await asyncio.sleep(_OUTCOME_SECONDS)
        raise Unavailable("the results of the job are still coming in")

    async def create(self, request: JobRequest, user: Identity) -> Job:
        """Stores a new JobInvocation, with its Secrets, and returns it; for a recurrence a Schedule, and its first run.

        Raises Forbidden, Rejected or Unavailable; then there is no new job, or soon none any more.
        """
        own = partial(secrets, request=request) if request.has_secrets else None
        terms, shared = request.recurrence, request.input_secrets
        if terms is None:
            body = partial(invocation, request, user=user)
            return self._taken_in(await self._making.make(Kind.JOB_INVOCATION, body, user, own, shared))
        body = partial(schedule, request, terms, user=user, history=KEPT_RUNS)
        stored = await self._making.make(Kind.SCHEDULE, body, user, own, shared)
        try:
            return await self._create_first(stored)
        except BaseException:
            await self._making.take_back(Kind.SCHEDULE, stored)
            raise

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
        self,
        job: Job,
        user: Identity | None,
        *,
        force: bool = False,
        hosts: Sequence[str] | None = None,
        echo: Mapping[str, str | None] | None = None,
    ) -> Job:
        """Asks for a job to be stopped, or only for these of its hosts, at once with `force`; `echo` is kept with it.

        It is written in the user's name; in the facade's own for None. A cancellation only grows, whoever else adds to
        it. Raises NotFound, Forbidden, Rejected or Unavailable.
        """

        def grown(seen: Job) -> Object:
            before = seen.cancellation
            names = None if hosts is None or (before is not None and before.hosts is None) else [*hosts]
            if names is not None and before is not None:
                names = sorted({*(before.hosts or ()), *names})
            policy = CancelPolicy.FORCE if force or (before and before.force) else CancelPolicy.GRACEFUL
            kept = {"metadata": {"annotations": dict(echo)}} if echo else {}
            return {**kept, "spec": {"cancellation": {"policy": policy.value, "hosts": names}}}

        return await self._change(job, grown, user)

    async def _change(self, job: Job, change: Callable[[Job], Object], user: Identity | None) -> Job:
        """Stores a merge patch made of the job as it is, made anew when somebody else was first."""
        path = custom(Kind.JOB_INVOCATION, self._namespace, job.name)
        headers = None if user is None else impersonate(user)
        seen = job
        for _ in range(_CHANGE_ATTEMPTS):
            patch = change(seen)
            metadata = {**patch.get("metadata", {}), "uid": job.uid, "resourceVersion": str(seen.version)}
            try:
                return self._taken_in(await self._cluster.merge(path, {**patch, "metadata": metadata}, headers))
            except Conflict:
                seen = parse_job(await self._cluster.get(path))
                if seen.uid != job.uid:
                    raise NotFound(f"{job.name} was deleted, and another job has its name") from None
        raise Unavailable("too many others change the same job")

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
