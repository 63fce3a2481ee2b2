"""A host's last contact is written down after a job has run something there, and at most once a day."""

from typing import Any

import pytest

from rollcall.plan.contacts import contacts, is_news
from rollcall.playbook import NOTHING_FOR_IT
from rollcall.resources.host import Host
from unit.core.objects import NOW, after, host, slice_, template

END = "2026-03-01T12:00:05Z"


@pytest.mark.parametrize(
    ("result", "there"),
    [
        ({"state": "Succeeded", "exitCode": 0}, True),
        ({"state": "Succeeded", "exitCode": 0, "message": NOTHING_FOR_IT}, False),
        ({"state": "Failed", "reason": "ExitCode", "exitCode": 3}, True),
        ({"state": "Failed", "reason": "Timeout"}, True),
        ({"state": "Failed", "reason": "PrivilegeEscalationFailed"}, True),
        ({"state": "Failed", "reason": "Unreachable"}, False),
        ({"state": "Failed", "reason": "HostKeyMismatch"}, False),
        ({"state": "Failed", "reason": "HostNotFound"}, False),
        ({"state": "NotStarted"}, False),
        ({"state": "Cancelled"}, False),
    ],
)
def test_only_what_proves_that_the_machine_was_there_counts(result: dict[str, Any], there: bool) -> None:
    status = slice_(0, "a", status={"hosts": [{"name": "a", "completionTime": END} | result]}).status
    assert [name for name, _ in contacts(template(), [status])] == (["a"] if there else [])


def test_a_script_in_the_pod_says_nothing_of_the_host() -> None:
    status = slice_(0, "a", status={"hosts": [{"name": "a", "state": "Succeeded", "completionTime": END}]}).status
    in_pod = template(provider="Pod", ssh=None, pod={"image": "registry.example/tools:1", "script": "true"})
    assert list(contacts(in_pod, [status])) == []
    assert list(contacts(None, [status])) == []


def test_it_is_news_once_a_day() -> None:
    def known(seconds: float) -> Host:
        moment = after(-seconds).strftime("%Y-%m-%dT%H:%M:%SZ")
        return Host.model_validate({"metadata": {"name": "a"}, "status": {"lastContactTime": moment}})

    assert is_news(host("a"), NOW)
    assert not is_news(known(3_600), NOW)
    assert is_news(known(90_000), NOW)
