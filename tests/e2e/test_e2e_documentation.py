"""The examples of the documentation, Foreman's and our own, typed as they are there."""

import json
import os
import re
import subprocess
from pathlib import Path
from typing import Any

import httpx
import pytest

from e2e.documented import Example, differences, examples
from e2e.release import ROOT, Person, Release, run
from support.jobs import template
from support.kube import Kube

JOBS = "/api/job_invocations"
CLIENTS = ROOT / ".venv-clients" / "bin"
EXAMPLES = examples()


class Story:
    """What there has to be before each example is asked, made by somebody who sees their own jobs only."""

    def __init__(self, kube: Kube, release: Release, client: httpx.Client, person: Person) -> None:
        self.kube = kube
        self.jobs = release.jobs
        self.url = release.url
        self.client = client
        self.person = person
        self.id = 0
        self.host_id = 0

    def order(self, category: str, **more: Any) -> dict[str, Any]:
        """Makes a job on web1, from a template of its own of this category."""
        name = category.lower().replace(" ", "-")
        self.kube.create(template(self.jobs, name, displayName=category, category=category, features=[]))
        listing = {"search": f'name = "{category}" and id > 0'}
        rows = self.kube.wait(
            f"the template {category} in the facade",
            lambda: self.client.get("/api/job_templates", params=listing).json()["results"],
        )
        wish = {"targeting_type": "static_query", "search_query": "name = web1", "inputs": {"command": "true"}}
        body = {"job_invocation": {"job_template_id": rows[0]["id"], **wish, **more}}
        answer = self.client.post(JOBS, json=body)
        assert answer.status_code == 201, answer.text
        made: dict[str, Any] = answer.json()
        self.id, self.host_id = made["id"], made["targeting"]["hosts"][0]["id"]
        return made

    def stopped(self) -> None:
        """Waits for the end of the job."""

        def stopped() -> bool:
            task: dict[str, Any] = self.client.get(f"{JOBS}/{self.id}").json()["task"]
            return task["state"] == "stopped"

        self.kube.wait(f"the end of job {self.id}", stopped, 90, interval=0.3)

    def a_job_that_succeeded(self) -> None:
        self.order("Job name 132")
        self.stopped()

    def a_job_that_ended_before_its_time(self) -> None:
        """No host of it was dealt with."""
        self.order("Job name 166", scheduling={"start_at": "2999-01-01 10:00"})
        answer = self.client.post(f"{JOBS}/{self.id}/cancel", json={})
        assert answer.status_code == 200, answer.text
        self.stopped()

    def asked(self, example: Example) -> tuple[int, Any]:
        """The status and body that curl gets; what is there has ids of its own."""
        path, sent = example.path, example.sent
        if example.status != 404:
            path = re.sub(r"/hosts/\d+", f"/hosts/{self.host_id}", path)
            path = re.sub(r"/job_invocations/\d+", f"/job_invocations/{self.id}", path)
        if sent is not None:
            sent = json.loads(json.dumps(sent).replace('"id = 1"', f'"id = {self.host_id}"'))
            if "job_template_id" in sent["job_invocation"]:
                known = self.client.get(f"{JOBS}/{self.id}").json()["template_id"]
                sent["job_invocation"]["job_template_id"] = known
        return self.curl(example.method, path, sent)

    def curl(self, method: str, path: str, sent: Any) -> tuple[int, Any]:
        login = ("-u", f"{self.person.login}:{self.person.password}", "-H", "Content-Type: application/json")
        body = () if sent is None else ("-d", json.dumps(sent))
        said = run(
            "curl", "-sS", "--noproxy", "*", *login, "-X", method, *body, "-w", "\n%{http_code}", self.url + path
        )
        answer, status = said.rsplit("\n", 1)
        return int(status), json.loads(answer)


@pytest.fixture(scope="module")
def answers(
    kube: Kube, release: Release, hosts: list[Any], as_erin: httpx.Client, erin: Person
) -> dict[str, tuple[int, Any]]:
    """What the facade answers to each example, asked in their order."""
    story = Story(kube, release, as_erin, erin)
    first, *rest = EXAMPLES
    story.a_job_that_succeeded()
    found = {first.name: story.asked(first)}
    story.a_job_that_ended_before_its_time()
    return found | {example.name: story.asked(example) for example in rest}


def test_no_example_is_left_out() -> None:
    assert [example.name for example in EXAMPLES] == [
        "GET /api/job_invocations",
        "GET /api/job_invocations/:id",
        "POST /api/job_invocations",
        "GET /api/job_invocations/:id/hosts/:id",
        "GET /api/job_invocations/:id/hosts/:id/raw",
        "POST /api/job_invocations/:id/cancel",
        "POST /api/job_invocations/:id/rerun",
        "POST /api/job_invocations/:id/outputs",
    ]


@pytest.mark.parametrize("example", EXAMPLES, ids=[example.name for example in EXAMPLES])
def test_an_example_of_foremans_documentation(answers: dict[str, tuple[int, Any]], example: Example) -> None:
    status, answer = answers[example.name]
    assert (status, differences(example.answer, answer)) == (example.status, []), answer
    assert list(answer) == list(example.answer)


@pytest.mark.parametrize(
    ("page", "block"),
    [
        ("README.md", r"```console\n(\$ export FOREMAN_SERVER_URL.*?)```"),
        ("docs/foreman.md", r"((?:    [^\n]*\n)*    export FOREMAN_SERVER_URL.*?\n)\n"),
    ],
)
def test_what_our_documentation_tells_users_of_foreman_to_type(
    release: Release, alice: Person, as_alice: httpx.Client, namespace: str, tmp_path: Path, page: str, block: str
) -> None:
    found = re.search(block, (ROOT / page).read_text(), re.DOTALL)
    assert found is not None, f"{page} has no such lines"
    typed = re.sub(r"^(\$ |    )", "", found[1], flags=re.MULTILINE)
    for theirs, ours in (("https://rollcall.example.com", release.url), ("PASSWORD=...", f"PASSWORD={alice.password}")):
        assert theirs in typed
        typed = typed.replace(theirs, ours)
    before = newest(as_alice)
    path = f"{CLIENTS}:{os.environ['PATH']}"
    environment = {"PATH": path, "HOME": str(tmp_path), "LC_ALL": "C.UTF-8", "NO_PROXY": "*"}
    done = subprocess.run(
        ["bash", "-eu"], input=typed, capture_output=True, text=True, check=False, cwd=tmp_path, env=environment
    )
    assert done.returncode == 0, f"{done.stdout}\n{done.stderr}"
    assert '"per_page":20' in done.stdout
    if "job.json" in typed:
        assert newest(as_alice) == before + 1
    assert '"error"' not in done.stdout


def newest(client: httpx.Client) -> int:
    """The highest id of a job."""
    return max((job["id"] for job in client.get(JOBS, params={"per_page": 1}).json()["results"]), default=0)
