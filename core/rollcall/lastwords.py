"""A runner's last words: the termination message that Kubernetes keeps in its pod's status.

They are a JSON object: how many hosts ended in which state, and under `output` all that the runner has printed, packed
as in a chunk and in base64, when that is little enough. Whoever sees the pod's end has then seen everything, without
reading its log.
"""

import base64
import binascii
import json
import zlib
from collections.abc import Callable, Iterable
from typing import Any, Final

from rollcall.outputs import GZIP, MAX_LINE_BYTES, Exit, Stream, parse_line, unpack_lines

MAX_BYTES: Final = 4_096
"""The most that Kubernetes keeps of a termination message."""
MAX_SAID_BYTES: Final = 65_536
"""How much may be printed, unpacked, before it counts as too much; it bounds what a runner and a reader must hold."""
_LEVEL: Final = 9  # it is done once, for little, and each byte may be the one too many


class Said:
    """What a runner has printed, as long as it may fit into its last words; then nothing."""

    def __init__(self) -> None:
        self._lines: list[bytes] = []
        self._size = 0

    @property
    def too_much(self) -> bool:
        """Whether it cannot fit any more, whatever follows."""
        return self._size > MAX_SAID_BYTES

    def add(self, line: bytes) -> None:
        """Take in an event's line, with its line end."""
        if self.too_much:
            return
        self._size += len(line)
        self._lines.append(line)
        if self.too_much:
            self._lines.clear()

    def last_words(self, exits: Iterable[Exit]) -> str:
        """The termination message of the runner whose hosts ended so, at most MAX_BYTES of ASCII."""
        counts: dict[str, Any] = {}
        for exit_ in exits:
            counts[exit_.state.value.lower()] = counts.get(exit_.state.value.lower(), 0) + 1
        summary = {"hosts": sum(counts.values()), **counts}
        if self._lines:
            whole = json.dumps({**summary, "output": self._packed()})
            if len(whole) <= MAX_BYTES:
                return whole
        return json.dumps(summary)

    def _packed(self) -> str:
        compressor = zlib.compressobj(_LEVEL, zlib.DEFLATED, GZIP)
        return base64.b64encode(compressor.compress(b"".join(self._lines)) + compressor.flush()).decode("ascii")


def are_last_words(message: str) -> bool:
    """Whether a termination message is that of a runner which came to its end; others say what went wrong."""
    try:
        return "hosts" in _document(message)
    except ValueError:
        return False


def whole_output(message: str, hosts: Iterable[str], loads: Callable[[bytes], Any] = json.loads) -> list[bytes]:
    """The lines of all that a runner of these hosts has printed. `loads` reads JSON, some do so faster.

    Raises ValueError unless the message holds every event of every host, from the first to the exit, and no others.
    """
    document = _document(message)
    try:
        packed = base64.b64decode(document["output"], validate=True)
    except (KeyError, TypeError, ValueError, binascii.Error) as error:
        raise ValueError("the message holds no output") from error
    lines = unpack_lines(packed, MAX_SAID_BYTES)
    due = dict.fromkeys(hosts, 0)
    for line in lines:
        event = parse_line(line, loads)
        # A host that has said its exit is not waited for any more.
        if len(line) > MAX_LINE_BYTES or due.get(event.host) != event.seq:
            raise ValueError("the message holds an event that is out of its place")
        due[event.host] += 1
        if event.stream is Stream.EXIT:
            del due[event.host]
    if due:
        raise ValueError("the message lacks the exit of a host")
    return lines


def _document(message: str) -> dict[str, Any]:
    try:
        document = json.loads(message)
    except RecursionError as error:
        raise ValueError("not a runner's message") from error
    if not isinstance(document, dict):
        raise ValueError("not a runner's message")
    return document
