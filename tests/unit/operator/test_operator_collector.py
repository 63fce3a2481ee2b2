"""What a pod has said is taken from its last words where they hold it, else from its log; if it is little, it goes into
the slice."""

import asyncio
import base64
import gzip
import json
import random
from collections.abc import AsyncGenerator, Iterable, Sequence
from dataclasses import replace
from typing import Any, cast

import pytest

from rollcall.lastwords import Said
from rollcall.names import HostState
from rollcall.outputkeys import StoreAddress, StoreKind
from rollcall.outputs import Event, Exit, Stream, unpack
from rollcall.plan.observed import Collected
from rollcall.plan.pods import Phase, Pod
from rollcall_operator import collector
from rollcall_operator.cluster import Document, NotFoundError
from rollcall_operator.collector import Collector
from rollcall_operator.settings import OutputSettings, parse
from rollcall_operator.store import Key, Store
from unit.core.objects import invocation, pod, slice_

JOB = ("fleet", "job")
DONE = Exit(HostState.SUCCEEDED, 0)
OWNER = invocation("a", "b").owner_reference()
DEALT = slice_(0, "a", "b")
SLICE = DEALT.model_copy(update={"metadata": DEALT.metadata.model_copy(update={"owner_references": (OWNER,)})})
RUNNING = pod(0, owner=SLICE.metadata.uid)


def said(host: str, *data: bytes) -> list[bytes]:
    """All that a host says, its exit too."""
    events = [Event(host, seq, 1_700_000_000.0 + seq, Stream.STDOUT, text) for seq, text in enumerate(data)]
    return [event.line() for event in (*events, Event(host, len(data), 1_700_000_100.0, Stream.EXIT, DONE))]


LINES = [*said("a", b"one\n", b"two\n"), *said("b", b"three\n")]
NOISE = [*said("a", random.Random(1).randbytes(6_000)), *said("b")]


def words(lines: Iterable[bytes]) -> str:
    spoken = Said()
    for line in lines:
        spoken.add(line)
    return spoken.last_words([DONE, DONE])


def ended(message: str) -> Pod:
    return replace(RUNNING, phase=Phase.ENDED, last_words=message)


class FakeCluster:
    """Has the log of one pod, which it may hold back, and takes JobOutputs and Events."""

    def __init__(self, log: Sequence[bytes]) -> None:
        self.log = log
        self.asked = 0
        self.gate = asyncio.Event()
        self.made: list[Document] = []
        self.kept: list[Document] = []
        self.taken = asyncio.Event()

    async def follow_log(self, *_: Any) -> AsyncGenerator[Sequence[bytes]]:
        self.asked += 1
        yield self.log[:2]
        await self.gate.wait()
        yield self.log[2:]

    async def create(self, _: str, document: Document) -> Document:
        self.made.append(document)
        self.taken.set()
        return document

    async def list_metadata(self, *_: Any) -> AsyncGenerator[Document]:
        for document in self.kept:
            yield document

    async def get(self, _: str, __: str, name: str) -> Document:
        for document in self.kept:
            if document["metadata"]["name"] == name:
                return document
        raise NotFoundError(404, "NotFound", name)


class Scene:
    """A collector of one slice."""

    def __init__(self, log: Sequence[bytes] = LINES, **output: Any) -> None:
        self.cluster = FakeCluster(log)
        self.cluster.gate.set()
        self.store = Store()
        settings = replace(parse(["--runner-image", "rollcall:1"]), output=OutputSettings(**output))
        self.changed = asyncio.Event()
        self.collector = Collector(cast(Any, self.cluster), self.store, settings, self._nudge)

    def _nudge(self, _: Key) -> None:
        self.changed.set()

    def see(self, found: Pod, *, fresh: bool = True) -> None:
        """Do as a reconcile does that sees the pod."""
        self.store.pods[JOB]["job-0"] = found
        self.collector.follow(SLICE, found, fresh=fresh)

    @property
    def known(self) -> Collected:
        return self.collector.collected(JOB, ["job-0"])["job-0"]

    async def end(self) -> Collected:
        async with asyncio.timeout(5):
            while not self.known.complete:
                self.changed.clear()
                await self.changed.wait()
        return self.known


@pytest.fixture(autouse=True)
def _no_hurry(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(collector, "FOLLOW_AFTER_SECONDS", 60.0)
    monkeypatch.setattr(collector, "RECONNECT_SECONDS", 0.0)


def lines_of(packed: bytes | None) -> list[bytes]:
    assert packed is not None
    return [event.line() for event in unpack(packed)]


async def test_a_pod_that_is_over_is_taken_at_its_last_words() -> None:
    scene = Scene()
    scene.see(ended(words(LINES)))
    found = await scene.end()
    assert lines_of(found.output) == LINES
    assert {name: (host.exit, host.tail) for name, host in found.hosts.items()} == {
        "a": (DONE, "one\ntwo\n"), "b": (DONE, "three\n"),
    }  # fmt: skip
    assert (scene.cluster.asked, scene.cluster.made) == (0, [])


async def test_a_pod_that_ends_soon_is_not_followed() -> None:
    scene = Scene()
    scene.see(RUNNING)
    await asyncio.sleep(0)
    scene.see(ended(words(LINES)))
    assert lines_of((await scene.end()).output) == LINES
    assert scene.cluster.asked == 0


async def test_a_pod_that_goes_on_is_followed_after_a_while(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(collector, "FOLLOW_AFTER_SECONDS", 0.01)
    scene = Scene()
    scene.cluster.gate.clear()
    scene.see(RUNNING)
    async with asyncio.timeout(5):
        await scene.changed.wait()
    assert scene.known.hosts["a"].tail == "one\ntwo\n"
    scene.cluster.gate.set()
    assert lines_of((await scene.end()).output) == LINES


@pytest.mark.parametrize(
    "message",
    [
        "",
        "Killed",
        words([])[:-1],
        words(LINES[:3]),
        words(LINES)[:-30],
        json.dumps({"output": base64.b64encode(gzip.compress(b"\n" * 4_000_000)).decode()}),
    ],
    ids=["none", "other words", "damaged", "without a host", "cut off", "too long"],
)
async def test_the_log_is_read_where_the_last_words_do_not_hold_everything(message: str) -> None:
    scene = Scene()
    scene.see(ended(message))
    assert lines_of((await scene.end()).output) == LINES
    assert scene.cluster.asked == 1


async def test_the_last_words_of_another_slices_pod_do_not_count() -> None:
    scene = Scene()
    scene.see(replace(ended(words([*said("a"), *said("b")])), owner="another life"))
    assert lines_of((await scene.end()).output) == LINES


async def test_little_output_is_in_no_other_place() -> None:
    scene = Scene()
    scene.see(ended(words(LINES)))
    assert (await scene.end()).place is None


async def test_a_pod_that_crashed_leaves_what_it_said_to_the_slice() -> None:
    scene = Scene(LINES[:2])
    scene.see(ended("Killed"))
    found = await scene.end()
    assert lines_of(found.output) == LINES[:2]
    assert {name: host.exit for name, host in found.hosts.items()} == {"a": None}


async def test_much_output_goes_into_the_store() -> None:
    scene = Scene(NOISE)
    scene.see(ended(words(NOISE)))
    found = await scene.end()
    assert (found.output, found.place) == (None, "1 JobOutputs: kubectl get jo -l rollcall.dev/slice=job-0")
    assert [document["kind"] for document in scene.cluster.made] == ["JobOutput"]
    assert lines_of(base64.b64decode(scene.cluster.made[0]["data"])) == NOISE


async def test_the_rest_of_an_output_follows_its_beginning(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(collector, "STORE_AFTER_SECONDS", 0.0)
    monkeypatch.setattr(collector, "FOLLOW_AFTER_SECONDS", 0.0)
    scene = Scene()
    scene.see(RUNNING)
    assert (await scene.end()).output is None
    stored = [line for document in scene.cluster.made for line in lines_of(base64.b64decode(document["data"]))]
    assert stored == LINES
    assert len(scene.cluster.made) > 1


async def test_another_store_gets_all_output(tmp_path: Any) -> None:
    scene = Scene(stores=(StoreAddress(StoreKind.FILE, f"file://{tmp_path}"), StoreAddress(StoreKind.CLUSTER)))
    scene.see(ended(words(LINES)))
    found = await scene.end()
    (chunk,) = tmp_path.rglob("*.jsonl.gz")
    below = chunk.parent.relative_to(tmp_path)
    assert (found.output, found.place) == (None, f"1 objects in the operator's output store, below {below}/")
    assert gzip.decompress(chunk.read_bytes()) == b"".join(LINES)
    assert scene.cluster.made == []


async def test_an_operator_that_comes_back_takes_the_last_words_too() -> None:
    scene = Scene()
    scene.see(ended(words(LINES)), fresh=False)
    assert lines_of((await scene.end()).output) == LINES
    assert scene.cluster.asked == 0


async def test_what_an_earlier_life_has_stored_is_not_stored_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(collector, "STORE_AFTER_SECONDS", 0.0)
    monkeypatch.setattr(collector, "FOLLOW_AFTER_SECONDS", 0.0)
    before = Scene()
    before.cluster.gate.clear()
    before.see(RUNNING)
    async with asyncio.timeout(5):
        await before.cluster.taken.wait()
    before.collector.forget(JOB)
    scene = Scene()
    scene.cluster.kept = before.cluster.made
    scene.see(ended(words(LINES)), fresh=False)
    found = await scene.end()
    assert (found.output, found.hosts["a"].tail) == (None, "one\ntwo\n")
    chunks = [lines_of(base64.b64decode(document["data"])) for document in (*scene.cluster.kept, *scene.cluster.made)]
    assert chunks == [LINES[:2], LINES[2:]]


async def test_nobody_waits_for_a_pod_that_is_forgotten() -> None:
    scene = Scene()
    scene.see(RUNNING)
    await asyncio.sleep(0)
    tasks = asyncio.all_tasks() - {asyncio.current_task()}
    assert len(tasks) == 1
    scene.collector.forget(JOB)
    await asyncio.gather(*cast(Any, tasks), return_exceptions=True)
    assert all(task.cancelled() for task in tasks)
    assert scene.cluster.asked == 0
