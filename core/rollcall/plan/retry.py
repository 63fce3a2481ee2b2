"""Which failed hosts are tried again, how often and when.

The decision is made once, when a slice is done, and is written into its status: a template that changes afterwards
does not change what has been decided. The slice of the next attempt follows from that status alone.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from rollcall.names import HostState, Reason
from rollcall.plan.rollout import make_slice
from rollcall.resources.jobinvocation import JobInvocation
from rollcall.resources.jobslice import HostResult, JobSlice, JobSliceStatus
from rollcall.resources.jobtemplate import JobTemplate

MAX_BACKOFF_SECONDS: Final = 360
"""The longest time between two attempts, as for Jobs (batch/v1), unless the first is longer."""
DEFAULT_BACKOFF_SECONDS: Final = 10


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """What is tried again: hosts that failed for one of the reasons, or with one of the exit codes."""

    limit: int
    backoff_seconds: int
    reasons: frozenset[str]
    exit_codes: frozenset[int]

    def wants(self, result: HostResult) -> bool:
        """Whether the host is tried again, attempts left."""
        if result.state != HostState.FAILED:
            return False
        by_code = result.reason == Reason.EXIT_CODE and result.exit_code in self.exit_codes
        return by_code or result.reason in self.reasons

    def again(self, slice_: JobSlice, result: HostResult) -> bool:
        """Whether the host of that slice is tried again."""
        return slice_.spec.attempt < self.limit and self.wants(result)

    def delay(self, attempt: int) -> timedelta:
        """How long after the end of this attempt, counted from 0, the next may begin."""
        most = max(MAX_BACKOFF_SECONDS, self.backoff_seconds)
        return timedelta(seconds=min(self.backoff_seconds * 2**attempt, most))


NO_RETRY: Final = RetryPolicy(0, 0, frozenset(), frozenset())


def retry_policy(invocation: JobInvocation, template: JobTemplate | str | None) -> RetryPolicy:
    """What the invocation says, else its template. Without a template nothing can be tried again."""
    if not isinstance(template, JobTemplate):
        return NO_RETRY
    own, other = invocation.spec, template.spec
    return RetryPolicy(
        limit=other.backoff_limit if own.backoff_limit is None else own.backoff_limit,
        backoff_seconds=other.backoff_seconds if own.backoff_seconds is None else own.backoff_seconds,
        reasons=frozenset(other.retry_on if own.retry_on is None else own.retry_on),
        exit_codes=frozenset(other.retry_on_exit_codes if own.retry_on_exit_codes is None else own.retry_on_exit_codes),
    )


def with_retries(slice_: JobSlice, status: JobSliceStatus, policy: RetryPolicy, now: datetime) -> JobSliceStatus:
    """The status of a slice that is done, with the hosts marked that are tried again."""
    if not any(policy.again(slice_, result) for result in status.hosts):
        return status
    hosts = tuple(
        result.model_copy(update={"retry": True}) if policy.again(slice_, result) else result for result in status.hosts
    )
    return status.model_copy(update={"hosts": hosts, "retry_time": now + policy.delay(slice_.spec.attempt)})


def next_attempt(invocation: JobInvocation, parent: JobSlice) -> JobSlice:
    """The slice in which the marked hosts of a done slice are tried again."""
    hosts = tuple(result.name for result in parent.status.hosts if result.retry)
    return make_slice(invocation, parent.spec.index, parent.spec.attempt + 1, parent.spec.batch, hosts)
