"""`JobInvocation`: one run of a template on a set of hosts."""

from enum import StrEnum
from typing import Annotated

from pydantic import Field

from rollcall.names import ANNOTATION_MADE_AHEAD, ConditionType, HostState, Kind
from rollcall.resources.invocationrules import (
    CANCELLED_FOR_GOOD,
    FIXED_ROLLOUT,
    IMMUTABLE,
    NO_NEW_ROLLOUT,
    ONE_TEMPLATE,
    SOURCE,
    WINDOW,
)
from rollcall.resources.meta import (
    Condition,
    ConditionStatus,
    LocalReference,
    Model,
    Resource,
    Time,
    UserName,
)
from rollcall.resources.rollout import Rollout
from rollcall.resources.steps import StepSelection
from rollcall.resources.targeting import ONE_WAY_TO_TARGET, Targeting
from rollcall.work import OnExcess

MAX_NAME_LENGTH = 52
"""Leaves room for `-<slice>` in names that must fit into a label (63 characters), as for CronJobs."""


class TemplateReference(LocalReference):
    """Names a JobTemplate in the same namespace."""


class CancelPolicy(StrEnum):
    """How hard a cancellation is."""

    GRACEFUL = "Graceful"
    FORCE = "Force"


class Cancellation(Model):
    """Says that hosts are to be stopped."""

    policy: CancelPolicy = CancelPolicy.GRACEFUL
    """`Graceful` gives scripts the template's grace period between SIGTERM and SIGKILL and waits for proof; `Force`
    kills at once and does not wait for hosts that do not answer."""
    hosts: Annotated[
        tuple[Annotated[str, Field(min_length=1, max_length=253)], ...] | None,
        Field(min_length=1, max_length=10000, json_schema_extra={"x-kubernetes-list-type": "set"}),
    ] = None
    """The hosts to stop. All when absent."""


class RerunHosts(StrEnum):
    """The hosts of an earlier invocation that are run again."""

    ALL = "All"
    FAILED = "Failed"
    NOT_STARTED = "NotStarted"
    CANCELLED = "Cancelled"
    SUCCEEDED = "Succeeded"
    UNSUCCESSFUL = "Unsuccessful"
    LISTED = "Listed"


class RerunOf(LocalReference):
    """Names an earlier invocation in the same namespace, whose hosts are run again."""

    uid: Annotated[str, Field(min_length=1, max_length=64)] | None = None
    """Its metadata.uid; an invocation of the same name with another uid is refused."""
    hosts: RerunHosts = RerunHosts.ALL
    """Which of its hosts: `All`, `Failed`, `NotStarted`, `Cancelled`, `Succeeded`, `Unsuccessful` (all that ended in
    any other way than well), each as they are when this invocation is resolved; or `Listed` in targeting.hosts."""


class RetryReason(StrEnum):
    """The reasons of failed hosts after which they can be tried again."""

    UNREACHABLE = "Unreachable"
    AUTHENTICATION_FAILED = "AuthenticationFailed"
    HOST_KEY_MISMATCH = "HostKeyMismatch"
    PRIVILEGE_ESCALATION_FAILED = "PrivilegeEscalationFailed"
    EXIT_CODE = "ExitCode"
    SIGNAL = "Signal"
    TIMEOUT = "Timeout"
    RUNNER_CRASHED = "RunnerCrashed"
    OOM_KILLED = "OOMKilled"
    CONTAINER_FAILED = "ContainerFailed"
    EVICTED = "Evicted"
    NODE_LOST = "NodeLost"
    POD_DELETED = "PodDeleted"
    UNSCHEDULABLE = "Unschedulable"
    IMAGE_PULL = "ImagePull"
    FETCH_FAILED = "FetchFailed"
    NOT_PICKED_UP = "NotPickedUp"


class SecretSource(Model):
    """Names a Secret whose keys are names of inputs."""

    secret_ref: LocalReference
    """The Secret, in the same namespace. Keys that are no inputs of the template do not matter."""


class EffectiveUserOverride(Model):
    """Says which user the script runs as."""

    name: UserName | None = None
    """The user, where the template lets invocations name one (`ssh.effectiveUser.overridable`)."""
    password_ref: LocalReference | None = None
    """The Secret whose key `become-password` is what sudo, su, doas or dzdo ask for on every host; it comes before
    that of the credentials."""


class Requester(Model):
    """Who asked for the run."""

    username: Annotated[str, Field(min_length=1, max_length=1024)]
    """The Kubernetes user name. Admission lets people name only themselves."""


class OutputPolicy(Model):
    """Says how much output is kept, and what happens to hosts that say more."""

    limit_bytes_per_host: Annotated[int, Field(ge=1, le=1_099_511_627_776)] | None = None
    """How many bytes of one host's stdout and stderr are kept. The operator's limit holds too."""
    limit_bytes: Annotated[int, Field(ge=1, le=1_099_511_627_776)] | None = None
    """How many bytes of the stdout and stderr of all hosts together are kept. The operator's limit holds too."""
    on_excess: OnExcess = OnExcess.CUT
    """`Cut` counts what is over a limit and does not keep it; the script goes on. `Fail` stops a host that says more
    than it may, and all hosts when together they do."""


class JobInvocationSpec(Model):
    """What to run, where and how fast."""

    template_ref: TemplateReference | None = None
    """The JobTemplate that says what is run; it must be in the same namespace."""
    feature: Annotated[str, Field(min_length=1, max_length=253)] | None = None
    """Takes the one JobTemplate of the namespace that lists this feature, instead of naming it in templateRef. It is
    chosen once, when the invocation is resolved: see status.template."""
    inputs: Annotated[dict[str, int | str], Field(max_length=64, json_schema_extra={"x-rollcall-scalars": True})] = {}
    """Values for the template's inputs, by name: text or whole numbers. Write other values as text: "true", "1.5"."""
    inputs_from: Annotated[
        tuple[SecretSource, ...], Field(max_length=16, json_schema_extra={"x-kubernetes-list-type": "atomic"})
    ] = ()
    """Secrets with values for further inputs, the only way to give an input of type Secret. A later Secret comes before
    an earlier one, and `inputs` before all. What comes from a Secret is never shown."""
    targeting: Annotated[
        Targeting | None, Field(json_schema_extra={"x-kubernetes-validations": [ONE_WAY_TO_TARGET]})
    ] = None
    """Which hosts the job runs on: exactly one of `hosts`, `selector`, `inventoryRef` and `query`. They are chosen
    once, when `resolve` says; later changes of labels, facts or groups do not matter."""
    credentials_ref: LocalReference | None = None
    """A Secret to log in with on every host, with the keys of a Host's own; what it holds comes before what
    the Host's own Secret holds."""
    user: Annotated[str, Field(min_length=1, max_length=256)] | None = None
    """The user to log in as on every host, instead of each Host's own."""
    effective_user: (
        Annotated[
            EffectiveUserOverride,
            Field(
                json_schema_extra={
                    "x-kubernetes-validations": [
                        {
                            "rule": "has(self.name) || has(self.passwordRef)",
                            "message": "give a name, a passwordRef or both",
                        }
                    ]
                }
            ),
        ]
        | None
    ) = None
    """The user that the script runs as, instead of the template's, and the password for becoming that user."""
    rollout: Annotated[Rollout, Field(json_schema_extra={"x-kubernetes-validations": [FIXED_ROLLOUT]})] = Rollout()
    """How fast the job spreads over its hosts."""
    steps: StepSelection | None = None
    """Which of the template's steps are run, where it has any."""
    description_format: Annotated[str, Field(max_length=1024)] | None = None
    """Takes the place of the template's `descriptionFormat`."""
    execution_timeout_seconds: Annotated[int, Field(ge=1, le=31536000)] | None = None
    """How long the script may run on one host; takes the place of the template's value."""
    rerun_of: RerunOf | None = None
    """Takes the hosts of an earlier invocation instead of a targeting; template and inputs are this one's own."""
    suspend: bool = False
    """Starts no further hosts while true; those at work go on."""
    cancellation: Cancellation | None = None
    """Stops hosts, for good: those that wait are never started, those at work are told to end. It can only grow:
    more hosts, or Force."""
    start_at: Time | None = None
    """No host is started before this moment."""
    start_before: Time | None = None
    """When no host could be started before this moment, none is, and the invocation fails."""
    active_deadline_seconds: Annotated[int, Field(ge=1, le=315360000)] | None = None
    """How long the whole may take, from the first start (or the last resumption). Then hosts at work are stopped,
    and the invocation fails."""
    pickup_timeout_seconds: Annotated[int, Field(ge=1, le=31536000)] | None = None
    """How long a runner pod may wait for a node, its image or the API server's consent; takes the place of the
    template's value."""
    backoff_limit: Annotated[int, Field(ge=0, le=10)] | None = None
    """How often a host that failed is tried again; takes the place of the template's value."""
    backoff_seconds: Annotated[int, Field(ge=0, le=86400)] | None = None
    """How long before the first new attempt, each later one twice as long as the one before, at most six minutes or
    this, whichever is more; takes the place of the template's value."""
    retry_on: Annotated[
        tuple[RetryReason, ...] | None, Field(max_length=32, json_schema_extra={"x-kubernetes-list-type": "set"})
    ] = None
    """The reasons of failed hosts after which they are tried again; takes the place of the template's value."""
    retry_on_exit_codes: Annotated[
        tuple[Annotated[int, Field(ge=1, le=255)], ...] | None,
        Field(max_length=255, json_schema_extra={"x-kubernetes-list-type": "set"}),
    ] = None
    """Exit codes after which hosts are tried again, also when `ExitCode` is not in retryOn; takes the place of the
    template's value."""
    output: OutputPolicy = OutputPolicy()
    """How much output is kept, and what happens to hosts that say more."""
    ttl_seconds_after_finished: Annotated[int, Field(ge=0, le=3_153_600_000)] | None = None
    """How long the invocation, with its output, is kept after it has finished. For ever when absent."""
    requested_by: Requester | None = None
    """Who asked for the run."""


class InvocationState(StrEnum):
    """The state of an invocation in one word."""

    PENDING = "Pending"
    SUSPENDED = "Suspended"
    RUNNING = "Running"
    CANCELLING = "Cancelling"
    COMPLETE = "Complete"
    FAILED = "Failed"
    CANCELLED = "Cancelled"


class HostCounts(Model):
    """How many hosts are in which state; the five states add up to the total in every status ever written."""

    total: int = 0
    """All hosts of the invocation."""
    pending: int = 0
    """Hosts whose run has not begun, or that wait for another attempt."""
    running: int = 0
    """Hosts that are at work."""
    succeeded: int = 0
    """Hosts that ended with exit code 0."""
    failed: int = 0
    """Hosts that ended any other way, those included that could not be proven to have been stopped."""
    cancelled: int = 0
    """Hosts that were stopped on request, or never started because the invocation was given up before."""


class HostFate(Model):
    """How one host is, and where more is said of it."""

    host: str
    """The Host's name."""
    state: HostState | None = None
    """The host's state in one word."""
    reason: str = ""
    """Why it is so, in one word."""
    message: str = ""
    """Why it is so, in a sentence; a long one is cut, and whole in the slice."""
    attempt: int | None = None
    """Which attempt the slice is: 0 for the first, above it for a retry."""
    slice: str | None = None
    """The JobSlice that says more: `kubectl describe js`."""


MAX_FATES = 20
"""How many hosts each list of an invocation's status has: it is to stay a small object."""
FATES = Field(
    max_length=MAX_FATES,
    json_schema_extra={"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["host"]},
)


class TemplateRecord(Model):
    """The JobTemplate that an invocation was resolved with."""

    name: str
    """The JobTemplate's name."""
    uid: str = ""
    """The JobTemplate's metadata.uid."""
    generation: int = 0
    """The JobTemplate's metadata.generation when the invocation was resolved."""


class JobInvocationStatus(Model):
    """How far the invocation has come."""

    observed_generation: int | None = None
    """The metadata.generation that this status describes."""
    state: InvocationState | None = None
    """The state in one word, for tables; the conditions say more."""
    description: Annotated[str, Field(max_length=255)] | None = None
    """What this invocation does, from the description format."""
    template: TemplateRecord | None = None
    """The JobTemplate that the invocation was resolved with, and keeps to."""
    inventory: str | None = None
    """The Inventory whose variables and groups the hosts have, where they were chosen by one; a rerun keeps to it."""
    start_time: Time | None = None
    """When the first host was started."""
    completion_time: Time | None = None
    """When the last host had ended."""
    slices: int | None = None
    """How many slices the hosts were dealt into, each host of one with a pod per host counted; absent until the
    targeting is resolved."""
    started_slices: int = 0
    """How many slices have been started, counted from the first without a gap."""
    batch: int | None = None
    """The batch that is at work, from 1; absent when the rollout has no batches."""
    hosts: HostCounts | None = None
    """How many hosts are in which state."""
    conditions: Annotated[
        tuple[Condition, ...],
        Field(json_schema_extra={"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["type"]}),
    ] = ()
    """`Valid`, `Resolved`, `Waiting`, `Suspended`, and one at the end: `Complete`, `Failed` or `Cancelled`. Wait for
    them with `kubectl wait --for=condition=Complete`."""
    waiting_for: str | None = None
    """What keeps hosts from being started, in one word: the reason of the condition `Waiting` or `Suspended`; absent
    while neither is true."""
    failures: Annotated[tuple[HostFate, ...], FATES] = ()
    """Hosts that failed, or could not be proven to have been stopped: at most 20 of them; the slices have all."""
    stopped: Annotated[tuple[HostFate, ...], FATES] = ()
    """Hosts that were cancelled, or never started because the invocation was given up: at most 20 of them; the slices
    have all."""
    unfinished: Annotated[tuple[HostFate, ...], FATES] = ()
    """Hosts that have not ended, and what they wait for: at most 20 of them, first those that are tried again or whose
    pod does not start."""


FINAL_CONDITIONS = (ConditionType.COMPLETE, ConditionType.FAILED, ConditionType.CANCELLED)
"""The conditions of which one is true when an invocation has ended."""


class JobInvocation(Resource):
    """Runs a JobTemplate once on a set of hosts."""

    spec: Annotated[
        JobInvocationSpec,
        Field(
            json_schema_extra={
                "x-kubernetes-validations": [
                    *(IMMUTABLE, ONE_TEMPLATE, NO_NEW_ROLLOUT, SOURCE, WINDOW, CANCELLED_FOR_GOOD)
                ]
            }
        ),
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
        return any(c.status == ConditionStatus.TRUE and c.type in FINAL_CONDITIONS for c in self.status.conditions)

    @property
    def waits_for_schedule(self) -> bool:
        """Whether it was made before its Schedule's time came, and has neither been let go nor ended."""
        owned = any(owner.kind == Kind.SCHEDULE for owner in self.metadata.owner_references)
        return owned and ANNOTATION_MADE_AHEAD in self.metadata.annotations and not self.finished
