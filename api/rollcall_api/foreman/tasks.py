"""The ids of Foreman's tasks: one for each job, and one for each host in it."""

import uuid
from hashlib import blake2b
from typing import Final

from rollcall_api.records import Job

_HASH_BITS: Final = 62
_VARIANT: Final = 0b10
_VERSION: Final = 8
"""That of UUIDs whose bits mean what their makers like (RFC 9562 §5.8)."""


def task_id(job: Job) -> str:
    """The id of the job's task."""
    return job.uid


def host_task_id(job: Job, host_name: str) -> str:
    """The id of the task of one host in the job; the same for as long as there is the job.

    It begins with the id of the job, which has at most 18 digits and so fits into 60 bits; the rest is a checksum.
    """
    number = job.id or 0
    digest = blake2b(f"{job.uid}/{host_name}".encode(), digest_size=8).digest()
    checksum = int.from_bytes(digest) >> (64 - _HASH_BITS)
    high = (number >> 12) << 16 | _VERSION << 12 | (number & 0xFFF)
    return str(uuid.UUID(int=high << 64 | _VARIANT << _HASH_BITS | checksum))


def job_of_host_task(given: str) -> int | None:
    """The id of the job in the id of a host's task; None for what is no such id."""
    try:
        task = uuid.UUID(given)
    except ValueError:
        return None
    high = task.int >> 64
    return (high >> 16) << 12 | (high & 0xFFF) if task.version == _VERSION else None
