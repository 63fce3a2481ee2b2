"""Series: Schedules that clients pause, resume and end, and whose next run they see as a job that waits for its time.

A Schedule makes a run when its moment has come. Clients of some dialects look for the next run before that, and skip it
by cancelling it; so it is made ahead, under the name that the Schedule would give it, and waits until the Schedule lets
it go at its moment, or takes it back. Any number of facades can do this side by side, and none is no harm: the Schedule
makes what is not there (docs/adr/0022).
"""

import asyncio
import logging
from collections.abc import Iterable
from contextlib import suppress
from datetime import UTC, datetime
from typing import Final

from rollcall.names import GROUP, Kind
from rollcall.resources.schedule import ScheduleState
from rollcall_api.cache import Cache
from rollcall_api.job_manifests import timestamp
from rollcall_api.jobs import Jobs
from rollcall_api.objects import Object, Objects
from rollcall_api.problems import Forbidden, NotFound
from rollcall_api.records import Job, Schedule
from rollcall_api.recurring import next_slot
from rollcall_api.users import Identity

logger = logging.getLogger(__name__)

QUEUES_NEXT: Final = f"series.{GROUP}/queues-next"
"""The annotation of the runs of a series whose next run is made ahead."""
CANCELLED: Final = f"series.{GROUP}/cancelled"
"""The annotation of a Schedule whose series somebody ended."""
RETRY_SECONDS: Final = 30.0
_SYNC_SECONDS: Final = 0.1


def is_cancelled(schedule: Schedule) -> bool:
    """Whether somebody ended the series before its time."""
    return schedule.resource.metadata.annotations.get(CANCELLED) == "true"


def has_ended(schedule: Schedule) -> bool:
    """Whether no run of the series will follow."""
    return is_cancelled(schedule) or schedule.resource.status.state is ScheduleState.FINISHED


class Series:
    """Gives series their orders, and looks after those that show their next run."""

    def __init__(self, jobs: Jobs, objects: Objects, cache: Cache) -> None:
        self._jobs = jobs
        self._objects = objects
        self._cache = cache
        self._nudged: set[str] = set()
        self._retry_at: dict[str, float] = {}
        self._made: dict[str, tuple[datetime, float]] = {}
        """The slot of the last run that was made of each series, and when, on the loop's clock."""
        self._wake = asyncio.Event()
        cache.jobs.listeners.append(self._job_changed)
        cache.schedules.listeners.append(self._schedule_changed)

    async def pause(self, schedule: Schedule, user: Identity) -> None:
        """Starts no run until the series is resumed. Raises NotFound, Forbidden, Rejected or Unavailable."""
        await self._objects.change(Kind.SCHEDULE, schedule.name, _suspend, user)

    async def resume(self, schedule: Schedule, user: Identity) -> None:
        """Goes on with a paused series, from now on. Raises as `pause` does."""
        await self._objects.change(Kind.SCHEDULE, schedule.name, _resume, user)

    async def end(self, schedule: Schedule, user: Identity) -> None:
        """Cancels the queued run of the series, and ends it; what is at work goes on. Raises as `pause` does.

        In this order, because a Schedule that ends takes back what waits: nobody would see that it was cancelled.
        """
        for job in _waiting(self._cache.jobs.of_schedule(schedule.name)):
            with suppress(NotFound, Forbidden):
                await self._jobs.cancel(job, user)
        if not has_ended(schedule):
            await self._objects.change(Kind.SCHEDULE, schedule.name, _end, user)

    async def run(self) -> None:
        """Looks after series for ever; it works only when a series or a job of one has changed."""
        while True:
            await self._until_nudged()
            if not self._cache.synced:
                await asyncio.sleep(_SYNC_SECONDS)
                continue
            nudged, self._nudged = self._nudged, set()
            for name in nudged:
                schedule = self._cache.schedules.named(name)
                if schedule is not None:
                    await self._look(schedule)
                else:
                    self._retry_at.pop(name, None)
                    self._made.pop(name, None)

    async def settle(self, schedule: Schedule) -> float | None:
        """Makes the next run if none waits. Raises a Problem.

        Returns when to look again, on the loop's clock, if that has to wait: a run that was taken back is not made
        again and again, in case an operator of another version would make it otherwise.
        """
        resource, now = schedule.resource, asyncio.get_running_loop().time()
        jobs = list(self._cache.jobs.of_schedule(schedule.name))
        idle = resource.status.state in (ScheduleState.INVALID, ScheduleState.FINISHED)
        if idle or is_cancelled(schedule) or any(job.scheduled for job in jobs):
            return None
        slot = next_slot(resource, jobs, datetime.now(UTC))
        if slot is None:
            return None
        before, moment = self._made.get(schedule.name, (None, now))
        if before == slot and now < moment + RETRY_SECONDS:
            return moment + RETRY_SECONDS
        await self._jobs.create_run(schedule, slot)
        self._made[schedule.name] = slot, now
        return None

    async def _look(self, schedule: Schedule) -> None:
        try:
            again_at = await self.settle(schedule)
        except Exception as problem:  # whatever it is, it is about this series, and the others go on
            logger.warning("the next run of %s cannot be queued: %s", schedule.name, type(problem).__name__)
            self._retry_at[schedule.name] = asyncio.get_running_loop().time() + RETRY_SECONDS
        else:
            self._retry_at.pop(schedule.name, None)
            if again_at is not None:
                self._retry_at[schedule.name] = again_at

    async def _until_nudged(self) -> None:
        """Returns when a series has changed, or it is time to try one again."""
        now = asyncio.get_running_loop().time
        while not self._nudged:
            due = min(self._retry_at.values(), default=None)
            with suppress(TimeoutError):
                async with asyncio.timeout(None if due is None else max(0.0, due - now())):
                    await self._wake.wait()
            self._wake.clear()
            self._nudged |= {name for name, moment in self._retry_at.items() if moment <= now()}

    def _schedule_changed(self, schedule: Schedule) -> None:
        if QUEUES_NEXT in schedule.resource.spec.invocation_template.metadata.annotations:
            self._nudged.add(schedule.name)
            self._wake.set()

    def _job_changed(self, job: Job) -> None:
        schedule = None if job.schedule is None else self._cache.schedules.named(job.schedule)
        if schedule is not None:
            self._schedule_changed(schedule)


def _waiting(jobs: Iterable[Job]) -> list[Job]:
    """The runs that are still to come."""
    return [job for job in jobs if job.scheduled and job.cancellation is None]


def _suspend(body: Object) -> None:
    body["spec"]["suspend"] = True


def _resume(body: Object) -> None:
    body["spec"]["suspend"] = False


def _end(body: Object) -> None:
    """Ends the series now: what is due is not made up for, either."""
    body["metadata"].setdefault("annotations", {})[CANCELLED] = "true"
    body["spec"] |= {"endAt": timestamp(datetime.now(UTC)), "suspend": True}
