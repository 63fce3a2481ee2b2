"""A runner's last words hold all that it has printed if that is little, and are never taken for more than they are."""

import base64
import gzip
import json
import random
from collections.abc import Iterable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rollcall.lastwords import MAX_BYTES, MAX_SAID_BYTES, Said, are_last_words, whole_output
from rollcall.names import HostState
from rollcall.outputs import MAX_LINE_BYTES, Event, Exit, Stream, parse_line

DONE = Exit(HostState.SUCCEEDED, 0)


def line(host: str, seq: int, data: bytes | Exit) -> bytes:
    stream = Stream.EXIT if isinstance(data, Exit) else Stream.STDOUT
    return Event(host, seq, 1_700_000_000.0 + seq, stream, data).line()


def turn(host: str, *data: bytes) -> list[bytes]:
    """All that a host says, its exit too."""
    return [line(host, seq, said) for seq, said in enumerate((*data, DONE))]


def words(lines: Iterable[bytes], exits: Iterable[Exit] = (DONE,)) -> str:
    said = Said()
    for entry in lines:
        said.add(entry)
    return said.last_words(exits)


def message(lines: Iterable[bytes]) -> str:
    """Last words as somebody makes them who keeps to no bounds."""
    packed = base64.b64encode(gzip.compress(b"".join(lines))).decode()
    return json.dumps({"hosts": 1, "output": packed})


def test_the_last_words_count_the_ends() -> None:
    exits = [Exit(HostState.SUCCEEDED, 0), Exit(HostState.FAILED, 1), Exit(HostState.SUCCEEDED, 0)]
    assert json.loads(words([], exits)) == {"hosts": 3, "succeeded": 2, "failed": 1}
    assert json.loads(words([], [])) == {"hosts": 0}


def test_little_output_is_in_the_last_words() -> None:
    lines = [*turn("a", b"one\n", b"\xff\x00"), *turn("b", "zwölf\n".encode())]
    found = words(lines, [DONE, DONE])
    assert (json.loads(found)["hosts"], json.loads(found)["succeeded"]) == (2, 2)
    assert whole_output(found, ("a", "b")) == [entry.rstrip(b"\n") for entry in lines]


@given(st.integers(0, 6_000))
def test_the_last_words_never_grow_beyond_what_kubernetes_keeps(size: int) -> None:
    noise = random.Random(size).randbytes(size)
    pieces = [noise[start : start + 1_000] for start in range(0, size, 1_000)]
    found = words(turn("a", *pieces))
    assert len(found.encode()) <= MAX_BYTES
    if "output" in json.loads(found):
        assert len(whole_output(found, ("a",))) == len(pieces) + 1
    else:
        assert size > 1_500, "what is little is kept"
        assert json.loads(found) == {"hosts": 1, "succeeded": 1}


def test_what_is_too_much_is_dropped_for_good() -> None:
    said = Said()
    while not said.too_much:
        said.add(line("a", 0, b"x" * 8_000))
    said.add(line("a", 1, DONE))
    assert json.loads(said.last_words([DONE])) == {"hosts": 1, "succeeded": 1}


GOOD = turn("a", b"one\n")


@pytest.mark.parametrize(
    "found",
    [
        "",
        "no work file",
        "[]",
        "[" * 4_000,
        '{"hosts": 1}',
        '{"hosts": 1, "output": 5}',
        '{"hosts": 1, "output": "%"}',
        '{"hosts": 1, "output": "ä"}',
        '{"hosts": 1, "output": ""}',
        words(GOOD)[:-40],
        json.dumps({"output": base64.b64encode(gzip.compress(b"".join(GOOD))[:-4]).decode()}),
        message([b"not an event\n"]),
        message(GOOD[:1]),
        message(GOOD[1:]),
        message(reversed(GOOD)),
        message([GOOD[0], GOOD[0], GOOD[1]]),
        message([*GOOD, line("a", 2, b"after the end")]),
        message([*GOOD, *turn("stranger")]),
        message([line("a", 0, DONE).replace(b'"time"', b" " * MAX_LINE_BYTES + b'"time"')]),
        message([b"\n" * 40_000_000]),
    ],
    ids=range(20),
)
def test_what_is_not_the_whole_output_is_refused(found: str) -> None:
    with pytest.raises(ValueError):
        whole_output(found, ("a",))


def test_a_host_that_has_not_said_its_exit_is_missed() -> None:
    with pytest.raises(ValueError, match="lacks the exit"):
        whole_output(words(GOOD), ("a", "b"))


def test_no_more_is_unpacked_than_a_runner_packs() -> None:
    half = [line("a", seq, b"x" * 8_000) for seq in range(4)]
    assert len(b"".join(half)) < MAX_SAID_BYTES
    assert len(whole_output(words([*half, line("a", 4, DONE)]), ("a",))) == 5
    more = [line("a", seq, b"x" * 8_000) for seq in range(9)]
    with pytest.raises(ValueError, match="too long"):
        whole_output(message([*more, line("a", 9, DONE)]), ("a",))


@given(st.text(max_size=40))
def test_whatever_a_container_says_at_its_end_is_told_from_last_words(text: str) -> None:
    are_last_words(text)
    with pytest.raises(ValueError):
        whole_output(text, ("a",))


def test_last_words_tell_nothing_of_what_went_wrong() -> None:
    assert are_last_words(words(GOOD))
    assert not are_last_words("rollcall-runner: the work file cannot be read")
    assert not are_last_words("5")


def test_the_lines_are_those_of_the_log() -> None:
    assert [parse_line(entry).host for entry in whole_output(words(GOOD), ("a",))] == ["a", "a"]
