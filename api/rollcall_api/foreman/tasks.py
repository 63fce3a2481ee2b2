"""The ids of Foreman's tasks: one for each job, and one for each host in it."""

import uuid
from typing import Final

from rollcall_api.records import Job

_HOST_TASKS: Final = uuid.UUID("6f1d1c0e-7b1e-5d53-9c2e-3f4f0c1b8a77")


def task_id(job: Job) -> str:
    """The id of the job's task."""
    return job.uid


def host_task_id(job: Job, host_name: str) -> str:
    """The id of the task of one host in the job; the same for as long as there is the job."""
    return str(uuid.uuid5(_HOST_TASKS, f"{job.uid}/{host_name}"))
