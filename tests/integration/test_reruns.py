"""Running an earlier job again, on all or some of its hosts."""

import pytest

from support.jobs import end_of, events, invocation, results, run, template
from support.kube import Kube, Object, condition
from support.operator import Operator

SCRIPT = "case $(hostname) in host-1|host-3) exit 4;; esac"


def again(namespace: str, name: str, origin: str, hosts: str, command: str = "true", **spec: object) -> Object:
    """An invocation that runs another again."""
    manifest = invocation(namespace, name, command, None, **spec)
    manifest["spec"]["rerunOf"] = {"name": origin, "hosts": hosts}
    if "targeting" not in spec:
        del manifest["spec"]["targeting"]
    return manifest


@pytest.fixture(scope="module")
def origin(kube: Kube, namespace: str, operator: Operator) -> str:
    """A job of five hosts, two of which failed, and one was never started."""
    rollout = {"concurrency": 1, "hostsPerSlice": 1, "maxFailed": 1}
    run(kube, invocation(namespace, "origin", SCRIPT, [f"host-{n}" for n in range(5)], rollout=rollout))
    return "origin"


@pytest.mark.parametrize(
    ("which", "expected"),
    [
        ("All", [0, 1, 2, 3, 4]),
        ("Failed", [1, 3]),
        ("Succeeded", [0, 2]),
        ("NotStarted", [4]),
        ("Unsuccessful", [1, 3, 4]),
        ("Cancelled", []),
    ],
)
def test_the_hosts_asked_for_run_again(
    kube: Kube, namespace: str, operator: Operator, origin: str, which: str, expected: list[int]
) -> None:
    name = f"again-{which.lower()}"
    ended = run(kube, again(namespace, name, origin, which))
    assert condition(ended, "Complete")
    assert sorted(results(kube, namespace, name)) == [f"host-{n}" for n in expected]


def test_listed_hosts_run_again(kube: Kube, namespace: str, operator: Operator, origin: str) -> None:
    listed = again(namespace, "again-listed", origin, "Listed", targeting={"hosts": ["host-2", "host-0"]})
    run(kube, listed)
    assert sorted(events(kube, namespace, "again-listed")) == ["host-0", "host-2"]


def test_what_still_runs_can_be_run_again(kube: Kube, namespace: str, operator: Operator) -> None:
    script = "case $(hostname) in host-1) exit 4;; host-2) sleep 6;; esac"
    names = ["host-1", "host-2"]
    kube.create(invocation(namespace, "still", script, names, rollout={"hostsPerSlice": 2}))

    def failed() -> bool:
        return bool(kube.get("jobinvocations", namespace, "still").get("status", {}).get("failures"))

    kube.wait("first failure", failed)
    ended = run(kube, again(namespace, "again-still", "still", "Failed"))
    assert sorted(results(kube, namespace, "again-still")) == ["host-1"]
    assert condition(ended, "Complete")
    end_of(kube, namespace, "still")


def test_an_origin_that_is_not_there_is_told(kube: Kube, namespace: str, operator: Operator) -> None:
    ended = run(kube, again(namespace, "again-nothing", "nothing", "All"))
    failed = condition(ended, "Failed") or {}
    assert (failed["reason"], "nothing" in failed["message"]) == ("InvalidRerun", True)


def test_a_host_that_is_gone_fails_by_itself(kube: Kube, namespace: str, operator: Operator, origin: str) -> None:
    host = kube.get("hosts", namespace, "host-4")
    kube.delete("hosts", namespace, "host-4")
    ended = run(kube, again(namespace, "again-gone", origin, "Unsuccessful"))
    host["metadata"] = {"name": "host-4", "namespace": namespace}
    kube.create(host)
    states = {name: result.get("reason") for name, result in results(kube, namespace, "again-gone").items()}
    assert states == {"host-1": None, "host-3": None, "host-4": "HostNotFound"}
    assert ended["status"]["hosts"] | {} == {
        "total": 3, "pending": 0, "running": 0, "succeeded": 2, "failed": 1, "cancelled": 0,
    }  # fmt: skip


def said_of_the_template(kube: Kube, namespace: str, name: str) -> str:
    """The Event that a rerun has about its template."""
    selector = f"involvedObject.name={name},reason=TemplateChanged"
    found = kube.wait("Event", lambda: kube.list("events", namespace, fieldSelector=selector))
    return str(found[0]["message"])


def test_a_template_that_has_changed_or_gone_since_is_told(kube: Kube, namespace: str, operator: Operator) -> None:
    mine = {"templateRef": {"name": "passing"}}
    first = kube.create(template(namespace, "passing"))["metadata"]["generation"]
    run(kube, invocation(namespace, "passing", "true", ["host-0"], **mine))
    edited = kube.patch("jobtemplates", namespace, "passing", {"spec": {"category": "Other"}})["metadata"]["generation"]
    assert edited > first
    run(kube, again(namespace, "passing-edited", "passing", "All", **mine))
    message = said_of_the_template(kube, namespace, "passing-edited")
    had = f"the earlier run had passing, generation {first}"
    assert message == f"the template is passing, generation {edited}; {had}"
    kube.delete("jobtemplates", namespace, "passing")
    ended = run(kube, again(namespace, "passing-gone", "passing", "All", **mine))
    failed = condition(ended, "Failed") or {}
    assert (failed["reason"], "passing" in failed["message"]) == ("TemplateNotFound", True)
    kube.create(template(namespace, "passing"))
    run(kube, again(namespace, "passing-anew", "passing", "All", **mine))
    message = said_of_the_template(kube, namespace, "passing-anew")
    assert message.endswith(f"{had}, which has been deleted since")


def test_admission_wants_one_source_of_hosts(kube: Kube, namespace: str, operator: Operator, origin: str) -> None:
    both = again(namespace, "again-both", origin, "All", targeting={"selector": {}})
    with pytest.raises(Exception, match="either targeting, or rerunOf"):
        kube.create(both)
