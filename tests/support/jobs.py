"""Making and watching invocations."""

import base64
from typing import Any

from rollcall.outputs import Event, Stream, unpack
from rollcall.plan.units import units
from rollcall.resources.jobslice import JobSlice
from support.kube import Kube, Object, condition
from support.sshhosts import KeyPair, SshHost

API_VERSION = "rollcall.dev/v1alpha1"


def template(namespace: str, name: str = "run-command", **spec: Any) -> Object:
    """A template that runs its input `command`."""
    return {
        "apiVersion": API_VERSION,
        "kind": "JobTemplate",
        "metadata": {"name": name, "namespace": namespace},
        "spec": {
            "displayName": "Run Command - Script Default",
            "category": "Commands",
            "features": ["run_script"],
            "inputs": [{"name": "command", "required": True}],
            "provider": "SSH",
            "ssh": {"script": "{{ inputs.command | raw }}\n"},
        }
        | spec,
    }


def invocation(namespace: str, name: str, command: str | None, hosts: list[str] | None, **spec: Any) -> Object:
    """An invocation of that template; without hosts it targets all."""
    targeting: Object = {"selector": {}} if hosts is None else {"hosts": hosts}
    return {
        "apiVersion": API_VERSION,
        "kind": "JobInvocation",
        "metadata": {"name": name, "namespace": namespace},
        "spec": {
            "templateRef": {"name": "run-command"},
            "inputs": {} if command is None else {"command": command},
            "targeting": targeting,
        }
        | spec,
    }


def end_of(kube: Kube, namespace: str, name: str, timeout: float = 60) -> Object:
    """The invocation, when it has finished."""

    def finished() -> Object | None:
        found = kube.get("jobinvocations", namespace, name)
        final = ("Complete", "Failed", "Cancelled")
        ended = any((condition(found, type_) or {}).get("status") == "True" for type_ in final)
        return found if ended else None

    return kube.wait(f"end of {namespace}/{name}", finished, timeout)


def run(kube: Kube, manifest: Object, timeout: float = 60) -> Object:
    """Create an invocation and wait for its end."""
    kube.create(manifest)
    return end_of(kube, manifest["metadata"]["namespace"], manifest["metadata"]["name"], timeout)


def slice_objects(kube: Kube, namespace: str, name: str) -> list[Object]:
    """The invocation's JobSlices as they are stored."""
    return kube.list("jobslices", namespace, labelSelector=f"rollcall.dev/invocation={name}")


def slices(kube: Kube, namespace: str, name: str) -> list[Object]:
    """The invocation's slices in their order, later attempts last; those that share an object one by one."""
    found = [
        part.wire() if stored["spec"].get("podPerHost") else stored
        for stored in slice_objects(kube, namespace, name)
        for part in units(JobSlice.model_validate(stored))
    ]
    return sorted(found, key=lambda slice_: (slice_["spec"].get("attempt", 0), slice_["spec"]["index"]))


def results(kube: Kube, namespace: str, name: str) -> dict[str, Object]:
    """What became of each host, in its latest attempt."""
    found = slices(kube, namespace, name)
    return {result["name"]: result for slice_ in found for result in slice_.get("status", {}).get("hosts", ())}


def events(kube: Kube, namespace: str, name: str) -> dict[str, list[Event]]:
    """Every stored output event of each host, in order, later attempts last."""
    found: dict[str, list[Event]] = {}
    for slice_ in slices(kube, namespace, name):
        for event in events_of(kube, slice_):
            found.setdefault(event.host, []).append(event)
    return found


def chunks_of(kube: Kube, slice_: Object) -> list[Object]:
    """The JobOutputs of a slice, in order."""
    name, namespace = slice_["metadata"]["name"], slice_["metadata"]["namespace"]
    found = kube.list("joboutputs", namespace, labelSelector=f"rollcall.dev/slice={name}")
    return sorted(found, key=lambda chunk: int(chunk["spec"]["sequence"]))


def events_of(kube: Kube, slice_: Object) -> list[Event]:
    """Every output event of a slice, from its status or its JobOutputs."""
    inside = slice_.get("status", {}).get("output")
    packed = [inside] if inside else [chunk["data"] for chunk in chunks_of(kube, slice_)]
    return [event for data in packed for event in unpack(base64.b64decode(data))]


def output(events_of_host: list[Event]) -> bytes:
    """What the host said on stdout and stderr."""
    said = (event.data for event in events_of_host if event.stream in (Stream.STDOUT, Stream.STDERR))
    return b"".join(data for data in said if isinstance(data, bytes))


def furnish(kube: Kube, name: str, hosts: list[SshHost], client_key: KeyPair) -> str:
    """Put hosts, credentials and the template into a namespace."""
    kube.apply({
        "apiVersion": "v1", "kind": "Secret", "metadata": {"name": "ops-key", "namespace": name},
        "stringData": {"ssh-privatekey": client_key.private},
    })  # fmt: skip
    for host in hosts:
        kube.apply(host.manifest(name, "ops-key"))
    kube.apply(template(name))
    return name
