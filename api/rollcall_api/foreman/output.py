"""Foreman's JSON of what hosts said (contract §2.4, §2.8 and §5): whole, or in parts when it is long."""

import bisect
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final

import orjson

from rollcall.names import HostState, Reason
from rollcall.outputs import Exit, Stream
from rollcall_api.foreman import echo
from rollcall_api.output_pieces import HostOutput
from rollcall_api.records import Job

_BATCH_BYTES: Final = 128 * 1024
_STREAMS: Final = {Stream.STDOUT: "stdout", Stream.STDERR: "stderr"}


class Cancelled(StrEnum):
    """What Foreman says of a host that was cancelled (§3.5)."""

    PLAIN = "Task cancelled"
    ENFORCED = "Cancel enforced: the task might be still running on the proxy"
    ABORTED = "Task aborted: the task might be still running on the proxy"


@dataclass(frozen=True, slots=True)
class Chunk:
    """A piece of output with its time in microseconds."""

    type: str
    text: str
    microseconds: int

    @property
    def timestamp(self) -> float:
        """The time in seconds; as a JSON number it comes back as the same number."""
        return self.microseconds / 1_000_000

    def document(self) -> dict[str, Any]:
        """The chunk as it is sent."""
        return {"output_type": self.type, "output": self.text, "timestamp": self.timestamp}


def cancelled(job: Job) -> Cancelled:
    """What is said of hosts of the job that were cancelled at work: how hard its cancellation is tells."""
    if job.cancellation is None or not job.cancellation.force:
        return Cancelled.PLAIN
    return Cancelled.ENFORCED if echo.cancel_enforced(job) else Cancelled.ABORTED


class Timeline:
    """Turns an output, part by part, into Foreman's chunks, the exit line last.

    The timestamps strictly increase, because clients ask for what is later than the last one that they saw (§5.3).
    Each depends only on what comes shortly before it, so that it is the same in every answer.
    """

    def __init__(self, since: float | None = None, cancelled: Cancelled = Cancelled.PLAIN) -> None:
        self._since = since
        self._cancelled = cancelled
        self._last = 0

    def chunks(self, part: HostOutput) -> list[Chunk]:
        """The chunks of a part that are later than `since`."""
        found: list[Chunk] = []
        for type_, text, moment in _parts(part, self._cancelled):
            self._last = max(round(moment * 1_000_000), self._last + 1)
            found.append(Chunk(type_, text, self._last))
        if self._since is None:
            return found
        return found[bisect.bisect_right(found, self._since, key=lambda chunk: chunk.timestamp) :]


def _parts(output: HostOutput, cancelled: Cancelled) -> Iterator[tuple[str, str, float]]:
    for piece in output.pieces:
        yield _STREAMS.get(piece.stream, "debug"), piece.text, piece.time
    if output.end is not None:
        end_time = output.end_time or 0.0
        if note := _note(output.end, cancelled):
            yield "debug", note, end_time
        if line := _exit_line(output.end):
            yield "stdout", line, end_time


def _note(end: Exit, cancelled: Cancelled) -> str | None:
    """What Foreman's machinery says about an end that is not a success (§3.5, §3.6, §5.2)."""
    if end.state is HostState.SUCCEEDED:
        return None
    if end.state is HostState.CANCEL_FAILED and cancelled is not Cancelled.PLAIN:
        return cancelled
    if end.state is HostState.CANCELLED or end.reason is Reason.CANCELLED:
        return Cancelled.PLAIN if end.start_time is None else cancelled
    if end.reason is Reason.TIMEOUT:
        return "Timeout for execution passed, trying to stop the job"
    if end.exit_code is not None or end.reason is None:
        return "StandardError: Job execution failed"
    return f"{end.reason.value}: {end.message}" if end.message else end.reason.value


def _exit_line(end: Exit) -> str | None:
    if end.exit_code is not None:
        return f"Exit status: {end.exit_code}"
    # A host that the runner never began with has no exit status at all (§5.2).
    return "Exit status: EXCEPTION" if end.start_time is not None else None


def host_output(output: HostOutput, since: float | None, cancelled: Cancelled = Cancelled.PLAIN) -> bytes:
    """The output of one host (§2.4)."""
    listed = [chunk.document() for chunk in Timeline(since, cancelled).chunks(output)]
    return orjson.dumps({"complete": output.complete, "refresh": not output.complete, "output": listed})


def raw_output(output: HostOutput, *, begun: bool, cancelled: Cancelled = Cancelled.PLAIN) -> bytes:
    """The output of one host as one text (§2.5); null where it has not been dealt with yet."""
    text = "".join(chunk.text for chunk in Timeline(cancelled=cancelled).chunks(output)) if begun else None
    return orjson.dumps({"complete": output.complete, "refresh": not output.complete, "output": text})


def delayed(job: Job, nothing: list[Any] | None) -> bytes:
    """The output of a host in a job that waits for its time (§2.4)."""
    moment = job.start_at and job.start_at.strftime("%Y-%m-%dT%H:%M:%S.") + f"{job.start_at.microsecond // 1000:03}Z"
    document = {"complete": False, "refresh": True, "output": nothing, "delayed": True, "start_at": moment}
    return orjson.dumps(document)


def outputs_item(
    output: HostOutput, host_id: int, since: float | None, raw: bool, cancelled: Cancelled = Cancelled.PLAIN
) -> bytes:
    """One host's part of the outputs of a job (§2.8)."""
    found = Timeline(since, cancelled).chunks(output)
    shown = "".join(chunk.text for chunk in found) if raw else [chunk.document() for chunk in found]
    return orjson.dumps(
        {"complete": output.complete, "refresh": not output.complete, "output": shown, "host_id": host_id}
    )


async def in_parts(
    parts: AsyncIterator[HostOutput],
    since: float | None,
    cancelled: Cancelled = Cancelled.PLAIN,
    *,
    raw: bool = False,
    host_id: int | None = None,
) -> AsyncIterator[bytes]:
    """The same JSON object a part at a time, for an output that is long; what only the end tells comes last."""
    timeline = Timeline(since, cancelled)
    yield b'{"output":"' if raw else b'{"output":['
    separator, complete = b"", False
    async for part in parts:
        complete = part.complete
        for some in _batches(timeline.chunks(part)):
            yield _encoded(some, raw) if raw else separator + _encoded(some, raw)
            separator = b","
    rest = {"complete": complete, "refresh": not complete} | ({} if host_id is None else {"host_id": host_id})
    yield (b'",' if raw else b"],") + orjson.dumps(rest)[1:]


def _batches(chunks: list[Chunk]) -> Iterator[list[Chunk]]:
    """The chunks in order, some at a time, so that little of them is in memory twice."""
    batch: list[Chunk] = []
    size = 0
    for chunk in chunks:
        batch.append(chunk)
        size += len(chunk.text)
        if size > _BATCH_BYTES:
            yield batch
            batch, size = [], 0
    if batch:
        yield batch


def _encoded(chunks: list[Chunk], raw: bool) -> bytes:
    """The inside of the JSON string, or of the JSON list, that they make."""
    return orjson.dumps("".join(chunk.text for chunk in chunks) if raw else [chunk.document() for chunk in chunks])[
        1:-1
    ]
