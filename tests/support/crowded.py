"""A facade's cache with many jobs in it that have ended, fed as its watches would feed it."""

import json
from collections.abc import Sequence
from typing import Any

from rollcall_api.cache import Cache
from rollcall_api.cluster import Cluster

Object = dict[str, Any]

CREATED = "2026-05-04T10:00:00Z"
ENDED = "2026-05-04T10:02:30Z"
_STATES = ("Succeeded", "Succeeded", "Succeeded", "Failed")


def host_name(number: int) -> str:
    """The name of a host."""
    return f"web-{number:05}.example.com"


def host(number: int) -> Object:
    """A Host with a few facts."""
    return {
        "metadata": _metadata(host_name(number), number + 1),
        "spec": {
            "groups": ["web" if number % 2 else "db", f"rack{number % 40:02}"],
            "facts": {"os": {"name": ("Debian", "CentOS")[number % 2]}, "serial": f"{number * 2_654_435_761:x}"},
        },
    }


def template() -> Object:
    """The JobTemplate of all jobs."""
    spec = {"displayName": "Run Command - Script Default", "category": "Commands", "inputs": [{"name": "command"}]}
    return {"metadata": _metadata("run-command", 1), "spec": spec}


def finished_job(number: int, hosts: Sequence[str]) -> Object:
    """A JobInvocation that has ended, as the API server tells of it: about four kilobytes of JSON."""
    failed = sum(_state(number, place) == "Failed" for place in range(len(hosts)))
    end = "Failed" if failed else "Complete"
    metadata = _metadata(f"run-command-{number}", number)
    metadata["labels"] |= {"rollcall.dev/template": "run-command"}
    metadata["annotations"] = {
        "foreman.rollcall.dev/search-query": f"name ~ web-{number}",
        "foreman.rollcall.dev/category": "Commands",
    }
    metadata["managedFields"] = [{"manager": "rollcall-api", "fieldsV1": {"f:spec": {f"f:{n}": {} for n in range(40)}}}]
    return {
        "apiVersion": "rollcall.dev/v1alpha1",
        "kind": "JobInvocation",
        "metadata": metadata,
        "spec": {
            "templateRef": {"name": "run-command"},
            "inputs": {"command": f"systemctl restart service-{number} && systemctl status service-{number}"},
            "targeting": {"hosts": list(hosts)},
            "requestedBy": {"username": f"user-{number % 50}", "groups": ["operators", "system:authenticated"]},
            "rollout": {"concurrency": 10},
            "user": "deploy",
        },
        "status": {
            "conditions": [
                {
                    "type": type_,
                    "status": "True",
                    "reason": type_,
                    "message": f"{type_} at some time of job {number}",
                    "lastTransitionTime": ENDED,
                    "observedGeneration": 1,
                }
                for type_ in ("Valid", "Resolved", end)
            ],
            "description": f"Run systemctl restart service-{number}",
            "template": {"name": "run-command", "uid": "0b6c-template", "generation": 1},
            "hosts": {
                "total": len(hosts), "pending": 0, "running": 0, "succeeded": len(hosts) - failed, "failed": failed,
                "cancelled": 0,
            },
            "slices": 1,
            "observedGeneration": 1,
            "startTime": CREATED,
            "completionTime": ENDED,
        },
    }  # fmt: skip


def finished_slice(number: int, hosts: Sequence[str]) -> Object:
    """The one JobSlice of such a job."""
    metadata = _metadata(f"run-command-{number}-0", number)
    metadata["ownerReferences"] = [{"kind": "JobInvocation", "uid": _uid(f"run-command-{number}")}]
    results = [
        {"name": name, "state": _state(number, place), "exitCode": 0, "completionTime": ENDED}
        for place, name in enumerate(hosts)
    ]
    spec = {"invocationRef": {"name": f"run-command-{number}"}, "index": 0, "hosts": list(hosts)}
    return {"metadata": metadata, "spec": spec, "status": {"state": "Done", "hosts": results}}


def crowded_cache(jobs: int, *, hosts: int = 0, of_each: int = 1, slices: bool = True) -> Cache:
    """A cache with so many jobs, of `of_each` hosts each, and so many hosts; it needs no API server."""
    cache = Cache(Cluster(), "ns")
    for number in range(hosts):
        cache.hosts.put(host(number))
    cache.templates.put(template())
    for number in range(1, jobs + 1):
        names = [host_name((number * 7 + place) % max(hosts, 1)) for place in range(of_each)]
        cache.jobs.put(received(finished_job(number, names)))
        if slices:
            cache.slices.put(received(finished_slice(number, names)))
    return cache


def received(raw: Object) -> Object:
    """The object as it comes from the API server: nothing in it is shared with another one."""
    document: Object = json.loads(json.dumps(raw))
    return document


def _metadata(name: str, number: int) -> Object:
    labels = {"rollcall.dev/id": str(number)}
    uid = _uid(name)
    return {"name": name, "uid": uid, "resourceVersion": str(number), "creationTimestamp": CREATED, "labels": labels}


def _uid(name: str) -> str:
    return f"{hash(name) & 0xFFFFFFFF:08x}-0000-4000-8000-{hash((name, 1)) & 0xFFFFFFFFFFFF:012x}"


def _state(number: int, place: int) -> str:
    return _STATES[(number + place) % len(_STATES)]
