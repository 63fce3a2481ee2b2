"""The objects that the operator makes, as the JSON that it sends: pods, Secrets, outputs, Events."""

import base64
import time
from collections.abc import Mapping
from dataclasses import asdict
from datetime import UTC, datetime
from typing import Any

from rollcall.names import (
    ANNOTATION_CHUNK,
    ANNOTATION_STOP,
    API_VERSION,
    COMPONENT_RUNNER,
    FINALIZER_COLLECT,
    LABEL_COMPONENT,
    LABEL_INVOCATION,
    LABEL_MANAGED_BY,
    LABEL_SLICE,
    MANAGED_BY,
)
from rollcall.outputkeys import Contents
from rollcall.outputs import Span
from rollcall.plan.observed import Note
from rollcall.resources.jobinvocation import JobInvocation
from rollcall.resources.joboutput import HostRange, JobOutputSpec
from rollcall.resources.jobslice import JobSlice
from rollcall.resources.meta import LocalReference, Resource
from rollcall.work import ORDERS_DIRECTORY, WORK_DIRECTORY, WORK_KEY
from rollcall_operator.settings import RunnerSettings

Manifest = dict[str, Any]

CONTAINER = "runner"
_USER = 65532
"""The uid and gid of runner pods, which is the image's user."""


def job_slice(slice_: JobSlice) -> Manifest:
    """A JobSlice, to be created."""
    metadata = slice_.metadata
    return {
        "apiVersion": API_VERSION,
        "kind": "JobSlice",
        "metadata": {
            "name": metadata.name,
            "namespace": metadata.namespace,
            "labels": metadata.labels,
            "ownerReferences": [reference.wire() for reference in metadata.owner_references],
        },
        "spec": slice_.spec.wire(),
    }


def work_secret(invocation: JobInvocation, works: Mapping[str, bytes], suffix: str) -> Manifest:
    """The Secret with the work of some slices, by their names; it goes away with the invocation, at the latest.

    The suffix is random: a name that followed from the content would let those who see pods try out short passwords.
    """
    return {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {
            "name": f"{invocation.metadata.name}-work-{suffix}",
            "namespace": invocation.metadata.namespace,
            "labels": {
                LABEL_MANAGED_BY: MANAGED_BY,
                LABEL_INVOCATION: invocation.metadata.name,
                LABEL_COMPONENT: COMPONENT_RUNNER,
            },
            "ownerReferences": [invocation.owner_reference().wire()],
        },
        "immutable": True,
        "data": {name: base64.b64encode(work).decode("ascii") for name, work in works.items()},
    }


def runner_pod(slice_: JobSlice, secret: str, settings: RunnerSettings, grace_seconds: int) -> Manifest:
    """The pod that runs a slice with its part of a Secret, and may take `grace_seconds` to stop it.

    It satisfies the *restricted* Pod Security Standard and knows no API token.
    """
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {
            **_metadata(slice_, slice_.metadata.name, component=COMPONENT_RUNNER),
            "finalizers": [FINALIZER_COLLECT],
        },
        "spec": {
            "restartPolicy": "Never",
            "automountServiceAccountToken": False,
            "enableServiceLinks": False,
            "terminationGracePeriodSeconds": grace_seconds,
            "securityContext": {
                "runAsNonRoot": True,
                "runAsUser": _USER,
                "runAsGroup": _USER,
                "fsGroup": _USER,
                "seccompProfile": {"type": "RuntimeDefault"},
            },
            "containers": [
                {
                    "name": CONTAINER,
                    "image": settings.image,
                    "imagePullPolicy": settings.image_pull_policy,
                    "command": ["rollcall-runner"],
                    "terminationMessagePolicy": "File",
                    "securityContext": {
                        "allowPrivilegeEscalation": False,
                        "readOnlyRootFilesystem": True,
                        "capabilities": {"drop": ["ALL"]},
                    },
                    "resources": {
                        "requests": {"cpu": settings.cpu_request, "memory": settings.memory_request},
                        "limits": {"memory": settings.memory_limit},
                    },
                    "volumeMounts": [
                        {"name": "work", "mountPath": WORK_DIRECTORY, "readOnly": True},
                        {"name": "orders", "mountPath": ORDERS_DIRECTORY, "readOnly": True},
                    ],
                }
            ],
            "volumes": [
                {
                    "name": "work",
                    "secret": {
                        "secretName": secret,
                        "defaultMode": 0o440,
                        "items": [{"key": slice_.metadata.name, "path": WORK_KEY}],
                    },
                },
                {
                    "name": "orders",
                    "downwardAPI": {
                        "defaultMode": 0o440,
                        "items": [
                            {"path": "stop", "fieldRef": {"fieldPath": f"metadata.annotations['{ANNOTATION_STOP}']"}}
                        ],
                    },
                },
            ],
        },
    }


def job_output(slice_: JobSlice, contents: Contents, data: bytes, hosts: Mapping[str, Span]) -> Manifest:
    """One chunk of a slice's output."""
    spec = JobOutputSpec(
        slice_ref=LocalReference(name=slice_.object_name),
        sequence=contents.sequence,
        hosts={host: HostRange(**asdict(span)) for host, span in hosts.items()},
    )
    metadata = _metadata(slice_, f"{slice_.metadata.name}-{contents.sequence}")
    return {
        "apiVersion": API_VERSION,
        "kind": "JobOutput",
        "metadata": {**metadata, "annotations": {ANNOTATION_CHUNK: str(contents)}},
        "spec": spec.wire(),
        "data": base64.b64encode(data).decode("ascii"),
    }


def event(about: Resource, note: Note, instance: str, now: datetime) -> Manifest:
    """An events.k8s.io/v1 Event about a resource."""
    metadata, name = about.metadata, about.owner_reference().name
    return {
        "apiVersion": "events.k8s.io/v1",
        "kind": "Event",
        "metadata": {"name": f"{name[:200]}.{time.time_ns():x}", "namespace": metadata.namespace},
        "eventTime": now.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ"),
        "reportingController": "rollcall.dev/operator",
        "reportingInstance": instance[:128],
        "action": "Reconcile",
        "reason": note.reason.value,
        "type": "Warning" if note.warning else "Normal",
        "note": note.message.encode()[:1024].decode(errors="ignore"),
        "regarding": {
            "apiVersion": API_VERSION,
            "kind": about.kind(),
            "name": name,
            "namespace": metadata.namespace,
            "uid": metadata.uid,
        },
    }


def _metadata(slice_: JobSlice, name: str, *, component: str | None = None) -> Manifest:
    """Metadata of an object that belongs to a slice and goes away with it."""
    return {
        "name": name,
        "namespace": slice_.metadata.namespace,
        "labels": {
            LABEL_MANAGED_BY: MANAGED_BY,
            LABEL_INVOCATION: slice_.spec.invocation_ref.name,
            LABEL_SLICE: slice_.metadata.name,
            **({LABEL_COMPONENT: component} if component else {}),
        },
        "ownerReferences": [slice_.owner_reference().wire()],
    }
