"""When a create wants the job to run: at once, later, or again and again (contract §4.5)."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Final

from rollcall.resources.schedule import ScheduleState
from rollcall.schedule.cronlines import CronLine
from rollcall.schedule.zones import zone
from rollcall_api.cache import Cache
from rollcall_api.foreman import times
from rollcall_api.foreman.cron import is_cron_line
from rollcall_api.foreman.errors import ForemanError, invalid
from rollcall_api.foreman.requests import filled
from rollcall_api.job_manifests import Recurrence
from rollcall_api.series import QUEUES_NEXT, has_ended

_NO_TASK: Final = "Triggering: Input type No task could be started"
_LAST_DAY: Final = re.compile(r"^(\S+ \S+ )(?:last|l|-1)( )", re.IGNORECASE)
_LAST_WEEKDAY: Final = re.compile(r"#(?:last|l)\b", re.IGNORECASE)
_LONGEST_LINE: Final = 256
"""Characters of a cron line; the schema of Schedules has the same bound."""
MAX_ITERATIONS: Final = 1_000_000


@dataclass(frozen=True, slots=True)
class Timing:
    """When a job runs; at once where nothing is said."""

    start_at: datetime | None = None
    start_before: datetime | None = None
    recurrence: Recurrence | None = None
    echo: Mapping[str, str] = field(default_factory=dict)


def read(given: Mapping[str, Any], cache: Cache, now: datetime) -> Timing:
    """The parameters. Raises 500 with what is wrong, as every validation does."""
    scheduling, repeating = filled(given.get("scheduling")), filled(given.get("recurrence"))
    start_at = _time(scheduling, "start_at", now)
    if repeating:
        recurrence = _recurrence(repeating, cache, start_at, now)
        return Timing(recurrence=recurrence, echo={QUEUES_NEXT: "true"})
    if not scheduling:
        return Timing()
    start_before = _time(scheduling, "start_before", now)
    if start_at is None:
        raise invalid("Triggering: Start at must be set")
    if start_at < now:
        raise invalid("Triggering: Start at is in the past")
    if start_before is not None and _seconds(start_before) <= _seconds(start_at):
        raise invalid("Triggering: Start before raw The task could not be started")
    return Timing(start_at, start_before)


def _recurrence(given: Mapping[str, Any], cache: Cache, start_at: datetime | None, now: datetime) -> Recurrence:
    line = str(given.get("cron_line", ""))
    cron, time_zone = _cron(line)
    most = given.get("max_iteration")
    if most is not None and (isinstance(most, bool) or not re.fullmatch(r"0*[1-9][0-9]{0,6}", str(most))):
        raise invalid(_NO_TASK)
    end_at = _time(given, "end_time", now)
    if end_at is not None and end_at <= max(now, start_at or now):
        raise invalid(_NO_TASK)
    purpose = None if given.get("purpose") is None else str(given["purpose"])
    if purpose is not None and len(purpose) > 255:
        raise invalid("Triggering: Purpose is too long (maximum is 255 characters)")
    if purpose is not None and purpose in _purposes(cache):
        raise invalid(f"Triggering: Purpose Active or disabled recurring logic with purpose {purpose} already exists")
    slots = CronLine(cron, zone(time_zone) if time_zone else UTC)
    first = next(slots.after(max(now, start_at or now)), None)
    if first is None or (end_at is not None and first > end_at):
        raise invalid(_NO_TASK)
    iterations = None if most is None else min(int(str(most)), MAX_ITERATIONS)
    return Recurrence(
        cron=cron, time_zone=time_zone, start_at=start_at, end_at=end_at, max_iterations=iterations, purpose=purpose
    )


def _cron(line: str) -> tuple[str, str | None]:
    """The line in the words of schedules, and its time zone. Raises 500 when it is none."""
    if len(line) > _LONGEST_LINE or not is_cron_line(line):
        raise _no_cron_line(line[:_LONGEST_LINE])
    words = line.split()
    time_zone = words.pop() if len(words) in (2, 6) else None
    cron = _LAST_WEEKDAY.sub("#-1", _LAST_DAY.sub(r"\1L\2", " ".join(words)))
    try:
        CronLine(cron, zone(time_zone) if time_zone else UTC)
    except ValueError:
        raise _no_cron_line(line) from None
    return cron, time_zone


def _no_cron_line(line: str) -> ForemanError:
    return invalid(f"Triggering: Cronline {line} is not valid format of cron line")


def _purposes(cache: Cache) -> set[str | None]:
    """The purposes of the series that are active or disabled."""
    return {
        schedule.resource.spec.purpose
        for schedule in cache.schedules
        if not has_ended(schedule) and schedule.resource.status.state is not ScheduleState.INVALID
    }


def _time(given: Mapping[str, Any], key: str, now: datetime) -> datetime | None:
    """A time, in UTC where it names no zone."""
    value = given.get(key)
    if value is None:
        return None
    try:
        return times.parse(str(value), now)
    except (ValueError, OverflowError):
        title = key.capitalize().replace("_", " ")
        raise invalid(f"Triggering: {title} is not a time, as 2030-11-23 10:00:00 UTC is") from None


def _seconds(moment: datetime) -> datetime:
    return moment.replace(microsecond=0)
