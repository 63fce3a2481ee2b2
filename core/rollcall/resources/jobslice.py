"""`JobSlice`: hosts that one runner pod handles, or that have a pod each, and what became of them."""

from enum import StrEnum
from typing import Annotated, Literal

from pydantic import Field, PrivateAttr

from rollcall.names import HostState, StepState
from rollcall.resources.meta import LocalReference, Model, OwnerReference, Resource, Time
from rollcall.resources.steps import MAX_STEPS

MAX_HOSTS_PER_SLICE = 250
TAIL_BYTES = 256
"""The most of a host's last output that its slice keeps: 250 hosts must fit into one object."""

MAX_OUTPUT_BYTES = 4_096
"""The most packed output that is kept in its slice, whose object is to stay below 20 kB; more goes into a store."""


MAX_PODS_PER_SLICE = 25
"""The most pods that a slice with a pod for each host has. Each write of its status carries all of them."""

MAX_OUTPUT_BYTES_PER_POD = 1_024
"""The most packed output of one of several pods that is kept in its slice, whose object is to stay below 100 kB."""


class HostOutput(Model):
    """How much a host has said."""

    bytes: int = 0
    """Bytes of stdout and stderr that are kept."""
    cut_bytes: int = 0
    """Bytes that were said but not kept, because of the limit."""
    tail: str = ""
    """The last lines, at most 256 bytes."""


class StepResult(Model):
    """What became of one step on one host."""

    name: Annotated[str, Field(max_length=63)]
    """The step's name."""
    state: StepState
    """Running, Succeeded, Failed, Cancelled, CancelFailed, NotStarted (an earlier step failed) or Skipped."""
    exit_code: int | None = None
    """The exit code of its script, when that ended by itself."""
    start_time: Time | None = None
    """When it was begun."""
    completion_time: Time | None = None
    """When it had ended."""


class HostResult(Model):
    """What became of one host."""

    name: Annotated[str, Field(max_length=253)]
    """The Host's name."""
    state: HostState
    """Pending, Running, Succeeded, Failed, Cancelled, CancelFailed or NotStarted."""
    exit_code: int | None = None
    """The script's exit code, when it ended by itself."""
    reason: str | None = None
    """Why the host did not succeed, in one word."""
    message: str | None = None
    """Why the host did not succeed, in a sentence."""
    retry: Literal[True] | None = None
    """True when the host is tried again, in the slice of the next attempt; what that says is the host's end then."""
    start_time: Time | None = None
    """When the runner began with the host."""
    completion_time: Time | None = None
    """When the host had ended."""
    output: HostOutput | None = None
    """How much the host has said."""
    steps: Annotated[
        tuple[StepResult, ...] | None,
        Field(max_length=MAX_STEPS, json_schema_extra={"x-kubernetes-list-type": "atomic"}),
    ] = None
    """What became of each step, when the template has any; a step that nothing is known of is absent."""


class JobSliceSpec(Model):
    """Which hosts of which invocation."""

    invocation_ref: LocalReference
    """The invocation that this slice is a part of."""
    index: Annotated[int, Field(ge=0)]
    """The slice's place in its invocation, from 0; slices start in this order. With podPerHost the first host's."""
    attempt: Annotated[int, Field(ge=0, le=10)] = 0
    """Which attempt on its hosts this is: 0 for the first, above it for a retry of hosts that failed."""
    batch: Annotated[int, Field(ge=0)] = 0
    """The batch that it starts with, from 0."""
    hosts: Annotated[
        tuple[Annotated[str, Field(max_length=253)], ...],
        Field(min_length=1, max_length=MAX_HOSTS_PER_SLICE, json_schema_extra={"x-kubernetes-list-type": "set"}),
    ]
    """The names of the hosts."""
    pod_per_host: Literal[True] | None = None
    """True when each host has a runner pod of its own: the first has the place `index`, and the others those after it.
    Their pods are named after the invocation and their places."""

    @property
    def places(self) -> int:
        """How many places in the invocation it takes: one for each of its pods."""
        return len(self.hosts) if self.pod_per_host else 1


class SliceState(StrEnum):
    """The state of a slice in one word."""

    PENDING = "Pending"
    RUNNING = "Running"
    DONE = "Done"


class HostPod(Model):
    """How far the pod of one host is, in a slice with a pod for each host."""

    host: Annotated[str, Field(max_length=253)]
    """The Host's name."""
    state: SliceState
    """Pending, Running, or Done when the host has ended."""
    pod_name: str | None = None
    """The runner pod."""
    waiting_reason: str | None = None
    """What keeps the runner pod from starting, in one word; absent once it has started, and while nothing is wrong."""
    waiting_message: str | None = None
    """What keeps the runner pod from starting, in a sentence."""
    start_time: Time | None = None
    """When the runner pod was started."""
    completion_time: Time | None = None
    """When the host had ended, and all that it said was stored."""
    retry_time: Time | None = None
    """When the host may be tried again, at the earliest, if it is."""
    retry_slice: str | None = None
    """The slice in which it is tried again."""
    stored_output: str | None = None
    """Where all output is that has no room in this object, in words."""


class JobSliceStatus(Model):
    """What became of the hosts."""

    state: SliceState | None = None
    """Pending, Running, or Done when every host has ended."""
    pod_name: str | None = None
    """The runner pod."""
    waiting_reason: str | None = None
    """What keeps the runner pod from starting, in one word; absent once it has started, and while nothing is wrong."""
    waiting_message: str | None = None
    """What keeps the runner pod from starting, in a sentence."""
    start_time: Time | None = None
    """When the runner pod was started."""
    completion_time: Time | None = None
    """When the last host had ended."""
    retry_time: Time | None = None
    """When the hosts that are tried again may start, at the earliest."""
    retry_slice: str | None = None
    """The slice in which they are tried again."""
    stored_output: str | None = None
    """Where all output is that has no room in this object, in words."""
    succeeded: int | None = None
    """How many hosts succeeded."""
    failed: int | None = None
    """How many hosts did not."""
    hosts: Annotated[
        tuple[HostResult, ...],
        Field(
            max_length=MAX_HOSTS_PER_SLICE,
            # One writer writes it whole: who set which field of which host would be half of the object.
            json_schema_extra={"x-kubernetes-list-type": "atomic"},
        ),
    ] = ()
    """What became of each host."""
    output: Annotated[str | None, Field(max_length=4 * -(-MAX_OUTPUT_BYTES // 3))] = None
    """All output of the slice's hosts, when it is little and kept in the cluster; else it is in JobOutputs or another
    store. JSON lines, one event each, compressed with gzip, in base64.
    Read it with `kubectl get js NAME -o jsonpath={.status.output} | base64 -d | gunzip`."""
    pods: Annotated[
        tuple[HostPod, ...] | None,
        Field(max_length=MAX_PODS_PER_SLICE, json_schema_extra={"x-kubernetes-list-type": "atomic"}),
    ] = None
    """How far the pods are, in a slice with a pod for each host: one for each host that has begun or ended."""
    # A map: what is written later of one host leaves alone what the others have said, which the operator forgets.
    outputs: Annotated[
        dict[str, Annotated[str, Field(max_length=4 * -(-MAX_OUTPUT_BYTES_PER_POD // 3))]] | None,
        Field(max_length=MAX_PODS_PER_SLICE),
    ] = None
    """All output of each host of which that is little, by the host's name, in a slice with a pod for each host; in the
    form of `output`."""


class JobSlice(Resource):
    """The hosts that one runner pod handles, or that have a pod each, and what became of them. Made by Rollcall, not by
    people."""

    spec: Annotated[
        JobSliceSpec,
        Field(
            json_schema_extra={
                "x-kubernetes-validations": [{"rule": "self == oldSelf", "message": "a slice never changes"}]
            }
        ),
    ]
    """Which hosts of which invocation."""
    status: JobSliceStatus = JobSliceStatus()
    """What became of the hosts."""
    _object: str = PrivateAttr("")

    @property
    def done(self) -> bool:
        """Whether every host has ended."""
        return self.status.state == SliceState.DONE

    @property
    def object_name(self) -> str:
        """The object's name: the slice's own, unless it shares an object with others (`rollcall.plan.units`)."""
        return self._object or self.metadata.name

    @property
    def most_output(self) -> int:
        """How many bytes of packed output its object has room for."""
        return MAX_OUTPUT_BYTES_PER_POD if self._object else MAX_OUTPUT_BYTES

    def owner_reference(self) -> OwnerReference:
        """The reference that makes another object go away with this one's."""
        return super().owner_reference().model_copy(update={"name": self.object_name})

    def part_of(self, whole: "JobSlice") -> "JobSlice":
        """The same slice, as one of those that share an object."""
        part = self.model_copy()
        part._object = whole.metadata.name
        return part

    def without_output(self) -> "JobSlice":
        """The slice as decisions need it. What is written of its status then leaves the output as it is."""
        if self.status.output is None and self.status.outputs is None:
            return self
        return self.model_copy(update={"status": self.status.model_copy(update={"output": None, "outputs": None})})
