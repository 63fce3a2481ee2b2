"""A host's events are numbered, timed and bounded, and its exit event is the last."""

from hypothesis import given
from hypothesis import strategies as st

from rollcall.names import HostState, Reason
from rollcall.outputs import MAX_LINE_BYTES, Event, Exit, Stream, parse_line
from rollcall.work import OnExcess
from rollcall_runner.emitter import MAX_MESSAGE_LENGTH, Emitter
from rollcall_runner.masking import Mask

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


def test_whoever_must_fail_for_saying_too_much_keeps_the_head_and_hears_of_the_rest() -> None:
    lines: list[bytes] = []
    emitter = Emitter("h", lines.append, 4_000, on_excess=OnExcess.FAIL)
    emitter.output(Stream.STDOUT, b"a" * 3_000)
    emitter.output(Stream.STDERR, b"b" * 1_000)
    assert not emitter.exceeded
    emitter.output(Stream.STDOUT, b"c")
    assert emitter.exceeded
    emitter.output(Stream.STDOUT, b"d" * 100)
    emitter.end(SUCCEEDED)
    assert [event.data for event in emitted(lines)[:-1]] == [b"a" * 3_000, b"b" * 1_000, 101]


def test_output_that_may_be_cut_never_fails_a_host() -> None:
    emitter = Emitter("h", lambda _: None, 10)
    emitter.output(Stream.STDOUT, b"a" * 100)
    assert not emitter.exceeded


def test_a_secret_is_in_no_event_wherever_it_is_said_and_torn() -> None:
    lines: list[bytes] = []
    emitter = Emitter("h", lines.append, 1_000, mask=Mask(["hunter2"]))
    emitter.debug("as hunter2")
    emitter.output(Stream.STDOUT, b"it is hun")
    emitter.flush()
    emitter.output(Stream.STDERR, b"hunter2 and hun")
    emitter.output(Stream.STDOUT, b"ter2, hun")
    emitter.end(Exit(HostState.FAILED, None, Reason.UNREACHABLE, "no hunter2"))
    events = emitted(lines)
    assert not any(b"hunter2" in line for line in lines)
    said = {
        stream: b"".join(e.data for e in events if e.stream is stream and isinstance(e.data, bytes))
        for stream in Stream
    }
    assert said[Stream.STDOUT] == b"it is ********, hun"
    assert said[Stream.STDERR] == b"******** and hun"
    assert said[Stream.DEBUG] == b"as ********\nno ********\n"
    assert events[-1].data == Exit(HostState.FAILED, None, Reason.UNREACHABLE, "no ********")


def test_what_is_masked_counts_as_it_is_shown() -> None:
    lines: list[bytes] = []
    emitter = Emitter("h", lines.append, 8, on_excess=OnExcess.FAIL, mask=Mask(["a very long secret"]))
    emitter.output(Stream.STDOUT, b"a very long secret")
    emitter.finish()
    assert not emitter.exceeded
    emitter.end(SUCCEEDED)
    assert emitted(lines)[0].data == b"********"
