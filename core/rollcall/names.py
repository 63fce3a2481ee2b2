"""Every name that users meet in labels, conditions and reasons, each with the sentence that explains it."""

from enum import StrEnum
from typing import Final

GROUP: Final = "rollcall.dev"
VERSION: Final = "v1alpha1"
API_VERSION: Final = f"{GROUP}/{VERSION}"

LABEL_ID: Final = f"{GROUP}/id"
"""The integer by which legacy clients address an object; from one sequence per kind, never used twice."""
LABEL_INVOCATION: Final = f"{GROUP}/invocation"
"""The name of the JobInvocation that a slice, pod, output or Secret belongs to."""
LABEL_SLICE: Final = f"{GROUP}/slice"
"""The name of the JobSlice that a pod or output belongs to."""
LABEL_TEMPLATE: Final = f"{GROUP}/template"
"""The name of the JobTemplate that an invocation was made from."""
LABEL_COMPONENT: Final = "app.kubernetes.io/component"
LABEL_MANAGED_BY: Final = "app.kubernetes.io/managed-by"
MANAGED_BY: Final = "rollcall"
COMPONENT_RUNNER: Final = "runner"

FINALIZER_COLLECT: Final = f"{GROUP}/collect"
"""Keeps a runner pod until its results are in its slice's status."""
FINALIZER_INVOCATION: Final = f"{GROUP}/invocation"
"""Keeps a JobInvocation until its remote processes have been stopped."""

ANNOTATION_STOP: Final = f"{GROUP}/stop"
"""On a runner pod: which of its hosts to stop while the others go on, as `rollcall.work.StopOrder` writes it."""
ANNOTATION_CHUNK: Final = f"{GROUP}/chunk"
"""On a JobOutput: what it holds, as `rollcall.outputkeys.Contents` writes it, for readers that do not open it."""


class Kind(StrEnum):
    """The custom resource kinds of the group."""

    HOST = "Host"
    JOB_TEMPLATE = "JobTemplate"
    JOB_INVOCATION = "JobInvocation"
    JOB_SLICE = "JobSlice"
    JOB_OUTPUT = "JobOutput"

    @property
    def plural(self) -> str:
        """The resource name in API paths."""
        return f"{self.value.lower()}s"


class HostState(StrEnum):
    """The state of one host in a run."""

    PENDING = "Pending"
    RUNNING = "Running"
    SUCCEEDED = "Succeeded"
    FAILED = "Failed"
    CANCELLED = "Cancelled"
    """Stopped on request; or never started, because the request came first."""
    CANCEL_FAILED = "CancelFailed"
    """Told to stop on request, but nothing proves that its processes are gone."""
    NOT_STARTED = "NotStarted"
    """Never started, because the invocation was given up before its turn came."""

    @property
    def ended(self) -> bool:
        """Whether nothing more happens on the host."""
        return self not in (HostState.PENDING, HostState.RUNNING)


class StepState(StrEnum):
    """The state of one step on one host."""

    RUNNING = "Running"
    SUCCEEDED = "Succeeded"
    FAILED = "Failed"
    CANCELLED = "Cancelled"
    CANCEL_FAILED = "CancelFailed"
    """Told to stop on request, but nothing proves that its processes are gone."""
    NOT_STARTED = "NotStarted"
    """Not begun, because the host had ended with an earlier step."""
    SKIPPED = "Skipped"
    """Left out by the invocation."""


class ConditionType(StrEnum):
    """Condition types (KEP-1623) of our resources."""

    VALID = "Valid"
    """The object can be carried out as written; False says what to change."""
    RESOLVED = "Resolved"
    """The hosts have been chosen and dealt into slices; the choice does not change afterwards."""
    WAITING = "Waiting"
    """Hosts could be started, but for what the reason says: a time, a pause, a lock that another run holds."""
    SUSPENDED = "Suspended"
    """No further hosts are started while `spec.suspend` is true."""
    FAILURE_TARGET = "FailureTarget"
    """Hosts at work are being stopped and no others started, for the reason; nothing lifts that (KEP-3329)."""
    COMPLETE = "Complete"
    """Every host succeeded."""
    FAILED = "Failed"
    """The invocation ended and at least one host did not succeed, or it could not be started at all."""
    CANCELLED = "Cancelled"
    """The invocation was cancelled, and has ended."""


class Reason(StrEnum):
    """Reasons in conditions, events and host results: one word that a program can match on."""

    # conditions
    ACCEPTED = "Accepted"
    """Nothing is wrong with the object."""
    HOSTS_RESOLVED = "HostsResolved"
    """The hosts have been chosen."""
    ALL_SUCCEEDED = "AllHostsSucceeded"
    """Every host's script ended with exit code 0."""
    SOME_FAILED = "HostsFailed"
    """At least one host did not succeed."""
    NO_HOSTS = "NoHostsMatched"
    """The targeting selects no host."""
    TEMPLATE_NOT_FOUND = "TemplateNotFound"
    """There is no JobTemplate of that name in the namespace."""
    HOST_NOT_FOUND = "HostNotFound"
    """A host that the targeting names does not exist in the namespace."""
    SECRET_NOT_FOUND = "SecretNotFound"
    """A Secret with credentials does not exist in the namespace."""
    INVALID_CREDENTIALS = "InvalidCredentials"
    """A Secret with credentials holds neither a private key nor a password."""
    INVALID_INPUT = "InvalidInput"
    """An input is missing, unknown or of the wrong type."""
    INVALID_SPEC = "InvalidSpec"
    """The object cannot be read as a resource of its kind."""
    TEMPLATE_ERROR = "TemplateError"
    """The template's script or description cannot be rendered."""

    INVALID_RERUN = "InvalidRerun"
    """The invocation that is to be run again does not exist, or has not chosen its hosts."""
    SUSPENDED = "Suspended"
    """`spec.suspend` is true."""
    RESUMED = "Resumed"
    """`spec.suspend` is no longer true."""
    NOT_YET_DUE = "NotYetDue"
    """`spec.startAt` has not come."""
    HOSTS_BUSY = "HostsBusy"
    """Another run works on the hosts that come next, and they take one at a time."""
    TEMPLATE_BUSY = "TemplateBusy"
    """Another invocation of the template runs, and it allows one at a time."""
    PAUSED = "Paused"
    """The pause between two batches is not over."""
    APPROVAL_NEEDED = "ApprovalNeeded"
    """Somebody has to let the next batch start."""
    PROCEEDING = "Proceeding"
    """Nothing is waited for any more."""
    STARTED = "Started"
    """The first hosts are being started."""
    CANCEL_REQUESTED = "CancelRequested"
    """Hosts are being stopped on request."""
    RETRYING = "Retrying"
    """Hosts that failed are tried again."""
    TEMPLATE_CHANGED = "TemplateChanged"
    """The template is not the one that the earlier run had."""

    # one host's end
    EXIT_CODE = "ExitCode"
    """The script ended with an exit code other than 0."""
    SIGNAL = "Signal"
    """A signal ended the script on the host."""
    TIMEOUT = "Timeout"
    """The script ran longer than the execution timeout and was stopped."""
    UNREACHABLE = "Unreachable"
    """No SSH connection to the host could be made, or it broke."""
    HOST_KEY_MISMATCH = "HostKeyMismatch"
    """The host shows another key than the ones on its Host object."""
    AUTHENTICATION_FAILED = "AuthenticationFailed"
    """The host accepts neither the key nor the password."""
    PRIVILEGE_ESCALATION_FAILED = "PrivilegeEscalationFailed"
    """The script could not be started as the effective user."""
    OUTPUT_LIMIT = "OutputLimit"
    """The script said more than it may, and was stopped for it."""
    CANCELLED = "Cancelled"
    """The run was stopped on request."""
    CANCEL_FAILED = "CancelFailed"
    """The run was to be stopped on request, and nothing proves that it was."""
    DEADLINE_EXCEEDED = "DeadlineExceeded"
    """The invocation took longer than its `activeDeadlineSeconds`."""
    START_WINDOW_MISSED = "StartWindowMissed"
    """The invocation could not be started before its `startBefore`."""
    TOO_MANY_FAILED = "TooManyFailed"
    """More hosts failed than `rollout.maxFailed` allows, so no more were started."""

    # what can happen to output
    OUTPUT_NOT_STORED = "OutputNotStored"
    """The output store does not take output. Pods wait until it does."""

    # what can happen to a runner pod
    NOT_PICKED_UP = "NotPickedUp"
    """The runner pod did not get to run in time, for a reason that its status does not tell."""
    UNSCHEDULABLE = "Unschedulable"
    """No node takes the runner pod."""
    IMAGE_PULL = "ImagePull"
    """The runner's image cannot be pulled."""
    OOM_KILLED = "OOMKilled"
    """The runner pod used more memory than it may."""
    EVICTED = "Evicted"
    """The runner pod was evicted from its node."""
    NODE_LOST = "NodeLost"
    """The node of the runner pod went away."""
    POD_DELETED = "PodDeleted"
    """Somebody deleted the runner pod while it worked."""
    RUNNER_CRASHED = "RunnerCrashed"
    """The runner ended without a result for the host."""
    REFUSED = "Refused"
    """The API server refuses an object that the invocation needs (quota, admission, rights)."""
    POD_REFUSED = "PodRefused"
    """The API server refuses the runner pod (quota, admission)."""
