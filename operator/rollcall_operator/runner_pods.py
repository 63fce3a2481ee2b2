"""Runner pods as templates want them: what they ask of nodes, and the container for a script that runs in the pod."""

from typing import Any, Final

from rollcall.plan.pods import SCRIPT_CONTAINER
from rollcall.podscript import LAUNCHER, SCRIPT_DIRECTORY
from rollcall.resources.jobslice import JobSlice
from rollcall.resources.jobtemplate import JobTemplate
from rollcall.resources.runner import Resources, RunnerShape
from rollcall_operator.manifests import Manifest, runner_pod
from rollcall_operator.playbook_pods import shaped
from rollcall_operator.settings import RunnerSettings

_EXCHANGE: Final = {"name": "script", "mountPath": SCRIPT_DIRECTORY}
_WRITABLE: Final = "/tmp"  # noqa: S108 - a volume of the pod's own
_EXCHANGE_SIZE: Final = "16Mi"


def pod_of_template(
    slice_: JobSlice, secret: str, settings: RunnerSettings, grace_seconds: int, template: JobTemplate
) -> Manifest:
    """The pod that runs a slice of a template. It satisfies the *restricted* Pod Security Standard."""
    pod = shaped(runner_pod(slice_, secret, settings, grace_seconds), template, settings)
    spec = pod["spec"]
    shape = template.spec.runner or RunnerShape()
    if template.in_pod:
        _add_script_container(spec, template, settings)
    if shape.resources is not None:
        container = spec["containers"][-1]
        container["resources"] = {**container["resources"], **_resources(shape.resources)}
    if shape.node_selector:
        spec["nodeSelector"] = dict(shape.node_selector)
    if shape.tolerations:
        spec["tolerations"] = [toleration.wire() for toleration in shape.tolerations]
    if shape.priority_class_name is not None:
        spec["priorityClassName"] = shape.priority_class_name
    return pod


def _add_script_container(spec: dict[str, Any], template: JobTemplate, settings: RunnerSettings) -> None:
    """Put the container with the template's image beside the runner. What it is to do, it is told there: nothing of the
    script or the host is in the pod's spec."""
    assert template.spec.pod is not None, "admission demands spec.pod for provider Pod"
    (runner,) = spec["containers"]
    runner["volumeMounts"].append(_EXCHANGE)
    spec["containers"].append({
        "name": SCRIPT_CONTAINER,
        "image": template.spec.pod.image,
        "command": ["/bin/sh", "-c", LAUNCHER],
        # The runner's user, which is the only one that may use the volume; an image's own may be root.
        "env": [{"name": "HOME", "value": _WRITABLE}],
        "securityContext": {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}},
        "resources": {
            "requests": {"cpu": settings.cpu_request, "memory": settings.memory_request},
            "limits": {"memory": settings.memory_limit},
        },
        "volumeMounts": [_EXCHANGE, {"name": "tmp", "mountPath": _WRITABLE}],
    })  # fmt: skip
    spec["volumes"] += [
        {"name": "script", "emptyDir": {"medium": "Memory", "sizeLimit": _EXCHANGE_SIZE}},
        {"name": "tmp", "emptyDir": {}},
    ]


def _resources(resources: Resources) -> dict[str, Any]:
    given = {"requests": dict(resources.requests), "limits": dict(resources.limits)}
    return {name: quantities for name, quantities in given.items() if quantities}
