"""The facade that the chart installs: who gets in, what they may do, and that a job runs."""

from collections.abc import Callable
from typing import Any

import httpx
import pytest

from e2e.release import Person, Release, run
from support.jobs import end_of, invocation
from support.kube import Kube, KubeError

JOBS = "/api/job_invocations"


def job(command: str, hosts: str, **more: Any) -> dict[str, Any]:
    """The body of a request for a job."""
    wish = {"feature": "run_script", "inputs": {"command": command}, "search_query": hosts}
    return {"job_invocation": {**wish, "targeting_type": "static_query", **more}}


def ended(kube: Kube, client: httpx.Client, id_: int) -> dict[str, Any]:
    """The job as the facade shows it when it has ended."""

    def show() -> dict[str, Any] | None:
        answer = client.get(f"{JOBS}/{id_}")
        assert answer.status_code == 200, answer.text
        shown: dict[str, Any] = answer.json()
        return shown if shown["status_label"] != "running" else None

    return kube.wait(f"the end of job {id_}", show, 90, interval=0.3)


@pytest.mark.parametrize("who", ["alice", "carol"])
def test_a_job_is_started_watched_and_read_by_rest(
    kube: Kube, namespace: str, as_alice: httpx.Client, as_carol: httpx.Client, alice: Person, carol: Person, who: str
) -> None:
    client, person = {"alice": (as_alice, alice), "carol": (as_carol, carol)}[who]
    created = client.post(JOBS, json=job("echo hello from $(hostname)", "name ^ (web1, web2)"))
    assert created.status_code == 201, created.text
    id_ = created.json()["id"]

    shown = ended(kube, client, id_)
    assert (shown["status_label"], shown["succeeded"], shown["total"]) == ("succeeded", 2, 2)
    names = {host["id"]: host["name"] for host in shown["targeting"]["hosts"]}
    for entry in client.get(f"{JOBS}/{id_}/outputs", params={"raw": "true"}).json()["outputs"]:
        assert entry["complete"] is True
        assert f"hello from {names[entry['host_id']]}\n" in entry["output"]
        assert entry["output"].endswith("Exit status: 0")
    stored = kube.get("jobinvocations", namespace, f"job-{id_}")
    assert stored["spec"]["requestedBy"] == {"username": person.username}


def test_what_kubectl_started_is_there_too(kube: Kube, namespace: str, as_alice: httpx.Client) -> None:
    kube.create(invocation(namespace, "by-kubectl", "echo hello", ["web1"]))
    done = end_of(kube, namespace, "by-kubectl")
    id_ = int(done["metadata"]["labels"]["rollcall.dev/id"])
    assert ended(kube, as_alice, id_)["status_label"] == "succeeded"
    assert id_ in [entry["id"] for entry in as_alice.get(JOBS).json()["results"]]


def test_nobody_gets_in_without_the_right_password(release: Release, alice: Person) -> None:
    for wrong in (Person("", login="alice", password="guess"), Person("", login="bob", password="x"), Person("")):
        with wrong.client(release.url) as client:
            assert client.get(JOBS).status_code == 401


def test_who_has_no_right_is_refused(kube: Kube, release: Release, namespace: str) -> None:
    kube.create({
        "apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "mallory", "namespace": namespace},
    })  # fmt: skip
    token = run("kubectl", "create", "token", "mallory", "-n", namespace).strip()
    with Person("", token=token).client(release.url) as client:
        assert client.get(JOBS).status_code == 403
        assert client.post(JOBS, json=job("true", "name = web1")).status_code == 403


def test_nobody_claims_to_be_somebody_else(kube: Kube, namespace: str) -> None:
    claim = {"requestedBy": {"username": "somebody-else"}}
    with pytest.raises(KubeError, match="must be your own name") as refused:
        kube.create(invocation(namespace, "claimed", "true", ["web1"], **claim))
    assert refused.value.status in (403, 422)


def test_what_others_do_elsewhere_is_not_the_charts_business(
    kube: Kube, release: Release, make_namespace: Callable[[str], str]
) -> None:
    elsewhere = make_namespace("e2e-other")
    claim = {"requestedBy": {"username": "somebody-else"}}
    kube.create(invocation(elsewhere, "claimed", "true", ["web1"], **claim))


def test_helm_test_succeeds(release: Release) -> None:
    said = run("helm", "test", release.name, "-n", release.namespace, "--timeout=90s")
    assert "Phase:          Succeeded" in said
