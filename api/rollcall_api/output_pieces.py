"""What a host's events make: pieces in order and once each, holes and cuts told, and the end. No I/O.

`(host, seq)` names an event for ever, so it does not matter from where, or how often, an event is read. While a slice
runs, only the events without a hole before them are shown: the missing ones may still come. Once it is done, a hole is
shown as one.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from rollcall.names import HostState, Reason
from rollcall.outputs import Event, Exit, StepNews, Stream
from rollcall_api.jobs import Member


@dataclass(frozen=True, slots=True)
class Piece:
    """Something that a host said, or that is to be said about its output."""

    stream: Stream
    text: str
    time: float


@dataclass(frozen=True, slots=True)
class HostOutput:
    """The output of one host so far, or a part of it; `end` is set when the host has ended and nothing more comes."""

    pieces: tuple[Piece, ...] = ()
    end: Exit | None = None
    end_time: float | None = None
    complete: bool = False


class Assembly:
    """Puts the events of one host together, as they are read. `expected` is the next one's number; None: any is."""

    def __init__(self, expected: int | None = 0) -> None:
        self._expected = expected
        self._end: Exit | None = None
        self.time = 0.0
        """When the last event happened that was put in its place."""

    @property
    def ended(self) -> bool:
        """Whether the host's last event has been put in its place."""
        return self._end is not None

    def add(self, events: Iterable[Event], done: bool) -> tuple[Piece, ...]:
        """The pieces that these events make, in the order of their numbers; `done` says that no others will come."""
        pieces: list[Piece] = []
        for event in sorted(events, key=lambda event: event.seq):
            expected = event.seq if self._expected is None else self._expected
            if event.seq < expected or self._end is not None:
                continue
            if event.seq > expected:
                if not done:
                    break
                missing = event.seq - expected
                pieces.append(Piece(Stream.DEBUG, f"[{missing} events of output are missing here]\n", event.time))
            self._expected, self.time = event.seq + 1, event.time
            if isinstance(event.data, Exit):
                self._end = event.data
            elif not isinstance(event.data, dict):
                pieces.append(_piece(event))
        return tuple(pieces)

    def close(self, member: Member, done: bool) -> HostOutput:
        """The last part: how the host ended, if it has."""
        if self._end is not None:
            return HostOutput((), self._end, self.time, complete=True)
        if not done:
            return HostOutput()
        end_time = member.end.time if member.end else None
        return HostOutput((), _end_by_status(member), max(end_time or 0.0, self.time), complete=True)


def assemble(events: Mapping[int, Event], member: Member, done: bool) -> HostOutput:
    """The output that the events of a host make; `done` says that no more will come."""
    assembly = Assembly()
    return join((HostOutput(assembly.add(events.values(), done)), assembly.close(member, done)))


def join(parts: Iterable[HostOutput]) -> HostOutput:
    """One output from its parts, of which the last may hold the end."""
    pieces: list[Piece] = []
    last = HostOutput()
    for last in parts:
        pieces += last.pieces
    return HostOutput(tuple(pieces), last.end, last.end_time, last.complete)


def later_than(part: HostOutput, since: float) -> HostOutput:
    """The part without what happened at or before a moment."""
    return replace(part, pieces=tuple(piece for piece in part.pieces if piece.time > since))


def weight(part: HostOutput) -> int:
    """About how many bytes of memory a part takes."""
    return sum(100 + len(piece.text) for piece in part.pieces)


def last_lines(pieces: Sequence[Piece], lines: int) -> tuple[Piece, ...]:
    """The end of the output with at most so many lines, of which the last may lack its line end."""
    kept: list[Piece] = []
    left = lines
    for piece in reversed(pieces):
        if left <= 0:
            break
        # A line end at the very end of the output ends a line and does not begin another one.
        text = piece.text[:-1] if not kept and piece.text.endswith("\n") else piece.text
        if text.count("\n") < left:
            left -= text.count("\n")
            kept.append(piece)
            continue
        cut = len(text)
        for _ in range(left):
            cut = text.rindex("\n", 0, cut)
        rest = piece.text[cut + 1 :]
        if rest:
            kept.append(Piece(piece.stream, rest, piece.time))
        break
    return tuple(reversed(kept))


def last_bytes(pieces: Sequence[Piece], size: int) -> tuple[Piece, ...]:
    """The end of the output with at most so many bytes of UTF-8."""
    kept: list[Piece] = []
    left = size
    for piece in reversed(pieces):
        data = piece.text.encode()
        if len(data) > left:
            rest = data[len(data) - left :].decode(errors="ignore")
            if rest:
                kept.append(Piece(piece.stream, rest, piece.time))
            break
        left -= len(data)
        kept.append(piece)
    return tuple(reversed(kept))


def _piece(event: Event) -> Piece:
    if isinstance(event.data, bytes):
        return Piece(event.stream, event.data.decode(errors="replace"), event.time)
    if isinstance(event.data, StepNews):
        return Piece(Stream.DEBUG, f"{event.data.sentence}\n", event.time)
    return Piece(Stream.DEBUG, f"[{event.data} bytes of output were cut here]\n", event.time)


def _end_by_status(member: Member) -> Exit | None:
    """How the host ended according to its slice, for one whose runner was gone before it could say so."""
    state, end = member.state, member.end
    if state is None or not state.ended:
        return None
    if end is None:
        return Exit(state, exit_code=0 if state is HostState.SUCCEEDED else None)
    return Exit(
        state,
        exit_code=end.exit_code,
        reason=_reason(end.reason),
        message=end.message,
        start_time=end.time if end.started else None,
    )


def _reason(text: str | None) -> Reason | None:
    try:
        return Reason(text) if text is not None else None
    except ValueError:  # a word of a newer operator
        return None
