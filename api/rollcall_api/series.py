"""Keeps the next run of each series visible as a job that waits for its time.

A Schedule makes a run when its moment has come. Clients of some dialects look for the next run before that, and skip it
by cancelling it; so it is made ahead, under the name that the Schedule would give it, and starts at its moment. The
Schedule then finds it, and counts it as made. Any number of facades can do this side by side, and none is no harm: the
Schedule makes what is not there.
"""

import asyncio
import logging
from datetime import UTC, datetime
from typing import Final

from rollcall.names import GROUP
from rollcall.resources.schedule import ScheduleState
from rollcall_api.cache import Cache
from rollcall_api.jobs import Jobs
from rollcall_api.problems import NotFound
from rollcall_api.records import Schedule
from rollcall_api.recurring import next_slot
from rollcall_api.users import Identity

logger = logging.getLogger(__name__)

QUEUES_NEXT: Final = f"series.{GROUP}/queues-next"
"""The annotation of the runs of a series whose next run is made ahead."""
LOOK_SECONDS: Final = 1.0


class Series:
    """Looks after the series that show their next run."""

    def __init__(self, jobs: Jobs, cache: Cache) -> None:
        self._jobs = jobs
        self._cache = cache
        self._retry_at: dict[str, float] = {}

    async def run(self) -> None:
        """Makes next runs as they are missing, for ever."""
        while True:
            await asyncio.sleep(LOOK_SECONDS)
            if self._cache.synced:
                for schedule in list(self._cache.schedules):
                    if QUEUES_NEXT in schedule.resource.spec.invocation_template.metadata.annotations:
                        await self._look(schedule)

    async def _look(self, schedule: Schedule) -> None:
        now = asyncio.get_running_loop().time()
        if now < self._retry_at.get(schedule.uid, 0):
            return
        try:
            await self.settle(schedule)
            self._retry_at.pop(schedule.uid, None)
        except Exception as problem:  # whatever it is, it is about this series, and the others go on
            logger.warning("the next run of %s cannot be queued: %s", schedule.name, type(problem).__name__)
            self._retry_at[schedule.uid] = now + 30

    async def settle(self, schedule: Schedule) -> None:
        """Makes the next run if none waits; takes back what waits when no run is to be made. Raises a Problem."""
        resource = schedule.resource
        jobs = list(self._cache.jobs.of_schedule(schedule.name))
        waiting = [job for job in jobs if job.scheduled and job.cancellation is None]
        if resource.spec.suspend or resource.status.state is ScheduleState.INVALID:
            requester = Identity(resource.spec.requested_by.username, resource.spec.requested_by.groups)
            for job in waiting:
                try:
                    await self._jobs.cancel(job, requester)
                except NotFound:
                    continue
        elif not any(job.scheduled for job in jobs):
            slot = next_slot(resource, jobs, datetime.now(UTC))
            if slot is not None:
                await self._jobs.create_run(schedule, slot)
