"""Playbooks on real hosts: what becomes of each host, what is said and recorded, what stays secret, how they stop."""

import json
from typing import Any

import pytest

from rollcall.outputs import Event, Stream
from support.jobs import end_of, events, invocation, output, results, run, slices
from support.kube import Kube, condition
from support.operator import Operator
from support.sshhosts import SshHost

CANARY = "canary-77d1e0b4"
MIXED = """
- name: Look around
  hosts: web
  gather_facts: false
  tasks:
    - name: Greet
      ansible.builtin.debug:
        msg: "{{ greeting }} from {{ inventory_hostname }}, {{ color }}, {{ rollcall_facts.os }}"
    - name: Work
      ansible.builtin.shell: |
        echo worked at {{ inventory_hostname }}
        exit {{ 3 if inventory_hostname == 'host-1' else 0 }}
"""


def playbook(namespace: str, name: str, text: str | None = None, **ansible: Any) -> dict[str, Any]:
    """A template that runs the playbook; what is not Ansible's is given as `spec`."""
    spec = ansible.pop("spec", {})
    text_or_not = {} if text is None else {"playbook": text}
    return {
        "apiVersion": "rollcall.dev/v1alpha1",
        "kind": "JobTemplate",
        "metadata": {"name": name, "namespace": namespace},
        "spec": {"provider": "Ansible", "ansible": {**text_or_not, **ansible}, **spec},
    }


def play(namespace: str, template: str, *hosts: str, **spec: Any) -> dict[str, Any]:
    """An invocation of the template, of the same name."""
    manifest = invocation(namespace, template, None, list(hosts), **{"templateRef": {"name": template}, **spec})
    del manifest["spec"]["inputs"]
    manifest["spec"].update({key: value for key, value in spec.items() if key == "inputs"})
    return manifest


def records(said: list[Event]) -> list[dict[str, Any]]:
    return [event.data for event in said if event.stream is Stream.RECORD and isinstance(event.data, dict)]


@pytest.fixture(scope="module", autouse=True)
def furniture(kube: Kube, namespace: str, operator: Operator, hosts: list[SshHost]) -> None:
    for number in range(4):
        known = {"groups": ["web"], "variables": {"color": "{{ 7 * 7 }}"}, "facts": {"os": "Debian"}}
        kube.patch("hosts", namespace, f"host-{number}", {"spec": known})
    kube.patch("hosts", namespace, "host-2", {"spec": {"port": 9}})


def test_each_host_has_its_own_end_and_its_own_words(kube: Kube, namespace: str) -> None:
    inputs = [{"name": "greeting", "default": "hello"}, {"name": "unasked"}]
    kube.create(playbook(namespace, "mixed", MIXED, spec={"inputs": inputs, "retryOn": []}))
    names = ["host-0", "host-1", "host-2", "host-3", "host-4"]
    ended = run(kube, play(namespace, "mixed", *names, inputs={"greeting": "{{ 6 * 7 }}"}), 120)
    assert len(slices(kube, namespace, "mixed")) == 1
    found = results(kube, namespace, "mixed")
    assert {name: (found[name]["state"], found[name].get("reason")) for name in names} == {
        "host-0": ("Succeeded", None),
        "host-1": ("Failed", "ExitCode"),
        "host-2": ("Failed", "Unreachable"),
        "host-3": ("Succeeded", None),
        "host-4": ("Succeeded", None),
    }
    assert "task 'Work' failed: non-zero return code; exit code 3" in found["host-1"]["message"]
    assert "no play of the playbook is for this host" in found["host-4"]["message"]
    assert ended["status"]["hosts"]["succeeded"] == 3
    said = events(kube, namespace, "mixed")
    text = output(said["host-0"]).decode()
    # What others than the template's author give is data: nothing in it is evaluated.
    assert '"msg": "{{ 6 * 7 }} from host-0, {{ 7 * 7 }}, Debian"' in text
    for words in ("PLAY [Look around]", "TASK [Work]", "changed: [host-0]", "worked at host-0", "ok=2  changed=1"):
        assert words in text
    assert "host-1" not in text
    assert "fatal: [host-1]: FAILED!" in output(said["host-1"]).decode()
    assert found["host-0"]["output"]["bytes"] == len(output(said["host-0"]))


def test_what_happened_is_recorded_for_programs(kube: Kube, namespace: str) -> None:
    end_of(kube, namespace, "mixed", 120)
    said = events(kube, namespace, "mixed")
    kept = records(said["host-1"])
    assert [record["event"] for record in kept] == [
        "playbook_on_start", "playbook_on_play_start", "playbook_on_task_start", "runner_on_start", "runner_on_ok",
        "playbook_on_task_start", "runner_on_start", "runner_on_failed", "playbook_on_stats",
    ]  # fmt: skip
    failed = kept[-2]
    assert (failed["play"], failed["task"], failed["host"]) == ("Look around", "Work", "host-1")
    assert (failed["failed"], failed["changed"], failed["data"]["res"]["rc"]) == (True, True, 3)
    assert failed["start"] < failed["end"]
    assert kept[-1]["data"]["failures"] == {"host-1": 1}
    other = records(said["host-0"])
    headings = [record["uuid"] for record in kept if record["event"].startswith("playbook_on")]
    assert headings == [record["uuid"] for record in other if record["event"].startswith("playbook_on")]


def everything(kube: Kube, namespace: str) -> str:
    """All that a person who may not read Secrets can see."""
    plurals = ("jobinvocations", "jobslices", "joboutputs", "events", "pods", "configmaps", "jobtemplates")
    return json.dumps([kube.list(plural, namespace) for plural in plurals])
