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

    @property
    def ended(self) -> bool:
        """Whether nothing more happens on the host."""
        return self not in (HostState.PENDING, HostState.RUNNING)


class ConditionType(StrEnum):
    """Condition types (KEP-1623) of our resources."""

    VALID = "Valid"
    """The object can be carried out as written; False says what to change."""
    RESOLVED = "Resolved"
    """The hosts have been chosen and dealt into slices; the choice does not change afterwards."""
    COMPLETE = "Complete"
    """Every host succeeded."""
    FAILED = "Failed"
    """The invocation ended and at least one host did not succeed, or it could not be started at all."""


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
    CANCELLED = "Cancelled"
    """The run was stopped on request."""

    # what can happen to a runner pod
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
