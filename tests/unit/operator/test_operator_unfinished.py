"""Only an invocation that has something left to do costs the operator a task."""

from typing import Any

import kopf
import pytest

from rollcall_operator.handlers import unfinished


def condition(type_: Any, status: Any = "True") -> dict[str, Any]:
    return {"type": type_, "status": status}


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ({}, True),
        ({"status": {}}, True),
        ({"status": {"conditions": None}}, True),
        ({"status": {"conditions": []}}, True),
        ({"status": {"conditions": [condition("Valid"), condition("Resolved")]}}, True),
        ({"status": {"conditions": [condition("Complete", "False")]}}, True),
        ({"status": {"conditions": [condition("Failed", "Unknown")]}}, True),
        ({"status": {"conditions": [{}]}}, True),
        ({"status": {"conditions": [condition("Valid"), condition("Complete")]}}, False),
        ({"status": {"conditions": [condition("Failed")]}}, False),
    ],
)
def test_an_invocation_is_unfinished_until_it_is_complete_or_failed(body: dict[str, Any], expected: bool) -> None:
    assert unfinished(kopf.Body(body)) is expected  # type: ignore[arg-type]
