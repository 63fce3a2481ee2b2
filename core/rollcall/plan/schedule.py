"""What a Schedule's spec and status mean to `rollcall.schedule`: which of its slots are due."""

import hashlib
from datetime import UTC, datetime, timedelta
from typing import Final

from rollcall.resources.schedule import Schedule, ScheduleSpec, ScheduleState
from rollcall.schedule.cronlines import CronLine
from rollcall.schedule.due import Decision, Progress, Terms, jitter
from rollcall.schedule.due import due as decide
from rollcall.schedule.recurrence import recurrence
from rollcall.schedule.slots import AnyOf, Grid, Once, Slots
from rollcall.schedule.zones import zone

_PLANNED: Final = frozenset({"cron", "time_zone", "every", "at", "start_at"})
"""What the slots follow from."""
_TIMING: Final = _PLANNED | {"end_at", "max_iterations", "jitter_seconds"}
_IDLE: Final = (ScheduleState.SUSPENDED, ScheduleState.INVALID)
_LONGEST_NAME: Final = 31
"""Leaves room in an invocation's name for a moment and a digest."""


def due(schedule: Schedule, now: datetime, made: frozenset[datetime] = frozenset()) -> Decision:
    """What is to be run now, given the slots whose runs exist. Raises ValueError when the spec does not say."""
    return decide(terms(schedule), progress(schedule, now, made), now)


def terms(schedule: Schedule) -> Terms:
    """The spec, read. Raises ValueError that says what is wrong with it."""
    spec = schedule.spec
    seconds = spec.starting_deadline_seconds
    return Terms(
        slots=_slots(schedule),
        start_at=spec.start_at,
        end_at=spec.end_at,
        max_iterations=spec.max_iterations,
        deadline=None if seconds is None else timedelta(seconds=seconds),
        missed_runs=spec.missed_run_policy,
        max_missed=spec.max_missed_runs,
        delay=delay(schedule),
        skipped=frozenset(spec.skip_times),
        suspended=spec.suspend,
    )


def _slots(schedule: Schedule) -> Slots:
    spec = schedule.spec
    if spec.cron is not None:
        in_zone = zone(spec.time_zone) if spec.time_zone else UTC
        lines = tuple(CronLine(line, in_zone) for line in spec.cron)
        return lines[0] if len(lines) == 1 else AnyOf(lines)
    if spec.every is not None:
        return Grid((spec.every.anchor or created(schedule)).replace(microsecond=0), spec.every.seconds)
    if spec.at is not None:
        return Once(spec.at.replace(microsecond=0))
    if spec.rrule is not None:
        return recurrence(spec.rrule)
    raise ValueError("give exactly one of cron, every, at and rrule")


def progress(schedule: Schedule, now: datetime, made: frozenset[datetime] = frozenset()) -> Progress:
    """How far the schedule has come.

    Another timing begins with the time at which it is first seen: an edit is never retroactive. So does a schedule that
    was suspended, or could not be carried out: what it left out is not made up for. A run that the jitter still delays
    is not of the past, unless the slots are others now: then nothing says that it was ever planned.
    """
    status = schedule.status
    decided = status.decided_until or created(schedule)
    seen = now.replace(microsecond=0)
    if is_edited(schedule):
        begin = seen - delay(schedule) if _has_same_slots(schedule) else seen
        # What was settled before the clock was set back does not bind other times; runs that were made do.
        decided = max(min(decided, seen), begin, status.made_until or begin)
    elif status.state in _IDLE:
        decided = max(decided, seen - delay(schedule))
    return Progress(decided, status.iteration, made)


def delay(schedule: Schedule) -> timedelta:
    """How long after its slot each run is started."""
    return jitter(schedule.metadata.uid, schedule.spec.jitter_seconds)


def timing(spec: ScheduleSpec) -> str:
    """Digests of all that says when to run, and of what alone the slots follow from: `<all>-<slots>`.

    A change of anything else is no new timing.
    """
    return f"{_digest(spec, _TIMING)}-{_digest(spec, _PLANNED)}"


def _digest(spec: ScheduleSpec, fields: frozenset[str]) -> str:
    given = fields if spec.rrule is None else fields | {"rrule"}  # the digests of those without one stay as they were
    return hashlib.sha256(spec.model_dump_json(include=set(given)).encode()).hexdigest()[:16]


def is_edited(schedule: Schedule) -> bool:
    """Whether the status is that of another timing. Statuses of older versions have the first digest alone."""
    known = schedule.status.timing
    return known is not None and known.partition("-")[0] != _digest(schedule.spec, _TIMING)


def _has_same_slots(schedule: Schedule) -> bool:
    known = schedule.status.timing or ""
    return known.partition("-")[2] == _digest(schedule.spec, _PLANNED)


def created(schedule: Schedule) -> datetime:
    """When the schedule was made."""
    return schedule.metadata.creation_timestamp or datetime.fromtimestamp(0, UTC)


def summary(spec: ScheduleSpec) -> str:
    """When it runs, in one line."""
    if spec.cron is not None:
        return f"{' | '.join(spec.cron)} ({spec.time_zone or 'UTC'})"[:1024]
    if spec.every is not None:
        return f"every {spec.every.seconds} s"
    if spec.rrule is not None:
        return " ".join(spec.rrule.split())[:1024]
    return f"once at {spec.at:%Y-%m-%d %H:%M:%S}" if spec.at else ""


def template_of(spec: ScheduleSpec) -> str | None:
    """What the runs are made of, in one line."""
    given = spec.invocation_template.spec
    if given.template_ref is not None:
        return given.template_ref.name
    return f"feature: {given.feature}" if given.feature else None


def run_name(schedule: Schedule, planned: datetime | str) -> str:
    """The name of the run of a slot, or of a request by hand: always the same, so that no run is made twice."""
    stamp = planned if isinstance(planned, str) else str(int(planned.timestamp()))
    digest = hashlib.sha256(f"{schedule.metadata.uid}/{stamp}".encode()).hexdigest()[:8]
    middle = "manual" if isinstance(planned, str) else stamp
    return f"{schedule.metadata.name[:_LONGEST_NAME].rstrip('-.')}-{middle}-{digest}"
