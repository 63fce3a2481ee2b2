"""The pod of a playbook: another image, room in memory, and a repository that one container alone can log in for."""

from typing import Any

import pytest
import yaml

from rollcall_operator import manifests
from rollcall_operator.playbook_pods import shaped
from rollcall_operator.settings import RunnerSettings
from unit.core.objects import slice_, template

SETTINGS = RunnerSettings(
    image="rollcall:1",
    image_pull_policy="IfNotPresent",
    memory_request="64Mi",
    memory_limit="256Mi",
    cpu_request="10m",
    output_limit_bytes=1_000,
    ansible_image="rollcall-ansible:1",
)
GIT = {"url": "https://git.example/x.git", "revision": "v1", "path": "a.yml", "credentialsRef": {"name": "deploy"}}
FETCH = """
name: fetch
image: rollcall-ansible:1
imagePullPolicy: IfNotPresent
command: [python3, -m, rollcall_runner.fetch, "--url=https://git.example/x.git", --revision=v1, --path=a.yml]
terminationMessagePolicy: File
securityContext:
  allowPrivilegeEscalation: false
  readOnlyRootFilesystem: true
  capabilities: {drop: [ALL]}
resources:
  requests: {cpu: 10m, memory: 128Mi}
  limits: {memory: 1Gi}
volumeMounts:
- {name: project, mountPath: /run/rollcall-project}
- {name: git-credentials, mountPath: /run/rollcall-git, readOnly: true}
"""


def plain() -> dict[str, Any]:
    return manifests.runner_pod(slice_(0, "web1"), "job-work-1", SETTINGS, 30)


def made(**ansible: Any) -> dict[str, Any]:
    return shaped(plain(), template(provider="Ansible", ssh=None, ansible=ansible), SETTINGS)


def test_a_scripts_pod_stays_as_it_is() -> None:
    assert shaped(plain(), template(), SETTINGS) == plain()


def test_a_playbooks_pod_has_its_image_its_memory_and_room_to_write() -> None:
    spec = made(playbook="- hosts: all")["spec"]
    (runner,) = spec["containers"]
    (before,) = plain()["spec"]["containers"]
    assert runner["image"] == "rollcall-ansible:1"
    assert runner["resources"] == {"requests": {"cpu": "10m", "memory": "128Mi"}, "limits": {"memory": "1Gi"}}
    assert runner["volumeMounts"] == [
        *before["volumeMounts"],
        {"name": "scratch", "mountPath": "/run/rollcall-scratch"},
    ]
    assert spec["volumes"] == [*plain()["spec"]["volumes"], {"name": "scratch", "emptyDir": {"medium": "Memory"}}]
    assert "initContainers" not in spec
    assert {key: runner[key] for key in ("command", "securityContext")} == {
        key: before[key] for key in ("command", "securityContext")
    }


def test_a_repository_is_fetched_by_a_container_that_alone_sees_its_credentials() -> None:
    spec = made(git=GIT)["spec"]
    assert spec["initContainers"] == [yaml.safe_load(FETCH)]
    (runner,) = spec["containers"]
    mounts = {mount["name"]: mount["mountPath"] for mount in runner["volumeMounts"]}
    assert mounts["project"] == "/run/rollcall-project"
    assert "git-credentials" not in mounts
    volumes = {volume["name"]: volume for volume in spec["volumes"]}
    assert volumes["git-credentials"]["secret"] == {"secretName": "deploy", "defaultMode": 0o440, "optional": True}
    assert {key for volume in spec["volumes"] for key in volume} == {"name", "secret", "downwardAPI", "emptyDir"}


def test_a_repository_for_everybody_needs_no_secret() -> None:
    spec = made(git={"url": "https://git.example/x.git"})["spec"]
    assert [mount["name"] for mount in spec["initContainers"][0]["volumeMounts"]] == ["project"]
    assert "git-credentials" not in {volume["name"] for volume in spec["volumes"]}


@pytest.mark.parametrize("ansible", [{"playbook": "- hosts: all"}, {"git": GIT}])
def test_the_pod_that_is_given_is_left_alone(ansible: dict[str, Any]) -> None:
    pod = plain()
    shaped(pod, template(provider="Ansible", ssh=None, ansible=ansible), SETTINGS)
    assert pod == plain()
