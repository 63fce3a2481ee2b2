"""Removing all that the demo made."""

import json

from commands import items, kubectl, require, run
from names import JOBS, MACHINES, RELEASE, SYSTEM
from terminal import Trouble, heading, say

FINALIZED = ("jobinvocations", "pods")
"""What waits for the operator before it goes."""


def remove_all() -> None:
    """Remove jobs, hosts, the release and, if nobody else has objects of them, the resource definitions."""
    require({"kubectl": "kubectl", "helm": "helm"})
    heading("Removing the demo")
    _remove_jobs()
    run("helm", "uninstall", RELEASE, "-n", SYSTEM, "--ignore-not-found", "--wait")
    for namespace in (JOBS, MACHINES, SYSTEM):
        kubectl("delete", "namespace", namespace, "--ignore-not-found", "--timeout=120s")
    _remove_definitions()
    run("hack/cluster", "env", *(f"ROLLCALL_{name}=" for name in ("URL", "USER", "PASSWORD", "TOKEN")))
    say("done; the cluster is still up: make down stops it")


def _remove_jobs() -> None:
    """Let the operator end what runs; where it is gone already, take its finalizers off."""
    if not _has(f"namespace/{JOBS}") or not _has("crd/jobinvocations.rollcall.dev"):
        return
    try:
        kubectl("delete", "jobinvocations", "-n", JOBS, "--all", "--timeout=60s")
    except Trouble:
        say("the operator does not answer: removing the jobs without it")
        for kind in FINALIZED:
            for found in items(kind, JOBS):
                name = found["metadata"]["name"]
                kubectl("patch", kind, name, "-n", JOBS, "--type=merge", "-p", '{"metadata":{"finalizers":null}}')


def _remove_definitions() -> None:
    """Remove the resource definitions that this release brought, unless there are objects of theirs left."""
    mine = []
    for found in json.loads(kubectl("get", "crd", "-o", "json"))["items"]:
        metadata = found["metadata"]
        owner = (metadata.get("annotations") or {}).get("meta.helm.sh/release-namespace")
        if found["spec"]["group"] == "rollcall.dev" and owner == SYSTEM:
            mine.append(metadata["name"])
    if not mine:
        return
    if kubectl("get", ",".join(mine), "-A", "-o", "name").strip():
        say("keeping the resource definitions: other namespaces have objects of them")
    else:
        kubectl("delete", "crd", *mine)


def _has(name: str) -> bool:
    return bool(kubectl("get", name, "--ignore-not-found", "-o", "name").strip())
