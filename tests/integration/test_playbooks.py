"""Playbooks on real hosts: what becomes of each host, what is said and recorded, what stays secret, how they stop."""

import json
import subprocess
from collections.abc import Iterator
from typing import Any

import pytest

from rollcall.outputs import Event, Stream
from support.gitserver import USER, GitServer
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
    ends = {name: (found[name]["state"], found[name].get("reason")) for name in names}
    assert ends == {
        "host-0": ("Succeeded", None),
        "host-1": ("Failed", "ExitCode"),
        "host-2": ("Failed", "Unreachable"),
        "host-3": ("Succeeded", None),
        "host-4": ("Succeeded", None),
    }, found
    assert found["host-1"]["message"].startswith("task 'Work' failed: ")
    assert found["host-1"]["message"].endswith("; exit code 3")
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
    plurals = ("jobinvocations", "jobslices", "joboutputs", "events", "pods", "configmaps")
    return json.dumps([kube.list(plural, namespace) for plural in plurals])


def inside(kube: Kube, namespace: str, pod: str, script: str) -> str:
    """What a shell script says in a runner's container."""
    command = ["kubectl", "--kubeconfig", str(kube.kubeconfig), "-n", namespace, "exec", pod, "-c", "runner", "--"]
    return subprocess.run([*command, "sh", "-c", script], capture_output=True, text=True, check=True).stdout


def secret(kube: Kube, namespace: str, name: str, **texts: str) -> None:
    metadata = {"name": name, "namespace": namespace}
    kube.create({"apiVersion": "v1", "kind": "Secret", "metadata": metadata, "stringData": texts})


def at_task(kube: Kube, namespace: str, pod: str, task: str) -> None:
    """Wait until the task is at work."""
    path = f"/api/v1/namespaces/{namespace}/pods/{pod}/log"

    def said() -> bool:
        found = (kube.find("pods", namespace, pod) or {}).get("status", {})
        return found.get("phase") == "Running" and f"TASK [{task}]" in kube.request("GET", path).text

    kube.wait(f"task {task}", said, 120)


LOUD = """
- hosts: all
  gather_facts: false
  tasks:
    - name: Shout
      ansible.builtin.shell: echo {{ token }}; echo {{ token | b64encode }}
    - name: Hush
      no_log: true
      ansible.builtin.command: echo {{ ['quite', 'another', 'secret'] | join('-') }}
    - name: Fail
      ansible.builtin.fail: {msg: "it was {{ token }}"}
      ignore_errors: true
    - name: Wait
      ansible.builtin.wait_for: {timeout: 6}
    - name: Give up
      ansible.builtin.fail: {msg: "{{ {token: token} }}"}
"""


def test_a_secret_input_is_to_be_seen_nowhere(kube: Kube, namespace: str, operator: Operator) -> None:
    inputs = [{"name": "token", "type": "Secret", "required": True}]
    kube.create(playbook(namespace, "loud", LOUD, verbosity=1, spec={"inputs": inputs}))
    secret(kube, namespace, "loud-token", token=CANARY)
    kube.create(play(namespace, "loud", "host-0", inputsFrom=[{"secretRef": {"name": "loud-token"}}]))
    kube.wait("slice", lambda: slices(kube, namespace, "loud"))
    at_task(kube, namespace, "loud-0", "Wait")
    shown = inside(kube, namespace, "loud-0", "cat /proc/[0-9]*/cmdline /proc/[0-9]*/environ || true")
    assert "ansible-playbook" in shown
    assert CANARY not in shown
    modes = inside(kube, namespace, "loud-0", "cd /run/rollcall-scratch; stat -c %a env/extravars inventory/* keys/*")
    assert set(modes.split()) == {"600"}
    assert "tmpfs /run/rollcall-scratch" in inside(kube, namespace, "loud-0", "cat /proc/mounts")
    end_of(kube, namespace, "loud", 120)
    found = results(kube, namespace, "loud")["host-0"]
    assert found["message"] == "task 'Give up' failed: {'********': '********'}"
    said = events(kube, namespace, "loud")["host-0"]
    text = output(said).decode() + json.dumps(records(said))
    assert text.count("********") > 5
    assert "the output has been hidden" in text
    for value in (CANARY, "quite-another-secret"):
        assert value not in text + everything(kube, namespace) + operator.said()


SLOW = """
- hosts: all
  gather_facts: false
  tasks:
    - name: Sleep
      ansible.builtin.command: sleep 600
      when: inventory_hostname != 'host-1'
"""


def test_cancelling_stops_the_playbook_and_says_what_is_known(kube: Kube, namespace: str) -> None:
    kube.create(playbook(namespace, "slow", SLOW))
    kube.create(play(namespace, "slow", "host-0", "host-1"))
    kube.wait("slice", lambda: slices(kube, namespace, "slow"))
    at_task(kube, namespace, "slow-0", "Sleep")
    kube.wait("a skipped host", lambda: "skipping: [host-1]" in log(kube, namespace, "slow-0"), 60)
    kube.patch("jobinvocations", namespace, "slow", {"spec": {"cancellation": {"policy": "Graceful"}}})
    ended = end_of(kube, namespace, "slow", 60)
    assert condition(ended, "Cancelled")
    found = results(kube, namespace, "slow")
    assert found["host-0"]["state"] == "CancelFailed"
    assert "task 'Sleep' was at work" in found["host-0"]["message"]
    assert found["host-1"]["state"] == "Cancelled"
    assert "no task was at work" in found["host-1"]["message"]


def log(kube: Kube, namespace: str, pod: str) -> str:
    return kube.request("GET", f"/api/v1/namespaces/{namespace}/pods/{pod}/log").text


def test_one_host_cannot_be_taken_out_of_a_run(kube: Kube, namespace: str) -> None:
    kube.create(playbook(namespace, "brief", SLOW.replace("sleep 600", "sleep 8")))
    kube.create(play(namespace, "brief", "host-0", "host-3"))
    kube.wait("slice", lambda: slices(kube, namespace, "brief"))
    at_task(kube, namespace, "brief-0", "Sleep")
    kube.patch("jobinvocations", namespace, "brief", {"spec": {"cancellation": {"hosts": ["host-3"]}}})
    end_of(kube, namespace, "brief", 60)
    found = results(kube, namespace, "brief")
    assert found["host-0"]["state"] == "Succeeded"
    assert found["host-3"]["state"] == "CancelFailed"
    assert "cannot leave out one host" in found["host-3"]["message"]


def test_a_playbook_that_takes_too_long_is_stopped(kube: Kube, namespace: str) -> None:
    kube.create(playbook(namespace, "late", SLOW, spec={"executionTimeoutSeconds": 6}))
    run(kube, play(namespace, "late", "host-0"), 60)
    found = results(kube, namespace, "late")["host-0"]
    assert (found["state"], found["reason"]) == ("Failed", "Timeout")


CHANGE = """
- hosts: all
  gather_facts: false
  tasks:
    - name: Write
      ansible.builtin.copy: {content: "new text\\n", dest: "/tmp/{{ marker }}"}
      tags: [writing]
    - name: Other
      ansible.builtin.debug: {msg: not asked for}
"""


def test_check_mode_changes_nothing_and_shows_the_difference(kube: Kube, namespace: str) -> None:
    inputs = [{"name": "marker", "default": "rollcall-check-mode"}]
    options = {"check": True, "diff": True, "tags": ["writing"]}
    kube.create(playbook(namespace, "check", CHANGE, **options, spec={"inputs": inputs}))
    ended = run(kube, play(namespace, "check", "host-0"), 60)
    assert condition(ended, "Complete")
    said = output(events(kube, namespace, "check")["host-0"]).decode()
    assert "+new text" in said
    assert "changed=1" in said
    assert "not asked for" not in said
    run(kube, invocation(namespace, "look", "test ! -e /tmp/rollcall-check-mode", ["host-0"]))
    assert results(kube, namespace, "look")["host-0"]["state"] == "Succeeded"


def test_a_playbook_that_is_none_is_told_to_each_host(kube: Kube, namespace: str) -> None:
    kube.create(playbook(namespace, "broken", "- hosts: all\n  roles: [nowhere]\n"))
    run(kube, play(namespace, "broken", "host-0", "host-3"), 60)
    for result in results(kube, namespace, "broken").values():
        assert (result["state"], result["reason"]) == ("Failed", "TemplateError")
        assert "role 'nowhere' was not found" in result["message"]
        assert "playbook.yml:2" in result["message"]


MEMBERS = """
- hosts: shop:&web
  gather_facts: false
  tasks:
    - name: Tell
      ansible.builtin.debug:
        msg: "{{ group_names | join(' ') }}; {{ groups['shop'] | join(' ') }}; {{ tier }} {{ stage }}"
"""


def test_groups_above_groups_are_those_of_the_inventory_within_its_limit(kube: Kube, namespace: str) -> None:
    tree = {
        "site": {"children": ["shop"], "variables": {"stage": "prod", "tier": "any"}},
        "shop": {"children": ["web"], "variables": {"tier": "front"}},
    }
    every = {"language": "Ansible", "text": "site"}
    kube.create({
        "apiVersion": "rollcall.dev/v1alpha1", "kind": "Inventory",
        "metadata": {"name": "shop", "namespace": namespace}, "spec": {"query": every, "groups": tree},
    })  # fmt: skip
    kube.create(playbook(namespace, "members", MEMBERS))
    targeting = {"inventoryRef": {"name": "shop", "limit": "shop:!host-2"}}
    ended = run(kube, play(namespace, "members", targeting=targeting), 60)
    assert condition(ended, "Complete"), results(kube, namespace, "members")
    said = events(kube, namespace, "members")
    assert sorted(said) == ["host-0", "host-1", "host-3"]
    for found in said.values():
        assert '"msg": "shop site web; host-0 host-1 host-3; front prod"' in output(found).decode()


GREET = """
- hosts: all
  gather_facts: false
  tasks: [{name: Greet, ansible.builtin.debug: {msg: "from elsewhere"}}]
"""


def test_a_playbook_can_come_from_a_config_map(kube: Kube, namespace: str) -> None:
    source = {"configMapKeyRef": {"name": "plays", "key": "greet.yml"}}
    kube.create(playbook(namespace, "mapped", playbookFrom=source))
    ended = run(kube, play(namespace, "mapped", "host-0"), 60)
    failed = condition(ended, "Failed")
    assert failed is not None
    assert failed["reason"] == "TemplateError"
    assert "the key greet.yml of the ConfigMap plays" in failed["message"]
    metadata = {"name": "plays", "namespace": namespace}
    kube.create({"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": {"greet.yml": GREET}})
    again = play(namespace, "mapped", "host-0")
    again["metadata"]["name"] = "mapped-again"
    assert condition(run(kube, again, 60), "Complete")
    assert "from elsewhere" in output(events(kube, namespace, "mapped-again")["host-0"]).decode()


@pytest.fixture(scope="module")
def repository(kube: Kube, namespace: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[GitServer]:
    """A repository that wants a password, which the Secret `git` has."""
    with GitServer(tmp_path_factory.mktemp("git"), CANARY) as server:
        secret(kube, namespace, "git", username=USER, password=CANARY)
        yield server


ROLE = "- {name: Tell, ansible.builtin.debug: {msg: the first}}\n"


def test_a_playbook_with_roles_comes_from_a_git_repository(
    kube: Kube, namespace: str, operator: Operator, repository: GitServer
) -> None:
    play_text = "- hosts: all\n  gather_facts: false\n  roles: [told]\n"
    first = repository.commit({"plays/site.yml": play_text, "plays/roles/told/tasks/main.yml": ROLE})
    second = repository.commit({"plays/roles/told/tasks/main.yml": ROLE.replace("the first", "the second")})
    git = {"url": repository.url, "path": "plays/site.yml", "credentialsRef": {"name": "git"}}
    for name, revision, commit, word in (
        ("by-branch", "main", second, "the second"),
        ("by-commit", first, first, "the first"),
    ):
        kube.create(playbook(namespace, name, git={**git, "revision": revision}))
        assert condition(run(kube, play(namespace, name, "host-0"), 120), "Complete")
        said = events(kube, namespace, name)["host-0"]
        assert f'"msg": "{word}"' in output(said).decode()
        assert records(said)[0]["revision"] == commit
    assert CANARY not in everything(kube, namespace) + operator.said()


@pytest.mark.parametrize(
    ("name", "change", "words"),
    [
        ("no-revision", {"revision": "nowhere"}, "there is no revision nowhere"),
        ("no-file", {"path": "plays/other.yml"}, "there is no file plays/other.yml"),
        ("no-password", {"credentialsRef": None}, "could not read Username"),
    ],
)
def test_a_repository_that_cannot_be_used_says_why(
    kube: Kube, namespace: str, repository: GitServer, name: str, change: dict[str, Any], words: str
) -> None:
    repository.commit({"plays/site.yml": GREET, name: "a file\n"})
    git = {"url": repository.url, "path": "plays/site.yml", "credentialsRef": {"name": "git"}, **change}
    kept = {key: value for key, value in git.items() if value is not None}
    kube.create(playbook(namespace, name, git=kept))
    run(kube, play(namespace, name, "host-0"), 120)
    found = results(kube, namespace, name)["host-0"]
    assert (found["state"], found["reason"]) == ("Failed", "FetchFailed")
    assert words in found["message"]
