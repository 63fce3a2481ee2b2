"""Events become output: in order, once, with holes shown only when they are final."""

import asyncio
import itertools
from collections.abc import AsyncIterator
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rollcall.names import HostState, Reason, StepState
from rollcall.outputs import Event, Exit, StepNews, Stream
from rollcall.resources.jobslice import SliceState
from rollcall_api.bounded import AgedCache, WeightedCache
from rollcall_api.foreman.output import Timeline, cancelled, in_parts, outputs_item
from rollcall_api.jobs import Member
from rollcall_api.output_pieces import Assembly, HostOutput, Piece, assemble, last_bytes, last_lines
from rollcall_api.parsing import parse_job
from rollcall_api.problems import Unavailable
from rollcall_api.records import HostEnd, Slice


def member(state: HostState = HostState.RUNNING, end: HostEnd | None = None) -> Member:
    slice_ = Slice(
        name="job-1-0",
        uid="u",
        id=None,
        version=1,
        invocation="job-1",
        invocation_uid="j",
        index=0,
        attempt=0,
        hosts=("a",),
        state=SliceState.RUNNING,
        states={"a": state},
        ends={"a": end} if end else {},
    )
    return Member("a", None, slice_)


def said(*sequence: int) -> dict[int, Event]:
    return {seq: Event("a", seq, 10.0 + seq, Stream.STDOUT, str(seq).encode()) for seq in sequence}


def texts(output: HostOutput) -> list[str]:
    return [piece.text for piece in output.pieces]


def test_a_running_host_shows_what_comes_before_a_hole() -> None:
    output = assemble(said(0, 1, 3), member(), done=False)
    assert texts(output) == ["0", "1"]
    assert not output.complete


def test_a_done_host_shows_the_hole() -> None:
    output = assemble(said(1, 2, 5), member(HostState.SUCCEEDED), done=True)
    assert texts(output) == [
        "[1 events of output are missing here]\n", "1", "2", "[2 events of output are missing here]\n", "5"
    ]  # fmt: skip
    assert output.complete
    assert output.end == Exit(HostState.SUCCEEDED, 0)


def test_steps_are_shown_as_lines() -> None:
    news = [
        StepNews("build", StepState.RUNNING),
        StepNews("build", StepState.FAILED, 3, Reason.EXIT_CODE),
        StepNews("test", StepState.FAILED, None, Reason.TIMEOUT),
        StepNews("publish", StepState.NOT_STARTED),
    ]
    events = {seq: Event("a", seq, 10.0 + seq, Stream.STEP, entry) for seq, entry in enumerate(news)}
    output = assemble(events, member(), done=False)
    assert {piece.stream for piece in output.pieces} == {Stream.DEBUG}
    assert texts(output) == [
        "Step build begins\n",
        "Step build has ended: Failed, exit code 3\n",
        "Step test has ended: Failed, Timeout\n",
        "Step publish is not started\n",
    ]


def test_a_host_is_complete_once_its_exit_is_read() -> None:
    events = said(0) | {1: Event("a", 1, 12.0, Stream.EXIT, Exit(HostState.FAILED, 3, Reason.EXIT_CODE))}
    output = assemble(events, member(), done=False)
    assert output.complete
    assert output.end is not None
    assert output.end.exit_code == 3


@pytest.mark.parametrize(
    ("end", "lines"),
    [
        (Exit(HostState.SUCCEEDED, 0), ["Exit status: 0"]),
        (Exit(HostState.FAILED, 7, Reason.EXIT_CODE), ["StandardError: Job execution failed", "Exit status: 7"]),
        (
            Exit(HostState.FAILED, None, Reason.TIMEOUT, "too long", 1.0),
            ["Timeout for execution passed, trying to stop the job", "Exit status: EXCEPTION"],
        ),
        (Exit(HostState.CANCELLED, None, Reason.CANCELLED, None, 1.0), ["Task cancelled", "Exit status: EXCEPTION"]),
        (Exit(HostState.FAILED, None, Reason.IMAGE_PULL, "no such image"), ["ImagePull: no such image"]),
        (Exit(HostState.CANCELLED), ["Task cancelled"]),
    ],
)
def test_the_end_is_said_as_foreman_says_it(end: Exit, lines: list[str]) -> None:
    assert [chunk.text for chunk in Timeline().chunks(HostOutput((), end, 5.0, complete=True))] == lines


PLAIN, ENFORCED, ABORTED = (
    "Task cancelled",
    *(f"{text}: the task might be still running on the proxy" for text in ("Cancel enforced", "Task aborted")),
)


@pytest.mark.parametrize(
    ("cancellation", "echo", "word"),
    [
        (None, {}, PLAIN),
        ({"policy": "Graceful"}, {}, PLAIN),
        ({"policy": "Force", "hosts": ["a"]}, {}, ABORTED),
        ({"policy": "Force"}, {"foreman.rollcall.dev/cancel-enforced": "true"}, ENFORCED),
    ],
)
def test_a_cancelled_host_says_how_hard_it_was_cancelled(
    cancellation: dict[str, Any] | None, echo: dict[str, str], word: str
) -> None:
    metadata = {"name": "job-1", "uid": "u", "resourceVersion": "1", "creationTimestamp": "2024-05-04T10:00:00Z"}
    how = cancelled(parse_job({"metadata": {**metadata, "annotations": echo}, "spec": {"cancellation": cancellation}}))
    unproven = Exit(HostState.CANCEL_FAILED, None, Reason.CANCEL_FAILED, "nothing proves it", 1.0)
    for end, line in (
        (Exit(HostState.CANCELLED, None, Reason.CANCELLED, None, 1.0), word),
        (Exit(HostState.CANCELLED, None, Reason.CANCELLED), PLAIN),  # it never began
        (unproven, "CancelFailed: nothing proves it" if word == PLAIN else word),
        (Exit(HostState.FAILED, 7, Reason.EXIT_CODE, None, 1.0), "StandardError: Job execution failed"),
    ):
        said = Timeline(cancelled=how).chunks(HostOutput((), end, 5.0, complete=True))
        assert (said[0].type, said[0].text) == ("debug", line)


TIMES = st.lists(st.floats(min_value=0, max_value=4e9), max_size=60)


@given(TIMES, st.integers(0, 60))
def test_timestamps_strictly_increase_and_never_change(times: list[float], shown: int) -> None:
    pieces = tuple(Piece(Stream.STDOUT, "x", moment) for moment in times)
    ended = HostOutput(pieces, Exit(HostState.SUCCEEDED, 0), 0.0, True)
    whole = [chunk.timestamp for chunk in Timeline().chunks(ended)]
    assert all(earlier < later for earlier, later in itertools.pairwise(whole))
    before = [chunk.timestamp for chunk in Timeline().chunks(HostOutput(pieces[:shown]))]
    assert whole[: len(before)] == before


@given(TIMES)
def test_polling_with_since_sees_every_chunk_once(times: list[float]) -> None:
    pieces = tuple(Piece(Stream.STDOUT, str(number), moment) for number, moment in enumerate(times))
    seen: list[str] = []
    last: float | None = None
    for end in range(len(pieces) + 1):
        fresh = Timeline(last).chunks(HostOutput(pieces[:end]))
        seen += [chunk.text for chunk in fresh]
        last = float(repr(fresh[-1].timestamp)) if fresh else last
    assert seen == [piece.text for piece in pieces]


def test_a_weighted_cache_forgets_what_was_not_used_for_longest() -> None:
    cache: WeightedCache[str, int] = WeightedCache(10)
    cache.put("a", 1, 4)
    cache.put("b", 2, 4)
    assert cache.get("a") == 1
    cache.put("c", 3, 4)
    assert (cache.get("a"), cache.get("b"), cache.get("c")) == (1, None, 3)
    cache.put("d", 4, 11)
    assert cache.get("d") is None
    assert cache.weight == 8


async def test_many_who_ask_at_once_share_one_fetch() -> None:
    calls: list[None] = []
    gate = asyncio.Event()

    async def fetch() -> int:
        calls.append(None)
        await gate.wait()
        return 7

    cache: AgedCache[str, int] = AgedCache(60)
    waiting = [asyncio.create_task(cache.get("k", fetch)) for _ in range(20)]
    await asyncio.sleep(0)
    waiting[0].cancel()
    gate.set()
    answers: list[Any] = await asyncio.gather(*waiting, return_exceptions=True)
    assert answers[1:] == [7] * 19
    assert len(calls) == 1


async def test_an_old_answer_serves_only_while_the_cluster_is_away() -> None:
    async def known() -> int:
        return 1

    async def away() -> int:
        raise Unavailable("gone")

    graceful: AgedCache[str, int] = AgedCache(0, grace=60)
    strict: AgedCache[str, int] = AgedCache(0)
    for cache in (graceful, strict):
        assert await cache.get("k", known) == 1
    assert await graceful.get("k", away) == 1
    with pytest.raises(Unavailable):
        await strict.get("k", away)


TEXTS = st.lists(st.text("ab\ną", max_size=8), max_size=12)


def pieces_of(texts: list[str]) -> tuple[Piece, ...]:
    return tuple(Piece(Stream.STDOUT, text, 10.0 + number) for number, text in enumerate(texts))


@given(TEXTS, st.integers(0, 8))
def test_the_tail_is_the_last_lines_wherever_pieces_begin(said: list[str], lines: int) -> None:
    kept = "".join(piece.text for piece in last_lines(pieces_of(said), lines))
    whole = "".join(said).splitlines(keepends=True)
    assert kept == "".join(whole[len(whole) - min(lines, len(whole)) :])


@given(TEXTS, st.integers(0, 40))
def test_the_tail_is_the_last_bytes_without_torn_characters(said: list[str], size: int) -> None:
    kept = "".join(piece.text for piece in last_bytes(pieces_of(said), size)).encode()
    whole = "".join(said).encode()
    assert whole.endswith(kept)
    assert size - 1 <= len(kept) <= size or len(kept) == len(whole)


@given(st.lists(st.integers(0, 30), max_size=60), st.integers(1, 9), st.booleans())
def test_events_make_the_same_output_however_they_are_read(seqs: list[int], size: int, done: bool) -> None:
    events = said(*sorted(set(seqs)))
    whole = assemble(events, member(), done)
    assembly = Assembly()
    pieces: list[Piece] = []
    kept = list(events.values())
    for start in range(0, len(kept), size):
        batch = kept[max(0, start - 3) : start + size]  # what was read last is read again
        pieces += assembly.add(reversed(batch), done)
    assert tuple(pieces) == whole.pieces
    assert assembly.close(member(), done).complete == whole.complete


@given(TEXTS, st.integers(1, 5), st.one_of(st.none(), st.floats(5, 25)), st.booleans())
async def test_an_output_in_parts_is_the_same_json(
    texts_: list[str], size: int, since: float | None, raw: bool
) -> None:
    end = HostOutput((), Exit(HostState.FAILED, 3, Reason.EXIT_CODE), 40.0, complete=True)
    pieces = pieces_of(texts_)

    async def in_pieces() -> AsyncIterator[HostOutput]:
        for start in range(0, len(pieces), size):
            yield HostOutput(pieces[start : start + size])
        yield end

    parts = b"".join([part async for part in in_parts(in_pieces(), since, raw=raw, host_id=7)])
    whole = HostOutput(pieces, end.end, end.end_time, complete=True)
    assert orjson.loads(parts) == orjson.loads(outputs_item(whole, 7, since, raw))
