"""What the facade keeps of each object: the part that answers are made from. `parsing` makes it of raw JSON."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

import orjson

from rollcall import resources
from rollcall.names import GROUP, HostState
from rollcall.resources import JobTemplate
from rollcall.resources.jobslice import SliceState

ECHO_DOMAIN: Final = f".{GROUP}/"
"""Annotations `<dialect>.rollcall.dev/<key>` hold what a dialect wants to hear again, verbatim."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Record:
    """What every object has; `version` is the resourceVersion as a number (KEP-5504)."""

    name: str
    uid: str
    id: int | None
    version: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Counts:
    """How many hosts of an invocation are in which state."""

    total: int
    pending: int
    running: int
    succeeded: int
    failed: int
    cancelled: int


@dataclass(frozen=True, slots=True)
class CancellationOrder:
    """That hosts are to be stopped: these, or all for None."""

    force: bool
    hosts: tuple[str, ...] | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Job(Record):
    """A JobInvocation."""

    created: datetime
    template: str
    """The JobTemplate's name; "" while a feature is asked for and none is chosen yet."""
    hosts: tuple[str, ...] | None
    """The hosts that the targeting names; None when it selects them by something else."""
    late: bool
    """Whether the hosts are chosen when the job starts, and not before."""
    user: str | None
    effective_user: str | None
    requested_by: str
    concurrency: int | None
    execution_timeout: int | None
    description: str | None
    description_format: str | None
    time_span: int | None
    start_at: datetime | None
    start_before: datetime | None
    schedule: str | None
    """The Schedule that the job belongs to."""
    planned: datetime | None
    """The moment that a Schedule planned it for."""
    cancellation: CancellationOrder | None
    packed: bytes
    """Inputs, their Secrets and the targeting, encoded: a hundred thousand jobs are kept, and few are looked at."""
    packed_echo: bytes
    """The echo, encoded apart: searches look at it in every job, and inputs can be large."""
    resolved: bool
    dealt: bool
    """Whether its hosts have been dealt into slices."""
    complete: bool
    failed: bool
    missed_start: bool
    """Whether it failed because it could not be started before `start_before`."""
    cancelled: bool
    started: bool
    completed: datetime | None
    counts: Counts | None

    @property
    def inputs(self) -> Mapping[str, Any]:
        """The values of inputs that are no secrets."""
        return self._unpacked[0]

    @property
    def input_secrets(self) -> tuple[str, ...]:
        """The Secrets with values of further inputs."""
        return tuple(self._unpacked[1])

    @property
    def targeting(self) -> Mapping[str, Any]:
        """The targeting as it is stored; empty where it names hosts."""
        return self._unpacked[2]

    @property
    def query(self) -> str | None:
        """The query of the targeting, whatever its language."""
        return (self.targeting.get("query") or {}).get("text")

    @property
    def echo(self) -> Mapping[str, str]:
        """What a dialect wants to hear again."""
        echo: Mapping[str, str] = orjson.loads(self.packed_echo)
        return echo

    @property
    def _unpacked(self) -> tuple[Mapping[str, Any], Sequence[str], Mapping[str, Any]]:
        inputs, secrets, targeting = orjson.loads(self.packed)
        return inputs, secrets, targeting

    @property
    def has_secret_inputs(self) -> bool:
        """Whether values of further inputs are in Secrets."""
        return bool(self.input_secrets)

    @property
    def scheduled(self) -> bool:
        """Whether the job waits for its time, and has not begun."""
        return self.start_at is not None and not self.started and not self.finished

    @property
    def finished(self) -> bool:
        """Whether the invocation has ended."""
        return self.complete or self.failed or self.cancelled


@dataclass(frozen=True, slots=True, kw_only=True)
class HostEnd:
    """How a host ended that did not succeed."""

    exit_code: int | None
    reason: str | None
    message: str | None
    started: bool
    time: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Slice(Record):
    """A JobSlice: its hosts, and what is known of each."""

    invocation: str
    invocation_uid: str
    index: int
    attempt: int
    hosts: tuple[str, ...]
    state: SliceState
    states: Mapping[str, HostState]
    ends: Mapping[str, HostEnd]
    holds_output: bool = False
    """Whether all of its output is in its status; only who asks for it reads it."""
    shared: str | None = None
    """The name of the object that it shares with other slices, if it does."""
    parts: tuple["Slice", ...] = ()
    """The slices that share this object, if there are several: one for each host, which has a pod of its own."""

    @property
    def key(self) -> tuple[str, str]:
        """What no other slice ever has."""
        return self.name, self.uid

    @property
    def done(self) -> bool:
        """Whether every host has ended, and all output is stored."""
        return self.state is SliceState.DONE


@dataclass(frozen=True, slots=True, kw_only=True)
class Host(Record):
    """A Host."""

    resource: resources.Host


@dataclass(frozen=True, slots=True, kw_only=True)
class Template(Record):
    """A JobTemplate; its scripts and playbooks are not kept."""

    resource: JobTemplate
    effective_user: str | None
    overridable: bool
    """Whether a job may name another effective user."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Inventory(Record):
    """An Inventory; its variables are not kept."""

    resource: resources.Inventory


@dataclass(frozen=True, slots=True, kw_only=True)
class Schedule(Record):
    """A Schedule."""

    resource: resources.Schedule
