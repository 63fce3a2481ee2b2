"""The manifests in examples/ do what their comments say, on real hosts."""

from pathlib import Path
from typing import Any

import pytest
import yaml

from support.jobs import end_of, events, output, results, slices
from support.kube import Kube, Object, condition
from support.operator import Operator
from support.schedules import runs, status
from support.sshhosts import IMAGE, SshHost

EXAMPLES = Path(__file__).parents[2] / "examples"
ORDINARY = [
    "03-uptime", "05-disk-usage-web", "06-canary", "08-spread", "09-retry", "10-maintenance-window", "13-exclusive",
    "15-effective-user", "16-secret-input", "17-facts", "21-playbook", "23-steps", "24-pod", "25-query", "26-inventory",
]  # fmt: skip
"""Those that complete by themselves; the others have a story of their own below."""
STORIES = [
    "30-schedule-nightly", "31-schedule-every", "32-schedule-once", "33-schedule-patching", "34-schedule-rrule",
    "35-schedule-window", "36-schedule-replace",
    "07-approval", "11-suspended", "12-cancelled", "14-rerun", "18-output-limit", "19-jump-host", "20-host-keys",
    "27-at-start",
]  # fmt: skip
FURNITURE = ["01-hosts", "02-run-command", "04-disk-usage"]


def documents(name: str) -> list[Object]:
    return [document for document in yaml.safe_load_all((EXAMPLES / f"{name}.yaml").read_text()) if document]


def apply(kube: Kube, namespace: str, name: str) -> list[str]:
    """Apply an example; returns the names of its invocations."""
    made = []
    for document in documents(name):
        document["metadata"]["namespace"] = namespace
        if "pod" in document.get("spec", {}):
            document["spec"]["pod"]["image"] = IMAGE  # has python3 too, and is in the cluster
        kube.apply(document)
        if document["kind"] == "JobInvocation":
            made.append(document["metadata"]["name"])
    return made


@pytest.fixture(scope="module")
def example_hosts(kube: Kube, namespace: str, operator: Operator, hosts: list[SshHost]) -> None:
    """The Hosts of the examples, with the addresses and keys of real ones; the only Hosts in the namespace."""
    for number in range(10):
        kube.delete("hosts", namespace, f"host-{number}")
    for document, real in zip(documents("01-hosts"), hosts, strict=False):
        document["metadata"]["namespace"] = namespace
        document["spec"] |= {"address": real.address, "hostKeys": [real.host_key]}
        kube.apply(document)
    for name in FURNITURE[1:]:
        apply(kube, namespace, name)


def test_every_example_is_run() -> None:
    assert sorted(path.stem for path in EXAMPLES.glob("*.yaml")) == sorted([*FURNITURE, *ORDINARY, *STORIES])


@pytest.mark.parametrize("name", ORDINARY)
def test_an_example_completes(kube: Kube, namespace: str, example_hosts: None, name: str) -> None:
    for invocation in apply(kube, namespace, name):
        ended = end_of(kube, namespace, invocation, 120)
        assert condition(ended, "Complete"), ended["status"]


def said(kube: Kube, namespace: str, name: str) -> dict[str, bytes]:
    return {host: output(found) for host, found in events(kube, namespace, name).items()}


def test_the_effective_user_is_root(kube: Kube, namespace: str, example_hosts: None) -> None:
    assert said(kube, namespace, "whoami")["web1"] == b"root\n"


def test_the_retry_has_two_attempts(kube: Kube, namespace: str, example_hosts: None) -> None:
    assert [slice_["spec"].get("attempt", 0) for slice_ in slices(kube, namespace, "retry")] == [0, 1]


def test_the_secret_is_masked(kube: Kube, namespace: str, example_hosts: None) -> None:
    assert said(kube, namespace, "registry-login")["web1"] == b"robot logs in with ********\n"
    status = kube.get("jobinvocations", namespace, "registry-login")["status"]
    assert "s3cret" not in str(status)
    assert status["description"] == "Log in as robot with ***"


def test_facts_have_defaults(kube: Kube, namespace: str, example_hosts: None) -> None:
    assert said(kube, namespace, "greet")["db1"] == b"Good morning db1, which runs some system and serves on port 80\n"


def test_the_steps_that_are_chosen_are_run(kube: Kube, namespace: str, example_hosts: None) -> None:
    states = {step["name"]: step["state"] for step in results(kube, namespace, "release")["web1"]["steps"]}
    assert states == {"drain": "Skipped", "install": "Succeeded", "smoke-test": "Skipped", "undrain": "Succeeded"}


def test_the_script_in_the_pod_knows_its_host(kube: Kube, namespace: str, example_hosts: None) -> None:
    found = said(kube, namespace, "port-check")
    assert found == {name: f"{name} answers at port 22\n".encode() for name in ("web1", "web2", "db1")}


def test_three_languages_mean_the_same_host(kube: Kube, namespace: str, example_hosts: None) -> None:
    for name in ("query-foreman", "query-ansible", "query-pql"):
        assert set(results(kube, namespace, name)) == {"web1"}


def test_the_limit_takes_some_hosts_and_the_deeper_group_says_the_port(
    kube: Kube, namespace: str, example_hosts: None
) -> None:
    found = said(kube, namespace, "show-settings")
    assert found == {"web1": b"production 8080 192.0.2.53\n", "db1": b"production 80 192.0.2.53\n"}


def patch(kube: Kube, namespace: str, name: str, **spec: Any) -> None:
    kube.patch("jobinvocations", namespace, name, {"spec": spec})


def test_the_approval_waits_for_a_person(kube: Kube, namespace: str, example_hosts: None) -> None:
    apply(kube, namespace, "07-approval")

    def asks() -> bool:
        found = condition(kube.get("jobinvocations", namespace, "approval"), "Waiting")
        return bool(found and found["reason"] == "ApprovalNeeded")

    kube.wait("question", asks)
    patch(kube, namespace, "approval", rollout={"approvedBatches": 2})
    assert condition(end_of(kube, namespace, "approval"), "Complete")


def test_the_suspended_one_is_let_go(kube: Kube, namespace: str, example_hosts: None) -> None:
    apply(kube, namespace, "11-suspended")
    kube.wait("suspension", lambda: condition(kube.get("jobinvocations", namespace, "suspended"), "Suspended"))
    patch(kube, namespace, "suspended", suspend=False)
    assert condition(end_of(kube, namespace, "suspended"), "Complete")


def test_the_one_at_start_chooses_when_it_is_let_go(kube: Kube, namespace: str, example_hosts: None) -> None:
    apply(kube, namespace, "27-at-start")
    kube.wait("suspension", lambda: condition(kube.get("jobinvocations", namespace, "at-start"), "Suspended"))
    assert not slices(kube, namespace, "at-start")
    patch(kube, namespace, "at-start", suspend=False)
    assert condition(end_of(kube, namespace, "at-start"), "Complete")
    assert set(results(kube, namespace, "at-start")) == {"web1", "web2"}


def test_the_cancelled_one_is_stopped_host_by_host(kube: Kube, namespace: str, example_hosts: None) -> None:
    apply(kube, namespace, "12-cancelled")

    def at_work() -> bool:
        status = kube.get("jobinvocations", namespace, "cancelled").get("status", {})
        return bool(status.get("hosts", {}).get("running") == 3)

    kube.wait("three hosts at work", at_work)
    patch(kube, namespace, "cancelled", cancellation={"hosts": ["web1"]})
    kube.wait(
        "the first end", lambda: results(kube, namespace, "cancelled").get("web1", {}).get("state") == "Cancelled"
    )
    patch(kube, namespace, "cancelled", cancellation={"hosts": None})
    ended = end_of(kube, namespace, "cancelled")
    assert ended["status"]["state"] == "Cancelled"
    assert ended["status"]["hosts"]["cancelled"] == 3


def test_the_rerun_takes_who_did_not_succeed(kube: Kube, namespace: str, example_hosts: None) -> None:
    """All hosts of the earlier example succeeded, so there is nothing to run again."""
    end_of(kube, namespace, "disk-usage-web", 120)
    apply(kube, namespace, "14-rerun")
    ended = end_of(kube, namespace, "disk-usage-again")
    assert (condition(ended, "Complete") or {})["reason"] == "NoHostsMatched"


def test_too_much_output_fails_the_host(kube: Kube, namespace: str, example_hosts: None) -> None:
    apply(kube, namespace, "18-output-limit")
    end_of(kube, namespace, "output-limit")
    result = results(kube, namespace, "output-limit")["web1"]
    assert (result["state"], result["reason"]) == ("Failed", "OutputLimit")
    assert 0 < result["output"]["bytes"] <= 10_000


def apply_with(kube: Kube, namespace: str, name: str, changes: dict[str, Object]) -> None:
    """Apply an example with other contents of the objects of these names."""
    for document in documents(name):
        document["metadata"]["namespace"] = namespace
        for part, content in changes.get(document["metadata"]["name"], {}).items():
            document[part] = document[part] | content
        kube.apply(document)


def test_the_host_inside_is_reached_over_the_bastion(
    kube: Kube, namespace: str, example_hosts: None, hosts: list[SshHost]
) -> None:
    bastion, inside = hosts[-2:]
    changes = {
        "bastion": {"spec": {"address": bastion.address, "hostKeys": [bastion.host_key]}},
        "inside": {"spec": {"address": inside.address, "hostKeys": [inside.host_key]}},
        "uptime-inside": {"spec": {"inputs": {"command": "uptime; echo from ${SSH_CLIENT%% *}"}}},
    }
    apply_with(kube, namespace, "19-jump-host", changes)
    assert condition(end_of(kube, namespace, "uptime-inside"), "Complete"), results(kube, namespace, "uptime-inside")
    assert said(kube, namespace, "uptime-inside")["inside"].endswith(f"from {bastion.address}\n".encode())


def test_host_keys_are_listed_or_accepted(
    kube: Kube, namespace: str, example_hosts: None, hosts: list[SshHost]
) -> None:
    listed, new = hosts[-2:]
    changes = {
        "known-hosts": {"data": {"known_hosts": f"{listed.address} {listed.host_key}\n"}},
        "listed": {"spec": {"address": listed.address}},
        "new": {"spec": {"address": new.address}},
    }
    apply_with(kube, namespace, "20-host-keys", changes)
    assert condition(end_of(kube, namespace, "uptime-known"), "Complete"), results(kube, namespace, "uptime-known")
    assert kube.get("hosts", namespace, "new")["status"]["hostKeys"] == [new.host_key]


def apply_schedule(kube: Kube, namespace: str, name: str) -> None:
    """Apply an example with the ServiceAccount of this namespace."""
    for document in documents(name):
        document["metadata"]["namespace"] = namespace
        if document["kind"] == "RoleBinding":
            document["subjects"][0]["namespace"] = namespace
        if document["kind"] == "Schedule":
            document["spec"]["requestedBy"]["username"] = f"system:serviceaccount:{namespace}:scheduler"
        kube.apply(document)


def test_schedules_tell_what_they_will_do_and_do_it(kube: Kube, namespace: str, example_hosts: None) -> None:
    for name in ("30-schedule-nightly", "31-schedule-every", "32-schedule-once", "33-schedule-patching",
                 "34-schedule-rrule", "35-schedule-window"):  # fmt: skip
        apply_schedule(kube, namespace, name)
    for name, times in (("nightly", 5), ("far-away", 1), ("patching", 5), ("workdays", 5),
                        ("three-mornings", 3)):  # fmt: skip
        kube.wait(f"next times of {name}", lambda name=name, times=times: (
            len(status(kube, namespace, name).get("nextTimes", ())) == times))  # fmt: skip
    assert status(kube, namespace, "far-away")["nextTimes"] == ["2099-12-31T23:00:00Z"]
    workdays = [f"2099-01-{day:02}T06:10:00Z" for day in (1, 2, 5, 6, 8)]
    assert status(kube, namespace, "workdays")["nextTimes"] == workdays
    mornings = [f"2099-01-{day:02}T06:00:00Z" for day in (1, 2, 3)]
    assert status(kube, namespace, "three-mornings")["nextTimes"] == mornings
    kube.wait("both runs", lambda: status(kube, namespace, "twice").get("state") == "Finished")
    for run in runs(kube, namespace, "twice"):
        assert run["metadata"]["labels"]["team"] == "web"
        assert condition(end_of(kube, namespace, run["metadata"]["name"], 120), "Complete")
    kube.patch("schedules", namespace, "nightly", {"metadata": {"annotations": {"rollcall.dev/run-now": "please"}}})
    (run,) = kube.wait("the run by hand", lambda: runs(kube, namespace, "nightly"))
    assert condition(end_of(kube, namespace, run["metadata"]["name"], 120), "Complete")


def test_the_second_run_takes_the_place_of_the_first(kube: Kube, namespace: str, example_hosts: None) -> None:
    for name in ("30-schedule-nightly", "36-schedule-replace"):  # the former has the ServiceAccount
        apply_schedule(kube, namespace, name)
    kube.wait("both runs", lambda: status(kube, namespace, "replace").get("state") == "Finished")
    ends = [end_of(kube, namespace, run["metadata"]["name"], 120) for run in runs(kube, namespace, "replace")]
    assert [end["status"]["state"] for end in ends] == ["Cancelled", "Complete"]
