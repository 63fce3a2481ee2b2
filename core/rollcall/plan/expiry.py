"""When a finished invocation is deleted, and when its output is."""

from datetime import datetime, timedelta

from rollcall.resources.jobinvocation import JobInvocation


def expires_at(invocation: JobInvocation) -> datetime | None:
    """The end of `ttlSecondsAfterFinished` (KEP-592); None while the invocation runs or is kept for ever."""
    ttl, finished = invocation.spec.ttl_seconds_after_finished, invocation.status.completion_time
    if ttl is None or finished is None or not invocation.finished:
        return None
    try:
        return finished + timedelta(seconds=ttl)
    except OverflowError:
        return None  # the calendar ends before


def output_expires_at(invocation: JobInvocation, retention: timedelta | None) -> datetime | None:
    """The end of the output's retention; None while the invocation runs, or when its output is kept as long as it."""
    finished = invocation.status.completion_time
    if retention is None or finished is None or not invocation.finished:
        return None
    try:
        return finished + retention
    except OverflowError:
        return None  # the calendar ends before
