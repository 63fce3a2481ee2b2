"""Runner pods have what their template asks for, and a container for a script that runs in the pod itself."""

import json
from typing import Any

from rollcall.plan.pods import read_pod
from rollcall.podscript import LAUNCHER
from rollcall.resources.jobtemplate import JobTemplate
from rollcall_operator.manifests import runner_pod
from rollcall_operator.runner_pods import pod_of_template
from unit.core.objects import NOW, slice_, template
from unit.operator.test_operator_manifests import SETTINGS

CANARY = "canary-4711"
POD = {"image": "registry.example/tools:1", "script": f"echo {CANARY}\n"}
SHAPE = {
    "resources": {"requests": {"cpu": 1, "memory": "1Gi"}, "limits": {"memory": "2Gi"}},
    "nodeSelector": {"zone": "a"},
    "tolerations": [{"key": "dedicated", "operator": "Exists", "effect": "NoSchedule", "tolerationSeconds": 5}],
    "priorityClassName": "low",
}


def made(declared: JobTemplate) -> dict[str, Any]:
    pod = pod_of_template(slice_(0, "web1"), "job-work-1", SETTINGS, 30, declared)
    assert json.loads(json.dumps(pod)) == pod
    return pod


def in_pod(**spec: Any) -> JobTemplate:
    return template(provider="Pod", ssh=None, pod=POD, **spec)


def test_a_template_that_asks_for_nothing_gets_the_ordinary_pod() -> None:
    assert made(template()) == runner_pod(slice_(0, "web1"), "job-work-1", SETTINGS, 30)


def test_a_template_shapes_its_pods() -> None:
    spec = made(template(runner=SHAPE))["spec"]
    assert spec["containers"][0]["resources"] == SHAPE["resources"]
    assert {key: spec[key] for key in ("nodeSelector", "tolerations", "priorityClassName")} == {
        key: SHAPE[key] for key in ("nodeSelector", "tolerations", "priorityClassName")
    }


def test_a_script_in_the_pod_has_a_container_with_the_templates_image() -> None:
    runner, script = made(in_pod(runner=SHAPE))["spec"]["containers"]
    assert runner["name"] == "runner"
    assert runner["image"] == SETTINGS.image
    assert runner["resources"]["limits"] == {"memory": "256Mi"}
    assert script["image"] == "registry.example/tools:1"
    assert script["command"] == ["/bin/sh", "-c", LAUNCHER]
    assert script["resources"] == SHAPE["resources"]


def test_both_containers_satisfy_the_restricted_standard() -> None:
    """https://kubernetes.io/docs/concepts/security/pod-security-standards/#restricted"""
    spec = made(in_pod())["spec"]
    assert spec["securityContext"]["runAsNonRoot"] is True
    assert spec["securityContext"]["runAsUser"] != 0
    for container in spec["containers"]:
        assert container["securityContext"]["allowPrivilegeEscalation"] is False
        assert container["securityContext"]["capabilities"] == {"drop": ["ALL"]}
        assert "runAsUser" not in container["securityContext"]
        assert container["resources"]["limits"]["memory"]


def test_the_script_sees_neither_the_work_nor_a_token_and_is_in_no_spec() -> None:
    pod = made(in_pod())
    assert CANARY not in json.dumps(pod)
    spec = pod["spec"]
    assert spec["automountServiceAccountToken"] is False
    runner, script = ({mount["name"] for mount in container["volumeMounts"]} for container in spec["containers"])
    assert runner == {"work", "orders", "script"}
    assert script == {"script", "tmp"}
    volumes = {volume["name"]: volume for volume in spec["volumes"]}
    assert volumes["script"]["emptyDir"] == {"medium": "Memory", "sizeLimit": "16Mi"}


def test_such_a_pod_is_read_back_as_one_that_waits() -> None:
    pod = made(in_pod())
    pod["metadata"] |= {"uid": "u", "resourceVersion": "1", "creationTimestamp": NOW.isoformat()}
    found = read_pod(pod)
    assert (found.slice, found.container_started, found.hopeless) == ("job-0", False, False)


def test_limits_that_a_template_does_not_give_stay_the_settings() -> None:
    asked = made(template(runner={"resources": {"requests": {"cpu": "1"}}}))["spec"]["containers"][0]["resources"]
    assert asked == {"requests": {"cpu": "1"}, "limits": {"memory": SETTINGS.memory_limit}}
