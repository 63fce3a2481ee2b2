"""Output that is in its slice's status is read from there, as if it were the only chunk in a store."""

import asyncio
import base64
import tracemalloc
from typing import Any, cast

import pytest

from rollcall.names import HostState
from rollcall.outputs import Chunk, Event, Exit, Stream
from rollcall.resources.jobslice import SliceState
from rollcall_api import output
from rollcall_api.jobs import Member
from rollcall_api.output import Outputs
from rollcall_api.output_pieces import HostOutput
from rollcall_api.parsing import parse_slice
from rollcall_api.problems import Away, Forbidden, NotFound, Unavailable

DONE = Exit(HostState.SUCCEEDED, 0)
Object = dict[str, Any]


def packed(*hosts: str) -> str:
    """What these hosts said, three lines each."""
    chunk = Chunk()
    for host in hosts:
        for seq in range(3):
            chunk.add(Event(host, seq, 1_000.0 + 10 * seq, Stream.STDOUT, f"{host} {seq}\n".encode()))
        chunk.add(Event(host, 3, 1_030.0, Stream.EXIT, DONE))
    return base64.b64encode(chunk.finish()).decode()


def document(output: str | None, state: SliceState = SliceState.DONE, uid: str = "u") -> Object:
    results = [{"name": name, "state": "Succeeded"} for name in ("a", "b")]
    status = {"state": state.value, "hosts": results} | ({} if output is None else {"output": output})
    metadata = {"name": "job-1-0", "uid": uid, "resourceVersion": "1"}
    return {
        "metadata": metadata,
        "spec": {"invocationRef": {"name": "job-1"}, "index": 0, "hosts": ["a", "b"]},
        "status": status,
    }


class FakeCluster:
    """Has one slice, and the log of its pod while it runs; there is no list of anything."""

    def __init__(self, raw: Object | Exception | None) -> None:
        self.raw = raw
        self.gets = 0
        self.log: bytes | Exception = b""

    async def get(self, path: str) -> Object:
        assert path.endswith("/jobslices/job-1-0")
        self.gets += 1
        if self.raw is None:
            raise NotFound("gone")
        if isinstance(self.raw, Exception):
            raise self.raw
        return self.raw

    async def pod_log(self, *_: Any) -> bytes:
        if isinstance(self.log, Exception):
            raise self.log
        return self.log


def outputs(cluster: FakeCluster) -> Outputs:
    return Outputs(cast(Any, cluster), "fleet", ())


def member(name: str = "a", raw: Object | None = None) -> Member:
    return Member(name, None, parse_slice(raw or document("there is some")))


def text(output: HostOutput) -> str:
    return "".join(piece.text for piece in output.pieces)


async def test_it_is_all_of_the_output_and_read_once_for_all_hosts() -> None:
    cluster = FakeCluster(document(packed("a", "b")))
    reader = outputs(cluster)
    for host in ("a", "b"):
        found = await reader.read(member(host), finished=True)
        assert text(found) == f"{host} 0\n{host} 1\n{host} 2\n"
        assert (found.complete, found.end) == (True, DONE)
    assert cluster.gets == 1


async def test_it_can_be_read_from_a_moment_on_from_its_end_and_in_parts() -> None:
    reader = outputs(FakeCluster(document(packed("a", "b"))))
    assert text(await reader.read(member(), True, since=1_015.0)).endswith("a 2\n")
    assert text(await reader.tail(member(), True, lines=1)) == "a 2\n"
    assert text(await reader.tail(member(), True, size=2)) == "2\n"
    parts = [part async for part in reader.parts(member(), True)]
    assert [part.complete for part in parts] == [False, True]
    assert await reader.whole(member(), True) is not None


async def test_who_follows_sees_each_line_once_while_it_moves_from_the_pod_into_the_slice() -> None:
    cluster = FakeCluster(document(packed("a", "b")))
    cluster.log = b"".join(
        Event("a", seq, 1_000.0 + 10 * seq, Stream.STDOUT, f"a {seq}\n".encode()).line() for seq in range(2)
    )
    now = [member(raw=document(None, SliceState.RUNNING))]
    seen: list[str] = []
    async with asyncio.timeout(5):
        async for part in outputs(cluster).follow(lambda: (now[0], False)):
            seen += [piece.text for piece in part.pieces]
            now[0] = member()
    assert seen == ["a 0\n", "a 1\n", "a 2\n"]


@pytest.mark.parametrize(
    "problem",
    [Unavailable("the API server answers 500"), Away("nothing came in time"), Forbidden("pods/log is forbidden")],
)
async def test_a_node_that_does_not_answer_takes_nothing_from_what_is_known(
    problem: Exception, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(output, "LIVE_SECONDS", 0)
    cluster = FakeCluster(None)
    reader, running = outputs(cluster), member(raw=document(None, SliceState.RUNNING))
    seen: list[str] = []
    lines = [Event("a", seq, 1_000.0 + seq, Stream.STDOUT, f"a {seq}\n".encode()).line() for seq in range(2)]
    for cluster.log in (problem, lines[0], problem, b"".join(lines), problem):
        found = await reader.read(running, finished=False)
        assert not found.complete
        seen.append(text(found))
    assert seen == ["", "a 0\n", "a 0\n", "a 0\na 1\n", "a 0\na 1\n"]


async def test_what_the_facade_may_not_read_is_nothing_that_the_requester_lacks_a_right_for() -> None:
    cluster = FakeCluster(Forbidden("jobslices is forbidden"))
    with pytest.raises(Unavailable, match="the facade cannot read the output: jobslices is forbidden"):
        await outputs(cluster).read(member(), finished=True)


async def test_what_is_gone_damaged_or_another_slices_is_not_shown() -> None:
    for raw in (None, document(None), document("%"), document("AAAA"), document(packed("a"), uid="another")):
        found = await outputs(FakeCluster(raw)).read(member(), finished=True)
        assert (text(found), found.complete) == ("", True)


def shared(outputs_: dict[str, str]) -> Object:
    """Two hosts with a pod each that share an object; `b` is at work, unless it has said all."""
    pods = [{"host": host, "state": "Done" if host in outputs_ else "Running", "podName": f"job-1-{place}"}
            for place, host in enumerate("ab")]  # fmt: skip
    results = [{"name": host, "state": "Succeeded" if host in outputs_ else "Running"} for host in "ab"]
    raw = document(None, SliceState.RUNNING)
    raw["spec"] |= {"podPerHost": True}
    raw["status"] = {"state": "Running", "hosts": results, "pods": pods, "outputs": outputs_}
    return raw


async def test_hosts_that_share_an_object_have_their_own_state_pod_and_output_in_it() -> None:
    raw = shared({"a": packed("a")})
    cluster, whole = FakeCluster(raw), parse_slice(raw)
    first, second = whole.parts
    assert [(part.name, part.index, part.hosts, part.done, part.holds_output) for part in whole.parts] == [
        ("job-1-0", 0, ("a",), True, True), ("job-1-1", 1, ("b",), False, False),
    ]  # fmt: skip
    cluster.log = Event("b", 0, 1_000.0, Stream.STDOUT, b"b 0\n").line()
    reader = outputs(cluster)
    running = await reader.read(Member("b", None, second), finished=False)
    assert (text(running), running.complete) == ("b 0\n", False)
    assert text(await reader.read(Member("a", None, first), finished=False)) == "a 0\na 1\na 2\n"
    cluster.raw = shared({"a": packed("a"), "b": packed("b")})
    second = parse_slice(cluster.raw).parts[1]
    assert text(await reader.read(Member("b", None, second), finished=True)) == "b 0\nb 1\nb 2\n"


def much_recorded() -> list[Event]:
    """A host that says two lines, while 3 MB of records go by; one of them is lost."""
    records = [Event("a", seq, 1_000.0 + seq, Stream.RECORD, {"res": f"{seq:08}" * 1_000}) for seq in range(1, 399)]
    first, last = (Event("a", seq, 1_000.0 + seq, Stream.STDOUT, b"%d\n" % seq) for seq in (0, 399))
    return [first, *(event for event in records if event.seq != 300), last]


@pytest.mark.parametrize("running", [False, True])
async def test_records_take_no_memory_and_none_that_is_lost_goes_unnoticed(running: bool) -> None:
    chunk = Chunk()
    for event in much_recorded():
        chunk.add(event)
    cluster = FakeCluster(document(base64.b64encode(chunk.finish()).decode()))
    cluster.log = b"".join(event.line() for event in much_recorded()) if running else b""
    reader = outputs(cluster)
    state = SliceState.RUNNING if running else SliceState.DONE
    read = member(raw=document(None if running else "there is some", state))
    tracemalloc.start()
    try:
        found = await reader.read(read, finished=not running)
        kept, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert kept < 500_000
    assert text(found) == ("0\n" if running else "0\n[1 events of output are missing here]\n399\n")
