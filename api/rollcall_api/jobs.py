"""Jobs as every dialect sees them: made in the requester's name, and read from the cache."""

import base64
import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from rollcall import template as templates
from rollcall.inputs import CONCEALED, InputValue, concealed_inputs, plain
from rollcall.names import (
    API_VERSION,
    GROUP,
    LABEL_ID,
    LABEL_INVOCATION,
    LABEL_MANAGED_BY,
    LABEL_TEMPLATE,
    MANAGED_BY,
    HostState,
    Kind,
)
from rollcall.resources.meta import OwnerReference
from rollcall_api.access import impersonate
from rollcall_api.cache import Cache
from rollcall_api.cluster import Cluster, Object, core, custom
from rollcall_api.problems import Conflict, Forbidden, NotFound, Problem, Rejected, Unavailable
from rollcall_api.records import Host, HostEnd, Job, Slice, Template
from rollcall_api.sequences import Sequences
from rollcall_api.users import Identity

logger = logging.getLogger(__name__)

_NAME_ATTEMPTS: Final = 100
_LABEL_LENGTH: Final = 63


@dataclass(frozen=True, slots=True, kw_only=True)
class JobRequest:
    """A valid wish for a job. `credentials` and `secret_inputs` are keys and values of Secrets and never appear in its
    text form."""

    template: Template
    inputs: Mapping[str, InputValue]
    secret_inputs: Mapping[str, str] = field(default_factory=dict, repr=False)
    hosts: Sequence[str]
    user: str | None = None
    effective_user: str | None = None
    credentials: Mapping[str, str] = field(default_factory=dict, repr=False)
    concurrency: int | None = None
    execution_timeout: int | None = None
    description_format: str | None = None
    echo: Mapping[str, str] = field(default_factory=dict)
    """Annotations, `<dialect>.rollcall.dev/<key>`: what the dialect wants to hear again."""


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

    @property
    def missing(self) -> int:
        """How many of the resolved hosts have been deleted since."""
        return sum(member.host is None for member in self.members) if self.job.resolved else 0

    @property
    def description(self) -> str | None:
        """What the job does: as the operator wrote it, and until then as it will."""
        if self.job.description is not None or self.template is None:
            return self.job.description
        inputs = {key: value for key, value in self.job.inputs.items() if isinstance(value, (str, int, float))}
        if self.job.has_secret_inputs:
            inputs |= dict.fromkeys(concealed_inputs(self.template.resource), CONCEALED)
        return templates.describe(self.template.resource, inputs, self.job.description_format)

    @property
    def inputs(self) -> dict[str, str]:
        """The value of each of the template's inputs that has one, as text, in the template's order; a hidden one as
        asterisks."""
        if self.template is None:
            return {}
        values: dict[str, str] = {}
        for entry in self.template.resource.spec.inputs:
            value = self.job.inputs.get(entry.name)
            if value is not None:
                values[entry.name] = CONCEALED if entry.concealed else plain(value)
            elif entry.concealed and self.job.has_secret_inputs:
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
        return View(job, self._cache.templates.named(job.template), self._members(job))

    def stamp(self, job: Job) -> tuple[int, int, int, int]:
        """Changes whenever anything changes that a view of the job shows."""
        cache = self._cache
        return job.version, cache.slices.revision(job), cache.hosts.generation, cache.templates.generation

    def _members(self, job: Job) -> tuple[Member, ...]:
        """The job's hosts: in the order of the targeting if it names them, else of the slices; each with its latest."""
        slices = self._cache.slices.of(job)
        dealt = {name: slice_ for slice_ in slices for name in slice_.hosts}
        names = dealt if job.hosts is None else job.hosts
        return tuple(Member(name, self._cache.hosts.named(name), dealt.get(name)) for name in names)

    async def create(self, request: JobRequest, user: Identity) -> Job:
        """Stores a new JobInvocation, with its Secrets, and returns it.

        The invocation comes first, because its uid makes the Secrets go away with it; the operator waits for them.
        When one cannot be stored the invocation is taken back.
        Raises Forbidden, Rejected or Unavailable; then there is no new job.
        """
        stored = await self._create_invocation(request, user)
        try:
            for secret in secrets(stored, request):
                await self._create_secret(secret)
        except Problem:
            await self._take_back(stored["metadata"]["name"], stored["metadata"]["uid"])
            raise
        self._cache.jobs.put_written(stored)
        job = self._cache.jobs.named(stored["metadata"]["name"])
        if job is None:
            raise Unavailable("the job was deleted as soon as it was made")
        return job

    async def _create_invocation(self, request: JobRequest, user: Identity) -> Object:
        headers = impersonate(user)
        for _ in range(_NAME_ATTEMPTS):
            id_ = await self._sequences.next(Kind.JOB_INVOCATION)
            body = invocation(request, id_, user)
            try:
                return await self._cluster.create(custom(Kind.JOB_INVOCATION, self._namespace), body, headers)
            except Conflict:
                continue  # somebody made a job-<id> by hand: the id is lost, the next one will do
            except Forbidden as problem:
                logger.info("the API server refuses %s a job: %s", user.username, problem)
                raise
            except Unavailable:
                await self._take_back_unanswered(body)
                raise
        raise Unavailable("no free name for a job was found")

    async def _create_secret(self, secret: Object) -> None:
        try:
            await self._cluster.create(core("secrets", self._namespace), secret)
        except (Conflict, Forbidden, Rejected) as problem:
            # A quota, or a right that the facade lacks: nothing that the requester could change.
            raise Unavailable(f"the job's Secrets cannot be stored: {problem}") from problem

    async def _take_back_unanswered(self, body: Object) -> None:
        """After a create without an answer: if the object was stored after all, deletes it.

        It is ours when it carries the id that nobody else was given.
        """
        name = body["metadata"]["name"]
        try:
            stored = await self._cluster.get(custom(Kind.JOB_INVOCATION, self._namespace, name))
        except NotFound:
            return
        except Problem as problem:
            logger.error("cannot tell whether %s was made: %s", name, type(problem).__name__)
            return
        if (stored["metadata"].get("labels") or {}).get(LABEL_ID) == body["metadata"]["labels"][LABEL_ID]:
            await self._take_back(name, stored["metadata"]["uid"])

    async def _take_back(self, name: str, uid: str) -> None:
        try:
            await self._cluster.delete(custom(Kind.JOB_INVOCATION, self._namespace, name), uid)
        except (NotFound, Conflict):
            pass
        except Problem as problem:
            logger.error("cannot take back %s, which ends as failed without its Secret: %s", name, problem)


def invocation(request: JobRequest, id_: int, user: Identity) -> Object:
    """The JobInvocation of a request."""
    name = f"job-{id_}"
    spec: Object = {
        "templateRef": {"name": request.template.name},
        "inputs": {name: plain(value) for name, value in request.inputs.items()},
        "targeting": {"hosts": list(request.hosts)},
        "requestedBy": {"username": user.username},
    }
    optional = {
        "credentialsRef": {"name": credentials_name(name)} if request.credentials else None,
        "inputsFrom": [{"secretRef": {"name": inputs_name(name)}}] if request.secret_inputs else None,
        "user": request.user,
        "effectiveUser": {"name": request.effective_user} if request.effective_user else None,
        "rollout": {"concurrency": request.concurrency} if request.concurrency else None,
        "executionTimeoutSeconds": request.execution_timeout,
        "descriptionFormat": request.description_format,
    }
    labels = {LABEL_ID: str(id_)}
    if len(request.template.name) <= _LABEL_LENGTH:
        labels[LABEL_TEMPLATE] = request.template.name
    metadata: Object = {"name": name, "labels": labels}
    if request.echo:
        metadata["annotations"] = dict(request.echo)
    return {
        "apiVersion": API_VERSION,
        "kind": Kind.JOB_INVOCATION.value,
        "metadata": metadata,
        "spec": spec | {key: value for key, value in optional.items() if value is not None},
    }


def credentials_name(invocation_name: str) -> str:
    """The name of the Secret with an invocation's own credentials."""
    return f"{invocation_name}-credentials"


def inputs_name(invocation_name: str) -> str:
    """The name of the Secret with an invocation's hidden inputs."""
    return f"{invocation_name}-inputs"


def secrets(stored: Object, request: JobRequest) -> list[Object]:
    """The Secrets of a stored invocation, which owns them."""
    name = stored["metadata"]["name"]
    parts = ((credentials_name(name), request.credentials), (inputs_name(name), request.secret_inputs))
    return [_secret(stored, secret_name, values) for secret_name, values in parts if values]


def _secret(stored: Object, secret_name: str, values: Mapping[str, str]) -> Object:
    name = stored["metadata"]["name"]
    owner = OwnerReference(
        api_version=API_VERSION, kind=Kind.JOB_INVOCATION.value, name=name, uid=stored["metadata"]["uid"]
    )
    labels = {LABEL_INVOCATION: name, LABEL_MANAGED_BY: MANAGED_BY}
    return {
        "apiVersion": "v1",
        "kind": "Secret",
        "type": "Opaque",
        "metadata": {"name": secret_name, "labels": labels, "ownerReferences": [owner.wire()]},
        "data": {key: base64.b64encode(value.encode()).decode() for key, value in values.items()},
    }


def echo_key(dialect: str, key: str) -> str:
    """The annotation under which a dialect hears something again."""
    return f"{dialect}.{GROUP}/{key}"
