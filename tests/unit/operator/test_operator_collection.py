"""What is known of a slice's output follows from its events, whatever is read twice."""

from typing import Any

import pytest

from rollcall.names import HostState, StepState
from rollcall.outputs import Event, Exit, StepNews, Stream
from rollcall.resources.jobinvocation import OutputPolicy
from rollcall.resources.jobslice import HostOutput, HostResult, JobSliceStatus, SliceState
from rollcall_operator.collection import Collection
from rollcall_operator.output_limit import OutputLimits
from rollcall_operator.store import Store
from unit.core.objects import invocation, slice_

JOB = ("fleet", "job")


def said(host: str, seq: int, data: bytes = b"x", stream: Stream = Stream.STDOUT) -> Event:
    return Event(host, seq, 1_700_000_000.0 + seq, stream, data)


def ended(host: str, seq: int) -> Event:
    return Event(host, seq, 1_700_000_000.0 + seq, Stream.EXIT, Exit(HostState.SUCCEEDED, 0))


def test_only_new_events_of_its_own_hosts_count() -> None:
    collection = Collection(slice_(0, "a", "b"))
    assert collection.take(said("a", 0))
    assert not collection.is_new(said("a", 0))
    assert not collection.is_new(said("stranger", 0))
    assert collection.is_new(said("b", 0))
    assert not collection.take(said("a", 1))
    assert collection.take(ended("a", 2))
    assert not collection.all_exited
    collection.take(ended("b", 0))
    assert collection.all_exited


def test_a_step_is_news_and_no_output() -> None:
    collection = Collection(slice_(0, "a"))
    collection.take(said("a", 0, b"one\n"))
    begins, ends = StepNews("build", StepState.RUNNING), StepNews("build", StepState.FAILED, 3)
    for seq, news in enumerate((begins, ends), start=1):
        assert collection.take(Event("a", seq, 1_700_000_000.0 + seq, Stream.STEP, news))
    found = collection.snapshot().hosts["a"]
    assert (found.bytes, found.cut_bytes, found.tail) == (4, 0, "one\n")
    assert [(step.news, step.time) for step in found.steps] == [(ends, 1_700_000_002.0)]


def test_a_snapshot_stays_as_it_was_and_the_next_has_the_news() -> None:
    collection = Collection(slice_(0, "a", "b"))
    collection.take(said("a", 0, b"one\n"))
    before = collection.snapshot()
    assert collection.snapshot() is before
    collection.take(said("b", 0, b"two\n"))
    collection.take(said("a", 1, b"three\n"))
    assert {name: host.tail for name, host in before.hosts.items()} == {"a": "one\n"}
    after = collection.snapshot()
    assert {name: host.tail for name, host in after.hosts.items()} == {"a": "one\nthree\n", "b": "two\n"}
    collection.complete = True
    assert collection.snapshot().complete


def test_reading_goes_on_where_the_most_silent_host_stopped() -> None:
    collection = Collection(slice_(0, "a", "b"))
    collection.take(said("a", 5))
    assert collection.resume_time() is None, "b may have spoken at any time"
    collection.take(said("b", 30))
    assert collection.resume_time() == "2023-11-14T22:13:24Z"
    collection.take(ended("a", 6))
    assert collection.resume_time() == "2023-11-14T22:13:49Z"


def limits(store_bytes: int = 1_000_000, done: int = 0, **policy: Any) -> OutputLimits:
    store = Store()
    made = invocation()
    store.invocations[JOB] = made.model_copy(
        update={"spec": made.spec.model_copy(update={"output": OutputPolicy(**policy)})}
    )
    if done:
        result = HostResult(name="z", state=HostState.SUCCEEDED, output=HostOutput(bytes=done))
        status = JobSliceStatus(state=SliceState.DONE, hosts=(result,))
        store.slices[JOB]["job-9", "uid-of-job-9"] = slice_(9, "z").model_copy(update={"status": status})
    return OutputLimits(store, store_bytes)


def test_what_is_over_the_invocations_limit_is_counted_and_not_kept() -> None:
    found = limits(limit_bytes=10, on_excess="Fail")
    first, second = said("a", 0, b"12345678"), said("b", 0, b"123")
    assert found.within(JOB, first) is first
    assert not found.exceeded(JOB)
    cut = found.within(JOB, second)
    assert (cut.stream, cut.data, cut.seq) == (Stream.CUT, 3, 0)
    assert found.exceeded(JOB)
    assert found.within(JOB, said("a", 1, b"12")).data == b"12"


@pytest.mark.parametrize("event", [said("a", 0, b"why\n", Stream.DEBUG), ended("a", 0)])
def test_only_what_scripts_say_is_cut(event: Event) -> None:
    found = limits(store_bytes=1)
    found.count(JOB, 0, 5)
    assert found.within(JOB, event) is event
    assert found.within(JOB, said("a", 1)).stream is Stream.CUT


def test_an_earlier_life_of_the_operator_counts() -> None:
    found = limits(done=8, limit_bytes=10)
    assert found.within(JOB, said("a", 0, b"123")).stream is Stream.CUT
    assert not found.exceeded(JOB), "Cut lets the hosts go on"


def test_records_count_neither_as_output_nor_as_last_words() -> None:
    collection = Collection(slice_(0, "web1"))
    record = {"event": "runner_on_ok", "uuid": "u"}
    for event in (said("web1", 0, b"text\n"), Event("web1", 1, 2.0, Stream.RECORD, record)):
        assert collection.is_new(event)
        collection.take(event)
    progress = collection.snapshot().hosts["web1"]
    assert (progress.bytes, progress.cut_bytes, progress.tail) == (5, 0, "text\n")


def test_of_records_the_names_are_kept_when_the_store_is_full() -> None:
    found = limits(store_bytes=10)
    event = Event(
        "web1", 1, 2.0, Stream.RECORD, {"event": "runner_on_ok", "uuid": "u", "data": {"res": {"msg": "long"}}}
    )
    assert found.within(JOB, event) is event
    found.count(JOB, kept=0, stored=10)
    assert found.within(JOB, event).data == {"event": "runner_on_ok", "uuid": "u", "cut": True}
