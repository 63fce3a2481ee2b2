"""What comes from a Secret, or is hidden, is in the work of a slice and in no sentence about it."""

import traceback
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rollcall.inputs import InputError, bind_inputs, read_host
from rollcall.plan.observed import Observed
from rollcall.plan.prepare import prepare
from rollcall.plan.resolution import Problem, examine
from rollcall.template import RenderError, describe
from rollcall.work import Work
from unit.core.objects import NOW, host, invocation, script_for, slice_, template

CANARY = "canary-4711"
NUMBER = 471_147_114_711
TOKEN = {"name": "token", "type": "Secret"}
FACTS = {CANARY: {"known": {"deeper": 1}}, "list": [1]}
HOSTILE = [
    "{{ inputs[inputs.token] }}",
    "{{ inputs[inputs.token ~ 'x'] | upper }}",
    "{{ host[inputs.token] }}",
    "{{ host.facts[inputs.token] }}",
    "{{ host.facts[inputs.token].nope }}",
    "{{ host.facts[inputs.token].known }}",
    "{{ host.facts[inputs.token].known.nope }}",
    "{{ host.facts[inputs.token][inputs.token] }}",
    "{{ host.facts.list[inputs.token] }}",
    "{{ host.variables[inputs.token] | raw }}",
    "{{ inputs.token.nope }}",
    "{{ inputs.token[99] }}",
    "{{ inputs.token[inputs.token] }}",
    "{{ inputs.token + 1 }}",
    "{{ inputs.token - inputs.token }}",
    "{{ '%s' % inputs.token }}",
    "{{ inputs.token * 3 }}",
    "{{ inputs.token ** 3 }}",
    "{{ 1 / (inputs.token | int) }}",
    "{{ -inputs.token }}",
    "{{ inputs.token | abs }}",
    "{{ inputs.token > 1 }}",
    "{{ [inputs.token] }}",
    "{{ [inputs.token] | int | length }}",
    "{{ 1 in inputs.token.x }}",
    "{{ inputs.token in 5 }}",
    "{{ inputs.token | default(1, inputs.token, inputs.token) }}",
    "{{ inputs.token() }}",
    "{% if inputs.token %}{{ nope }}{% endif %}",
    "{{ (inputs.token ~ inputs.token) | float / 0 }}",
    "{{ (" + "inputs.token ~ " * 100 + "'') * 2 }}",
    "{{ inputs.token ~ '\\ud800' }}",
]


def told(declared: Any, secret: bytes, known: Any, job: Any = None) -> str:
    """All that is said about an invocation whose Secret holds the value, from its creation to the start of a slice."""
    job = job or invocation("a", inputsFrom=[{"secretRef": {"name": "inputs"}}])
    secrets = {"ops-key": {"password": CANARY.encode()}, "inputs": {"token": secret}}
    keys = {name: frozenset(data) for name, data in secrets.items()}
    hosts = {"a": known}
    found = examine(Observed(invocation=job, template=declared, hosts=hosts, secrets=keys), NOW)
    prepared = prepare(job, slice_(0, "a"), declared, hosts, secrets, 1_000)
    work = "" if prepared.work is None else repr(Work.load(prepared.work))
    reason = found.message if isinstance(found, Problem) else found.description
    return " ".join((reason, repr(found), repr(prepared.failures), work, str(prepared.failures.get("a", ""))))


@pytest.mark.parametrize("script", HOSTILE)
def test_no_script_can_make_a_message_tell_a_secret(script: str) -> None:
    declared = template(script, [TOKEN])
    known = host("a", facts=FACTS, variables={"x": "1"})
    said = told(declared, CANARY.encode(), known)
    assert CANARY not in said
    with pytest.raises(RenderError) as refused:
        script_for(declared, bind_inputs(declared, {}, {"token": CANARY}), known)
    assert CANARY not in "".join(traceback.format_exception(refused.value))


def test_hostile_scripts_are_hostile_without_secrets_too() -> None:
    """So that the test above does not pass because nothing is rendered at all."""
    declared = template("{{ inputs.token }}{{ host.facts[inputs.token].known.deeper }}", [TOKEN])
    assert script_for(declared, bind_inputs(declared, {}, {"token": CANARY}), host(facts=FACTS)) == f"{CANARY}1"


@pytest.mark.parametrize(
    ("entry", "value"),
    [
        ({"type": "Secret", "pattern": "[0-9]+"}, CANARY),
        ({"type": "Secret", "pattern": "["}, CANARY),
        ({"type": "Secret", "pattern": ".*"}, CANARY * 1_000),
        ({"type": "Secret"}, CANARY * 50_000),
        ({"type": "Secret"}, CANARY + "\0"),
        ({"type": "Integer"}, CANARY),
        ({"type": "Number"}, CANARY),
        ({"type": "Boolean"}, CANARY),
        ({"type": "Choice", "options": ["a", "b"]}, CANARY),
        ({"type": "String", "pattern": "x"}, CANARY),
        ({"type": "Integer", "minimum": 1, "maximum": 2}, str(NUMBER)),
        ({"type": "Number", "minimum": 1e13}, str(NUMBER)),
    ],
)
def test_a_secret_of_the_wrong_type_is_refused_unsaid(entry: dict[str, Any], value: str) -> None:
    declared = template("id {{ inputs.token }}", [{"name": "token", **entry}], descriptionFormat="%{token}")
    said = told(declared, value.encode(), host("a"))
    assert CANARY not in said
    assert str(NUMBER) not in said
    with pytest.raises(InputError) as refused:
        bind_inputs(declared, {}, {"token": value})
    shown = "".join(traceback.format_exception(refused.value))
    assert CANARY not in shown
    assert str(NUMBER) not in shown


@pytest.mark.parametrize(
    "entry",
    [
        {"type": "Integer"},
        {"type": "Choice", "options": ["a"]},
        {"pattern": "[0-9]+"},
        {"type": "Boolean"},
    ],
)
def test_a_hidden_value_is_refused_unsaid_wherever_it_comes_from(entry: dict[str, Any]) -> None:
    given_ = template("id", [{"name": "pin", "hidden": True, **entry}])
    with pytest.raises(InputError) as refused:
        bind_inputs(given_, {"pin": CANARY})
    assert CANARY not in str(refused.value)
    of_host = template("id", [{"name": "pin", "hidden": True, "valueFrom": {"fact": "pin"}, **entry}])
    with pytest.raises(InputError) as refused:
        read_host(of_host, host("a", facts={"pin": CANARY}))
    assert CANARY not in str(refused.value)


def test_a_secret_that_is_no_text_is_refused_unsaid() -> None:
    said = told(template("id {{ inputs.token }}", [TOKEN]), CANARY.encode() + b"\xff", host("a"))
    assert CANARY not in said
    assert "holds a value that is not text" in said


CHARACTERS = st.characters(exclude_categories=["Cs"], exclude_characters="\0")
TEXT = st.text(CHARACTERS, min_size=4, max_size=40).map("§{}".format)
"""No text that a message has anyway."""


@given(TEXT, st.sampled_from(HOSTILE))
def test_no_secret_is_told_whatever_it_looks_like(secret: str, script: str) -> None:
    entries = [TOKEN, {"name": "text"}]
    declared = template(script, entries, descriptionFormat="%{token} %{text}")
    known = host("a", facts={secret: {"known": {"deeper": 1}}, "list": [1]})
    said = told(declared, secret.encode(), known)
    assert secret not in said
    assert repr(secret)[1:-1] not in said
    values = bind_inputs(declared, {}, {"token": secret, "text": secret})
    assert describe(declared, values, from_secrets={"token", "text"}) == "*** ***"
