"""Foreman's own clients, unchanged, against the facade that the chart installs."""

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import apypie
import httpx
import pytest
import requests

from e2e.release import ROOT, Person, Release
from support.foreman_actions import ACTIONS
from support.jobs import API_VERSION, template
from support.kube import Kube

CLIENTS = ROOT / ".venv-clients" / "bin"


@pytest.fixture
def api(
    release: Release, dora: Person, as_dora: httpx.Client, namespace: str, tmp_path: Path
) -> Iterator[apypie.ForemanApi]:
    with requests.Session() as session:
        session.trust_env = False
        yield apypie.ForemanApi(
            uri=release.url,
            username=dora.login,
            password=dora.password,
            apidoc_cache_dir=str(tmp_path),
            session=session,
        )


def task_of(kube: Kube, api: apypie.ForemanApi, job: dict[str, Any]) -> dict[str, Any]:
    """The task of a job when it has ended."""

    def show() -> dict[str, Any] | None:
        task: dict[str, Any] = api.call("foreman_tasks", "show", {"id": job["dynflow_task"]["id"]})
        return task if task["state"] == "stopped" else None

    return kube.wait(f"the end of job {job['id']}", show, 90, interval=0.5)


def test_apypie_finds_every_resource_and_action(api: apypie.ForemanApi) -> None:
    found = {name: set(api.resource(name).actions) for name in ACTIONS}
    assert {name: found[name] & actions for name, actions in ACTIONS.items()} == ACTIONS


def test_a_job_by_apypie(kube: Kube, api: apypie.ForemanApi) -> None:
    assert api.resource_action("home", "status", {})["result"] == "ok"
    found = api.list("job_templates", search='name="Run Command - Script Default"')[0]
    wish = {
        "job_template_id": found["id"],
        "targeting_type": "static_query",
        "search_query": "name ^ (web1, web2)",
        "inputs": {"command": "echo hello from $(hostname)"},
    }
    job = api.create("job_invocations", wish)
    task = task_of(kube, api, job)
    assert (task["result"], task["humanized"]["output"]) == ("success", "2 task(s), 2 success, 0 fail")
    shown = api.show("job_invocations", job["id"], params={"host_status": True})
    assert [host["job_status"] for host in shown["targeting"]["hosts"]] == ["success", "success"]
    assert (shown["succeeded"], shown["failed"], shown["total"]) == (2, 0, 2)
    said = api.resource_action("job_invocations", "outputs", {"id": job["id"], "raw": True})["outputs"]
    for name in ("web1", "web2"):
        end = f"hello from {name}\nExit status: 0"
        assert [entry["complete"] for entry in said if entry["output"].endswith(end)] == [True]
    host = shown["targeting"]["hosts"][0]
    one = api.resource_action("job_invocations", "output", {"id": job["id"], "host_id": host["id"]})
    assert (one["complete"], one["output"][-1]["output"]) == (True, "Exit status: 0")
    below = api.resource_action("foreman_tasks", "sub_tasks", {"id": task["id"]})["results"]
    assert {entry["result"] for entry in below} == {"success"}
    assert [found["id"] for found in api.list("job_invocations", search=f"id = {job['id']}")] == [job["id"]]
    assert job["id"] in [found["id"] for found in api.list("job_invocations")]
    assert [found["name"] for found in api.list("hosts", search="name = db1")] == ["db1"]


def test_a_job_is_cancelled_and_run_again_by_apypie(kube: Kube, api: apypie.ForemanApi) -> None:
    wish = {
        "feature": "run_script",
        "targeting_type": "static_query",
        "search_query": "name = web1",
        "inputs": {"command": "test -e /tmp/seen-by-apypie || { touch /tmp/seen-by-apypie; echo begun; sleep 300; }"},
    }
    job = api.create("job_invocations", wish)

    def at_work() -> bool:
        """Whether the script runs; its host counts as running from the time that it is called."""
        said = api.resource_action("job_invocations", "outputs", {"id": job["id"], "raw": True})["outputs"]
        return any("begun" in (entry["output"] or "") for entry in said)

    kube.wait(f"job {job['id']} at work", at_work, 60, interval=0.3)
    shown = api.show("job_invocations", job["id"], params={"host_status": True})
    assert [host["job_status"] for host in shown["targeting"]["hosts"]] == ["running"]
    assert api.resource_action("job_invocations", "cancel", {"id": job["id"]}) == {"cancelled": True, "id": job["id"]}
    assert task_of(kube, api, job)["result"] == "warning"
    with pytest.raises(apypie.ForemanApiException, match="The job could not be cancelled"):
        api.resource_action("job_invocations", "cancel", {"id": job["id"]})
    again = api.resource_action("job_invocations", "rerun", {"id": job["id"], "failed_only": True})
    assert again["id"] > job["id"]
    shown = api.show("job_invocations", again["id"])
    assert task_of(kube, api, shown)["result"] == "success"


def test_what_apypie_is_told_when_something_is_wrong(api: apypie.ForemanApi) -> None:
    wish = {"job_template_id": "4711", "targeting_type": "static_query", "search_query": "name = web1"}
    with pytest.raises(apypie.ForemanApiException, match="Template with id '4711' was not found"):
        api.create("job_invocations", wish)
    with pytest.raises(apypie.ForemanApiException, match="ScopedSearch::QueryNotSupported"):
        api.list("hosts", search="colour = red")


@pytest.fixture
def furniture(kube: Kube, api: apypie.ForemanApi, namespace: str) -> Iterator[None]:
    """A host whose name has a dot, as the collection demands of hosts that it changes; no job is run on it. And a
    template that lets jobs choose who runs it."""
    host = {
        "apiVersion": API_VERSION,
        "kind": "Host",
        "metadata": {"name": "app.example.com", "namespace": namespace},
        "spec": {"address": "192.0.2.1"},
    }
    ssh = {"script": "{{ inputs.command | raw }}\n", "effectiveUser": {"overridable": True}}
    kube.create(host)
    kube.create(template(namespace, "as-anybody", displayName="Run as anybody", features=[], ssh=ssh))
    kube.wait("the host in the facade", lambda: api.list("hosts", search="name = app.example.com and id > 0"))
    title = 'name = "Run as anybody" and id > 0'
    kube.wait("the template in the facade", lambda: api.list("job_templates", search=title))
    yield
    kube.delete("hosts", namespace, "app.example.com")


def test_a_playbook_with_the_collection_of_foreman(
    release: Release, dora: Person, as_dora: httpx.Client, furniture: None, tmp_path: Path
) -> None:
    playbook(Path(__file__).parent / "foreman.yml", release, dora, tmp_path)


def playbook(path: Path, release: Release, person: Person, home: Path) -> None:
    """Runs a playbook of modules that log in to the facade as this person."""
    program = CLIENTS / "ansible-playbook"
    assert program.exists(), "the facade's clients are not installed: make .venv-clients/.installed"
    environment = {
        "PATH": f"{CLIENTS}:{os.environ['PATH']}",
        "HOME": str(home),
        "LC_ALL": "C.UTF-8",
        "NO_PROXY": "*",
        "FOREMAN_SERVER_URL": release.url,
        "FOREMAN_USER": person.login,
        "FOREMAN_PASSWORD": person.password,
        "FOREMAN_VALIDATE_CERTS": "false",
    }
    done = subprocess.run(
        [str(program), "-i", "localhost,", str(path)], capture_output=True, text=True, check=False, env=environment
    )
    assert done.returncode == 0, f"{done.stdout}\n{done.stderr}"
    # The collection warns of parameters that the description lacks; besides, only of the test's plain HTTP.
    warnings = [line for line in done.stderr.splitlines() if "[WARNING]" in line and "plain HTTP" not in line]
    assert warnings == []
