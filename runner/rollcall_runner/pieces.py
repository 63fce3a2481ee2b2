"""How a host's output becomes pieces of a bounded size, and which of them are kept.

`Pieces` joins small reads and cuts large ones; `Allowance` decides what is kept: the head of the output at once, and of
the rest only the last bytes, when the host has ended. Both keep the order of the bytes, and lose none without counting.
"""

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from rollcall.outputs import MAX_DATA_BYTES, Stream

TAIL_BYTES: Final = 16_384
"""How much of a host's last output is kept when it says more than it may."""
_MAX_TAIL_SEGMENTS: Final = 1_024
"""Bounds the memory of a tail whose streams alternate with every byte."""

Piece = tuple[Stream, bytes]


def whole_characters(data: bytes | bytearray) -> int:
    """How many bytes come before a UTF-8 character that the end of `data` tears; all of them when it tears none."""
    for back in range(1, min(3, len(data)) + 1):
        byte = data[-back]
        if byte & 0xC0 == 0x80:
            continue
        length = 4 if byte >= 0xF0 else 3 if byte >= 0xE0 else 2 if byte >= 0xC0 else 1
        return len(data) - back if length > back else len(data)
    return len(data)


class Pieces:
    """The bytes of a host that wait to become events: less than a piece of one stream, and torn characters."""

    def __init__(self) -> None:
        self._waiting = {Stream.STDOUT: bytearray(), Stream.STDERR: bytearray()}
        self._last = Stream.STDOUT

    def add(self, stream: Stream, data: bytes) -> Iterator[Piece]:
        """Takes bytes; gives the full pieces, and what must precede them because it came from the other stream."""
        if stream is not self._last:
            yield from self.flush()
            self._last = stream
        waiting = self._waiting[stream]
        waiting += data
        while len(waiting) >= MAX_DATA_BYTES:
            end = whole_characters(waiting[:MAX_DATA_BYTES])
            yield stream, bytes(waiting[:end])
            del waiting[:end]

    def flush(self) -> Iterator[Piece]:
        """Gives all that waits, apart from torn characters."""
        waiting = self._waiting[self._last]
        if end := whole_characters(waiting):
            yield self._last, bytes(waiting[:end])
            del waiting[:end]

    def finish(self) -> Iterator[Piece]:
        """Gives all that waits."""
        for stream in sorted(self._waiting, key=lambda stream: stream is self._last):
            if waiting := self._waiting[stream]:
                yield stream, bytes(waiting)
                waiting.clear()


@dataclass(frozen=True, slots=True)
class Rest:
    """What becomes of the output after the head: how many bytes are cut, and the pieces after them that are kept."""

    cut: int
    tail: tuple[Piece, ...]


class Allowance:
    """How much of a host's output is kept: a head, given back at once, and a tail, given back at the end."""

    def __init__(self, limit: int, tail_bytes: int = TAIL_BYTES) -> None:
        self._tail_bytes = min(tail_bytes, limit // 2)
        self._head_left = limit - self._tail_bytes
        self._tail: deque[tuple[Stream, bytearray]] = deque()
        self._tail_length = 0
        self._cut = 0

    @property
    def exceeded(self) -> bool:
        """Whether more was said than is kept."""
        return self._cut > 0

    def take(self, stream: Stream, data: bytes) -> bytes:
        """The part of `data` that belongs to the head; the rest is kept back for the tail."""
        if len(data) <= self._head_left:
            self._head_left -= len(data)
            return data
        head = data[: whole_characters(data[: self._head_left])]
        self._head_left = 0
        self._hold(stream, memoryview(data)[len(head) :])
        return head

    def rest(self) -> Rest:
        """What was cut and what is left, when nothing more comes."""
        if self._cut and self._tail:
            torn = self._tail[0][1]
            start = next((index for index, byte in enumerate(torn[:3]) if byte & 0xC0 != 0x80), 0)
            self._cut += start
            del torn[:start]
        return Rest(self._cut, tuple((stream, bytes(data)) for stream, data in self._tail if data))

    def _hold(self, stream: Stream, data: memoryview) -> None:
        if self._tail and self._tail[-1][0] is stream:
            self._tail[-1][1].extend(data)
        else:
            self._tail.append((stream, bytearray(data)))
        self._tail_length += len(data)
        while self._tail_length > self._tail_bytes or len(self._tail) > _MAX_TAIL_SEGMENTS:
            self._drop()

    def _drop(self) -> None:
        oldest = self._tail[0][1]
        excess = self._tail_length - self._tail_bytes
        count = len(oldest) if excess <= 0 else min(excess, len(oldest))
        del oldest[:count]
        if not oldest:
            self._tail.popleft()
        self._tail_length -= count
        self._cut += count
