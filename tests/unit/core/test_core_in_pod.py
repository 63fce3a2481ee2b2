"""A template may run in the pod itself: one host a pod, nobody logs in, and the host is in the environment."""

import json
from dataclasses import replace
from typing import Any

import pytest

from rollcall.inputs import InputError
from rollcall.names import Reason
from rollcall.plan.inpod import MAX_VARIABLES_BYTES, environment
from rollcall.plan.invocation import reconcile
from rollcall.plan.observed import Observed
from rollcall.plan.pods import DELETED, Phase, Pod, read_pod
from rollcall.plan.prepare import Prepared, prepare
from rollcall.plan.resolution import Problem, Resolution, examine
from rollcall.plan.slices import Slices
from rollcall.plan.units import units
from rollcall.resources.jobtemplate import JobTemplate
from rollcall.template import effective_user
from rollcall.work import Credentials, Work
from unit.core.objects import NOW, after, asks_for_nothing, host, invocation, pod, resolved, slice_, template

POD = {"image": "registry.example/tools:1", "script": "probe {{ host.address }}\n"}
FACTS = {"os": {"family": "Debian", "name": "Büster"}}
LONELY = host("a", credentialsRef=None, facts=FACTS, variables={"http-port": "80"}, address="192.0.2.7", port=2222)


def declared(**spec: Any) -> JobTemplate:
    return template(provider="Pod", ssh=None, pod=POD, **spec)


def examined(**spec: Any) -> Resolution | Problem:
    names = ("a", "b")
    found = {name: host(name, credentialsRef=None) for name in names}
    return examine(Observed(invocation(*names, **spec), template=declared(), hosts=found), NOW)


def prepared(*names: str, **spec: Any) -> Prepared:
    found = dict.fromkeys(names, LONELY)
    return prepare(invocation(*names, **spec), slice_(0, *names), declared(), found, {}, 1_000)


def test_hosts_need_no_credentials_and_have_a_pod_each() -> None:
    found = examined()
    assert isinstance(found, Resolution)
    assert (found.hosts, found.most_per_slice) == (("a", "b"), 1)
    names = [f"h{number}" for number in range(150)]
    known = {name: host(name, credentialsRef=None) for name in names}
    plan = reconcile(Observed(invocation(), template=declared(), hosts=known), NOW)
    assert [len(one.spec.hosts) for made in plan.create_slices for one in units(made)] == [1] * 150


@pytest.mark.parametrize("wanted", [2, 250])
def test_an_invocation_cannot_ask_for_more_hosts_in_a_pod(wanted: int) -> None:
    found = examined(rollout={"hostsPerSlice": wanted})
    assert isinstance(found, Problem)
    assert found.reason is Reason.INVALID_INPUT
    assert f"leave spec.rollout.hostsPerSlice out, which is {wanted}, or set it to 1" in found.message
    assert isinstance(examined(rollout={"hostsPerSlice": 1}), Resolution)


def test_nobody_becomes_another_user_in_a_pod() -> None:
    assert effective_user(declared()) is None


@pytest.mark.parametrize("override", [{"name": "root"}, {"passwordRef": {"name": "absent"}}])
def test_an_invocation_cannot_ask_for_another_user_in_a_pod_or_bring_a_password(override: dict[str, Any]) -> None:
    found = examined(effectiveUser=override)
    assert isinstance(found, Problem)
    assert (found.reason, found.may_heal) == (Reason.INVALID_INPUT, False)
    assert found.message == "template run runs in pods: leave spec.effectiveUser out"
    assert {trouble.reason for trouble in prepared("a", effectiveUser=override).failures.values()} == {
        Reason.INVALID_INPUT
    }


def test_a_runner_gets_the_environment_and_no_credentials() -> None:
    found = prepared("a", user="deploy")
    assert found.failures == {}
    assert found.work is not None
    work = Work.load(found.work)
    assert work.credentials == (Credentials(),)
    assert work.scripts == ("probe 192.0.2.7\n",)
    assert work.hosts[0].environment == {
        "ROLLCALL_HOST_NAME": "a",
        "ROLLCALL_HOST_ADDRESS": "192.0.2.7",
        "ROLLCALL_HOST_PORT": "2222",
        "ROLLCALL_HOST_USER": "deploy",
        "ROLLCALL_HOST_FACTS": '{"os":{"family":"Debian","name":"Büster"}}',
        "ROLLCALL_HOST_VARIABLES": '{"http-port":"80"}',
    }


def test_what_does_not_fit_into_an_environment_fails_its_host() -> None:
    many = host("a", variables={f"v{number}": "x" * 4096 for number in range(16)})
    size = len(json.dumps(many.spec.variables, separators=(",", ":")))
    assert size > MAX_VARIABLES_BYTES
    with pytest.raises(InputError, match=f"Host a: its variables have {size} bytes as JSON, more than the 65536"):
        environment(invocation("a"), many)
    with pytest.raises(InputError, match="Host a: spec.facts has"):
        environment(invocation("a"), host("a", facts={"x": "y" * 40_000}))


def test_a_slice_from_before_the_template_ran_in_pods_fails() -> None:
    found = prepared("a", "b")
    assert found.work is None
    assert {trouble.reason for trouble in found.failures.values()} == {Reason.TEMPLATE_ERROR}


# ---- pods with two containers -----------------------------------------------------------------------------------

RUNNING = {"running": {"startedAt": "2026-03-01T12:00:02Z"}}
CREATING = {"waiting": {"reason": "ContainerCreating"}}
PULLING = {"waiting": {"reason": "ImagePullBackOff", "message": 'Back-off pulling image "registry.example/tools:1"'}}
NO_SHELL = {
    "terminated": {
        "reason": "StartError", "exitCode": 128, "startedAt": "1970-01-01T00:00:00Z",
        "message": 'exec: "/bin/sh": stat /bin/sh: no such file or directory',
    }
}  # fmt: skip


def ended(code: int, reason: str = "Error", **more: Any) -> dict[str, Any]:
    return {"terminated": {"exitCode": code, "reason": reason, "startedAt": "2026-03-01T12:00:02Z", **more}}


def seen(runner: Any, script: Any, *, phase: str = "Running", deleted: bool = False) -> Pod:
    """A pod whose containers are in these states, in whichever order a kubelet lists them."""
    return read_pod({
        "metadata": {
            "name": "job-0", "namespace": "fleet", "uid": "u", "resourceVersion": "1",
            "labels": {"rollcall.dev/invocation": "job", "rollcall.dev/slice": "job-0"},
            "creationTimestamp": "2026-03-01T12:00:00Z", "finalizers": ["rollcall.dev/collect"],
            **({"deletionTimestamp": "2026-03-01T12:05:30Z"} if deleted else {}),
        },
        "status": {
            "phase": phase,
            "containerStatuses": [{"name": "script", "state": script}, {"name": "runner", "state": runner}],
        },
    })  # fmt: skip


@pytest.mark.parametrize(
    ("runner", "script", "phase", "started"),
    [
        (CREATING, CREATING, Phase.WAITING, False),
        (RUNNING, CREATING, Phase.WAITING, False),
        (RUNNING, PULLING, Phase.WAITING, False),
        (CREATING, RUNNING, Phase.WAITING, False),
        (RUNNING, NO_SHELL, Phase.WAITING, False),
        (RUNNING, RUNNING, Phase.WORKING, True),
        (RUNNING, ended(137, "OOMKilled"), Phase.WORKING, True),
        (ended(0, "Completed"), RUNNING, Phase.WORKING, True),
    ],
)
def test_a_pod_works_when_both_containers_do(runner: Any, script: Any, phase: Phase, started: bool) -> None:
    found = seen(runner, script)
    assert (found.phase, found.container_started) == (phase, started)
    assert found.hopeless is (script is NO_SHELL)


@pytest.mark.parametrize(
    ("runner", "script", "reason", "words"),
    [
        (RUNNING, PULLING, Reason.IMAGE_PULL, "the template's image cannot be pulled: Back-off pulling image"),
        (PULLING, RUNNING, Reason.IMAGE_PULL, "the runner image cannot be pulled"),
        (RUNNING, NO_SHELL, Reason.CONTAINER_FAILED, "it needs /bin/sh: exec: \"/bin/sh\": stat"),
        (RUNNING, {"waiting": {"reason": "CreateContainerError", "message": "no such device"}},
         Reason.CONTAINER_FAILED, "cannot be started: no such device"),
        (ended(3), ended(137, "OOMKilled"), Reason.OOM_KILLED, "raise spec.runner.resources.limits of the template"),
        (ended(3), ended(137), Reason.CONTAINER_FAILED, "ended with exit code 137 before its script did"),
        (ended(137, "OOMKilled"), ended(1), Reason.OOM_KILLED, "the runner used more memory"),
        (ended(2, message="no work"), ended(1), Reason.RUNNER_CRASHED, "the runner ended with exit code 2: no work"),
        (RUNNING, ended(2, message="syntax error"), Reason.CONTAINER_FAILED,
         "ended with exit code 2 before its script was started; its /bin/sh must be a POSIX shell: syntax error"),
    ],
)  # fmt: skip
def test_the_container_that_is_to_blame_is_named(runner: Any, script: Any, reason: Reason, words: str) -> None:
    trouble = seen(runner, script).trouble
    assert trouble is not None
    assert trouble.reason is reason
    assert words in trouble.message


def test_a_script_that_lacked_memory_does_not_spoil_what_its_runner_could_still_say() -> None:
    assert seen(ended(0, "Completed"), ended(137, "OOMKilled"), phase="Failed").trouble is None


def test_the_runners_last_words_are_not_the_scripts() -> None:
    found = seen(ended(0, message='{"hosts": 1}'), ended(0, message="forged"), phase="Succeeded")
    assert found.last_words == '{"hosts": 1}'


def test_a_deleted_pod_tells_what_it_was_deleted_for() -> None:
    assert seen(RUNNING, RUNNING, deleted=True).trouble == DELETED
    stuck = seen(RUNNING, NO_SHELL, deleted=True).trouble
    assert stuck is not None
    assert stuck.reason is Reason.CONTAINER_FAILED


def test_a_pod_whose_container_can_never_start_is_stopped_at_once() -> None:
    dealt = slice_(0, "a")
    for hopeless in (False, True):
        at_work = pod(0, Phase.WAITING, hopeless=hopeless)
        observed = Observed(
            resolved(dealt, started=1), Slices([dealt]), {"job-0": at_work}, template=declared(),
            hosts={"a": LONELY}, progress_written=NOW,
        )  # fmt: skip
        plan = reconcile(observed, after(5))
        assert plan.delete_pods == (("job-0",) if hopeless else ())
        assert hopeless or asks_for_nothing(replace(plan, status=None))


FINISHED = "2026-03-01T12:00:10Z"


@pytest.mark.parametrize(
    ("runner", "script", "reason", "words"),
    [
        (ended(2, finishedAt=FINISHED, message="no work"), RUNNING, Reason.RUNNER_CRASHED, "exit code 2: no work"),
        (RUNNING, ended(2, finishedAt=FINISHED), Reason.CONTAINER_FAILED, "before its script was started"),
    ],
)
def test_a_container_that_waits_for_the_other_in_vain_is_not_left_behind(
    runner: Any, script: Any, reason: Reason, words: str
) -> None:
    found = seen(runner, script)
    assert (found.phase, found.half_ended) == (Phase.WORKING, after(9.75))
    assert (found.stranded(after(19)), found.stranded(after(20))) == (False, True)
    dealt = slice_(0, "a")
    observed = Observed(
        resolved(dealt, started=1), Slices([dealt]), {"job-0": found}, template=declared(), hosts={"a": LONELY},
        progress_written=NOW,
    )  # fmt: skip
    before = reconcile(observed, after(12))
    assert before.delete_pods == ()
    assert before.again_at is not None
    assert before.again_at <= after(20)
    assert reconcile(observed, after(20)).delete_pods == ("job-0",)
    trouble = seen(runner, script, deleted=True).trouble
    assert trouble is not None
    assert trouble.reason is reason
    assert words in trouble.message


def test_two_containers_that_end_together_are_not_stranded() -> None:
    both = ended(0, finishedAt=FINISHED)
    assert seen(both, both, phase="Succeeded").half_ended is None
    assert seen(RUNNING, RUNNING).half_ended is None
