"""What the operator's `/metrics` counts and measures; docs/metrics.md explains every name and label.

No label names a host, an invocation or a namespace: how many series there are follows from the program, not from its
use. What there is at the moment (`tally.py`) is registered here too, once this process leads.
"""

import functools
import platform
import time
from collections.abc import Awaitable, Callable
from importlib.metadata import version
from types import TracebackType
from typing import Final, ParamSpec, Self, TypeVar

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, ProcessCollector, disable_created_metrics

from rollcall.names import ConditionType, HostState, Reason
from rollcall.resources.jobinvocation import FINAL_CONDITIONS, RetryReason

P = ParamSpec("P")
T = TypeVar("T")

disable_created_metrics()  # type: ignore[no-untyped-call]  # they would be a second series for every counter
REGISTRY: Final = CollectorRegistry(support_collectors_without_names=True)
ProcessCollector(registry=REGISTRY)

_MOMENTS: Final = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30)
_STARTS: Final = (0.5, 1, 1.5, 2, 3, 5, 10, 20, 30, 60, 120, 300, 600)
_DURATIONS: Final = (1, 2, 5, 10, 30, 60, 120, 300, 600, 1800, 3600, 7200, 21600, 86400)

BUILD: Final = Gauge(
    "rollcall_build_info",
    "1, with the versions of Rollcall and of Python.",
    ("version", "python"),
    registry=REGISTRY,
)
BUILD.labels(version("rollcall-operator"), platform.python_version()).set(1)
LEADER: Final = Gauge(
    "rollcall_leader", "1 while this process holds the Lease and works, 0 while it waits for it.", registry=REGISTRY
)

INVOCATIONS_FINISHED: Final = Counter(
    "rollcall_invocations_finished",
    "Invocations that ended, by the condition that became true and its reason.",
    ("outcome", "reason"),
    registry=REGISTRY,
)
HOSTS_FINISHED: Final = Counter(
    "rollcall_hosts_finished",
    "Hosts that ended in a slice that is done, by state and reason; those left out that are tried again.",
    ("state", "reason"),
    registry=REGISTRY,
)
HOSTS_RETRIED: Final = Counter(
    "rollcall_hosts_retried",
    "Hosts that failed in a slice that is done and are tried again, by the reason of the failure.",
    ("reason",),
    registry=REGISTRY,
)
QUEUE_SECONDS: Final = Histogram(
    "rollcall_invocation_queue_seconds",
    "From an invocation's creation, or its startAt, to the start of its first slice, in whole seconds.",
    buckets=_DURATIONS,
    registry=REGISTRY,
)
DURATION_SECONDS: Final = Histogram(
    "rollcall_invocation_duration_seconds",
    "From the start of an invocation's first slice to its end, in whole seconds.",
    ("outcome",),
    buckets=_DURATIONS,
    registry=REGISTRY,
)
SLICE_START_SECONDS: Final = Histogram(
    "rollcall_slice_start_seconds",
    "From the creation of a runner pod to the start of its container, as this process heard of both.",
    buckets=_STARTS,
    registry=REGISTRY,
)
OUTPUT_BYTES: Final = Counter(
    "rollcall_output_bytes",
    "Bytes of stdout and stderr that hosts have said and that are kept.",
    registry=REGISTRY,
)
OUTPUT_CUT_BYTES: Final = Counter(
    "rollcall_output_cut_bytes", "Bytes that hosts have said and that were cut for a limit.", registry=REGISTRY
)

RECONCILE_SECONDS: Final = Histogram(
    "rollcall_reconcile_seconds",
    "How long one look at an invocation took, with the API calls that followed from it.",
    buckets=_MOMENTS,
    registry=REGISTRY,
)
RECONCILE_WAIT_SECONDS: Final = Histogram(
    "rollcall_reconcile_wait_seconds",
    "How long an invocation to look at waited for its turn.",
    buckets=_MOMENTS,
    registry=REGISTRY,
)
RECONCILE_ERRORS: Final = Counter(
    "rollcall_reconcile_errors",
    "Looks at an invocation that an error ended, and that were begun again, by the API server's reason.",
    ("reason",),
    registry=REGISTRY,
)
REQUESTS: Final = Counter(
    "rollcall_kubernetes_requests",
    "Requests to the API server, by RBAC verb, resource and HTTP status.",
    ("verb", "resource", "code"),
    registry=REGISTRY,
)
REQUEST_SECONDS: Final = Histogram(
    "rollcall_kubernetes_request_seconds",
    "How long requests to the API server took; for a log that is followed, until it began.",
    ("verb",),
    buckets=_MOMENTS,
    registry=REGISTRY,
)
LOGS_FOLLOWED: Final = Gauge(
    "rollcall_logs_followed", "Logs of runner pods that are being followed.", registry=REGISTRY
)

_USUAL_ENDS: Final = (
    (ConditionType.COMPLETE, Reason.ALL_SUCCEEDED),
    (ConditionType.FAILED, Reason.SOME_FAILED),
    (ConditionType.CANCELLED, Reason.CANCELLED),
)
_STATUS_REASONS: Final = frozenset({
    "AlreadyExists", "BadRequest", "Conflict", "Expired", "Forbidden", "Gone", "InternalError", "Invalid",
    "MethodNotAllowed", "NotAcceptable", "NotFound", "RequestEntityTooLarge", "ServerTimeout", "ServiceUnavailable",
    "Timeout", "TooManyRequests", "Unauthorized", "UnsupportedMediaType", "Unreachable", "Disconnected",
})  # fmt: skip
"""The reasons of metav1.Status, and of a `ClusterError` without an answer. Admission webhooks can say anything else."""


def _begin_usual_series() -> None:
    """Let the usual ends count from 0: an increase cannot be seen in a series that begins with its first event."""
    for type_ in FINAL_CONDITIONS:
        DURATION_SECONDS.labels(type_.value)
    for type_, reason in _USUAL_ENDS:
        INVOCATIONS_FINISHED.labels(type_.value, reason.value)
    HOSTS_FINISHED.labels(HostState.SUCCEEDED.value, "")
    HOSTS_FINISHED.labels(HostState.CANCELLED.value, Reason.CANCELLED.value)
    for failure in RetryReason:
        HOSTS_FINISHED.labels(HostState.FAILED.value, failure.value)


_begin_usual_series()


def timed(step: Callable[P, Awaitable[T]]) -> Callable[P, Awaitable[T]]:
    """The step of a reconcile, with its time and its error counted."""

    @functools.wraps(step)
    async def counted(*args: P.args, **kwargs: P.kwargs) -> T:
        began = time.perf_counter()
        try:
            return await step(*args, **kwargs)
        except Exception as error:
            reason = getattr(error, "reason", None)
            RECONCILE_ERRORS.labels(reason if reason in _STATUS_REASONS else "Other").inc()
            raise
        finally:
            RECONCILE_SECONDS.observe(time.perf_counter() - began)

    return counted


class Request:
    """Counts one request to the API server when it is over, under the `code` that it then has."""

    def __init__(self, verb: str, resource: str) -> None:
        self._verb = verb
        self._resource = resource
        self.code: int | None = None
        """The HTTP status of the answer; None while there is none."""

    def __enter__(self) -> Self:
        self._began = time.perf_counter()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        REQUEST_SECONDS.labels(self._verb).observe(time.perf_counter() - self._began)
        REQUESTS.labels(self._verb, self._resource, str(self.code or "none")).inc()
