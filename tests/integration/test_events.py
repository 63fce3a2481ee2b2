"""A person who reads the Events of an invocation reads each turn that it took, once."""

from collections import Counter
from collections.abc import Callable
from typing import Any

import pytest

from support.jobs import invocation, template
from support.kube import Kube, Object
from support.operator import Operator

AT_WORK = "at work"
FINAL = {"Complete", "Failed", "Cancelled"}
Act = Callable[[Kube, str, str], Any]


def condition_turns(kube: Kube, manifest: Object, acts: dict[str, Act]) -> list[tuple[str, str, str]]:
    """Creates the invocation and watches it to its end: each new value or reason of a condition, in order.

    An act is carried out when the reason that it is kept under is seen for the first time, or a host at work.
    """
    namespace, name = manifest["metadata"]["namespace"], manifest["metadata"]["name"]
    kube.create(manifest)
    known: dict[str, tuple[str, str]] = {}
    turns: list[tuple[str, str, str]] = []
    pending = dict(acts)
    for event in kube.watch("jobinvocations", namespace, fieldSelector=f"metadata.name={name}"):
        status = event["object"].get("status", {})
        for condition in status.get("conditions", ()):
            type_, now = condition["type"], (condition["status"], condition["reason"])
            if known.get(type_) != now:
                known[type_] = now
                turns.append((type_, *now))
        seen = {reason for _, reason in known.values()}
        if status.get("hosts", {}).get("running"):
            seen.add(AT_WORK)
        for moment in seen & pending.keys():
            pending.pop(moment)(kube, namespace, name)
        if any(type_ in FINAL and value == "True" for type_, (value, _) in known.items()):
            return turns
    raise AssertionError(f"{name} did not end: {turns}")


def told(kube: Kube, namespace: str, name: str) -> list[str]:
    """The reasons of the Events about the invocation, in their order."""
    field = f"involvedObject.name={name},involvedObject.kind=JobInvocation"
    found = kube.list("events", namespace, fieldSelector=field)
    return [event["reason"] for event in sorted(found, key=lambda event: str(event["eventTime"]))]


def spec_change(**spec: Any) -> Act:
    return lambda kube, namespace, name: kube.patch("jobinvocations", namespace, name, {"spec": spec})


def make_template(kube: Kube, namespace: str, name: str) -> None:
    kube.apply(template(namespace, f"{name}-template"))


TWO = {"hosts": ["host-0", "host-1"]}
CASES: list[tuple[str, str, dict[str, Any], dict[str, Act], list[str]]] = [
    ("well", "true", {}, {}, ["HostsResolved", "Started", "AllHostsSucceeded"]),
    ("badly", "false", {}, {}, ["HostsResolved", "Started", "HostsFailed"]),
    ("wrong", "true", {"inputs": {"command": "true", "no-such": "input"}}, {}, ["InvalidInput"]),
    (
        "early", "true", {"templateRef": {"name": "early-template"}}, {"TemplateNotFound": make_template},
        ["TemplateNotFound", "HostsResolved", "Started", "AllHostsSucceeded"],
    ),
    ("nobody", "true", {"targeting": {"selector": {"matchLabels": {"no": "such"}}}}, {}, ["NoHostsMatched"]),
    (
        "paused", "true", {"suspend": True}, {"Suspended": spec_change(suspend=False)},
        ["HostsResolved", "Suspended", "Resumed", "Started", "AllHostsSucceeded"],
    ),
    (
        "again", "exit 3", {"backoffLimit": 1, "backoffSeconds": 1, "retryOn": ["ExitCode"]}, {},
        ["HostsResolved", "Started", "Retrying", "HostsFailed"],
    ),
    (
        "stopped", "sleep 300", {}, {AT_WORK: spec_change(cancellation={"policy": "Graceful"})},
        ["HostsResolved", "Started", "CancelRequested", "Cancelled"],
    ),
    (
        "stopped-in-part", "case $(hostname) in host-1) sleep 300;; *) sleep 3;; esac", {"targeting": TWO},
        {AT_WORK: spec_change(cancellation={"policy": "Graceful", "hosts": ["host-1"]})},
        ["HostsResolved", "Started", "CancelRequested", "Cancelled"],
    ),
    (
        "between", "true", {"targeting": TWO, "rollout": {"batches": [1], "pauseSeconds": 3}}, {},
        ["HostsResolved", "Started", "Paused", "Proceeding", "AllHostsSucceeded"],
    ),
    (
        "approved", "true", {"targeting": TWO, "rollout": {"batches": [1], "pauseFor": "Approval"}},
        {"ApprovalNeeded": spec_change(rollout={"approvedBatches": 2})},
        ["HostsResolved", "Started", "ApprovalNeeded", "Proceeding", "AllHostsSucceeded"],
    ),
    (
        "given-up", "exit 3",
        {"targeting": TWO, "rollout": {"concurrency": 1, "hostsPerSlice": 1, "maxFailed": 0}}, {},
        ["HostsResolved", "Started", "TooManyFailed"],
    ),
    (
        "slow", "sleep 300", {"activeDeadlineSeconds": 5}, {},
        ["HostsResolved", "Started", "DeadlineExceeded", "DeadlineExceeded"],
    ),
]  # fmt: skip
SILENT = {("Valid", "True", "Accepted")}


@pytest.mark.parametrize(("name", "command", "spec", "acts", "expected"), CASES, ids=[case[0] for case in CASES])
def test_each_turn_of_a_condition_has_one_event(
    kube: Kube,
    namespace: str,
    operator: Operator,
    name: str,
    command: str,
    spec: dict[str, Any],
    acts: dict[str, Act],
    expected: list[str],
) -> None:
    manifest = invocation(namespace, name, command, ["host-0"])
    turns = condition_turns(kube, manifest | {"spec": manifest["spec"] | spec}, acts)
    end = turns[-1][2]
    # What has stopped all hosts is told when it strikes, and with the end.
    kube.wait(f"the Event about {end}", lambda: told(kube, namespace, name).count(end) >= expected.count(end))
    events = told(kube, namespace, name)
    counts = Counter(events)
    assert counts == Counter(expected)
    assert (events[0], events[-1]) == (expected[0], expected[-1])
    ended_at_once = name in ("wrong", "nobody")
    due = Counter(turn[2] for turn in turns if turn not in SILENT and not (ended_at_once and turn[0] not in FINAL))
    assert {reason: counts[reason] for reason in due} == due, turns
