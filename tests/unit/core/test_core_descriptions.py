"""Descriptions follow contracts/foreman.md §4.7."""

from typing import Any

import pytest

from rollcall.resources.jobtemplate import JobTemplate
from rollcall.template import bind_inputs, describe
from unit.core.objects import template

INPUTS = [{"name": "command"}, {"name": "count", "type": "Integer"}, {"name": "force", "type": "Boolean"}]


def declared(**spec: Any) -> JobTemplate:
    return template(inputs=INPUTS, displayName="Run Command", category="Commands", **spec)


@pytest.mark.parametrize(
    ("own", "override", "expected"),
    [
        ("Run %{command}", None, "Run uptime"),
        ("Run %{command}", "%{job_category}: %{template_name}", "Commands: Run Command"),
        ("Run %{command}", "", "Run uptime"),
        ("format", None, "format"),
        ("%{command} %{command}", None, "uptime uptime"),
        ("%{unknown}", None, "''"),
        ("%{}", None, "''"),
        ("%{ command}", None, "''"),
        ("%{count} %{force}", None, "0 false"),
        ("100% of {command} %{command", None, "100% of {command} %{command"),
        (None, None, 'Run Command with inputs command="uptime" count="0" force="false"'),
        (None, "mine", "mine"),
    ],
)
def test_a_description_follows_the_format(own: str | None, override: str | None, expected: str) -> None:
    chosen = declared(**({"descriptionFormat": own} if own else {}))
    inputs = bind_inputs(chosen, {"command": "uptime", "count": 0, "force": "no"})
    assert describe(chosen, inputs, override) == expected


def test_an_input_without_a_value_shows_as_two_quotes() -> None:
    chosen = declared(descriptionFormat="Run %{command} %{count}")
    assert describe(chosen, bind_inputs(chosen, {})) == "Run '' ''"


def test_without_inputs_the_default_is_the_template_s_title() -> None:
    assert describe(template(), {}) == "run"
    assert describe(template(displayName="Patch all"), {}) == "Patch all"


def test_a_value_that_looks_like_a_placeholder_is_left_alone() -> None:
    assert describe(declared(), {"command": "%{job_category}"}, "%{command}") == "%{job_category}"


def test_a_description_is_cut_to_255_characters() -> None:
    assert describe(declared(), {"command": "ä" * 400}, "> %{command}") == "> " + "ä" * 253
