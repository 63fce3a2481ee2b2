"""A host's events are numbered, timed and bounded, and its exit event is the last."""

from hypothesis import given
from hypothesis import strategies as st

from rollcall.names import HostState, Reason
from rollcall.outputs import MAX_LINE_BYTES, Event, Exit, Stream, parse_line
from rollcall_runner.emitter import MAX_MESSAGE_LENGTH, Emitter

SUCCEEDED = Exit(HostState.SUCCEEDED, 0)


def emitted(lines: list[bytes]) -> list[Event]:
    return [parse_line(line) for line in lines]


@given(
    st.lists(st.tuples(st.sampled_from((Stream.STDOUT, Stream.STDERR)), st.binary(max_size=20_000)), max_size=6),
    st.integers(1, 60_000),
    st.booleans(),
)
def test_events_hold_the_output_and_say_what_is_missing(
    reads: list[tuple[Stream, bytes]], limit: int, flushed: bool
) -> None:
    lines: list[bytes] = []
    emitter = Emitter("h", lines.append, limit, clock=lambda: 1_700_000_000.0)
    for stream, data in reads:
        emitter.output(stream, data)
        if flushed:
            emitter.flush()
    emitter.end(SUCCEEDED)
    events = emitted(lines)
    assert all(len(line) <= MAX_LINE_BYTES for line in lines)
    assert [event.seq for event in events] == list(range(len(events)))
    assert len({event.time for event in events}) == len(events)
    assert [event.time for event in events] == sorted(event.time for event in events)
    assert events[-1].data == SUCCEEDED
    cut = sum(event.data for event in events if isinstance(event.data, int))
    kept = sum(len(event.data) for event in events if isinstance(event.data, bytes))
    assert kept + cut == sum(len(data) for _, data in reads)
    assert sum(event.stream is Stream.CUT for event in events) <= 1


def test_the_cut_is_between_the_head_and_the_tail() -> None:
    lines: list[bytes] = []
    emitter = Emitter("h", lines.append, 4_000)
    emitter.output(Stream.STDOUT, b"a" * 3_000 + b"b" * 5_000 + b"c" * 2_000)
    emitter.end(SUCCEEDED)
    assert [event.data for event in emitted(lines)[:-1]] == [b"a" * 2_000, 6_000, b"c" * 2_000]


def test_a_debug_line_follows_the_output_before_it() -> None:
    lines: list[bytes] = []
    emitter = Emitter("h", lines.append, 4_000)
    emitter.output(Stream.STDOUT, b"working")
    emitter.debug("Timeout for execution passed, trying to stop the job")
    assert [event.stream for event in emitted(lines)] == [Stream.STDOUT, Stream.DEBUG]
    assert emitted(lines)[1].data == b"Timeout for execution passed, trying to stop the job\n"


def test_a_message_is_shown_in_the_output_before_the_exit() -> None:
    lines: list[bytes] = []
    message = "\N{PILE OF POO}" * MAX_MESSAGE_LENGTH
    exit_ = Exit(HostState.FAILED, None, Reason.UNREACHABLE, message)
    Emitter("h" * 253, lines.append, 4_000).end(exit_)
    assert all(len(line) <= MAX_LINE_BYTES for line in lines)
    assert [event.data for event in emitted(lines)] == [f"{message}\n".encode(), exit_]


def test_time_goes_on_when_the_clock_stands_still_or_goes_back() -> None:
    times = iter((100.0, 100.0, 50.0, 101.0))
    emitter = Emitter("h", lambda _: None, 4_000, clock=lambda: next(times))
    assert [emitter.now() for _ in range(4)] == [100.0, 100.000001, 100.000002, 101.0]
