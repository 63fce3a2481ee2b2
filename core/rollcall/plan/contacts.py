"""Which hosts have given a sign of life in a job, and when.

It is written down for queries and for people, at most once a day for each Host. Jobs do not wait for it, and no
decision about them rests on it.
"""

from collections.abc import Iterable, Iterator
from datetime import datetime, timedelta
from typing import Final

from rollcall.names import HostState, Reason
from rollcall.playbook import NOTHING_FOR_IT
from rollcall.resources.host import Host
from rollcall.resources.jobslice import HostResult, JobSliceStatus
from rollcall.resources.jobtemplate import JobTemplate

WRITTEN_EVERY: Final = timedelta(days=1)
_PROOFS: Final = frozenset({
    Reason.EXIT_CODE, Reason.SIGNAL, Reason.TIMEOUT, Reason.OUTPUT_LIMIT, Reason.PRIVILEGE_ESCALATION_FAILED,
})  # fmt: skip
"""The reasons of failures after which a machine must have been there."""


def contacts(template: JobTemplate | str | None, statuses: Iterable[JobSliceStatus]) -> Iterator[tuple[str, datetime]]:
    """The hosts that a script was run on, and when that ended. One that runs in the pod itself says nothing of them."""
    if isinstance(template, JobTemplate) and not template.in_pod:
        for status in statuses:
            for result in status.hosts:
                if result.completion_time is not None and _was_there(result):
                    yield result.name, result.completion_time


def is_news(host: Host, moment: datetime) -> bool:
    """Whether the contact is to be written down: nothing is, or what is has become old."""
    known = host.status.last_contact_time
    return known is None or moment - known > WRITTEN_EVERY


def _was_there(result: HostResult) -> bool:
    if result.state == HostState.SUCCEEDED:
        return result.message != NOTHING_FOR_IT
    return result.reason in _PROOFS
