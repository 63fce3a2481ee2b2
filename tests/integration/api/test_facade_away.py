"""The API server is away for half a minute: it takes every connection and answers nothing. Then it refuses them.

Every route that there is is asked: reads go on, and writes get 503 and leave nothing half made.
"""

import asyncio
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import httpx
import pytest

from integration.api.facade_world import VIEW, FacadeProcess, Relay, World, free_port, is_ready, launch, service_account
from integration.api.route_table import GUARDED, READS, filled
from rollcall.names import HostState
from rollcall.outputs import Event, Exit, Stream
from rollcall_api.access import REMEMBER_SECONDS
from rollcall_api.cluster import LOG_TIMEOUT
from rollcall_api.pulse import SILENT_SECONDS
from support.kube import Kube, Object
from support.proxy import Answer, Call, Faults, Proxy

ROOT = "/api/job_invocations"
AWAY_SECONDS = 30
AT_ONCE = 2.0
"""Seconds within which an answer comes that waits for nobody, on a machine with much else to do."""
NODE_SECONDS = LOG_TIMEOUT.total or 0
NOTICED = SILENT_SECONDS + AT_ONCE
"""The same for whoever asks before it is known that the API server is away."""
KINDS = ("jobinvocations", "schedules", "jobtemplates", "inventories", "hosts", "secrets")
ALL = ["jobinvocations", "jobtemplates", "inventories", "hosts", "schedules"]
EDIT = [*VIEW, {"apiGroups": ["rollcall.dev"], "resources": ALL, "verbs": ["create", "update", "patch", "delete"]}]
TITLE = "Away"
BODIES: dict[tuple[str, str], Object] = {
    ("PUT", "/api/job_templates/{id}"): {"job_template": {"job_category": "Other"}},
    ("POST", "/api/job_templates"): {"job_template": {"name": "Canary", "template": "true"}},
    ("DELETE", "/api/job_templates/{id}"): {},
    ("POST", "/api/templates/{template_id}/template_inputs"): {"template_input": {"name": "canary"}},
    ("PUT", "/api/templates/{template_id}/template_inputs/{id}"): {"template_input": {"description": "canary"}},
    ("DELETE", "/api/templates/{template_id}/template_inputs/{id}"): {},
    ("PUT", "/api/remote_execution_features/{id}"): {"remote_execution_feature": {"job_template_id": TITLE}},
    ("POST", "/api/bookmarks"): {"bookmark": {"name": "canary", "controller": "hosts", "query": "name ~ canary"}},
    ("PUT", "/api/bookmarks/{id}"): {"bookmark": {"query": "name ~ canary"}},
    ("DELETE", "/api/bookmarks/{id}"): {},
    ("PUT", "/api/hosts/{id}"): {"host": {"enabled": False}},
    ("PUT", "/foreman_tasks/api/recurring_logics/{id}"): {"enabled": False},
    ("POST", "/foreman_tasks/api/recurring_logics/{id}/cancel"): {},
    ("POST", f"{ROOT}/{{id}}/cancel"): {"force": True},
    ("POST", f"{ROOT}/{{id}}/rerun"): {},
}
"""What is sent to the routes that write; that of a few is made of what there is."""
LATE = [
    ("DELETE", "/api/job_templates/{id}"),
    ("DELETE", "/api/bookmarks/{id}"),
    ("POST", f"{ROOT}/{{id}}/cancel"),
    ("POST", "/foreman_tasks/api/tasks/bulk_cancel"),
]
"""One request to the API server each, which can carry it out when it comes back. They are sent once that is known."""


@dataclass(frozen=True)
class Scene:
    """What there is: a job at work, one that has ended, a series, a bookmark, a template."""

    world: World
    running: Object
    ended: Object
    series: int
    bookmark: int

    def path(self, path: str, job: Object | None = None) -> str:
        job = job or self.running
        within = {
            f"{ROOT}/": job["id"],
            "/foreman_tasks/api/tasks/": job["task"],
            "/foreman_tasks/api/recurring_logics/": self.series,
            "/api/job_templates/": 31,
            "/api/templates/": "word",
            "/api/remote_execution_features/": "run_script",
            "/api/bookmarks/": self.bookmark,
            "/api/hosts/": "web1",
            "/api/organizations/": 1,
            "/api/locations/": 2,
            "/api/settings/": "instance_id",
            "/api/users/": f"system:serviceaccount:{self.world.namespace}:editor",
        }
        id_ = next((value for prefix, value in within.items() if path.startswith(prefix)), None)
        assert "{" not in path or id_ is not None, f"{path} names something that this test does not know"
        return filled(path, id=id_, host_id=1, template_id=31)

    def reads(self) -> Iterator[tuple[str, str]]:
        for path in READS:
            yield "GET", self.path(path)
            if path.startswith(ROOT):
                yield "GET", self.path(path, self.ended)
        yield "POST", self.path(f"{ROOT}/{{id}}/outputs")
        yield "GET", f"{ROOT}?search=status = running&order=started_at ASC&per_page=5"
        yield "GET", "/api/hosts?search=name ~ web&thin=true"
        yield "GET", "/foreman_tasks/api/tasks?search=state = running"

    def writes(self) -> Iterator[tuple[str, str, Object]]:
        bodies = {
            **BODIES,
            ("POST", ROOT): self.world.order(password="canary-away"),
            ("POST", "/foreman_tasks/api/tasks/bulk_cancel"): {"task_ids": [self.running["task"]]},
        }
        for method, path in GUARDED:
            if method != "GET" and not path.endswith("/outputs"):
                yield method, self.path(path), bodies[method, path]
        yield "POST", ROOT, self.world.order()
        series = self.world.order(recurrence={"cron_line": "5 5 * * *"}, password="canary-away")
        yield "POST", ROOT, series
        yield "POST", f"{ROOT}/{self.running['id']}/cancel", {"search": "name = web1"}

    def specs(self) -> dict[str, Object]:
        """All that could be half made, as it is stored."""
        found = ((kind, each) for kind in KINDS for each in self.world.kube.list(kind, self.world.namespace))
        return {f"{kind}/{each['metadata']['name']}": each.get("spec", {}) for kind, each in found}


@pytest.fixture(scope="module")
def scene(kube: Kube, world: World) -> Scene:
    """As described; everything has been read once."""
    tokens = world.facade.tokens
    tokens["editor"] = service_account(kube, world.namespace, "editor", EDIT)
    world.template(
        "away", 31, {"displayName": TITLE, "inputs": [{"name": "word"}], "ssh": {"script": "echo {{ inputs.word }}"}}
    )
    running, ended = world.create(user="editor"), world.create(user="editor")
    said = Event("web1", 0, 1_700_000_000.0, Stream.STDOUT, b"hello\n")
    world.deal(running["id"], {"web1": {"state": "Running"}, "web2": {"state": "Pending"}})
    world.settle(running["id"], None, total=2, running=1, pending=1)
    world.store(running["id"], 0, [said])
    good = {"state": "Succeeded", "exitCode": 0}
    world.deal(ended["id"], {"web1": good, "web2": good}, "Done")
    world.store(ended["id"], 0, [said, Event("web1", 1, 1_700_000_001.0, Stream.EXIT, Exit(HostState.SUCCEEDED, 0))])
    world.settle(ended["id"], "Complete", total=2, succeeded=2)
    series = world.create(user="editor", recurrence={"cron_line": "5 5 * * *"})
    with world.facade.client("editor") as client:
        for job in (running, ended):
            job["task"] = world.invocation(job["id"])["metadata"]["uid"]
            path = f"{ROOT}/{job['id']}"
            world.wait(client, path, "the hosts", lambda body: len(body["targeting"]["hosts"]) == 2)
        world.wait(client, f"{ROOT}/{ended['id']}", "the end", lambda body: body["status_label"] == "succeeded")
        world.wait(client, "/api/job_templates/31", "the template", lambda body: "template" in body)
        wish = {"bookmark": {"name": "away", "controller": "hosts", "query": "name ~ web"}}
        bookmark = client.post("/api/bookmarks", json=wish).json()["id"]
        assert client.put("/api/hosts/web1", json={"host": {}}).is_success  # the API server writes defaults with it
    return Scene(world, running, ended, series["recurrence"]["id"], bookmark)


def relay_of(world: World) -> Relay:
    assert world.facade.relay is not None
    return world.facade.relay


def asked(client: httpx.Client, method: str, path: str, body: Any = None) -> tuple[httpx.Response, float]:
    """The answer, and how many seconds it took."""
    began = time.monotonic()
    answer = client.request(method, path, json={} if body is None and method == "POST" else body)
    return answer, time.monotonic() - began


def read_all(client: httpx.Client, scene: Scene) -> dict[tuple[str, str], Any]:
    """What every read answers."""
    answers = {read: asked(client, *read)[0] for read in scene.reads()}
    for read, answer in answers.items():
        assert answer.status_code == 200, (read, answer.text)
    return {read: answer.json() for read, answer in answers.items()}


def check_reads(client: httpx.Client, scene: Scene, known: dict[tuple[str, str], Any], within: float) -> list[int]:
    """Asks every read, all at once; they answer as before. Returns their ages."""
    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda read: asked(client, *read), scene.reads()))
    for read, (answer, seconds) in zip(scene.reads(), answers, strict=True):
        assert (answer.status_code, answer.json()) == (200, known[read]), read
        assert seconds < within, read
    return [int(answer.headers["age"]) for answer, _ in answers]


def check_writes(client: httpx.Client, writes: list[tuple[str, str, Object]], within: float) -> None:
    """Asks every write, all at once."""
    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda write: asked(client, *write), writes))
    for (method, path, _), (answer, seconds) in zip(writes, answers, strict=True):
        assert answer.status_code == 503, (method, path, answer.text)
        assert "try again later" in answer.json()["message"], (method, path)
        assert seconds < within, (method, path)


def test_an_api_server_that_hangs_for_half_a_minute_holds_up_no_read_and_leaves_nothing_half_made(
    scene: Scene,
) -> None:
    world, relay = scene.world, relay_of(scene.world)
    late = {(method, scene.path(path)) for method, path in LATE}
    world.facade.tokens["leaver"] = service_account(world.kube, world.namespace, "leaver", VIEW)
    with (
        world.facade.client("editor") as client,
        world.facade.client("leaver") as leaver,
        world.facade.client("nobody") as unknown,
    ):
        before = scene.specs()
        known = read_all(client, scene)
        assert client.get(ROOT).headers["age"] == "0"
        assert leaver.get(ROOT).status_code == 200
        time.sleep(REMEMBER_SECONDS)  # until what is remembered of the user has to be asked for again
        relay.hold()
        since = time.monotonic()
        try:
            check_reads(client, scene, known, NOTICED)
            writes = list(scene.writes())
            check_writes(client, [each for each in writes if each[:2] not in late], NOTICED)
            # Whoever asks for the first time learns that it cannot be told who they are.
            assert unknown.get(ROOT).status_code == 503
            world.kube.delete("serviceaccounts", world.namespace, "leaver")
            assert leaver.get(ROOT).status_code == 200
            while time.monotonic() - since < SILENT_SECONDS + 1:
                time.sleep(0.1)  # how long it has been silent is what is looked at
            oldest = 0
            while (away := time.monotonic() - since) < AWAY_SECONDS:
                ages = check_reads(client, scene, known, AT_ONCE)
                assert min(ages) >= max(int(away), oldest)
                assert max(ages) <= time.monotonic() - since + SILENT_SECONDS
                oldest = max(ages)
                check_writes(client, writes, AT_ONCE)
        finally:
            relay.join()
        joined = time.monotonic()
        world.kube.wait("writes to work again", lambda: client.put("/api/hosts/web1", json={"host": {}}).is_success)
        assert scene.specs() == before
        world.kube.wait("the facade to follow again", lambda: client.get(ROOT).headers["age"] == "0")
        world.kube.wait("the end of who is known no more", lambda: leaver.get(ROOT).status_code == 401)
        assert time.monotonic() - joined < REMEMBER_SECONDS + NOTICED
        id_ = world.create()["id"]
        world.wait(client, f"{ROOT}/{id_}", "a job that is made after it", lambda body: "id" in body)
    assert "canary-away" not in world.facade.log.read_text()


def test_an_api_server_that_refuses_holds_up_nobody(scene: Scene) -> None:
    relay = relay_of(scene.world)
    with scene.world.facade.client("editor") as client:
        known = read_all(client, scene)
        before = scene.specs()
        relay.cut()
        try:
            check_reads(client, scene, known, AT_ONCE)
            check_writes(client, list(scene.writes()), AT_ONCE)
            check_reads(client, scene, known, AT_ONCE)
        finally:
            relay.join()
        scene.world.kube.wait("the facade to follow again", lambda: client.get(ROOT).headers["age"] == "0")
        assert scene.specs() == before


@dataclass
class Gone(Faults):
    """The API server takes a number of writes of templates and jobs, and no more."""

    left: int

    async def before(self, call: Call) -> Answer | None:
        if not call.writes or not call.path.endswith(("/jobtemplates/NAME", "/jobinvocations/NAME")):
            return None
        self.left -= 1
        return Answer(503) if self.left < 0 else None


@dataclass(frozen=True)
class Stage:
    """A second facade, whose way to the API server can be disturbed."""

    proxy: Proxy
    facade: FacadeProcess


@pytest.fixture(scope="module")
def stage(kube: Kube, scene: Scene, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    world, folder, port = scene.world, tmp_path_factory.mktemp("stage"), free_port()
    with Proxy(kube) as proxy:
        process = launch(world.namespace, proxy.kubeconfig(folder / "kubeconfig"), folder, folder / "log", port)
        facade = FacadeProcess(f"http://127.0.0.1:{port}", folder / "log", None, process, world.facade.tokens)
        try:
            kube.wait("readiness", lambda: is_ready(facade), timeout=120)
            yield Stage(proxy, facade)
        finally:
            process.kill()
            process.wait(30)


@dataclass
class Mute(Faults):
    """Nodes do not tell what pods said: after so many seconds the API server has that for an answer."""

    seconds: float

    async def before(self, call: Call) -> Answer | None:
        if not call.path.endswith("/log"):
            return None
        await asyncio.sleep(self.seconds)
        return Answer(500, "InternalError")


def test_a_node_that_does_not_answer_hides_nothing_that_is_stored(scene: Scene, stage: Stage) -> None:
    id_ = scene.running["id"]
    said = {"complete": False, "refresh": True, "output": "hello\n"}
    with stage.facade.client("editor") as client:
        assert client.post(f"{ROOT}/{id_}/cancel", json={}).status_code == 200
        for seconds in (NODE_SECONDS + 1, 0.0):
            stage.proxy.faults = Mute(seconds)
            answer, took = asked(client, "GET", f"{ROOT}/{id_}/hosts/1/raw")
            assert (answer.status_code, answer.json()) == (200, said)
            assert min(seconds, NODE_SECONDS) <= took < NODE_SECONDS + AT_ONCE
        stage.proxy.faults = Faults()


def test_a_feature_that_is_half_moved_says_so_and_the_same_request_moves_the_rest(scene: Scene, stage: Stage) -> None:
    world, path = scene.world, "/api/remote_execution_features/moving"
    for number, features in ((41, []), (42, ["moving"]), (43, ["moving"])):
        spec = {"displayName": f"Moving {number}", "features": features, "ssh": {"script": "true"}}
        world.template(f"moving-{number}", number, spec)

    def serving() -> list[str]:
        found = world.kube.list("jobtemplates", world.namespace)
        return sorted(each["metadata"]["name"] for each in found if "moving" in each["spec"].get("features", ()))

    with stage.facade.client("editor") as client:
        for number in (41, 42, 43):
            shown = f"/api/job_templates/{number}"
            world.wait(client, shown, "the template", lambda body: "template" in body)
        wish = {"remote_execution_feature": {"job_template_id": 41}}
        stage.proxy.faults = Gone(2)
        answer = client.put(path, json=wish)
        stage.proxy.faults = Faults()
        assert answer.status_code == 503
        message = answer.json()["message"]
        (left,) = [name for name in serving() if name != "moving-41"]
        assert f"'Moving 41' serves the feature now. Not taken away yet: 'Moving {left[-2:]}'." in message
        assert client.put(path, json=wish).json()["job_template_id"] == 41
    assert serving() == ["moving-41"]


def test_a_bulk_cancel_that_breaks_off_says_what_it_did_and_can_be_sent_again(scene: Scene, stage: Stage) -> None:
    world = scene.world
    jobs = [world.create(user="editor")["id"] for _ in range(3)]
    tasks = {"task_ids": [world.invocation(id_)["metadata"]["uid"] for id_ in jobs]}

    def orders() -> list[str]:
        return [world.invocation(id_)["spec"].get("cancellation", {}).get("policy", "") for id_ in jobs]

    path = "/foreman_tasks/api/tasks/bulk_cancel"
    with stage.facade.client("editor") as client:
        for id_ in jobs:
            world.wait(client, f"{ROOT}/{id_}", "the job", lambda body: "id" in body)
        stage.proxy.faults = Gone(2)
        answer = client.post(path, json=tasks)
        stage.proxy.faults = Faults()
        body = answer.json()
        assert (answer.status_code, body["total"], body["skipped"]) == (503, 3, [])
        assert [each["id"] for each in body["cancelled"]] == tasks["task_ids"][:2]
        assert "2 of 3 tasks were dealt with before" in body["message"]
        assert orders() == ["Graceful", "Graceful", ""]
        body = client.post(path, json=tasks).json()
        assert [each["id"] for each in body["cancelled"]] == tasks["task_ids"]
    assert orders() == ["Graceful"] * 3
