"""`Schedule`: makes invocations over time."""

from enum import StrEnum
from typing import Annotated, Any

from pydantic import Field

from rollcall.names import ConditionType
from rollcall.resources.invocationrules import ONE_TEMPLATE, SOURCE
from rollcall.resources.jobinvocation import JobInvocationSpec
from rollcall.resources.meta import Condition, Model, Resource, Time
from rollcall.resources.schedulerules import NOBODY_SPECIAL, ONE_TIME, TEMPLATE_TIMES, WINDOW, ZONE_OF_CRON
from rollcall.schedule.due import MissedRunPolicy

_SET = {"x-kubernetes-list-type": "set"}
_ATOMIC = {"x-kubernetes-list-type": "atomic"}


class ConcurrencyPolicy(StrEnum):
    """What becomes of a run whose time comes while an earlier one is active."""

    ALLOW = "Allow"
    FORBID = "Forbid"
    REPLACE = "Replace"


class Every(Model):
    """A fixed grid of moments."""

    seconds: Annotated[int, Field(ge=1, le=315_360_000)]
    """The distance of two runs. Seconds are absolute: every 86400 of them is another local time after a change of the
    clock."""
    anchor: Time | None = None
    """A moment of the grid, the first of all: runs are at anchor + k * seconds. The creation when absent."""


class ScheduleRequester(Model):
    """Who the runs are made for."""

    username: Annotated[str, Field(min_length=1, max_length=1024)]
    """The Kubernetes user name. Admission lets people name only themselves."""
    groups: Annotated[
        tuple[Annotated[str, Field(min_length=1, max_length=253)], ...], Field(max_length=64, json_schema_extra=_SET)
    ] = ()
    """The groups that the user belongs to, where rights come from groups."""


class TemplateMetadata(Model):
    """What the invocations are marked with."""

    labels: Annotated[dict[str, Annotated[str, Field(max_length=63)]], Field(max_length=32)] = {}
    """Labels of the invocations, beside those that Rollcall sets."""
    annotations: Annotated[dict[str, Annotated[str, Field(max_length=4096)]], Field(max_length=32)] = {}
    """Annotations of the invocations, beside those that Rollcall sets."""


class InvocationTemplate(Model):
    """What every run is: a JobInvocation without a name."""

    metadata: TemplateMetadata = TemplateMetadata()
    """Labels and annotations of the invocations."""
    spec: Annotated[
        JobInvocationSpec,
        Field(json_schema_extra={"x-kubernetes-validations": [ONE_TEMPLATE, SOURCE, TEMPLATE_TIMES]}),
    ]
    """The spec of the invocations. Hosts and template are looked up anew for each run."""


class ScheduleSpec(Model):
    """When to run, under which terms, and what."""

    cron: Annotated[
        tuple[Annotated[str, Field(min_length=1, max_length=256)], ...] | None,
        Field(min_length=1, max_length=16, json_schema_extra=_SET),
    ] = None
    """Lines of five fields (minute, hour, day, month, weekday), or a name like @daily; any of them counts. Also
    `L` (the last day), `fri#2` and `fri#-1` (the second and the last Friday)."""
    time_zone: Annotated[str, Field(min_length=1, max_length=64)] | None = None
    """The IANA name of the zone that cron lines are meant in, as Europe/Berlin. UTC when absent."""
    every: Every | None = None
    """Runs at a fixed distance."""
    at: Time | None = None
    """Runs once, at this moment; never when it has passed before the schedule was made."""
    rrule: Annotated[str, Field(min_length=1, max_length=2048)] | None = None
    """A recurrence rule (RFC 5545) with its start and zone, as
    `DTSTART;TZID=Europe/London:20300101T020000 RRULE:FREQ=DAILY;INTERVAL=1`; no RDATE and EXDATE."""
    start_at: Time | None = None
    """No run is planned before this moment."""
    end_at: Time | None = None
    """No run is planned after this moment, nor made up for later than a minute after it."""
    max_iterations: Annotated[int, Field(ge=1, le=1_000_000)] | None = None
    """How many runs are made, all in all; those that somebody asked for by hand do not count."""
    skip_times: Annotated[tuple[Time, ...], Field(max_length=100, json_schema_extra=_ATOMIC)] = ()
    """Planned times, without jitter, at which no run is made."""
    starting_deadline_seconds: Annotated[int, Field(ge=1, le=31_536_000)] | None = None
    """How late a run may be started. A later one is missed. Without it, any lateness will do, but for the minute that
    `missedRunPolicy: Skip` allows in any case."""
    missed_run_policy: MissedRunPolicy = MissedRunPolicy.LAST
    """What becomes of runs whose time came while nobody could start them: `Skip` forgets what is later than a minute,
    `Last` starts the last one of them, `All` starts each, oldest first, up to maxMissedRuns."""
    max_missed_runs: Annotated[int, Field(ge=1, le=100)] = 10
    """How many missed runs `All` makes up for: the latest ones."""
    concurrency_policy: ConcurrencyPolicy = ConcurrencyPolicy.ALLOW
    """What happens when an earlier run is still active: `Allow` starts the new one beside it, `Forbid` leaves the new
    one out, `Replace` cancels the earlier one and starts the new one."""
    jitter_seconds: Annotated[int, Field(ge=0, le=86_400)] = 0
    """Starts each run later by a delay from 0 to this, always the same for this schedule: many schedules of one time
    spread."""
    suspend: bool = False
    """Makes no runs while true. What was due meanwhile is not made up for."""
    purpose: Annotated[str, Field(max_length=255)] | None = None
    """What the schedule is for: of several unfinished ones in the namespace with the same purpose only the oldest
    runs."""
    successful_jobs_history_limit: Annotated[int, Field(ge=0, le=10_000)] = 3
    """How many invocations that completed are kept, with their output."""
    failed_jobs_history_limit: Annotated[int, Field(ge=0, le=10_000)] = 1
    """How many invocations that ended in another way are kept, with their output."""
    requested_by: Annotated[ScheduleRequester, Field(json_schema_extra={"x-kubernetes-validations": [NOBODY_SPECIAL]})]
    """Who the runs are made for. Each time it is checked that they may create a JobInvocation in the namespace."""
    invocation_template: InvocationTemplate
    """What every run is."""


class ScheduleState(StrEnum):
    """The state of a schedule in one word."""

    ACTIVE = "Active"
    SUSPENDED = "Suspended"
    FINISHED = "Finished"
    INVALID = "Invalid"


class LastRun(Model):
    """The last run that was to be started."""

    time: Time
    """When it was planned; for one that was asked for by hand, when that was seen."""
    name: str | None = None
    """The JobInvocation; absent when none was made."""
    manual: bool = False
    """Whether somebody asked for it by hand (`rollcall.dev/run-now`)."""
    lateness_seconds: int = 0
    """How much later it was started than planned, jitter aside."""
    error: Annotated[str, Field(max_length=1024)] | None = None
    """Why no invocation was made."""
    reason: Annotated[str, Field(max_length=1024)] | None = None
    """The same in one word that a program can match on. An Event tells of it when it becomes another."""


class ScheduleStatus(Model):
    """What the schedule has done, and will do."""

    observed_generation: int | None = None
    """The metadata.generation that this status describes."""
    state: ScheduleState | None = None
    """The state in one word, for tables; the conditions say more."""
    summary: Annotated[str, Field(max_length=1024)] | None = None
    """When it runs, in one line, for tables."""
    template: Annotated[str, Field(max_length=512)] | None = None
    """The template of the runs, or the feature that it is found by, for tables."""
    problem: Annotated[str, Field(max_length=1024)] | None = None
    """Why it cannot be carried out as written, in one word, for tables; `Valid` says more."""
    last_run: LastRun | None = None
    """The last run that was to be started, whether or not it could be."""
    next_times: Annotated[tuple[Time, ...], Field(max_length=5, json_schema_extra=_ATOMIC)] = ()
    """When the next runs will be started, at most five."""
    iteration: int = 0
    """How many planned runs have been made."""
    active: Annotated[tuple[str, ...], Field(max_length=100, json_schema_extra=_SET)] = ()
    """The JobInvocations of this schedule that have not finished, at most a hundred of them."""
    active_count: int = 0
    """How many JobInvocations of this schedule have not finished. While there are a thousand, no run is made."""
    missed: int = 0
    """How many planned runs were not made: because they would have been too late, or an earlier one was active. Of one
    outage at most a thousand are counted."""
    decided_until: Time | None = None
    """Everything planned up to this moment is settled; nothing of it is run again, whatever the clock says."""
    made_until: Time | None = None
    """The latest planned time for which a run was made, or made ahead and given up. No edit goes back behind it,
    whatever the clock says."""
    timing: str | None = None
    """Digests of what says when to run: others begin anew with the time at which they are seen."""
    conditions: Annotated[
        tuple[Condition, ...],
        Field(json_schema_extra={"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["type"]}),
    ] = ()
    """`Valid` is False, with the reason, while the schedule cannot be carried out as written; `Active` is True while
    runs will follow."""


_RULES: dict[str, Any] = {"x-kubernetes-validations": [ONE_TIME, ZONE_OF_CRON, WINDOW]}


class Schedule(Resource):
    """Makes JobInvocations over time: by cron lines in a time zone, at a fixed distance, or once."""

    spec: Annotated[ScheduleSpec, Field(json_schema_extra=_RULES)]
    """When to run, under which terms, and what."""
    status: ScheduleStatus = ScheduleStatus()
    """What the schedule has done, and will do."""

    def condition(self, type_: ConditionType) -> Condition | None:
        """The condition of that type, if there is one."""
        return next((c for c in self.status.conditions if c.type == type_), None)
