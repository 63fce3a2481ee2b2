"""Scripts that run in the pod itself: one host a pod, with what is known about the host in the environment."""

import json
from typing import Any, Final

from rollcall.inputs import InputError
from rollcall.resources.host import Host, facts_problem
from rollcall.resources.jobinvocation import JobInvocation
from rollcall.resources.jobtemplate import JobTemplate

MAX_VARIABLES_BYTES: Final = 65_536
"""The most that a host's variables take in an environment; Linux takes 128 KiB for one variable."""


def check_rollout(invocation: JobInvocation, template: JobTemplate) -> None:
    """Raise InputError when an invocation asks for several hosts in a pod that can only have one."""
    wanted = invocation.spec.rollout.hosts_per_slice
    if template.in_pod and wanted not in ("auto", 1):
        raise InputError(
            f"template {template.metadata.name} runs in the pod itself, one pod for each host: leave"
            f" spec.rollout.hostsPerSlice out, which is {wanted}, or set it to 1"
        )


def environment(invocation: JobInvocation, host: Host) -> dict[str, str]:
    """What a script finds in its environment. Raises InputError for a host of which too much is known."""
    if problem := facts_problem(host):
        raise InputError(f"Host {host.metadata.name}: {problem}")
    variables = _json(host.spec.variables)
    if (size := len(variables.encode())) > MAX_VARIABLES_BYTES:
        raise InputError(
            f"Host {host.metadata.name}: its variables have {size} bytes as JSON, more than the {MAX_VARIABLES_BYTES}"
            " that fit into the environment of a script"
        )
    return {
        "ROLLCALL_HOST_NAME": host.metadata.name,
        "ROLLCALL_HOST_ADDRESS": host.address,
        "ROLLCALL_HOST_PORT": str(host.spec.port),
        "ROLLCALL_HOST_USER": invocation.spec.user or host.spec.user,
        "ROLLCALL_HOST_FACTS": _json(host.spec.facts),
        "ROLLCALL_HOST_VARIABLES": variables,
    }


def _json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))
