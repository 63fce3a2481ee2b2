"""Named steps on real hosts: each has a state, an exit code and times of its own, and invocations choose among them."""

from typing import Any

import pytest

from rollcall.outputs import StepNews, Stream
from support.jobs import events, invocation, output, results, run, slices, template
from support.kube import Kube, condition
from support.operator import Operator

STEPS = [
    {"name": "fetch", "script": "echo fetching {{ inputs.what }}"},
    {"name": "build", "script": "echo building; exit {{ inputs.code }}", "timeoutSeconds": 30},
    {"name": "publish", "script": "echo publishing"},
]
INPUTS = [{"name": "what", "default": "it"}, {"name": "code", "type": "Integer", "default": "0"}]


@pytest.fixture(scope="module", autouse=True)
def furniture(kube: Kube, namespace: str, operator: Operator) -> None:
    kube.apply(template(namespace, "release", inputs=INPUTS, ssh={"steps": STEPS}))


def job(namespace: str, name: str, *hosts: str, **spec: Any) -> dict[str, Any]:
    return invocation(namespace, name, None, list(hosts), templateRef={"name": "release"}, **spec)


def states(result: dict[str, Any]) -> dict[str, str]:
    return {step["name"]: step["state"] for step in result["steps"]}


def test_every_step_has_its_state_and_times_on_each_host(kube: Kube, namespace: str) -> None:
    ended = run(kube, job(namespace, "all-steps", "host-0", "host-1"))
    assert condition(ended, "Complete")
    found = results(kube, namespace, "all-steps")
    for result in found.values():
        assert states(result) == {"fetch": "Succeeded", "build": "Succeeded", "publish": "Succeeded"}
        for step in result["steps"]:
            assert step["exitCode"] == 0
            assert result["startTime"] <= step["startTime"] <= step["completionTime"] <= result["completionTime"]
    said = events(kube, namespace, "all-steps")["host-0"]
    assert output(said) == b"fetching it\nbuilding\npublishing\n"
    assert [event.data.state.value for event in said if isinstance(event.data, StepNews)] == [
        "Running", "Succeeded", "Running", "Succeeded", "Running", "Succeeded",
    ]  # fmt: skip
    assert found["host-0"]["output"]["bytes"] == len(b"fetching it\nbuilding\npublishing\n")
    assert said[-1].stream is Stream.EXIT


def test_a_step_that_fails_ends_its_host_with_its_name(kube: Kube, namespace: str) -> None:
    ended = run(kube, job(namespace, "failing-step", "host-0", inputs={"code": "3"}))
    assert condition(ended, "Failed")
    result = results(kube, namespace, "failing-step")["host-0"]
    assert (result["state"], result["reason"], result["exitCode"]) == ("Failed", "ExitCode", 3)
    assert result["message"] == "step build: the script ended with exit code 3"
    assert states(result) == {"fetch": "Succeeded", "build": "Failed", "publish": "NotStarted"}
    assert result["steps"][1]["exitCode"] == 3


def test_an_invocation_chooses_steps(kube: Kube, namespace: str) -> None:
    chosen = {"to": "publish", "skip": ["build"]}
    assert condition(run(kube, job(namespace, "some-steps", "host-0", steps=chosen)), "Complete")
    result = results(kube, namespace, "some-steps")["host-0"]
    assert states(result) == {"fetch": "Succeeded", "build": "Skipped", "publish": "Succeeded"}
    assert output(events(kube, namespace, "some-steps")["host-0"]) == b"fetching it\npublishing\n"


@pytest.mark.parametrize(
    ("name", "steps", "words"),
    [
        ("unknown", {"from": "biuld"}, "template release has no step biuld; it has: fetch, build, publish"),
        ("backwards", {"from": "publish", "to": "fetch"}, "fetch comes before publish"),
        ("nothing", {"to": "fetch", "skip": ["fetch"]}, "leaves no step of template release to run"),
    ],
)
def test_a_selection_that_makes_no_sense_touches_no_host(
    kube: Kube, namespace: str, name: str, steps: dict[str, Any], words: str
) -> None:
    ended = run(kube, job(namespace, f"steps-{name}", "host-0", steps=steps))
    valid = condition(ended, "Valid")
    assert valid is not None
    assert (valid["status"], valid["reason"]) == ("False", "InvalidInput")
    assert words in valid["message"]
    assert slices(kube, namespace, f"steps-{name}") == []


def test_a_retry_runs_all_steps_again(kube: Kube, namespace: str) -> None:
    again = {"backoffLimit": 1, "backoffSeconds": 0, "retryOnExitCodes": [3], "inputs": {"code": "3"}}
    run(kube, job(namespace, "retried-steps", "host-0", **again))
    made = slices(kube, namespace, "retried-steps")
    assert [slice_["spec"].get("attempt", 0) for slice_ in made] == [0, 1]
    for slice_ in made:
        assert states(slice_["status"]["hosts"][0]) == {
            "fetch": "Succeeded", "build": "Failed", "publish": "NotStarted",
        }  # fmt: skip


def test_a_step_is_seen_at_work_and_cancelled(kube: Kube, namespace: str) -> None:
    steps = [{"name": "prepare", "script": "true"}, {"name": "hang", "script": "sleep 600"}]
    kube.apply(template(namespace, "hanging", inputs=[], ssh={"steps": [*steps, {"name": "end", "script": "true"}]}))
    kube.create(invocation(namespace, "hang", None, ["host-0"], templateRef={"name": "hanging"}))

    def hangs() -> bool:
        result = results(kube, namespace, "hang").get("host-0", {})
        return bool(result.get("steps")) and states(result) == {"prepare": "Succeeded", "hang": "Running"}

    kube.wait("step at work", hangs)
    kube.patch("jobinvocations", namespace, "hang", {"spec": {"cancellation": {}}})
    kube.wait("cancellation", lambda: condition(kube.get("jobinvocations", namespace, "hang"), "Cancelled"))
    result = results(kube, namespace, "hang")["host-0"]
    assert result["state"] == "Cancelled"
    assert states(result) == {"prepare": "Succeeded", "hang": "Cancelled", "end": "NotStarted"}
