"""A line that a runner writes is read back as the same event, and whatever else stands in a log is told from one."""

import json
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from rollcall.names import HostState, Reason
from rollcall.outputs import MAX_DATA_BYTES, MAX_LINE_BYTES, Event, Exit, Stream, parse_line

OUTPUT = st.sampled_from((Stream.STDOUT, Stream.STDERR, Stream.DEBUG))
ENDS = (HostState.SUCCEEDED, HostState.FAILED, HostState.CANCELLED)
TIMES = st.integers(0, 4_000_000_000_000_000).map(lambda micros: micros / 1_000_000)
TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=40)
LONGEST_NAME = "h" * 253


@given(OUTPUT, st.binary(max_size=200) | TEXT.map(str.encode), st.integers(0, 10**12), TIMES)
def test_any_bytes_come_back_as_they_were(stream: Stream, data: bytes, seq: int, time: float) -> None:
    event = Event("web1.example.com", seq, time, stream, data)
    line = event.line()
    assert line.endswith(b"\n")
    assert line.count(b"\n") == 1
    assert parse_line(line) == Event("web1.example.com", seq, round(time, 6), stream, data)


@given(st.integers(0, 2**63))
def test_a_cut_says_how_many_bytes_are_missing(count: int) -> None:
    event = Event("web1", 3, 1.5, Stream.CUT, count)
    assert parse_line(event.line()) == event


@given(
    st.builds(
        Exit,
        st.sampled_from(ENDS),
        st.none() | st.integers(0, 255),
        st.none() | st.sampled_from(Reason),
        st.none() | TEXT,
        st.none() | TIMES,
    )
)
def test_an_exit_says_how_the_host_ended(exit_: Exit) -> None:
    event = Event("web1", 9, 1.5, Stream.EXIT, exit_)
    assert parse_line(event.line()) == event


@pytest.mark.parametrize(
    "data",
    [
        b"a" * MAX_DATA_BYTES,
        b"\n" * MAX_DATA_BYTES,
        b"\0" * MAX_DATA_BYTES,
        b"\x1b[0m" * (MAX_DATA_BYTES // 4),
        b'"\\' * (MAX_DATA_BYTES // 2),
        b"\xff" * MAX_DATA_BYTES,
        "ä".encode() * (MAX_DATA_BYTES // 2),
        "😀".encode() * (MAX_DATA_BYTES // 4),
        b"\0" * 1_400 + b"a" * (MAX_DATA_BYTES - 1_400),
        b"\0" * 1_150 + b"a" * (MAX_DATA_BYTES - 1_150),
    ],
    ids=lambda data: f"{data[:4]!r}",
)
def test_a_line_is_never_so_long_that_the_runtime_splits_it(data: bytes) -> None:
    line = Event(LONGEST_NAME, 2**63, 4_000_000_000.123456, Stream.STDOUT, data).line()
    assert len(line) <= MAX_LINE_BYTES
    assert parse_line(line).data == data


@given(st.lists(st.sampled_from([b"\0", b"a", b"\n", b"\\", b"\x7f", "ä".encode()]), min_size=4, max_size=4))
def test_a_mixture_of_characters_fits_into_a_line_too(pieces: list[bytes]) -> None:
    data = (b"".join(pieces) * MAX_DATA_BYTES)[: MAX_DATA_BYTES // 2 * 2]
    assert len(Event(LONGEST_NAME, 2**63, 4_000_000_000.123456, Stream.STDERR, data).line()) <= MAX_LINE_BYTES


GOOD: dict[str, Any] = {"host": "web1", "seq": 1, "time": 1.5, "stream": "stdout", "data": "x"}
EXIT: dict[str, Any] = {"state": "Succeeded", "exitCode": 0}


def test_the_good_line_that_the_bad_ones_differ_from_is_good() -> None:
    assert parse_line(json.dumps(GOOD).encode()) == Event("web1", 1, 1.5, Stream.STDOUT, b"x")
    assert parse_line(json.dumps(GOOD | {"stream": "exit", "data": EXIT}).encode()).data == Exit(HostState.SUCCEEDED, 0)


@pytest.mark.parametrize(
    "change",
    [
        {"seq": "one"},
        {"seq": None},
        {"seq": float("inf")},
        {"seq": float("nan")},
        {"time": "noon"},
        {"time": []},
        {"time": float("inf")},
        {"time": float("nan")},
        {"time": 10**400},
        {"time": 1e17},
        {"stream": "stdin"},
        {"stream": []},
        {"stream": {}},
        {"data": "!", "b64": True},
        {"data": "eA", "b64": True},
        {"data": "ä", "b64": True},
        {"data": 5, "b64": True},
        {"data": "\ud800"},
        {"stream": "cut", "data": "many"},
        {"stream": "cut", "data": None},
        {"stream": "cut", "data": float("inf")},
        {"stream": "exit", "data": "0"},
        {"stream": "exit", "data": {}},
        {"stream": "exit", "data": {"state": "Running"}},
        {"stream": "exit", "data": {"state": "Pending"}},
        {"stream": "exit", "data": {"state": "Asleep"}},
        {"stream": "exit", "data": {"state": []}},
        {"stream": "exit", "data": EXIT | {"reason": "Boredom"}},
        {"stream": "exit", "data": EXIT | {"exitCode": "zero"}},
        {"stream": "exit", "data": EXIT | {"message": 5}},
        {"stream": "exit", "data": EXIT | {"startTime": "noon"}},
        {"stream": "exit", "data": EXIT | {"startTime": float("inf")}},
    ],
    ids=str,
)
def test_a_line_with_a_wrong_value_is_no_event(change: dict[str, Any]) -> None:
    with pytest.raises(ValueError):
        parse_line(json.dumps(GOOD | change).encode())


@pytest.mark.parametrize("key", sorted(GOOD))
def test_a_line_without_a_part_is_no_event(key: str) -> None:
    with pytest.raises(ValueError, match="not an event"):
        parse_line(json.dumps({name: value for name, value in GOOD.items() if name != key}).encode())


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from([*GOOD, "b64", "state"]), inner),
    max_leaves=6,
)


@given(st.binary(max_size=60) | JSON.map(lambda value: json.dumps(value).encode()))
@example(b"")
@example(b'{"host":"web1","seq":' + b"9" * 5_000 + b"}")
@example(b"Traceback (most recent call last):")
def test_whatever_else_stands_in_a_log_is_told_from_an_event(line: bytes) -> None:
    with suppress(ValueError):
        parse_line(line)


@given(st.fixed_dictionaries({}, optional={**dict.fromkeys(GOOD, JSON), "stream": st.sampled_from(Stream)}))
def test_what_looks_like_an_event_is_one_or_a_value_error(document: dict[str, Any]) -> None:
    try:
        event = parse_line(json.dumps(GOOD | document).encode())
    except ValueError:
        return
    assert parse_line(event.line()).stream == event.stream


def test_a_line_of_brackets_is_told_from_an_event() -> None:
    with pytest.raises(ValueError, match="not an event"):
        parse_line(b"[" * 200_000)
