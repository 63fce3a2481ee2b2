"""The objects that the operator makes satisfy the *restricted* standard, and go away with what they belong to."""

import base64
import json
import re
from typing import Any

import yaml

from rollcall.names import Reason
from rollcall.outputkeys import Contents
from rollcall.outputs import Span
from rollcall.plan.observed import Note
from rollcall.plan.pods import Phase, read_pod
from rollcall.plan.rollout import deal
from rollcall.resources.joboutput import HostRange, JobOutput
from rollcall.resources.jobslice import JobSlice
from rollcall_operator import manifests
from rollcall_operator.settings import RunnerSettings
from unit.core.objects import NOW, host, invocation, slice_

SETTINGS = RunnerSettings(
    image="registry.example/rollcall:1",
    image_pull_policy="IfNotPresent",
    memory_request="64Mi",
    memory_limit="256Mi",
    cpu_request="10m",
    output_limit_bytes=1_000,
)
CANARY = b"canary-4711"
METADATA = """
name: job-0
namespace: fleet
labels:
  app.kubernetes.io/managed-by: rollcall
  app.kubernetes.io/component: runner
  rollcall.dev/invocation: job
  rollcall.dev/slice: job-0
ownerReferences:
- apiVersion: rollcall.dev/v1alpha1
  kind: JobSlice
  name: job-0
  uid: uid-of-job-0
  controller: true
  blockOwnerDeletion: false
"""
POD_SPEC = """
restartPolicy: Never
automountServiceAccountToken: false
enableServiceLinks: false
terminationGracePeriodSeconds: 30
securityContext:
  runAsNonRoot: true
  runAsUser: 65532
  runAsGroup: 65532
  fsGroup: 65532
  seccompProfile: {type: RuntimeDefault}
containers:
- name: runner
  image: registry.example/rollcall:1
  imagePullPolicy: IfNotPresent
  command: [rollcall-runner]
  terminationMessagePolicy: File
  securityContext:
    allowPrivilegeEscalation: false
    readOnlyRootFilesystem: true
    capabilities: {drop: [ALL]}
  resources:
    requests: {cpu: 10m, memory: 64Mi}
    limits: {memory: 256Mi}
  volumeMounts:
  - {name: work, mountPath: /run/rollcall, readOnly: true}
  - {name: orders, mountPath: /run/rollcall-orders, readOnly: true}
volumes:
- name: work
  secret:
    secretName: job-work-1
    defaultMode: 288
    items: [{key: job-0, path: work.json.gz}]
- name: orders
  downwardAPI:
    defaultMode: 288
    items:
    - path: stop
      fieldRef: {fieldPath: "metadata.annotations['rollcall.dev/stop']"}
"""


def test_a_runner_pod_is_this_pod() -> None:
    pod = manifests.runner_pod(slice_(0, "web1"), "job-work-1", SETTINGS, 30)
    assert (pod["apiVersion"], pod["kind"]) == ("v1", "Pod")
    assert pod["metadata"] == yaml.safe_load(METADATA) | {"finalizers": ["rollcall.dev/collect"]}
    assert pod["spec"] == yaml.safe_load(POD_SPEC)


def test_a_runner_pod_satisfies_the_restricted_standard() -> None:
    """https://kubernetes.io/docs/concepts/security/pod-security-standards/#restricted"""
    spec = manifests.runner_pod(slice_(0, "web1"), "job-work-1", SETTINGS, 30)["spec"]
    assert not {"hostNetwork", "hostPID", "hostIPC", "initContainers", "ephemeralContainers"} & set(spec)
    assert {key for volume in spec["volumes"] for key in volume} == {"name", "secret", "downwardAPI"}
    assert spec["securityContext"]["runAsNonRoot"] is True
    assert spec["securityContext"]["runAsUser"] != 0
    assert spec["securityContext"]["seccompProfile"]["type"] in ("RuntimeDefault", "Localhost")
    for container in spec["containers"]:
        context = container["securityContext"]
        assert context["allowPrivilegeEscalation"] is False
        assert context["capabilities"] == {"drop": ["ALL"]}
        assert not {"privileged", "procMount", "runAsUser", "seccompProfile"} & set(context)
        assert not any("hostPort" in port for port in container.get("ports", ()))


def test_a_runner_pod_knows_no_token_and_only_its_own_secret() -> None:
    spec = manifests.runner_pod(slice_(3, "web1"), "job-work-1", SETTINGS, 30)["spec"]
    assert spec["automountServiceAccountToken"] is False
    assert "serviceAccountName" not in spec
    secrets = [volume["secret"] for volume in spec["volumes"] if "secret" in volume]
    assert [(secret["secretName"], secret["items"]) for secret in secrets] == [
        ("job-work-1", [{"key": "job-3", "path": "work.json.gz"}])
    ]
    assert not any("env" in container or "envFrom" in container for container in spec["containers"])


def test_a_runner_pod_is_read_back_as_the_pod_of_its_slice() -> None:
    made = manifests.runner_pod(slice_(0, "web1"), "job-work-1", SETTINGS, 30)
    made["metadata"] |= {"uid": "u", "resourceVersion": "5", "creationTimestamp": "2026-03-01T12:00:00Z"}
    found = read_pod(made)
    assert (found.name, found.slice, found.invocation, found.held) == ("job-0", "job-0", "job", True)
    assert found.phase == Phase.WAITING


def test_the_works_of_some_slices_are_in_a_secret_of_the_invocation() -> None:
    secret = manifests.work_secret(invocation("web1"), {"job-0": CANARY, "job-1": b"other"}, "1f")
    metadata = secret["metadata"]
    assert metadata["name"] == "job-work-1f"
    assert metadata["labels"] == {
        "app.kubernetes.io/managed-by": "rollcall",
        "app.kubernetes.io/component": "runner",
        "rollcall.dev/invocation": "job",
    }
    assert [(owner["kind"], owner["uid"]) for owner in metadata["ownerReferences"]] == [
        ("JobInvocation", "uid-of-the-job")
    ]
    assert secret["immutable"] is True
    found = {key: base64.b64decode(value) for key, value in secret["data"].items()}
    assert found == {"job-0": CANARY, "job-1": b"other"}


def test_a_slice_is_sent_with_its_owner_and_read_back_as_it_was_dealt() -> None:
    (dealt,) = deal(invocation("web1"), ["web1"])
    document = manifests.job_slice(dealt)
    assert (document["apiVersion"], document["kind"]) == ("rollcall.dev/v1alpha1", "JobSlice")
    assert document["metadata"]["ownerReferences"][0]["uid"] == "uid-of-the-job"
    assert "status" not in document
    assert document["spec"] == {
        "invocationRef": {"name": "job"},
        "index": 0,
        "attempt": 0,
        "batch": 0,
        "hosts": ["web1"],
    }
    assert JobSlice.model_validate(document).spec == dealt.spec


def test_a_chunk_of_output_is_an_object_of_its_slice() -> None:
    spans = {"web1": Span(0, 7, 1.5, 2.5)}
    contents = Contents.of(4, spans, 9, ("web1",))
    document = manifests.job_output(slice_(0, "web1"), contents, b"\x1f\x8b packed", spans)
    assert document["metadata"]["name"] == "job-0-4"
    assert document["metadata"]["annotations"] == {"rollcall.dev/chunk": "000004-1500000-2500000-9-1"}
    assert document["metadata"]["ownerReferences"] == yaml.safe_load(METADATA)["ownerReferences"]
    assert document["metadata"]["labels"]["rollcall.dev/slice"] == "job-0"
    assert base64.b64decode(document["data"]) == b"\x1f\x8b packed"
    found = JobOutput.model_validate(document)
    assert (found.spec.slice_ref.name, found.spec.sequence) == ("job-0", 4)
    assert found.spec.hosts == {"web1": HostRange(first_seq=0, last_seq=7, first_time=1.5, last_time=2.5)}


def said(note: Note, **changes: Any) -> dict[str, Any]:
    return manifests.event(invocation(**changes), note, "rollcall-operator-0", NOW)


def test_an_event_is_about_its_object() -> None:
    document = said(Note(Reason.HOSTS_RESOLVED, "3 hosts in 3 slices"))
    assert (document["apiVersion"], document["kind"]) == ("events.k8s.io/v1", "Event")
    assert (document["reason"], document["type"], document["note"]) == (
        "HostsResolved",
        "Normal",
        "3 hosts in 3 slices",
    )
    assert document["eventTime"] == "2026-03-01T12:00:00.250000Z"
    assert document["regarding"] == {
        "apiVersion": "rollcall.dev/v1alpha1",
        "kind": "JobInvocation",
        "name": "job",
        "namespace": "fleet",
        "uid": "uid-of-the-job",
    }
    assert manifests.event(host(), Note(Reason.ACCEPTED, ""), "x", NOW)["regarding"]["kind"] == "Host"


def test_an_event_fits_into_the_limits_of_its_api() -> None:
    """events.k8s.io/v1: note 1024 bytes, reportingInstance 128, reason 128; a name is a DNS subdomain of 253."""
    note = Note(Reason.SOME_FAILED, "ä" * 2_000, warning=True)
    document = manifests.event(invocation(name="n" * 52), note, "p" * 300, NOW)
    assert document["type"] == "Warning"
    assert len(document["note"].encode()) <= 1_024
    assert len(document["reportingInstance"]) <= 128
    assert re.fullmatch(r"[a-z0-9]([-a-z0-9.]*[a-z0-9])?", document["metadata"]["name"])
    assert len(document["metadata"]["name"]) <= 253


def test_two_events_have_two_names() -> None:
    note = Note(Reason.ACCEPTED, "x")
    assert len({said(note)["metadata"]["name"] for _ in range(5)}) == 5


def test_everything_can_be_sent_as_json() -> None:
    made = slice_(0, "web1")
    for document in (
        manifests.job_slice(made),
        manifests.work_secret(invocation("web1"), {"job-0": CANARY}, "1f"),
        manifests.runner_pod(made, "job-work-1f", SETTINGS, 30),
        manifests.job_output(made, Contents(0, 0, 0, 0, 0), b"", {}),
    ):
        assert json.loads(json.dumps(document)) == document
