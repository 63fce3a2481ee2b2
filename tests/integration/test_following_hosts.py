"""A person follows each host's fate through what `kubectl describe` prints, from the job to its slice, no more."""

import base64
import re
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rollcall.outputs import unpack
from support.jobs import end_of, invocation, output, template
from support.kube import Kube
from support.operator import Operator
from support.sshhosts import HOSTS_NAMESPACE

Entry = dict[str, str]
"""What is said of one host below a heading, by the words that kubectl prints before the colon."""

SCRIPT = """
case $(hostname) in
host-0) echo out of paper >&2; exit 3;;
host-2) [ -e {mark} ] || {{ touch {mark}; echo not yet; exit 75; }};;
host-4) echo begun; sleep 300;;
host-5) mv /etc/sudoers.d/hosts /root/kept; echo begun; sleep 54321;;
esac
"""
"""Runs as root, so that host-5 can take away the right to become root again, which stopping it needs."""


def describe(kube: Kube, namespace: str, kind: str, name: str) -> str:
    command = ["kubectl", "--kubeconfig", str(kube.kubeconfig), "-n", namespace, "describe", kind, name]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


def entries(text: str, heading: str, name: str = "Host") -> dict[str, Entry]:
    """The entries of a list in the status, by host. kubectl prints them one below the other, each by the alphabet."""
    found: list[Entry] = []
    _, _, below = text.partition("\nStatus:\n")[2].partition(f"\n  {heading}:\n")
    last = ""
    for line in below.splitlines():
        if line and not line.startswith("    "):
            break
        if word := re.match(r" {4}(\S[^:]*):\s*(.*)", line):
            if not found or word[1] <= last:
                found.append({})
            last = word[1]
            found[-1][last] = word[2]
        elif found:
            found[-1][last] += f"\n{line.strip()}"
    return {entry[name]: entry for entry in found}


def value(text: str, words: str) -> str:
    """What stands behind the words, wherever they are."""
    found = re.search(rf"^ *{words}: +(.*)$", text, re.MULTILINE)
    assert found, text
    return found[1]


@contextmanager
def sudoers_put_back(kube: Kube, host: str) -> Iterator[None]:
    """The host is afterwards as it was, whatever the script has done there."""
    try:
        yield
    finally:
        command = ["kubectl", "--kubeconfig", str(kube.kubeconfig), "-n", HOSTS_NAMESPACE, "exec", host, "--"]
        script = "[ ! -e /root/kept ] || mv /root/kept /etc/sudoers.d/hosts; pkill -f 'sleep 5432[1]'; true"
        subprocess.run([*command, "sh", "-c", script], check=True)


def test_each_host_can_be_followed_from_what_describe_prints(kube: Kube, namespace: str, operator: Operator) -> None:
    root = {"script": "{{ inputs.command | raw }}\n", "effectiveUser": {"name": "root", "method": "Sudo"}}
    kube.create(template(namespace, "as-root", ssh=root))
    kube.create(template(namespace, "nowhere", runner={"nodeSelector": {"rollcall.dev/no-such": "node"}}))
    kube.create(invocation(namespace, "stuck", "true", ["host-8"], templateRef={"name": "nowhere"}))
    followed = invocation(
        namespace, "followed", SCRIPT.format(mark=f"/tmp/{namespace}"), [f"host-{n}" for n in range(8)],
        templateRef={"name": "as-root"}, rollout={"hostsPerSlice": 2, "batches": [6, "100%"], "maxFailed": 1},
        backoffLimit=1, backoffSeconds=5, retryOnExitCodes=[75],
    )  # fmt: skip
    with sudoers_put_back(kube, "host-5"):
        kube.create(followed)
        _, again = look(kube, namespace, "followed", _failed_once)
        at_work, _ = look(kube, namespace, "followed", _both_at_work)
        retried = kube.wait("a second attempt that has ended", lambda: _ended(kube, namespace, again["Slice"]), 60)
        kube.patch("jobinvocations", namespace, "followed", {"spec": {"cancellation": {"hosts": ["host-4", "host-5"]}}})
        end_of(kube, namespace, "followed", 90)
    text = describe(kube, namespace, "ji", "followed")
    _those_that_wait(at_work, again)
    _those_that_ended(text)
    _the_failed_one(kube, namespace, entries(text, "Failures")["host-0"])
    _the_retried_one(kube, namespace, again, retried)
    for line in ("host-2 (ExitCode) in followed-1-r1", "2 hosts failed, and rollout.maxFailed is 1"):
        assert line in text.partition("\nEvents:")[2], text
    _, stuck = look(kube, namespace, "stuck", lambda text: _is(text, "Unfinished", "host-8", Reason="Unschedulable"))
    assert (stuck["State"], stuck["Slice"]) == ("Pending", "stuck-0")
    assert "no node takes the runner pod" in stuck["Message"]
    assert value(describe(kube, namespace, "js", "stuck-0"), "Waiting Reason") == "Unschedulable"


def look(kube: Kube, namespace: str, name: str, found: Callable[[str], Entry | None]) -> tuple[str, Entry]:
    """The description of a job once it has the entry, and that entry."""

    def probe() -> tuple[str, Entry] | None:
        text = describe(kube, namespace, "ji", name)
        entry = found(text)
        return (text, entry) if entry else None

    return kube.wait(f"entry about {name}", probe, 60, interval=0.3)


def _is(text: str, heading: str, host: str, **words: str) -> Entry | None:
    """The entry of the host, if it says these words."""
    entry = entries(text, heading).get(host, {})
    return entry if words.items() <= entry.items() else None


def _failed_once(text: str) -> Entry | None:
    return _is(text, "Unfinished", "host-2", Reason="ExitCode", Attempt="1")


def _both_at_work(text: str) -> Entry | None:
    first = _is(text, "Unfinished", "host-4", State="Running")
    return first and _is(text, "Unfinished", "host-5", State="Running")


def _ended(kube: Kube, namespace: str, slice_: str) -> str | None:
    text = describe(kube, namespace, "js", slice_)
    return text if entries(text, "Hosts", "Name").get("host-2", {}).get("State") == "Succeeded" else None


def _those_that_wait(text: str, again: Entry) -> None:
    """While the job runs: two hosts at work in one pod, two whose batch has not come, one that failed once."""
    unfinished = entries(text, "Unfinished")
    assert (again["State"], again["Reason"], again["Slice"]) == ("Pending", "ExitCode", "followed-1-r1")
    assert again["Message"].startswith("the script ended with exit code 75; tried again from ")
    assert unfinished["host-4"]["Slice"] == unfinished["host-5"]["Slice"] == "followed-2"
    for host in ("host-6", "host-7"):
        waiting = unfinished[host]
        assert (waiting["State"], waiting["Slice"], waiting["Message"]) == (
            "Pending", "followed-3", "batch 2 has not begun",
        )  # fmt: skip


def _those_that_ended(text: str) -> None:
    """When it has ended: who failed, who was stopped, who could not be, and who never began."""
    failures, stopped = entries(text, "Failures"), entries(text, "Stopped")
    assert not entries(text, "Unfinished")
    assert {host: (fate["State"], fate["Reason"], fate["Slice"]) for host, fate in (failures | stopped).items()} == {
        "host-0": ("Failed", "ExitCode", "followed-0"),
        "host-4": ("Cancelled", "Cancelled", "followed-2"),
        "host-5": ("CancelFailed", "CancelFailed", "followed-2"),
        "host-6": ("NotStarted", "TooManyFailed", "followed-3"),
        "host-7": ("NotStarted", "TooManyFailed", "followed-3"),
    }
    assert "confirmed gone" in stopped["host-4"]["Message"]
    assert "the host did not let the login user become the effective one again" in failures["host-5"]["Message"]
    assert stopped["host-6"]["Message"].endswith("rollout.maxFailed is 1; it was not started")


def _the_failed_one(kube: Kube, namespace: str, fate: Entry) -> None:
    """From the failure to the slice, which tells of both hosts of its pod, and holds what they said."""
    text = describe(kube, namespace, "js", fate["Slice"])
    assert value(text, "Attempt") == fate["Attempt"] == "0"
    told = entries(text, "Hosts", "Name")
    assert (told["host-0"]["Exit Code"], told["host-0"]["Message"]) == ("3", fate["Message"])
    assert told["host-0"]["Start Time"] <= told["host-0"]["Completion Time"]
    assert "out of paper" in told["host-0"]["Output"]
    assert (told["host-1"]["State"], told["host-1"]["Exit Code"]) == ("Succeeded", "0")
    packed = re.search(r"^  Output: +(\S+)$", text, re.MULTILINE)
    assert packed, text
    said = [event for event in unpack(base64.b64decode(packed[1])) if event.host == "host-0"]
    assert output(said) == b"out of paper\n"


def _the_retried_one(kube: Kube, namespace: str, again: Entry, retried: str) -> None:
    """Each attempt has a slice, and the first one names the second."""
    first = describe(kube, namespace, "js", "followed-1")
    assert value(first, "Retry Slice") == again["Slice"]
    assert entries(first, "Hosts", "Name")["host-2"]["Exit Code"] == "75"
    assert "not yet" in entries(first, "Hosts", "Name")["host-2"]["Output"]
    assert value(retried, "Attempt") == again["Attempt"]
