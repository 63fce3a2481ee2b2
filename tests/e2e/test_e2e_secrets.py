"""A password is in Secrets and nowhere else, whichever way it came."""

import json
import secrets as random
from collections.abc import Callable

import httpx
import pytest

from e2e.release import Release, kubectl
from e2e.test_e2e_facade import JOBS, ended, job
from support.jobs import end_of, events, invocation
from support.kube import Kube, Object

KINDS = ("hosts", "jobtemplates", "jobinvocations", "jobslices", "joboutputs", "pods", "configmaps", "events")
SHOW_PROCESSES = "ps axeww -o args"
LOOK_AT_PROCESSES = """
import pathlib
for name in ("cmdline", "environ"):
    for path in pathlib.Path("/proc").glob(f"[0-9]*/{name}"):
        print(path.read_text().split("\\0"))
"""


@pytest.fixture
def canaries(kube: Kube, namespace: str, host_password: str) -> tuple[str, str]:
    """The password that the hosts know, and one that they do not; both are searched for."""
    wrong = f"canary-{random.token_hex(12)}"
    for name, password in (("right", host_password), ("wrong", wrong)):
        kube.apply({
            "apiVersion": "v1", "kind": "Secret", "metadata": {"name": f"canary-{name}", "namespace": namespace},
            "stringData": {"password": password},
        })  # fmt: skip
    return host_password, wrong


def passwordless(kube: Kube, namespace: str, name: str) -> None:
    """A Host like db1 that has no credentials of its own."""
    found = kube.get("hosts", namespace, "db1")
    spec = {key: value for key, value in found["spec"].items() if key != "credentialsRef"}
    metadata = {"name": name, "namespace": namespace}
    kube.apply({"apiVersion": found["apiVersion"], "kind": "Host", "metadata": metadata, "spec": spec})


def everything(kube: Kube, release: Release, namespace: str) -> dict[str, str]:
    """All that anybody without the right to read Secrets could see, by where it is."""
    seen = {f"{plural} in {where}": json.dumps(kube.list(plural, where)) for plural in KINDS
            for where in (namespace, release.namespace)}  # fmt: skip
    return seen | {f"log of the {component}": release.log(component) for component in ("operator", "api")}


def test_a_password_is_seen_nowhere(
    kube: Kube,
    release: Release,
    namespace: str,
    canaries: tuple[str, str],
    as_alice: httpx.Client,
) -> None:
    right, wrong = canaries
    passwordless(kube, namespace, "keyless")
    seen: dict[str, str] = {}

    for name, secret in (("canary-right", "canary-right"), ("canary-wrong", "canary-wrong")):
        kube.create(invocation(namespace, name, SHOW_PROCESSES, ["keyless"], credentialsRef={"name": secret}))
        end_of(kube, namespace, name)
    assert kube.get("jobinvocations", namespace, "canary-right")["status"]["hosts"]["succeeded"] == 1
    assert kube.get("jobinvocations", namespace, "canary-wrong")["status"]["hosts"]["failed"] == 1

    ids = []
    for password in canaries:
        answer = as_alice.post(JOBS, json=job(SHOW_PROCESSES, "name = keyless", password=password))
        assert answer.status_code == 201, answer.text
        ids.append(answer.json()["id"])
        seen[f"answer to the creation of {ids[-1]}"] = answer.text
    assert [ended(kube, as_alice, id_)["succeeded"] for id_ in ids] == [1, 0]
    for id_ in ids:
        for path in (f"{JOBS}/{id_}", f"{JOBS}/{id_}/outputs?raw=true", JOBS):
            seen[f"answer of {path}"] = as_alice.get(path).text
    for name in ("canary-right", "canary-wrong", *(f"job-{id_}" for id_ in ids)):
        said = (event.line().decode() for of_host in events(kube, namespace, name).values() for event in of_host)
        seen[f"output of {name}"] = "".join(said)

    seen |= everything(kube, release, namespace)
    assert "sshd" in seen["output of canary-right"]  # the processes of the host were indeed listed
    for place, text in seen.items():
        for canary in (right, wrong):
            assert canary not in text, f"a password is in the {place}"


def test_a_running_runner_shows_no_password(
    kube: Kube,
    release: Release,
    namespace: str,
    canaries: tuple[str, str],
    running: Callable[[Object, str], Object],
) -> None:
    passwordless(kube, namespace, "keyless")
    command = "bash -c 'exec -a canary-runs sleep 600'"
    pod = running(
        invocation(namespace, "canary-runs", command, ["keyless"], credentialsRef={"name": "canary-right"}), "db1"
    )
    name = pod["metadata"]["name"]
    seen = everything(kube, release, namespace) | {
        "processes of the runner": kubectl("exec", "-n", namespace, name, "--", "python", "-c", LOOK_AT_PROCESSES),
        "log of the runner": kubectl("logs", "-n", namespace, name),
    }
    kube.delete("jobinvocations", namespace, "canary-runs")
    assert "rollcall-runner" in seen["processes of the runner"]
    for place, text in seen.items():
        assert canaries[0] not in text, f"the password is in the {place}"
