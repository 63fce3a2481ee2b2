"""The facade is killed with SIGKILL at each write of a create, and comes back: a job is there whole, or not at all.

Every create here has Secrets of its own, or shares those of an earlier job. The facade reaches the API server through a
proxy that kills it before a write is done, or after it is done and before it is answered.
"""

import asyncio
import base64
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import httpx
import pytest

from integration.api.facade_world import RUN, FacadeProcess, World, free_port, is_ready, launch, owner, service_account
from rollcall.names import Kind
from rollcall_api.cluster import Cluster
from rollcall_api.making import Making
from rollcall_api.sequences import Sequences
from rollcall_api.users import Identity
from support.kube import Kube, Object
from support.proxy import Answer, Call, Faults, Proxy

ROOT = "/api/job_invocations"
KINDS = ("jobinvocations", "schedules")
OF_A_CREATE = (*KINDS, "secrets")
"""Not the ids: one that is lost is nothing that anybody could see."""
PASSWORD, TOKEN = "canary-password", "canary-token"
ABANDONED_SECONDS = 120
"""Until then the janitor of any facade has taken back what is older than a minute."""

Moment = Literal["before", "after"]


@dataclass(frozen=True)
class Point:
    """The n-th write of its kind, from 1, and whether the facade dies before it is done or before it is answered."""

    call: Call
    number: int
    moment: Moment


@dataclass
class Killer(Faults):
    """Kills the facade at a point; without one it only counts."""

    kill: Callable[[], None]
    point: Point | None = None
    writes: list[Call] = field(default_factory=list)
    struck: bool = False
    _seen: Counter[tuple[Call, Moment]] = field(default_factory=Counter)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    async def before(self, call: Call) -> Answer | None:
        return self._judge(call, "before")

    async def after(self, call: Call) -> Answer | None:
        return self._judge(call, "after")

    def _judge(self, call: Call, moment: Moment) -> Answer | None:
        if not call.writes or not any(f"/{plural}" in call.path for plural in OF_A_CREATE):
            return None
        with self._lock:
            self._seen[call, moment] += 1
            if moment == "after":
                self.writes.append(call)
            if self.struck or self.point != Point(call, self._seen[call, moment], moment):
                return None
            self.struck = True
            self.kill()
            return Answer(503)


class Stage:
    """A namespace with a facade behind a proxy, which can be killed and started again at the same address."""

    def __init__(self, kube: Kube, namespace: str, proxy: Proxy, folder: Path) -> None:
        self.kube, self.namespace, self.proxy = kube, namespace, proxy
        self._config = proxy.kubeconfig(folder / "kubeconfig")
        self._users, self._log, self._port = folder / "users", folder / "log", free_port()
        self._users.mkdir()
        self.facade = FacadeProcess(f"http://127.0.0.1:{self._port}", self._log, None, self._launch())
        self.world: World

    def furnish(self) -> None:
        """Makes who uses the facade, and what is run."""
        kube, namespace = self.kube, self.namespace
        self.facade.tokens["runner"] = service_account(kube, namespace, "runner", RUN)
        self.wait_until_ready()
        self.world = World(kube, namespace, self.facade)
        inputs = [{"name": "command", "required": True}, {"name": "token", "type": "Secret"}]
        self.world.template("hidden", 21, {"displayName": "Hidden", "inputs": inputs, "ssh": {"script": "true"}})
        kube.wait("the template in the cache", lambda: self._order({"command": "x"}, search_query="no = 1") == 400)

    def _launch(self) -> Any:
        return launch(self.namespace, self._config, self._users, self._log, self._port)

    def wait_until_ready(self) -> None:
        self.kube.wait("readiness", lambda: is_ready(self.facade), timeout=120)

    def kill(self) -> None:
        self.facade.process.kill()

    def start(self) -> None:
        self.facade.process.wait(30)
        self.facade.process = self._launch()
        self.wait_until_ready()

    def stop(self) -> None:
        self.proxy.faults = Faults()
        self.kill()
        self.facade.process.wait(30)

    def _order(self, inputs: Object, **given: Any) -> int:
        order = self.world.order(job_template_id=21, inputs=inputs, **given)
        with self.facade.client() as client:
            return client.post(ROOT, json=order).status_code

    def create(self, **given: Any) -> int | None:
        """The status of the answer; None when there was none."""
        try:
            return self._order({"command": "uptime", "token": TOKEN}, password=PASSWORD, **given)
        except httpx.TransportError:
            return None

    def rerun(self, id_: int) -> int | None:
        try:
            with self.facade.client() as client:
                return client.post(f"{ROOT}/{id_}/rerun", json={}).status_code
        except httpx.TransportError:
            return None

    def objects(self) -> list[Object]:
        return [found for plural in KINDS for found in self.kube.list(plural, self.namespace)]

    def secrets(self) -> dict[str, Object]:
        return {found["metadata"]["name"]: found for found in self.kube.list("secrets", self.namespace)}

    def answers(self) -> bool:
        """Whether the facade answers what it cannot answer without the API server: nobody has asked for it before."""
        with self.facade.client() as client:
            return client.get("/foreman_tasks/api/recurring_logics").status_code == 200

    def shown(self) -> set[str]:
        """The names of the objects that the facade lists."""
        with self.facade.client() as client:
            ids = [str(item["id"]) for item in client.get(ROOT, params={"per_page": "all"}).json()["results"]]
            logics = client.get("/foreman_tasks/api/recurring_logics", params={"per_page": "all"}).json()["results"]
        found = {named(each): each["metadata"]["labels"]["rollcall.dev/id"] for each in self.objects()}
        numbers = {"JobInvocation": ids, "Schedule": [str(logic["id"]) for logic in logics]}
        return {name for name, id_ in found.items() if id_ in numbers[name.partition("/")[0]]}


def named(found: Object) -> str:
    return f"{found['kind']}/{found['metadata']['name']}"


@pytest.fixture
def stage(kube: Kube, crds: None, make_namespace: Callable[[str], str], tmp_path: Path) -> Iterator[Stage]:
    with Proxy(kube) as proxy:
        stage = Stage(kube, make_namespace("killed"), proxy, tmp_path)
        try:
            stage.furnish()
            yield stage
        finally:
            stage.stop()


def is_whole(found: Object, secrets: dict[str, Object]) -> bool:
    """Whether nothing keeps the job from running, and all Secrets that it names hold what was given."""
    labels, spec = found["metadata"]["labels"], found["spec"]
    job = spec["invocationTemplate"]["spec"] if found["kind"] == "Schedule" else spec
    names = [source["secretRef"]["name"] for source in job["inputsFrom"]]
    wanted = {name: {"token": TOKEN} for name in names}
    if "credentialsRef" in job:
        wanted[job["credentialsRef"]["name"]] = {"password": PASSWORD}
    held = {
        name: {key: base64.b64decode(value).decode() for key, value in secrets[name]["data"].items()}
        for name in wanted
        if name in secrets
    }
    return held == wanted and not spec["suspend"] and "rollcall.dev/unfinished" not in labels


def points(writes: list[Call]) -> Iterator[Point]:
    """Each write, before and after it is done."""
    for call, count in Counter(writes).items():
        for number in range(1, count + 1):
            yield Point(call, number, "before")
            yield Point(call, number, "after")


def orphans(stage: Stage) -> list[str]:
    """Secrets without an owner that is there."""
    uids = {found["metadata"]["uid"] for found in stage.objects()}
    owners = {name: secret["metadata"].get("ownerReferences") for name, secret in stage.secrets().items()}
    return [name for name, found in owners.items() if found and not uids & {owner["uid"] for owner in found}]


def kind_of(call: Call) -> tuple[str, str]:
    """The verb and the resource of a write."""
    return call.method, call.path.split("/")[-1 if call.method == "POST" else -2]


def play(stage: Stage, create: Callable[[], int | None], expected: set[tuple[str, str]]) -> None:
    """Creates undisturbed, then once for each point; afterwards there are only whole jobs, and only theirs Secrets.

    The facade queues runs of earlier series at the same time, so that a write may be missing the next time; of each
    kind some are struck.
    """
    counting = stage.proxy.faults = Killer(stage.kill)
    assert create() == 201
    assert expected <= {kind_of(call) for call in counting.writes}
    struck: set[tuple[str, str, Moment]] = set()
    for point in points(counting.writes):
        killer = stage.proxy.faults = Killer(stage.kill, point)
        answer = create()
        stage.proxy.faults = Faults()
        if not killer.struck:
            assert answer == 201, point
            continue
        struck.add((*kind_of(point.call), point.moment))
        stage.start()
        secrets = stage.secrets()
        halves = {named(found) for found in stage.objects() if not is_whole(found, secrets)}
        assert not halves & stage.shown(), point
    moments: tuple[Moment, ...] = ("before", "after")
    assert {(*kind, moment) for kind in expected for moment in moments} <= struck


def check_the_end(stage: Stage) -> None:
    """Waits until nothing half-made is left."""

    def halves() -> list[str]:
        secrets = stage.secrets()
        return [named(found) for found in stage.objects() if not is_whole(found, secrets)]

    stage.kube.wait("the end of all that is half made", lambda: not halves(), timeout=ABANDONED_SECONDS)
    stage.kube.wait("the end of their Secrets", lambda: not orphans(stage), timeout=60)
    everything = {named(found) for found in stage.objects()}
    stage.kube.wait("everything that is whole in the list", lambda: stage.shown() == everything)
    assert PASSWORD not in stage.facade.log.read_text()
    assert TOKEN not in stage.facade.log.read_text()


def test_a_job_is_made_whole_or_not_at_all_whichever_write_the_facade_dies_at(stage: Stage) -> None:
    play(stage, stage.create, {("POST", "jobinvocations"), ("POST", "secrets"), ("PATCH", "jobinvocations")})
    with stage.facade.client() as client:
        newest = client.get(ROOT).json()["results"][0]["id"]
    play(stage, lambda: stage.rerun(newest), {("POST", "jobinvocations"), ("PATCH", "secrets")})
    purposes = iter(range(100))

    def series() -> int | None:
        return stage.create(recurrence={"cron_line": "5 4 * * *", "purpose": f"purpose {next(purposes)}"})

    play(stage, series, {("POST", "schedules"), ("POST", "secrets"), ("PATCH", "schedules")})
    check_the_end(stage)


class Away(Faults):
    """The API server goes away when it has done the first write of a kind."""

    def __init__(self, proxy: Proxy, plural: str) -> None:
        self._proxy, self._plural, self.gone = proxy, plural, threading.Event()

    async def before(self, call: Call) -> Answer | None:  # noqa: ARG002
        return Answer(503) if self.gone.is_set() else None

    async def after(self, call: Call) -> Answer | None:
        if call.method == "POST" and call.path.endswith(f"/{self._plural}"):
            self.gone.set()
        return Answer(503) if self.gone.is_set() else None


@pytest.mark.parametrize("plural", ["jobinvocations", "secrets"])
def test_an_api_server_that_goes_away_in_the_middle_leaves_nothing(stage: Stage, plural: str) -> None:
    away = stage.proxy.faults = Away(stage.proxy, plural)
    assert stage.create() == 503
    assert away.gone.is_set()
    assert [named(found) for found in stage.objects()] != []
    stage.proxy.faults = Faults()
    stage.kube.wait("an answer for who had none before", stage.answers)
    assert stage.shown() == set()
    stage.kube.wait("the end of the job", lambda: not stage.objects(), timeout=ABANDONED_SECONDS)
    stage.kube.wait("the end of its Secrets", lambda: not orphans(stage), timeout=60)
    assert stage.create() == 201


def test_a_job_whose_create_was_never_answered_is_taken_back(stage: Stage) -> None:
    away = stage.proxy.faults = Away(stage.proxy, "jobinvocations")
    with stage.facade.client() as client:
        assert client.post(ROOT, json=stage.world.order()).status_code == 503
    assert away.gone.is_set()
    assert len(stage.objects()) == 1
    stage.proxy.faults = Faults()
    stage.kube.wait("the end of the job", lambda: not stage.objects(), timeout=ABANDONED_SECONDS)


class Stuck(Faults):
    """The API server does not come to an end with one kind of write."""

    def __init__(self, plural: str) -> None:
        self._plural, self.reached = plural, threading.Event()

    async def before(self, call: Call) -> Answer | None:
        if call.method != "POST" or not call.path.endswith(f"/{self._plural}"):
            return None
        self.reached.set()
        await asyncio.sleep(3)
        return None


@pytest.mark.parametrize("plural", ["jobinvocations", "secrets"])
def test_a_create_that_is_cancelled_leaves_nothing(
    stage: Stage, plural: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("KUBECONFIG", str(stage.proxy.kubeconfig(tmp_path / "direct")))
    stuck = stage.proxy.faults = Stuck(plural)

    def compose(id_: int) -> Object:
        spec = {"templateRef": {"name": "hidden"}, "targeting": {"hosts": ["web1"]}}
        metadata = {"name": f"job-{id_}", "labels": {"rollcall.dev/id": str(id_)}}
        api = {"apiVersion": "rollcall.dev/v1alpha1", "kind": "JobInvocation"}
        return {**api, "metadata": metadata, "spec": spec}

    def secret(stored: Object) -> list[Object]:
        metadata = {"name": "of-a-cancelled", "ownerReferences": [owner(stored)]}
        return [{"apiVersion": "v1", "kind": "Secret", "metadata": metadata}]

    async def cancel_in_the_middle() -> None:
        cluster = Cluster()
        await cluster.open()
        making = Making(cluster, Sequences(cluster, stage.namespace), stage.namespace)
        user = Identity(f"system:serviceaccount:{stage.namespace}:runner", ())
        task = asyncio.create_task(making.make(Kind.JOB_INVOCATION, compose, user, secret))
        assert await asyncio.to_thread(stuck.reached.wait, 30)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        await making.settled()
        await cluster.close()

    asyncio.run(cancel_in_the_middle())
    stage.kube.wait("nothing to be left", lambda: not stage.objects() and "of-a-cancelled" not in stage.secrets())
