"""Output becomes pieces without losing, changing or reordering a byte."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rollcall.outputs import MAX_DATA_BYTES, Stream
from rollcall_runner.pieces import TAIL_BYTES, Allowance, Pieces, whole_characters

OUTPUT = st.sampled_from((Stream.STDOUT, Stream.STDERR))
READS = st.lists(
    st.tuples(
        OUTPUT,
        st.one_of(
            st.binary(max_size=40),
            st.text(max_size=40).map(str.encode),
            st.builds(
                lambda text, times: text.encode() * times, st.text(min_size=1, max_size=3), st.integers(1, 4_000)
            ),
        ),
    ),
    max_size=12,
)


def joined(pieces: list[tuple[Stream, bytes]], stream: Stream) -> bytes:
    return b"".join(data for of, data in pieces if of is stream)


@pytest.mark.parametrize(
    ("data", "length"),
    [
        (b"", 0),
        (b"abc", 3),
        ("né".encode(), 3),
        ("né".encode()[:-1], 1),
        ("€".encode()[:1], 0),
        (b"a" + "€".encode()[:2], 1),
        (b"a" + "😀".encode()[:3], 1),
        ("😀".encode(), 4),
        (b"\x80\x80\x80\x80", 4),
        (b"a\xff", 1),
    ],
)
def test_a_torn_character_is_recognised(data: bytes, length: int) -> None:
    assert whole_characters(data) == length


@given(READS)
def test_pieces_hold_every_byte_of_each_stream_in_order(reads: list[tuple[Stream, bytes]]) -> None:
    pieces = Pieces()
    given = [piece for stream, data in reads for piece in pieces.add(stream, data)]
    given += [*pieces.flush(), *pieces.finish()]
    for stream in (Stream.STDOUT, Stream.STDERR):
        assert joined(given, stream) == joined(reads, stream)
    assert all(0 < len(data) <= MAX_DATA_BYTES for _, data in given)
    assert list(pieces.finish()) == []


@given(st.text(), st.lists(st.integers(0, 1_000), max_size=5), st.integers(1, 5_000))
def test_text_that_arrives_in_any_pieces_is_never_torn(text: str, cuts: list[int], times: int) -> None:
    data = text.encode() * times
    bounds = sorted({0, len(data), *(cut % (len(data) + 1) for cut in cuts)})
    pieces = Pieces()
    for start, end in pairwise(bounds):
        for _, piece in [*pieces.add(Stream.STDOUT, data[start:end]), *pieces.flush()]:
            piece.decode()
    assert list(pieces.finish()) == []


def test_output_of_one_stream_precedes_what_the_other_says_afterwards() -> None:
    pieces = Pieces()
    given = [*pieces.add(Stream.STDOUT, b"1"), *pieces.add(Stream.STDERR, b"2"), *pieces.add(Stream.STDOUT, b"3")]
    assert [*given, *pieces.finish()] == [(Stream.STDOUT, b"1"), (Stream.STDERR, b"2"), (Stream.STDOUT, b"3")]


@given(READS, st.integers(1, 60_000))
def test_what_is_kept_and_what_is_cut_add_up_to_what_was_said(reads: list[tuple[Stream, bytes]], limit: int) -> None:
    allowance = Allowance(limit)
    heads = [(stream, allowance.take(stream, data)) for stream, data in reads]
    rest = allowance.rest()
    tail = list(rest.tail)
    said = sum(len(data) for _, data in reads)
    kept = sum(len(data) for _, data in heads + tail)
    assert kept + rest.cut == said
    assert kept <= limit
    if said <= limit:
        assert rest.cut == 0
    for stream in (Stream.STDOUT, Stream.STDERR):
        everything = joined(reads, stream)
        head, end = joined(heads, stream), joined(tail, stream)
        assert everything.startswith(head)
        assert everything[len(head) :].endswith(end)


def test_the_tail_is_the_last_16_kib() -> None:
    allowance = Allowance(100_000)
    data = bytes(range(256)) * 4_000
    head = allowance.take(Stream.STDOUT, data)
    rest = allowance.rest()
    assert 100_000 - TAIL_BYTES - 3 <= len(head) <= 100_000 - TAIL_BYTES
    (kept,) = rest.tail
    assert TAIL_BYTES - 3 <= len(kept[1]) <= TAIL_BYTES
    assert data.endswith(kept[1])


def test_text_is_not_torn_at_the_ends_of_what_is_cut() -> None:
    allowance = Allowance(50_000)
    text = "€" * 50_000
    allowance.take(Stream.STDERR, text.encode()).decode()
    rest = allowance.rest()
    assert rest.cut > 0
    for _, data in rest.tail:
        data.decode()


def test_streams_that_alternate_with_every_byte_do_not_fill_the_memory() -> None:
    allowance = Allowance(2 * TAIL_BYTES)
    said = 60_000
    kept = sum(len(allowance.take((Stream.STDOUT, Stream.STDERR)[count % 2], b"x")) for count in range(said))
    rest = allowance.rest()
    assert len(rest.tail) <= 1_024
    assert kept + sum(len(data) for _, data in rest.tail) + rest.cut == said
