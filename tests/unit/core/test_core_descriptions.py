"""Descriptions follow contracts/foreman.md §4.7."""

from typing import Any

import pytest

from rollcall.inputs import bind_inputs
from rollcall.resources.jobtemplate import JobTemplate
from rollcall.template import describe
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


HIDDEN = [
    {"name": "pin", "hidden": True},
    {"name": "token", "type": "Secret"},
    {"name": "plain"},
    {"name": "os", "valueFrom": {"fact": "os.family"}},
]


def test_hidden_values_show_as_three_asterisks_and_missing_ones_as_two_quotes() -> None:
    chosen = template(inputs=HIDDEN, descriptionFormat="%{pin} %{token} %{plain} %{os}")
    assert describe(chosen, bind_inputs(chosen, {"pin": "4711", "plain": "seen"})) == "*** '' seen ''"
    inputs = bind_inputs(chosen, {}, {"token": "canary", "plain": "canary"})
    assert describe(chosen, inputs, from_secrets={"token", "plain"}) == "'' *** *** ''"


def test_the_default_does_not_name_what_differs_from_host_to_host() -> None:
    chosen = template(inputs=HIDDEN)
    assert describe(chosen, bind_inputs(chosen, {})) == "run with inputs pin=\"''\" token=\"''\" plain=\"''\""


def test_a_huge_value_costs_no_more_than_what_is_shown() -> None:
    assert describe(declared(), {"command": "ä" * 250_000}, "%{command}" * 100) == "ä" * 255
