"""Chunks hold every event that went in, and fit into an object."""

import gzip
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rollcall.names import HostState
from rollcall.outputs import (
    MAX_CHUNK_BYTES,
    MAX_DATA_BYTES,
    MAX_UNPACKED_BYTES,
    Chunk,
    Event,
    Exit,
    Stream,
    parse_line,
    unpack,
    unpack_lines,
)

MIB = 1 << 20


def event(host: str, seq: int, data: bytes) -> Event:
    return Event(host, seq, 1_700_000_000.0 + seq / 1_000, Stream.STDOUT, data)


@given(st.lists(st.tuples(st.sampled_from(["web1", "web2", "db"]), st.binary(max_size=30)), max_size=20))
def test_a_chunk_gives_back_what_it_took_in_and_says_what_of(said: list[tuple[str, bytes]]) -> None:
    chunk = Chunk()
    events = [event(host, seq, data) for seq, (host, data) in enumerate(said)]
    for entry in events:
        chunk.add(entry)
    assert list(unpack(chunk.finish())) == events
    assert set(chunk.hosts) == {host for host, _ in said}
    for host, found in chunk.hosts.items():
        mine = [entry for entry in events if entry.host == host]
        assert (found.first_seq, found.last_seq) == (mine[0].seq, mine[-1].seq)
        assert (found.first_time, found.last_time) == (mine[0].time, mine[-1].time)


def test_people_can_read_a_chunk_with_gunzip() -> None:
    chunk = Chunk()
    chunk.add(Event("web1", 0, 1.5, Stream.STDOUT, b"up\r\n\x0b\x0c\xc2\x85\xe2\x80\xa8"))
    chunk.add(Event("web1", 1, 2.5, Stream.EXIT, Exit(HostState.SUCCEEDED, 0)))
    packed = chunk.finish()
    assert gzip.decompress(packed).count(b"\n") == 2
    assert [entry.seq for entry in unpack(packed)] == [0, 1]


def test_a_line_is_kept_as_it_was_read() -> None:
    chunk = Chunk()
    lines = [b'{"seq":0, "host":"web1","time":1.5,"stream":"stdout","data":"up"}', event("web1", 1, b"x").line()]
    for line in lines:
        chunk.add(parse_line(line), line)
    assert unpack_lines(chunk.finish()) == [line.rstrip() for line in lines]


def test_a_chunk_that_is_larger_than_any_of_ours_is_not_unpacked() -> None:
    with pytest.raises(ValueError, match="too long"):
        unpack_lines(gzip.compress(b"\n" * (MAX_UNPACKED_BYTES + 100_000)))


NOISE = random.Random(1)
LOG = b"Mar  1 12:00:00 web1 systemd[1]: Started session %d of user root.\n"


@pytest.mark.parametrize(
    ("size", "noisy"),
    [(MAX_DATA_BYTES, True), (1_000, True), (80, True), (MAX_DATA_BYTES, False)],
)
def test_a_chunk_is_full_before_it_is_too_large(size: int, noisy: bool) -> None:
    chunk = Chunk()
    lines = 0
    seq = 0
    while not chunk.full:
        data = NOISE.randbytes(size) if noisy else (LOG % seq * (size // len(LOG) + 1))[:size]
        entry = event("web1", seq, data)
        lines += len(entry.line())
        chunk.add(entry)
        seq += 1
    packed = chunk.finish()
    assert len(packed) <= MAX_CHUNK_BYTES
    assert lines <= 4 * MIB + 16_384
    assert len(packed) > MAX_CHUNK_BYTES // 2 or lines >= 4 * MIB, "chunks are not wastefully small"
    assert sum(1 for _ in unpack(packed)) == seq


@pytest.mark.parametrize(
    "data", [b"", b"not gzip", gzip.compress(b"not events\n", mtime=0), gzip.compress(b"{}\n", mtime=0)]
)
def test_bytes_that_are_no_chunk_are_refused(data: bytes) -> None:
    with pytest.raises(ValueError, match=r"not a chunk|not an event|Expecting value"):
        list(unpack(data))
