"""What the end of the container that fetches a playbook says of its pod."""

from typing import Any

import pytest

from rollcall.names import Reason
from rollcall.plan.pods import read_pod


@pytest.mark.parametrize(
    ("code", "deleted", "reason"),
    [
        (143, True, Reason.POD_DELETED),
        (137, True, Reason.POD_DELETED),
        (1, True, Reason.FETCH_FAILED),
        (143, False, Reason.FETCH_FAILED),
    ],
)
def test_a_fetch_that_a_signal_has_ended_with_its_pod_has_not_failed(code: int, deleted: bool, reason: Reason) -> None:
    now = "2026-03-01T10:00:00Z"
    document: dict[str, Any] = {
        "metadata": {
            "name": "job-0",
            "namespace": "fleet",
            "uid": "4f7c1a3e",
            "resourceVersion": "8",
            "creationTimestamp": now,
            "labels": {"rollcall.dev/invocation": "job", "rollcall.dev/slice": "job-0"},
            **({"deletionTimestamp": now} if deleted else {}),
        },
        "status": {
            "phase": "Failed",
            "initContainerStatuses": [{"name": "fetch", "state": {"terminated": {"exitCode": code}}}],
            "containerStatuses": [{"name": "runner", "state": {"waiting": {"reason": "PodInitializing"}}}],
        },
    }
    trouble = read_pod(document).trouble
    assert trouble is not None
    assert trouble.reason is reason
