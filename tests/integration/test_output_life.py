"""A job's output in each store, read through the facade while the operator is killed and the store goes away."""

import asyncio
import base64
import gzip
import os
import subprocess
import sys
import threading
import time
from collections.abc import AsyncIterator, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, asynccontextmanager, suppress
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import Any

import httpx
import pytest

from integration.api.facade_world import RUN, service_account
from rollcall.lastwords import whole_output
from rollcall.outputkeys import StoreAddress
from rollcall.outputs import Stream
from rollcall_api.cluster import Cluster as ApiCluster
from rollcall_api.jobs import Member
from rollcall_api.output import Outputs
from rollcall_api.output_pieces import HostOutput, Piece
from rollcall_api.output_store import open_stores
from rollcall_api.parsing import parse_job, parse_slice
from rollcall_api.problems import Unavailable
from support.exposition import scrape
from support.jobs import chunks_of, end_of, events, furnish, invocation, output, results, run, slice_objects, slices
from support.kube import Kube, Object, condition
from support.objectserver import ObjectServer
from support.operator import Operator, free_port
from support.sshhosts import KeyPair, SshHost

KINDS = ("cluster", "file", "s3")
LINES = 60
NOISE = f"for i in $(seq 1 {LINES}); do echo line $i; head -c 4500 /dev/urandom | base64 -w 0; echo; sleep 0.1; done"
"""More than a chunk per host, so that the store is written to all the time."""
TAIL_LINES = 3
TAIL_BYTES = 1_000


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ObjectServer]:
    with ObjectServer(tmp_path_factory.mktemp("s3")) as started:
        yield started


@dataclass
class Scene:
    """A namespace with an operator and a facade that keep output in one store."""

    kube: Kube
    kind: str
    namespace: str
    store: str
    operator: Operator
    url: str
    token: str
    facade: subprocess.Popen[bytes]

    def get(self, path: str, **parameters: Any) -> Object:
        """The facade's answer."""
        headers = {"Authorization": f"Bearer {self.token}"}
        answer = httpx.get(f"{self.url}{path}", headers=headers, params=parameters, timeout=30, trust_env=False)
        answer.raise_for_status()
        body: Object = answer.json()
        return body

    def path_of(self, name: str, host: str) -> str:
        """Where Foreman's clients read what a host says."""
        ids = [
            self.kube.wait(
                f"id of {found}", lambda plural=plural, found=found: _id(self.kube.get(plural, self.namespace, found))
            )
            for plural, found in (("jobinvocations", name), ("hosts", host))
        ]
        return f"/api/job_invocations/{ids[0]}/hosts/{ids[1]}"

    def text(self, name: str, host: str) -> str:
        """All that a host said on stdout, without its exit line."""
        said = self.get(self.path_of(name, host))["output"]
        return "".join(chunk["output"] for chunk in said if chunk["output_type"] == "stdout" and chunk is not said[-1])


def _id(document: Object) -> str | None:
    found: str | None = document["metadata"].get("labels", {}).get("rollcall.dev/id")
    return found


@pytest.fixture(scope="module")
def scenes(
    kube: Kube, crds: None, make_namespace: Callable[[str], str], hosts: list[SshHost], client_key: KeyPair,
    server: ObjectServer, tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[dict[str, Scene]]:  # fmt: skip
    made: dict[str, Scene] = {}
    with pytest.MonkeyPatch.context() as environment, ExitStack() as running:
        for name, value in {**server.credentials, "KUBECONFIG": str(kube.kubeconfig)}.items():
            environment.setenv(name, value)
        for kind in KINDS:
            folder = tmp_path_factory.mktemp(kind)
            namespace = furnish(kube, make_namespace(kind), hosts[:3], client_key)
            (folder / "output").mkdir()
            texts = {"cluster": "cluster", "file": f"file://{folder}/output", "s3": server.address(namespace)}
            options = ("--output-store", texts[kind], "--output-sweep-seconds", "1", "--reference-grace-seconds", "3")
            options += ("--pods-per-slice", "2")
            operator = running.enter_context(Operator(namespace, kube.kubeconfig, folder / "operator.log", *options))
            made[kind] = _scene(kube, kind, texts[kind], operator, folder)
            running.callback(_end, made[kind].facade)
        for scene in made.values():
            scene.operator.wait_until_leading(kube)
            kube.wait(f"facade of {scene.namespace}", lambda scene=scene: _ready(scene), 60)
        yield made
    assert all("canary" not in scene.operator.said() for scene in made.values())


def _scene(kube: Kube, kind: str, store: str, operator: Operator, folder: Path) -> Scene:
    namespace, port = operator.namespace, free_port()
    command = [sys.executable, "-m", "rollcall_api.main", "--namespace", namespace, "--ids-namespace", namespace]
    command += ["--bind", "127.0.0.1", "--port", str(port), "--output-store", store]
    with (folder / "facade.log").open("wb") as log:
        environment = {**os.environ, "KUBECONFIG": str(kube.kubeconfig)}
        facade = subprocess.Popen(command, env=environment, stdout=log, stderr=log)
    token = service_account(kube, namespace, "reader", RUN)
    return Scene(kube, kind, namespace, store, operator, f"http://127.0.0.1:{port}", token, facade)


def _end(process: subprocess.Popen[bytes]) -> None:
    process.terminate()
    process.wait(30)


def _ready(scene: Scene) -> bool:
    assert scene.facade.poll() is None
    try:
        return httpx.get(f"{scene.url}/readyz", trust_env=False).status_code == 200
    except httpx.TransportError:
        return False


@dataclass
class Reader:
    """Polls a host's output as Foreman's clients do: with the last timestamp that it has seen."""

    scene: Scene
    path: str
    chunks: list[Object] = field(default_factory=list)
    complete: threading.Event = field(default_factory=threading.Event)

    def poll(self) -> None:
        while not self.complete.wait(0.2):
            since = {"since": repr(self.chunks[-1]["timestamp"])} if self.chunks else {}
            try:
                body = self.scene.get(self.path, **since)
            except httpx.HTTPStatusError as error:
                if error.response.status_code != 503:  # the store is away
                    raise
                continue
            self.chunks += body["output"]
            if body["complete"]:
                self.complete.set()

    @property
    def said(self) -> list[str]:
        """The lines of stdout."""
        return "".join(c["output"] for c in self.chunks if c["output_type"] == "stdout").split("\n")


@dataclass
class Follower:
    """What one who follows a host's output has been given."""

    since: float | None
    pieces: list[Piece] = field(default_factory=list)
    last: HostOutput = field(default_factory=HostOutput)

    async def follow(self, outputs: Outputs, look: Callable[[], tuple[Member, bool]]) -> None:
        async for part in outputs.follow(look, self.since):
            assert not self.last.complete
            self.pieces += part.pieces
            self.last = part


@dataclass
class Witness:
    """Reads a host's output through `Outputs`, as dialects do: before its pod's life, meanwhile and after it."""

    scene: Scene
    name: str
    host: str
    watching: threading.Event = field(default_factory=threading.Event)
    followers: list[Follower] = field(default_factory=list)
    """Of each of these times two: one who wants all of the output, and one who wants what came after a moment."""
    tails: list[tuple[HostOutput, HostOutput]] = field(default_factory=list)
    """Some lines, and right after it some bytes."""
    whole: HostOutput = field(default_factory=HostOutput)

    def watch(self) -> None:
        """Read until the host has ended."""
        asyncio.run(self._watch())

    def look_back(self) -> None:
        """Read when the job has ended."""
        asyncio.run(self._look_back())

    async def _watch(self) -> None:
        async with asyncio.timeout(180), self._outputs() as outputs, asyncio.TaskGroup() as tasks:
            self._begin(tasks, outputs, time.time())
            tasks.create_task(self._take_tails(tasks, outputs))

    async def _look_back(self) -> None:
        async with asyncio.timeout(60), self._outputs() as outputs, asyncio.TaskGroup() as tasks:
            self._begin(tasks, outputs, self._middle)
            await self._take_tail(outputs)
            self.whole = await outputs.read(*self._look())

    @asynccontextmanager
    async def _outputs(self) -> AsyncIterator[Outputs]:
        api, namespace = ApiCluster(), self.scene.namespace
        await api.open()
        try:
            yield Outputs(api, namespace, open_stores([StoreAddress.parse(self.scene.store)], api, namespace))
        finally:
            await api.close()

    def _look(self) -> tuple[Member, bool]:
        """The host as it is now, and whether its job has ended."""
        kube, namespace = self.scene.kube, self.scene.namespace
        job = kube.find("jobinvocations", namespace, self.name)
        slice_ = kube.find("jobslices", namespace, f"{self.name}-0")
        member = Member(self.host, None, parse_slice(slice_) if slice_ else None)
        return member, job is not None and parse_job(job).finished

    def _begin(self, tasks: asyncio.TaskGroup, outputs: Outputs, moment: float) -> None:
        for since in (None, moment):
            self.followers.append(Follower(since))
            tasks.create_task(self.followers[-1].follow(outputs, self._look))

    @property
    def _middle(self) -> float:
        """When something happened that was said before the last that is known by now."""
        pieces = self.followers[0].pieces
        return pieces[len(pieces) // 2].time

    async def _take_tails(self, tasks: asyncio.TaskGroup, outputs: Outputs) -> None:
        """Take the tail again and again, and let others begin to follow in the middle."""
        while not (self.tails and self.tails[-1][-1].complete):
            with suppress(Unavailable):  # the store is away
                await self._take_tail(outputs)
            self.watching.set()
            if len(self.followers) == 2 and len(self.followers[0].pieces) > 10:
                self._begin(tasks, outputs, self._middle)
            await asyncio.sleep(0.2)

    async def _take_tail(self, outputs: Outputs) -> None:
        lines = await outputs.tail(*self._look(), lines=TAIL_LINES)
        self.tails.append((lines, await outputs.tail(*self._look(), size=TAIL_BYTES)))


def live_through(scene: Scene, server: ObjectServer) -> tuple[Reader, Witness]:
    """The disturbed job, as one sees it who polls, and one who follows and takes the tail."""
    witness = Witness(scene, "noisy", "host-0")
    with ThreadPoolExecutor(1) as pool:
        watched = pool.submit(witness.watch)
        assert witness.watching.wait(30)
        reader = disturbed(scene, server)
        watched.result(60)
    witness.look_back()
    return reader, witness


def disturbed(scene: Scene, server: ObjectServer) -> Reader:
    """Run the job with a reader, kill the operator in the middle, and stop the S3 server for a while."""
    kube, namespace = scene.kube, scene.namespace
    kube.create(invocation(namespace, "noisy", NOISE, ["host-0", "host-1"], rollout={"hostsPerSlice": 2}))
    reader = Reader(scene, scene.path_of("noisy", "host-0"))
    polling = threading.Thread(target=reader.poll, daemon=True)
    polling.start()
    kube.wait("some output", lambda: len(reader.said) > 20, 60)
    scene.operator.kill()
    kube.wait("output without an operator", lambda: len(reader.said) > 40, 30)
    if scene.kind == "s3":
        server.stop()
    scene.operator.start()
    if scene.kind == "s3":
        kube.wait("trouble", lambda: "has to wait" in scene.operator.said(), 30)
        server.start()
    end_of(kube, namespace, "noisy", 90)
    polling.join(30)
    return reader


def test_a_reader_sees_every_line_once_whatever_happens_meanwhile(
    kube: Kube, scenes: dict[str, Scene], server: ObjectServer
) -> None:
    with ThreadPoolExecutor(len(KINDS)) as pool:
        found = dict(zip(KINDS, pool.map(lambda kind: live_through(scenes[kind], server), KINDS), strict=True))
    for kind, (reader, witness) in found.items():
        scene = scenes[kind]
        assert reader.complete.is_set(), kind
        assert [line for line in reader.said if line.startswith("line")] == [f"line {n}" for n in range(1, LINES + 1)]
        assert reader.said[-1] == "Exit status: 0", kind
        times = [chunk["timestamp"] for chunk in reader.chunks]
        assert all(earlier < later for earlier, later in pairwise(times)), kind
        whole = scene.get(reader.path)["output"]
        assert "".join(c["output"] for c in whole) == "".join(c["output"] for c in reader.chunks), kind
        for host, result in results(kube, scene.namespace, "noisy").items():
            assert result["output"]["bytes"] == len(scene.text("noisy", host).encode()), (kind, host)
        stored = kube.list("joboutputs", scene.namespace)
        assert bool(stored) == (kind == "cluster"), kind
        said = "".join(piece.text for piece in witness.whole.pieces if piece.stream is Stream.STDOUT)
        assert said == scene.text("noisy", "host-0"), kind
        check_followers(witness)
        check_tails(witness)


def check_followers(witness: Witness) -> None:
    """Each has seen every piece after its moment once, in order, and the end."""
    kind, whole = witness.scene.kind, witness.whole
    assert len(witness.followers) == 6, kind
    assert whole.complete, kind
    for follower in witness.followers:
        wanted = [piece for piece in whole.pieces if piece.time > (follower.since or 0)]
        assert follower.pieces == wanted, (kind, follower.since)
        assert wanted, kind
        assert (follower.last.complete, follower.last.end) == (True, whole.end), kind


def check_tails(witness: Witness) -> None:
    """Each is a stretch of the output, and none ends before the one that was taken earlier."""
    kind, whole = witness.scene.kind, text_of(witness.whole)
    assert text_of(witness.tails[0][0]) == "", kind
    assert not witness.tails[0][0].complete, kind
    assert len({text_of(lines) for lines, _ in witness.tails if not lines.complete}) > 4, kind
    reached = 0
    for tails in witness.tails:
        lines, size = map(text_of, tails)
        assert lines.count("\n") <= TAIL_LINES, kind
        assert len(size) <= TAIL_BYTES, kind
        for text in (lines, size):
            begin = whole.find(text, max(reached - len(text), 0))
            assert begin >= 0, (kind, text)
            assert text or not reached, kind
            reached = begin + len(text)
    assert tuple(map(text_of, witness.tails[-1])) == (
        "".join(whole.splitlines(keepends=True)[-TAIL_LINES:]),
        whole[-TAIL_BYTES:],
    )


def text_of(found: HostOutput) -> str:
    return "".join(piece.text for piece in found.pieces)


def test_little_output_is_in_the_slice_and_much_in_the_store(kube: Kube, scenes: dict[str, Scene]) -> None:
    for kind in ("cluster", "file"):
        scene = scenes[kind]
        for name, command in (("little", "echo from $(hostname)"), ("much", "head -c 9000 /dev/urandom | base64")):
            run(kube, invocation(scene.namespace, name, command, ["host-0", "host-1"], rollout={"hostsPerSlice": 1}))
            for slice_ in slices(kube, scene.namespace, name):
                inside = (kind, name) == ("cluster", "little")
                assert bool(slice_["status"].get("output")) == inside, (kind, name)
                assert bool(chunks_of(kube, slice_)) == ((kind, name) == ("cluster", "much")), (kind, name)
        assert scene.text("little", "host-1") == "from host-1\n"
        assert len(scene.text("much", "host-1")) > 9000
    (packed,) = {slice_["status"]["output"] for slice_ in slices(kube, scenes["cluster"].namespace, "little")[:1]}
    assert b'"data":"from host-0\\n"' in gzip.decompress(base64.b64decode(packed)), "as the documentation says"


def test_hosts_that_share_a_slice_object_have_their_own_output(kube: Kube, scenes: dict[str, Scene]) -> None:
    for kind in ("cluster", "file"):
        scene = scenes[kind]
        command = "echo from $(hostname); case $(hostname) in host-1) head -c 2000 /dev/urandom | base64 -w 0;; esac"
        run(kube, invocation(scene.namespace, "shared", command, None))
        outputs = [slice_["status"].get("outputs", {}) for slice_ in slice_objects(kube, scene.namespace, "shared")]
        inside = {host for found in outputs for host in found}
        assert inside == ({"host-0"} if kind == "cluster" else set()), kind
        for host in ("host-0", "host-1", "host-2"):
            assert scene.text("shared", host).startswith(f"from {host}\n"), (kind, host)
        assert len(scene.text("shared", "host-1")) > 2000


def test_a_pod_that_has_ended_is_taken_at_its_last_words(kube: Kube, scenes: dict[str, Scene]) -> None:
    scene = scenes["cluster"]
    kube.create(invocation(scene.namespace, "late", "sleep 4; echo late", ["host-0"]))

    def state(name: str) -> Object | None:
        pod = kube.find("pods", scene.namespace, "late-0") or {}
        statuses = pod.get("status", {}).get("containerStatuses") or [{}]
        found: Object | None = statuses[0].get("state", {}).get(name)
        return found

    kube.wait("the pod at work", lambda: state("running"), 60)
    scene.operator.kill()
    ended = kube.wait("the end of the pod", lambda: state("terminated"), 60)
    assert [line for line in whole_output(ended["message"], ["host-0"]) if b"late" in line]
    scene.operator.start()
    end_of(kube, scene.namespace, "late")
    asked = scrape(scene.operator.port).value("rollcall_kubernetes_requests_total", verb="get", resource="pods/log")
    assert not asked, "the log was not needed"
    (slice_,) = slices(kube, scene.namespace, "late")
    assert slice_["status"]["output"]
    assert scene.text("late", "host-0") == "late\n"


def test_hosts_that_say_more_than_the_invocation_keeps_are_cut(kube: Kube, scenes: dict[str, Scene]) -> None:
    scene = scenes["cluster"]
    policy = {"limitBytes": 20_000}
    run(kube, invocation(scene.namespace, "cut", "yes | head -c 50000", ["host-0", "host-1"], output=policy))
    found = results(kube, scene.namespace, "cut").values()
    kept = sum(result["output"]["bytes"] for result in found)
    assert 20_000 - 2 * 8_192 <= kept <= 20_000
    assert kept + sum(result["output"]["cutBytes"] for result in found) == 100_000
    assert kept == sum(len(output(said)) for said in events(kube, scene.namespace, "cut").values())


def test_hosts_that_say_more_than_the_invocation_may_are_stopped(kube: Kube, scenes: dict[str, Scene]) -> None:
    scene = scenes["cluster"]
    policy = {"limitBytes": 50_000, "onExcess": "Fail"}
    endless = "while :; do head -c 1000 /dev/zero | tr '\\0' x; echo; sleep 0.02; done"
    ended = run(kube, invocation(scene.namespace, "stopped", endless, ["host-0", "host-1"], output=policy))
    assert (condition(ended, "Failed") or {})["status"] == "True"
    found = results(kube, scene.namespace, "stopped").values()
    assert {result["reason"] for result in found} == {"OutputLimit"}
    assert sum(result["output"]["bytes"] for result in found) <= 50_000


def test_output_goes_with_its_invocation_or_before_it_when_its_time_is_over(
    kube: Kube, scenes: dict[str, Scene]
) -> None:
    with ThreadPoolExecutor(len(KINDS)) as pool:
        list(pool.map(lambda kind: lose_output(kube, scenes[kind]), KINDS))


def lose_output(kube: Kube, scene: Scene) -> None:
    """Delete one of two invocations while no operator is there, then let the other's output expire."""
    for name in ("kept", "gone"):  # three hosts, of which two share a slice object
        kube.create(invocation(scene.namespace, name, f"echo {name}", None))
    kept, gone = (end_of(kube, scene.namespace, name)["metadata"]["uid"] for name in ("kept", "gone"))
    scene.operator.kill()
    kube.delete("jobinvocations", scene.namespace, "gone")
    scene.operator.start()
    if scene.kind != "cluster":
        kube.wait("sweep", lambda: gone in _deleted(scene), 30)
    assert kept not in _deleted(scene)
    assert scene.text("kept", "host-0") == "kept\n"

    scene.operator.kill()
    scene.operator.arguments += ("--output-retention-seconds", "1")
    scene.operator.start()
    kube.wait("end of the retention", lambda: kept in _deleted(scene) or "/kept in" in _deleted(scene), 30)
    if scene.kind == "cluster":
        kube.wait("no chunks", lambda: events(kube, scene.namespace, "kept") == {})
    assert results(kube, scene.namespace, "kept")["host-0"]["output"]["tail"] == "kept\n"


def _deleted(scene: Scene) -> str:
    return "".join(line for line in scene.operator.said().splitlines() if "deleted the output of" in line)
