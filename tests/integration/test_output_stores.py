"""What the operator puts into each store is there once, is found again, and is what the facade reads."""

import asyncio
import shutil
import subprocess
import sys
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import pytest
from kubernetes.aio.client import Configuration
from kubernetes.aio.config import load_kube_config

from rollcall.names import HostState
from rollcall.outputkeys import Contents, StoreAddress
from rollcall.outputs import Chunk, Event, Exit, Stream
from rollcall.resources.jobslice import JobSlice, SliceState
from rollcall_api.cluster import Cluster as ApiCluster
from rollcall_api.jobs import Member
from rollcall_api.output import Outputs
from rollcall_api.output_pieces import HostOutput
from rollcall_api.output_store import ClusterOutputs as ApiClusterOutputs
from rollcall_api.output_store import OutputStore as ApiStore
from rollcall_api.output_store import open_stores
from rollcall_api.problems import Unavailable
from rollcall_api.records import Slice
from rollcall_operator.cluster import Cluster
from rollcall_operator.output_store import OutputError, OutputStore, Owner, TakenError, open_store
from support.kube import Kube
from support.objectserver import ObjectServer

HOSTS = ("web1", "web2", "db1")
START = 1_700_000_000.0


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ObjectServer]:
    with ObjectServer(tmp_path_factory.mktemp("s3")) as started:
        yield started


@dataclass
class Setting:
    """A store, and everything around it."""

    kind: str
    namespace: str
    writer: OutputStore
    readers: tuple[ApiStore, ...]
    api: ApiCluster

    def outputs(self) -> Outputs:
        return Outputs(self.api, self.namespace, self.readers)


@pytest.fixture(params=["cluster", "file", "s3"])
async def setting(
    request: pytest.FixtureRequest,
    kube: Kube,
    crds: None,
    make_namespace: Callable[[str], str],
    server: ObjectServer,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> AsyncIterator[Setting]:
    monkeypatch.setenv("KUBECONFIG", str(kube.kubeconfig))
    namespace = make_namespace("store")
    api = ApiCluster()
    await api.open()
    for name, value in server.credentials.items():
        monkeypatch.setenv(name, value)
    (tmp_path / "out put").mkdir()
    text = {"cluster": "cluster", "file": f"file://{tmp_path}/out put", "s3": server.address(namespace)}[request.param]
    address = StoreAddress.parse(text)
    async with await connect(kube) as cluster:
        writer = open_store(address, cluster)
        yield Setting(request.param, namespace, writer, open_stores([address], api, namespace), api)
    await api.close()


async def connect(kube: Kube) -> Cluster:
    """The operator's connection."""
    configuration = Configuration()
    await load_kube_config(config_file=str(kube.kubeconfig), client_configuration=configuration)
    return Cluster(configuration)


def slice_of(kube: Kube, namespace: str, name: str = "job") -> JobSlice:
    """A slice, and its invocation, as the cluster has them."""
    version = {"apiVersion": "rollcall.dev/v1alpha1"}
    targeting = {"hosts": list(HOSTS)}
    made = kube.create(
        {**version, "kind": "JobInvocation", "metadata": {"name": name, "namespace": namespace},
         "spec": {"templateRef": {"name": "none"}, "targeting": targeting}}
    )  # fmt: skip
    owner = {**version, "kind": "JobInvocation", "name": name, "uid": made["metadata"]["uid"], "controller": True}
    return JobSlice.model_validate(
        kube.create(
            {**version, "kind": "JobSlice",
             "metadata": {"name": f"{name}-0", "namespace": namespace, "ownerReferences": [owner]},
             "spec": {"invocationRef": {"name": name}, "index": 0, **targeting}}
        )
    )  # fmt: skip


def record(slice_: JobSlice, *, done: bool = True) -> Slice:
    """The slice as the facade knows it."""
    return Slice(
        name=slice_.metadata.name, uid=slice_.metadata.uid, id=None, version=1, invocation="job",
        invocation_uid=slice_.metadata.owner_references[0].uid, index=0, attempt=0, hosts=slice_.spec.hosts,
        state=SliceState.DONE if done else SliceState.RUNNING, states={}, ends={},
    )  # fmt: skip


def line(host: str, seq: int, text: str, time: float | None = None) -> Event:
    return Event(host, seq, START + seq if time is None else time, Stream.STDOUT, text.encode())


def end(host: str, seq: int) -> Event:
    return Event(host, seq, START + seq, Stream.EXIT, Exit(HostState.SUCCEEDED, 0, start_time=START))


def packed(place: int, events: list[Event]) -> tuple[Contents, dict[str, Any], bytes]:
    chunk = Chunk()
    for event in events:
        chunk.add(event)
    data = chunk.finish()
    return Contents.of(place, chunk.hosts, len(data), HOSTS), chunk.hosts, data


def texts(output: HostOutput) -> list[str]:
    return [piece.text for piece in output.pieces]


async def owners(setting: Setting) -> list[Owner]:
    return [owner async for owner in setting.writer.owners([setting.namespace])]


async def test_a_chunk_is_put_once_listed_read_and_deleted(kube: Kube, setting: Setting) -> None:
    slice_ = slice_of(kube, setting.namespace)
    assert await setting.writer.stored(slice_) == []
    first = packed(0, [line("web1", 0, "one\n"), line("web2", 0, "other\n")])
    second = packed(1, [line("web1", 1, "two\n"), end("web1", 2)])
    for chunk in (second, first, first):
        await setting.writer.put(slice_, *chunk)
    stored = await setting.writer.stored(slice_)
    assert [found.contents for found in stored] == [first[0], second[0]]
    assert await setting.writer.get(slice_, stored[1]) == second[2]

    outputs = setting.outputs()
    whole = await outputs.read(Member("web1", None, record(slice_)), finished=True)
    assert texts(whole) == ["one\n", "two\n"]
    assert (whole.complete, whole.end) == (True, Exit(HostState.SUCCEEDED, 0, start_time=START))
    assert texts(await outputs.read(Member("db1", None, record(slice_)), finished=True)) == []

    found = await owners(setting)
    assert len(found) == 1
    assert found[0].namespace == setting.namespace
    await setting.writer.delete(found[0])
    kube.wait("deleted output", lambda: not kube.list("joboutputs", setting.namespace))
    assert await setting.writer.stored(slice_) == []
    assert await setting.writer.get(slice_, stored[1]) is None
    assert await owners(setting) == []
    await setting.writer.delete(found[0])


async def test_nothing_that_is_stored_is_ever_destroyed(kube: Kube, setting: Setting) -> None:
    """An operator that has lost its Lease may still write for a moment."""
    slice_ = slice_of(kube, setting.namespace)
    events = [line("web1", seq, f"{seq}\n") for seq in range(6)]
    await setting.writer.put(slice_, *packed(0, events[:4]))
    other = packed(0, events[:2])
    if setting.kind == "cluster":
        with pytest.raises(TakenError):
            await setting.writer.put(slice_, *other)
    else:
        await setting.writer.put(slice_, *other)
    await setting.writer.put(slice_, *packed(1, [*events[2:], end("web1", 6)]))
    whole = await setting.outputs().read(Member("web1", None, record(slice_)), finished=True)
    assert texts(whole) == [f"{seq}\n" for seq in range(6)]


async def test_since_and_tail_open_no_more_chunks_than_they_need(kube: Kube, setting: Setting) -> None:
    slice_ = slice_of(kube, setting.namespace)
    for place in range(8):
        said = [line("web1", place * 10 + n, f"{place * 10 + n}\n", START + place * 100 + n) for n in range(10)]
        await setting.writer.put(slice_, *packed(place, said))
    opened: list[str] = []
    for reader in setting.readers:
        _count_reads(reader, opened)
    outputs, member = setting.outputs(), Member("web1", None, record(slice_))
    late = await outputs.read(member, True, since=START + 600 + 4)
    assert [text for text in texts(late) if int(text) > 64] == [f"{n}\n" for n in range(65, 80)]
    assert len(opened) == 2
    tail = await outputs.tail(member, True, lines=3)
    assert texts(tail) == ["77\n", "78\n", "79\n"]
    assert tail.complete
    assert texts(await outputs.tail(member, True, size=4)) == ["8\n"[1:], "79\n"]
    assert len(opened) == 2, "what was decoded is kept for a while"
    assert len(texts(await outputs.tail(member, True, lines=1_000))) == 80


def _count_reads(reader: ApiStore, opened: list[str]) -> None:
    read = reader.read

    async def counted(place: str) -> bytes | None:
        opened.append(place)
        return await read(place)

    reader.read = counted  # type: ignore[method-assign]


class Pod:
    """The log of a pod that a test writes; it is gone when the pod is."""

    def __init__(self) -> None:
        self.log: list[Event] = []

    async def pod_log(self, *_: Any) -> bytes:
        return b"".join(event.line() for event in self.log)


async def test_a_reader_who_follows_sees_every_line_once_while_it_moves_from_the_pod_into_the_store(
    kube: Kube, setting: Setting, monkeypatch: pytest.MonkeyPatch
) -> None:
    slice_ = slice_of(kube, setting.namespace)
    pod = Pod()
    monkeypatch.setattr(setting.api, "pod_log", pod.pod_log)
    monkeypatch.setattr("rollcall_api.output.LIVE_SECONDS", 0.0)
    monkeypatch.setattr("rollcall_api.output.FOLLOW_SECONDS", 0.01)
    now: dict[str, Any] = {"member": Member("web1", None, None)}
    seen: list[str] = []
    late: list[str] = []
    parts: list[HostOutput] = []

    async def follow() -> None:
        async for part in setting.outputs().follow(lambda: (now["member"], False)):
            seen.extend(texts(part))
            parts.append(part)

    async def follow_since() -> None:
        async for part in setting.outputs().follow(lambda: (now["member"], False), START + 12):
            late.extend(texts(part))

    async def until(count: int) -> None:
        async with asyncio.timeout(20):
            while len(seen) < count:  # noqa: ASYNC110
                await asyncio.sleep(0.005)

    tasks = [asyncio.create_task(follow()), asyncio.create_task(follow_since())]
    await asyncio.sleep(0.05)
    assert (seen, parts) == ([], [])
    now["member"] = Member("web1", None, record(slice_, done=False))
    events = [line("web1", seq, f"{seq}\n") for seq in range(40)]
    for place, begin in enumerate(range(0, 40, 10)):
        pod.log += events[begin : begin + 6]
        await until(begin + 6)
        pod.log += events[begin + 6 : begin + 10]
        await setting.writer.put(slice_, *packed(place, events[begin : begin + 10]))
        pod.log = pod.log[-3:]  # the kubelet has rotated the rest away
        await until(begin + 10)
        tail = await setting.outputs().tail(now["member"], False, lines=5)
        assert (texts(tail), tail.complete) == ([f"{seq}\n" for seq in range(begin + 5, begin + 10)], False)
    pod.log.append(line("web1", 41, "after a hole that may yet be filled\n"))
    await asyncio.sleep(0.1)
    assert len(seen) == 40
    assert texts(await setting.outputs().tail(now["member"], False, size=3)) == ["39\n"], "up to the hole"
    last = [line("web1", 40, "40\n"), line("web1", 41, "41\n"), end("web1", 42)]
    await setting.writer.put(slice_, *packed(4, last))
    pod.log = []
    now["member"] = Member("web1", None, record(slice_))
    async with asyncio.timeout(20):
        await asyncio.gather(*tasks)
    assert seen == [f"{seq}\n" for seq in range(42)]
    assert late == seen[13:]
    assert [part.complete for part in parts][-1]
    assert not any(part.complete for part in parts[:-1])


async def test_output_is_found_in_whichever_store_it_went_to(
    kube: Kube, crds: None, make_namespace: Callable[[str], str], server: ObjectServer, tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    """The setting was changed twice while a job ran."""
    monkeypatch.setenv("KUBECONFIG", str(kube.kubeconfig))
    for name, value in server.credentials.items():
        monkeypatch.setenv(name, value)
    namespace = make_namespace("moved")
    slice_ = slice_of(kube, namespace)
    addresses = [StoreAddress.parse(t) for t in ("cluster", f"file://{tmp_path}", server.address(namespace))]
    async with await connect(kube) as cluster:
        for place, address in enumerate(addresses):
            await open_store(address, cluster).put(slice_, *packed(place, [line("web1", place, f"{address.kind}\n")]))
    api = ApiCluster()
    await api.open()
    outputs = Outputs(api, namespace, open_stores(addresses, api, namespace))
    whole = await outputs.read(Member("web1", None, record(slice_)), finished=True)
    await api.close()
    assert texts(whole) == ["cluster\n", "file\n", "object\n"]


async def test_wrong_credentials_are_said_without_a_secret(
    server: ObjectServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", server.credentials["AWS_ACCESS_KEY_ID"])
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "canary-of-a-wrong-key")
    store = open_store(StoreAddress.parse(server.address("refused")), cast(Any, None))
    said = []
    for call in (store.claim("me"), store.delete(Owner("fleet", uid="u")), anext(store.owners(["fleet"]))):
        with pytest.raises(OutputError) as caught:
            await call
        said.append(str(caught.value))
    assert said[0] == "cannot write to s3://output/refused: PermissionDenied, 403, SignatureDoesNotMatch"
    assert all("SignatureDoesNotMatch" in sentence and "canary" not in sentence for sentence in said)


async def test_a_folder_that_is_not_there_is_said(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    store = open_store(StoreAddress.parse(f"file://{tmp_path}/file/below"), cast(Any, None))
    with pytest.raises(OutputError, match=r"cannot open file://.*: "):
        await store.claim("me")
    (tmp_path / "file").unlink()
    assert await store.claim("me"), "it was mounted late"


async def test_only_one_installation_deletes_in_a_store(tmp_path: Path) -> None:
    store = open_store(StoreAddress.parse(f"file://{tmp_path}"), cast(Any, None))
    assert await store.claim("one")
    assert await store.claim("one")
    assert not await store.claim("other")


READING = """
import asyncio, resource, sys
from rollcall.outputkeys import StoreAddress
from rollcall.resources.jobslice import SliceState
from rollcall_api.jobs import Member
from rollcall_api.foreman.output import in_parts
from rollcall_api.output import Outputs
from rollcall_api.output_objects import ObjectOutputs
from rollcall_api.records import Slice

def peak():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024

async def main():
    store = ObjectOutputs(StoreAddress.parse(sys.argv[1]), "fleet")
    slice_ = Slice(name="job-0", uid="s", id=None, version=1, invocation="job", invocation_uid="u", index=0, attempt=0,
                   hosts=("web1",), state=SliceState.DONE, states={}, ends={})
    outputs = Outputs(None, "fleet", [store])
    before, size = peak(), 0
    async for part in in_parts(outputs.long(Member("web1", None, slice_), True), None, raw=True):
        size += len(part)
    print(size, peak() - before)

asyncio.run(main())
"""


async def test_a_gibibyte_of_one_host_is_written_and_read_in_little_memory(tmp_path: Path) -> None:
    """Through the operator's chunks and store, and the facade's reader and Foreman's JSON, in a process of its own."""
    data = (b"0123456789abcdef" * 512)[:-1] + b"\n"
    count = (1 << 30) // len(data)
    slice_ = JobSlice.model_validate(
        {"metadata": {"name": "job-0", "namespace": "fleet", "uid": "s",
                      "ownerReferences": [{"apiVersion": "v", "kind": "JobInvocation", "name": "job", "uid": "u"}]},
         "spec": {"invocationRef": {"name": "job"}, "index": 0, "hosts": ["web1"]}}
    )  # fmt: skip
    address = f"file://{tmp_path}"
    store = open_store(StoreAddress.parse(address), cast(Any, None))
    _, rest = Event("web1", 0, START, Stream.STDOUT, data).line().split(b'"stream"')
    chunk, place = Chunk(), 0
    for seq in range(count):
        event = Event("web1", seq, START + seq / 1_000, Stream.STDOUT, b"")
        chunk.add(event, b'{"host":"web1","seq":%d,"time":%.3f,"stream"%b' % (seq, event.time, rest))
        if chunk.full or seq == count - 1:
            packed_ = chunk.finish()
            await store.put(slice_, Contents.of(place, chunk.hosts, len(packed_), ("web1",)), chunk.hosts, packed_)
            chunk, place = Chunk(), place + 1
    try:
        answer = subprocess.run(  # noqa: ASYNC221
            [sys.executable, "-c", READING, address], check=True, capture_output=True, text=True, timeout=600
        )
    finally:
        shutil.rmtree(tmp_path)
    size, growth = map(int, answer.stdout.split())
    assert size > 1 << 30
    assert growth < 150, f"{growth} MiB"
    print(f"1 GiB in {place} chunks; reading it took {growth} MiB")


async def test_a_store_that_does_not_answer_is_a_problem_and_not_an_empty_output(
    server: ObjectServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    address = StoreAddress.parse("s3://output/x?endpoint=http://127.0.0.1:1&region=us-east-1")
    for name, value in server.credentials.items():
        monkeypatch.setenv(name, value)
    stores = [store for store in open_stores([address], cast(Any, None), "fleet")
              if not isinstance(store, ApiClusterOutputs)]  # fmt: skip
    slice_ = Slice(name="job-0", uid="s", id=None, version=1, invocation="job", invocation_uid="u", index=0, attempt=0,
                   hosts=("web1",), state=SliceState.DONE, states={}, ends={})  # fmt: skip
    with pytest.raises(Unavailable, match="the output store does not answer"):
        await Outputs(cast(Any, None), "fleet", stores).read(Member("web1", None, slice_), True)
