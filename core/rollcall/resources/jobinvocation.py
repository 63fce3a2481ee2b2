"""`JobInvocation`: one run of a template on a set of hosts."""

from enum import StrEnum
from typing import Annotated, Literal

from pydantic import Field

from rollcall.names import ConditionType
from rollcall.resources.meta import (
    Condition,
    ConditionStatus,
    LabelSelector,
    LocalReference,
    Model,
    Resource,
    Time,
)

MAX_NAME_LENGTH = 52
"""Leaves room for `-<slice>` in names that must fit into a label (63 characters), as for CronJobs."""


_FIXED = (
    "templateRef",
    "targeting",
    "inputs",
    "credentialsRef",
    "user",
    "descriptionFormat",
    "executionTimeoutSeconds",
    "requestedBy",
)


def _unchanged(field: str) -> str:
    return f"has(self.{field}) == has(oldSelf.{field}) && (!has(self.{field}) || self.{field} == oldSelf.{field})"


_IMMUTABLE = {
    "rule": " && ".join(f"({_unchanged(field)})" for field in _FIXED),
    "message": "only rollout.concurrency and ttlSecondsAfterFinished of an invocation can change",
}
_CONCURRENCY_ONLY = {
    "rule": "(has(self.rollout) && has(self.rollout.hostsPerSlice) ? string(self.rollout.hostsPerSlice) : 'auto')"
    " == (has(oldSelf.rollout) && has(oldSelf.rollout.hostsPerSlice) ? string(oldSelf.rollout.hostsPerSlice) : 'auto')",
    "message": "rollout.hostsPerSlice cannot change",
}


class WhenEmpty(StrEnum):
    """What becomes of an invocation whose targeting selects no host."""

    COMPLETE = "Complete"
    FAIL = "Fail"


class Targeting(Model):
    """Says which hosts the job runs on; exactly one of `hosts` and `selector`."""

    hosts: Annotated[
        tuple[Annotated[str, Field(min_length=1, max_length=253)], ...] | None,
        Field(max_length=10000, json_schema_extra={"x-kubernetes-list-type": "set"}),
    ] = None
    """The names of Host objects in the same namespace."""
    selector: LabelSelector | None = None
    """Selects Host objects in the same namespace by their labels. An empty selector selects all."""
    when_empty: WhenEmpty = WhenEmpty.COMPLETE
    """What happens when no host is selected: `Complete` ends the invocation as complete, `Fail` as failed."""


class Rollout(Model):
    """Says how fast the job spreads over its hosts."""

    concurrency: Annotated[int, Field(ge=1)] | None = None
    """How many hosts may be at work at once. No limit when absent."""
    hosts_per_slice: Annotated[
        Annotated[int, Field(ge=1, le=250)] | Literal["auto"],
        Field(json_schema_extra={"x-rollcall-int-or-auto": True}),
    ] = "auto"
    """How many hosts share one runner pod, 1 to 250. `auto` gives each host its own pod up to 100 hosts
    and packs them into about a hundred pods above that."""


class TemplateReference(LocalReference):
    """Names a JobTemplate in the same namespace."""


class Requester(Model):
    """Who asked for the run."""

    username: Annotated[str, Field(min_length=1, max_length=1024)]
    """The Kubernetes user name. Admission lets people name only themselves."""


class JobInvocationSpec(Model):
    """What to run, where and how fast."""

    template_ref: TemplateReference
    """The JobTemplate that says what is run; it must be in the same namespace."""
    inputs: Annotated[dict[str, int | str], Field(max_length=64, json_schema_extra={"x-rollcall-scalars": True})] = {}
    """Values for the template's inputs, by name: text or whole numbers. Write other values as text: "true", "1.5"."""
    targeting: Annotated[
        Targeting,
        Field(
            json_schema_extra={
                "x-kubernetes-validations": [
                    {"rule": "has(self.hosts) != has(self.selector)", "message": "name either hosts or a selector"}
                ]
            }
        ),
    ]
    """Which hosts the job runs on: exactly one of `hosts`, which names them, and `selector`, which asks for
    labels. They are chosen once, when the invocation is resolved; later changes of labels do not matter."""
    credentials_ref: LocalReference | None = None
    """A Secret to log in with on every host, with the keys of a Host's own; what it holds comes before what
    the Host's own Secret holds."""
    user: Annotated[str, Field(min_length=1, max_length=256)] | None = None
    """The user to log in as on every host, instead of each Host's own."""
    rollout: Rollout = Rollout()
    """How fast the job spreads over its hosts."""
    description_format: Annotated[str, Field(max_length=1024)] | None = None
    """Takes the place of the template's `descriptionFormat`."""
    execution_timeout_seconds: Annotated[int, Field(ge=1, le=31536000)] | None = None
    """How long the script may run on one host; takes the place of the template's value."""
    ttl_seconds_after_finished: Annotated[int, Field(ge=0, le=3_153_600_000)] | None = None
    """How long the invocation, with its output, is kept after it has finished. For ever when absent."""
    requested_by: Requester | None = None
    """Who asked for the run."""


class InvocationState(StrEnum):
    """The state of an invocation in one word."""

    PENDING = "Pending"
    RUNNING = "Running"
    COMPLETE = "Complete"
    FAILED = "Failed"


class HostCounts(Model):
    """How many hosts are in which state; the five states add up to the total in every status ever written."""

    total: int = 0
    """All hosts of the invocation."""
    pending: int = 0
    """Hosts whose run has not begun."""
    running: int = 0
    """Hosts that are at work."""
    succeeded: int = 0
    """Hosts that ended with exit code 0."""
    failed: int = 0
    """Hosts that ended any other way."""
    cancelled: int = 0
    """Hosts that were stopped on request."""


class HostFailure(Model):
    """Why one host did not succeed."""

    host: str
    """The Host's name."""
    reason: str
    """The reason in one word."""
    message: str = ""
    """The reason in a sentence."""


class JobInvocationStatus(Model):
    """How far the invocation has come."""

    observed_generation: int | None = None
    """The metadata.generation that this status describes."""
    state: InvocationState | None = None
    """The state in one word, for tables; the conditions say more."""
    description: Annotated[str, Field(max_length=255)] | None = None
    """What this invocation does, from the description format."""
    start_time: Time | None = None
    """When the first host was started."""
    completion_time: Time | None = None
    """When the last host had ended."""
    slices: int | None = None
    """How many slices the hosts were dealt into; absent until the targeting is resolved."""
    started_slices: int = 0
    """How many slices have been started; they start in the order of their index."""
    hosts: HostCounts | None = None
    """How many hosts are in which state."""
    conditions: Annotated[
        tuple[Condition, ...],
        Field(json_schema_extra={"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["type"]}),
    ] = ()
    """`Valid`, `Resolved`, `Complete` and `Failed`: wait for them with `kubectl wait --for=condition=Complete`."""
    failures: Annotated[
        tuple[HostFailure, ...],
        Field(
            max_length=20, json_schema_extra={"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["host"]}
        ),
    ] = ()
    """Hosts that failed, at most 20 of them; the slices have all."""


class JobInvocation(Resource):
    """Runs a JobTemplate once on a set of hosts."""

    spec: Annotated[
        JobInvocationSpec,
        Field(json_schema_extra={"x-kubernetes-validations": [_IMMUTABLE, _CONCURRENCY_ONLY]}),
    ]
    """What to run, where and how fast."""
    status: JobInvocationStatus = JobInvocationStatus()
    """How far the invocation has come."""

    def condition(self, type_: ConditionType) -> Condition | None:
        """The condition of that type, if there is one."""
        return next((c for c in self.status.conditions if c.type == type_), None)

    @property
    def finished(self) -> bool:
        """Whether the invocation has ended; it never changes again."""
        return any(
            c.status == ConditionStatus.TRUE and c.type in (ConditionType.COMPLETE, ConditionType.FAILED)
            for c in self.status.conditions
        )
