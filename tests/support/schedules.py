"""Making and watching schedules."""

from datetime import UTC, datetime, timedelta
from typing import Any

from rollcall.names import ANNOTATION_MADE_AHEAD as MADE_AHEAD
from rollcall.plan.schedule import run_name
from rollcall_api.job_manifests import run
from rollcall_api.parsing import parse_schedule
from support.jobs import API_VERSION
from support.kube import Kube, Object

OWNER = "scheduler"


def schedule(namespace: str, name: str, command: str = "true", **spec: Any) -> Object:
    """A schedule of the template `run-command` on host-0, made for the ServiceAccount of `permit`."""
    return {
        "apiVersion": API_VERSION,
        "kind": "Schedule",
        "metadata": {"name": name, "namespace": namespace},
        "spec": {
            "requestedBy": {"username": f"system:serviceaccount:{namespace}:{OWNER}"},
            "invocationTemplate": {
                "spec": {
                    "templateRef": {"name": "run-command"},
                    "inputs": {"command": command},
                    "targeting": {"hosts": ["host-0"]},
                }
            },
        }
        | spec,
    }


def permit(kube: Kube, namespace: str, owner: str = OWNER) -> None:
    """Let a ServiceAccount, usually that of the schedules, create invocations."""
    kube.apply({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": owner, "namespace": namespace}})
    kube.apply({
        "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "Role",
        "metadata": {"name": owner, "namespace": namespace},
        "rules": [{"apiGroups": ["rollcall.dev"], "resources": ["jobinvocations"], "verbs": ["create"]}],
    })  # fmt: skip
    kube.apply({
        "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "RoleBinding",
        "metadata": {"name": owner, "namespace": namespace},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": owner},
        "subjects": [{"kind": "ServiceAccount", "name": owner, "namespace": namespace}],
    })  # fmt: skip


def soon(seconds: float) -> str:
    """So many seconds from now, in RFC 3339, rounded up."""
    moment = datetime.now(UTC) + timedelta(seconds=seconds + 0.999)
    return moment.strftime("%Y-%m-%dT%H:%M:%SZ")


def runs(kube: Kube, namespace: str, name: str) -> list[Object]:
    """The invocations of a schedule, in the order of the moments that they were planned for."""
    found = kube.list("jobinvocations", namespace, labelSelector=f"rollcall.dev/schedule={name}")
    return sorted(found, key=lambda run: str(run["metadata"]["annotations"]["rollcall.dev/planned"]))


def status(kube: Kube, namespace: str, name: str) -> Object:
    """What a schedule's status says."""
    found: Object = kube.get("schedules", namespace, name).get("status", {})
    return found


def make_ahead(kube: Kube, namespace: str, stored: Object, moment: str) -> str:
    """Make a schedule's run of a moment before that has come, as the REST facade does; its name."""
    series, slot = parse_schedule(stored), datetime.fromisoformat(moment)
    name = run_name(series.resource, slot)
    made = kube.create(run(series, name, slot, 4711), namespace)
    assert (made["spec"]["startAt"], MADE_AHEAD in made["metadata"]["annotations"]) == (moment, True)
    return name


def unrunnable() -> Object:
    """Invocations that wait for ever, for tests that are about how many there are."""
    return {"spec": {"templateRef": {"name": "none"}, "targeting": {"hosts": ["none"]}, "suspend": True}}


def all_states(kube: Kube, namespace: str) -> list[str]:
    """The states of all schedules."""
    return [found.get("status", {}).get("state", "") for found in kube.list("schedules", namespace)]


def numbered(kube: Kube, namespace: str, plural: str = "schedules") -> bool:
    """Whether all schedules, or objects of another kind, have ids, each its own."""
    ids = [found["metadata"].get("labels", {}).get("rollcall.dev/id") for found in kube.list(plural, namespace)]
    return None not in ids and len(set(ids)) == len(ids)
