"""What a decision is made from, and what it consists of."""

from collections.abc import Mapping
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field, fields
from datetime import UTC, datetime, timedelta

from rollcall.names import Reason
from rollcall.outputs import Exit, StepNews
from rollcall.plan.locks import NOTHING, Claimant, Locks, Wanted
from rollcall.plan.pods import Pod
from rollcall.plan.rollout import PODS_PER_SLICE
from rollcall.plan.slices import Slices
from rollcall.query.index import Index
from rollcall.resources.host import Host
from rollcall.resources.inventory import Inventory
from rollcall.resources.jobinvocation import JobInvocation, JobInvocationStatus
from rollcall.resources.jobslice import JobSlice, JobSliceStatus
from rollcall.resources.jobtemplate import JobTemplate
from rollcall.targeting import Fleet
from rollcall.work import StopOrder


@dataclass(frozen=True, slots=True)
class Timing:
    """How long the operator is patient."""

    reference_grace: timedelta = timedelta(seconds=30)
    """How long a missing template, Host or Secret may turn up after the invocation was created: they are often
    applied together."""
    pickup: timedelta = timedelta(seconds=600)
    """How long a runner pod may wait for a node, an image or the API server's consent."""
    progress: timedelta = timedelta(seconds=2)
    """How long at least between two writes of mere progress for one invocation."""


@dataclass(frozen=True, slots=True)
class StepProgress:
    """What was last heard of a step, and when, in epoch seconds."""

    news: StepNews
    time: float


@dataclass(frozen=True, slots=True)
class HostProgress:
    """What a host's events said so far; times are epoch seconds."""

    started: float
    last: float
    exit: Exit | None
    bytes: int
    cut_bytes: int
    tail: str
    steps: tuple[StepProgress, ...] = ()


@dataclass(frozen=True, slots=True)
class Collected:
    """What was read of a slice's output; `complete` when its pod can say no more and all of it is stored."""

    hosts: Mapping[str, HostProgress]
    complete: bool
    output: bytes | None = None
    """All of the output, packed, when it is little enough to be kept in the slice; else it is stored elsewhere."""
    place: str | None = None
    """Where it is stored, in words, if it is."""


@dataclass(frozen=True, slots=True)
class Refusal:
    """The API server's refusal to take a slice's pod: since when, and when to offer it again."""

    since: datetime
    retry_at: datetime
    message: str


@dataclass(frozen=True, slots=True)
class Origin:
    """An earlier invocation whose hosts are to be run again."""

    invocation: JobInvocation
    slices: Slices


@dataclass(frozen=True, slots=True)
class Observed:
    """Everything that one reconcile of an invocation looks at."""

    invocation: JobInvocation
    slices: Slices = field(default_factory=Slices)
    pods: Mapping[str, Pod] = field(default_factory=dict)
    collected: Mapping[str, Collected] = field(default_factory=dict)
    refused: Mapping[str, Refusal] = field(default_factory=dict)
    hosts: Mapping[str, Host] = field(default_factory=dict)
    index: Index = field(default_factory=Index)
    """The rows of those hosts that take work."""
    inventories: Mapping[str, Inventory | str] = field(default_factory=dict)
    """The namespace's inventories by name; a sentence for one that cannot be read."""
    template: JobTemplate | str | None = None
    """The template; a sentence when it cannot be read; None when there is none."""
    secrets: Mapping[str, frozenset[str] | None] = field(default_factory=dict)
    """The keys of each Secret that the hosts' credentials come from; None for one that does not exist."""
    made: AbstractSet[str] = frozenset()
    """Slices whose pod this operator has made, also if it is gone by now."""
    locks: Locks = field(default_factory=Locks)
    """What all invocations use and wait for; the plan says what this one does."""
    origin: Origin | None = None
    """The invocation that this one runs again."""
    output_exceeded: bool = False
    """Whether the hosts have said more than the invocation may, and are to be stopped for it."""
    timing: Timing = Timing()
    pods_per_slice: int = PODS_PER_SLICE
    """How many hosts with a pod each share a slice object."""
    progress_written: datetime | None = None
    """When progress was last written for this invocation; None: never in this life of the operator."""

    @property
    def fleet(self) -> Fleet:
        """What the invocation's hosts are chosen from."""
        return Fleet(self.hosts, self.index, self.inventories)

    @property
    def pickup(self) -> timedelta:
        """How long a runner pod of the invocation may wait for a node, an image or the API server's consent."""
        template = self.template.spec.pickup_timeout_seconds if isinstance(self.template, JobTemplate) else None
        seconds = self.invocation.spec.pickup_timeout_seconds or template
        return self.timing.pickup if seconds is None else timedelta(seconds=seconds)

    @property
    def claimant(self) -> Claimant:
        """Who this invocation is to the locks."""
        metadata = self.invocation.metadata
        arrived = metadata.creation_timestamp or datetime.min.replace(tzinfo=UTC)
        return Claimant(arrived, metadata.namespace, metadata.name, metadata.uid)


@dataclass(frozen=True, slots=True)
class Note:
    """A Kubernetes Event about the invocation."""

    reason: Reason
    message: str
    warning: bool = False


@dataclass(frozen=True, slots=True)
class Plan:
    """What to do, in this order; everything in it can be done twice without harm."""

    discard_slices: bool = False
    """Delete all slices: they are left over from a dealing that was never completed, no pod has been started."""
    create_slices: tuple[JobSlice, ...] = ()
    slice_statuses: tuple[tuple[str, JobSliceStatus], ...] = ()
    release_pods: tuple[str, ...] = ()
    """Pods whose results are safe: take the finalizer off."""
    orders: tuple[tuple[str, StopOrder], ...] = ()
    """What to tell runner pods that go on working."""
    delete_pods: tuple[str, ...] = ()
    """Pods to stop, with their grace period."""
    hasten_pods: tuple[str, ...] = ()
    """Pods to stop with a short grace period, also when they are being stopped already."""
    start_slices: tuple[JobSlice, ...] = ()
    clean_up: bool = False
    """Delete the Secrets with the work, once the slices' statuses are written; and after the status is written the
    pods, which have all ended."""
    status: JobInvocationStatus | None = None
    """The status to write; None when the stored one is still right."""
    progress: bool = False
    """Whether this plan writes progress."""
    notes: tuple[Note, ...] = ()
    held: frozenset[str] = frozenset()
    """The slices that work, those aside that this plan starts, and so use their hosts; "": the template is in use."""
    waited: Wanted = field(default_factory=lambda: NOTHING)
    """The locks that keep slices from starting now."""
    again_at: datetime | None = None
    """When to look again even if nothing happens."""
    done: bool = False
    """Whether nothing is left to do for this invocation."""

    def __str__(self) -> str:
        """What the plan consists of, for logs: names and numbers, no contents."""
        parts = []
        for field_ in fields(self):
            value = getattr(self, field_.name)
            if value and field_.name not in ("held", "waited"):
                parts.append(f"{field_.name}={len(value)}" if isinstance(value, tuple) else field_.name)
        return ", ".join(parts) or "nothing"
