"""A finished invocation is kept for `ttlSecondsAfterFinished` (KEP-592)."""

from datetime import timedelta
from typing import Any

import pytest

from rollcall.plan.expiry import expires_at
from unit.core.objects import NOW, invocation

MOMENT = NOW.strftime("%Y-%m-%dT%H:%M:%SZ")


def ended(type_: str, value: str = "True") -> dict[str, Any]:
    condition = {"type": type_, "status": value, "lastTransitionTime": MOMENT, "reason": "X"}
    return {"completionTime": MOMENT, "conditions": [condition]}


@pytest.mark.parametrize("type_", ["Complete", "Failed"])
@pytest.mark.parametrize("ttl", [0, 1, 86_400])
def test_a_finished_invocation_expires_after_its_time(type_: str, ttl: int) -> None:
    found = expires_at(invocation(ttlSecondsAfterFinished=ttl, status=ended(type_)))
    assert found == NOW.replace(microsecond=0) + timedelta(seconds=ttl)


@pytest.mark.parametrize(
    ("ttl", "status"),
    [
        (None, ended("Complete")),
        (60, {}),
        (60, ended("Failed", "False")),
        (60, ended("Resolved")),
        (60, ended("Complete") | {"completionTime": None}),
    ],
)
def test_other_invocations_are_kept(ttl: int | None, status: dict[str, Any]) -> None:
    assert expires_at(invocation(ttlSecondsAfterFinished=ttl, status=status)) is None
