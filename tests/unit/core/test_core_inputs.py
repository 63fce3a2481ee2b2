"""An invocation's inputs get the types that the template declares, or its author is told what to change."""

from typing import Any

import pytest

from rollcall.inputs import InputError, bind_inputs, read_host
from unit.core.objects import host, template


def bound(type_: str, value: Any, **more: Any) -> Any:
    declared = template(inputs=[{"name": "x", "type": type_, **more}])
    return bind_inputs(declared, {"x": value})["x"]


@pytest.mark.parametrize(
    ("type_", "value", "expected"),
    [
        ("String", "a b", "a b"),
        ("String", "", ""),
        ("String", 12, "12"),
        ("String", True, "true"),
        ("Integer", "12", 12),
        ("Integer", 12, 12),
        ("Integer", "-7", -7),
        ("Integer", "+7", 7),
        ("Integer", "007", 7),
        ("Number", "1.5", 1.5),
        ("Number", 2, 2.0),
        ("Number", ".5", 0.5),
        ("Number", "1.", 1.0),
        ("Number", "-2e-3", -0.002),
        ("Boolean", "true", True),
        ("Boolean", "Yes", True),
        ("Boolean", "1", True),
        ("Boolean", 1, True),
        ("Boolean", "on", True),
        ("Boolean", "FALSE", False),
        ("Boolean", "no", False),
        ("Boolean", 0, False),
        ("Boolean", "off", False),
        ("Boolean", True, True),
    ],
)
def test_a_value_is_read_in_the_type_of_its_input(type_: str, value: Any, expected: Any) -> None:
    found = bound(type_, value)
    assert found == expected
    assert type(found) is type(expected)


def test_a_choice_is_one_of_its_options() -> None:
    assert bound("Choice", "b", options=["a", "b"]) == "b"


@pytest.mark.parametrize(
    ("type_", "value", "message"),
    [
        ("Integer", "1.5", "input x must be of type Integer, not '1.5'"),
        ("Integer", "", "input x must be of type Integer, not ''"),
        ("Integer", "1 ", "input x must be of type Integer, not '1 '"),
        ("Integer", "1\n", "input x must be of type Integer, not '1\\n'"),
        ("Integer", "0x10", "input x must be of type Integer, not '0x10'"),
        ("Integer", "9" * 20, f"input x must be of type Integer, not '{'9' * 20}'"),
        ("Integer", True, "input x must be of type Integer, not 'true'"),
        ("Number", "nan", "input x must be of type Number, not 'nan'"),
        ("Number", "inf", "input x must be of type Number, not 'inf'"),
        ("Number", "1e", "input x must be of type Number, not '1e'"),
        ("Number", ".", "input x must be of type Number, not '.'"),
        ("Number", "1,5", "input x must be of type Number, not '1,5'"),
        ("Boolean", "maybe", "input x must be of type Boolean, not 'maybe'"),
        ("Boolean", "2", "input x must be of type Boolean, not '2'"),
        ("String", ["a"], "input x must be a single String value, not a list or an object"),
        ("Number", {"a": 1}, "input x must be a single Number value, not a list or an object"),
    ],
)
def test_a_value_of_the_wrong_type_is_refused_with_the_type_that_is_wanted(
    type_: str, value: Any, message: str
) -> None:
    with pytest.raises(InputError) as refused:
        bound(type_, value)
    assert str(refused.value) == message


def test_a_number_too_large_for_the_shell_to_read_is_refused() -> None:
    with pytest.raises(InputError):
        bound("Number", "1e999")


def test_a_wrong_choice_is_refused_with_the_right_ones() -> None:
    with pytest.raises(InputError) as refused:
        bound("Choice", "c", options=["a", "b"])
    assert str(refused.value) == "input x must be one of a, b, not 'c'"


def test_an_unknown_input_is_refused_with_the_known_ones() -> None:
    with pytest.raises(InputError) as refused:
        bind_inputs(template(inputs=[{"name": "a"}, {"name": "b"}]), {"a": "1", "z": "1", "y": "1"})
    assert str(refused.value) == "template run has no input y, z, only: a, b"


def test_a_template_without_inputs_takes_none() -> None:
    with pytest.raises(InputError) as refused:
        bind_inputs(template(), {"a": "1"})
    assert str(refused.value) == "template run has no input a, only: none"


@pytest.mark.parametrize("given", [{}, {"a": "", "b": "1"}])
def test_a_missing_or_empty_required_input_is_asked_for(given: dict[str, str]) -> None:
    declared = template(inputs=[{"name": "a", "required": True}, {"name": "b"}, {"name": "c", "required": True}])
    with pytest.raises(InputError) as refused:
        bind_inputs(declared, given)
    assert str(refused.value) == "template run needs a value for: a, c"


def test_defaults_are_typed_like_given_values() -> None:
    declared = template(
        inputs=[
            {"name": "count", "type": "Integer", "default": "3"},
            {"name": "force", "type": "Boolean", "default": "no"},
            {"name": "who", "required": True, "default": "me"},
        ]
    )
    assert bind_inputs(declared, {"count": 5}) == {"count": 5, "force": False, "who": "me"}


def test_a_default_of_the_wrong_type_is_refused_like_a_given_value() -> None:
    declared = template(inputs=[{"name": "count", "type": "Integer", "default": "many"}])
    with pytest.raises(InputError, match="must be of type Integer, not 'many'"):
        bind_inputs(declared, {})


@pytest.mark.parametrize("type_", ["String", "Integer", "Number", "Boolean", "Choice", "Secret"])
def test_an_optional_input_without_a_value_is_empty(type_: str) -> None:
    assert bind_inputs(template(inputs=[{"name": "x", "type": type_}]), {}) == {"x": ""}


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ("a\0b", "input x has a NUL character, which no shell can hold"),
        ("\ud800", "input x has a character that is none"),
        ("ä" * 131_073, "input x has 262146 bytes, more than 262144"),
    ],
)
def test_text_that_no_script_can_hold_is_refused(value: str, message: str) -> None:
    with pytest.raises(InputError) as refused:
        bound("String", value)
    assert str(refused.value) == message


def test_a_long_wrong_value_is_not_said_in_full() -> None:
    with pytest.raises(InputError) as refused:
        bound("Integer", "x" * 100_000)
    assert str(refused.value) == f"input x must be of type Integer, not '{'x' * 60}'..."


@pytest.mark.parametrize(
    ("type_", "limits", "value", "message"),
    [
        ("Integer", {"minimum": 1}, "0", "input x must be at least 1, not '0'"),
        ("Integer", {"maximum": 9}, 10, "input x must be at most 9, not '10'"),
        ("Number", {"minimum": 0.5}, "0.4", "input x must be at least 0.5, not '0.4'"),
        ("Number", {"maximum": 100_000_000}, "1e9", "input x must be at most 100000000, not '1e9'"),
        ("String", {"pattern": "[a-z]+"}, "abc1", "input x must match [a-z]+, not 'abc1'"),
        ("String", {"pattern": "a|ab"}, "abc", "input x must match a|ab, not 'abc'"),
        ("String", {"pattern": "[a-z]+", "required": True}, "ABC", "input x must match [a-z]+, not 'ABC'"),
        ("String", {"pattern": "a*"}, "a" * 4_097, "input x has 4097 characters; with a pattern, at most 4096"),
        ("String", {"pattern": "("}, "a", "the pattern of input x is no regular expression: missing ): ("),
    ],
)
def test_a_value_out_of_bounds_is_refused_with_the_bound(
    type_: str, limits: dict[str, Any], value: Any, message: str
) -> None:
    with pytest.raises(InputError) as refused:
        bound(type_, value, **limits)
    assert str(refused.value) == message


@pytest.mark.parametrize(
    ("type_", "limits", "value"),
    [
        ("Integer", {"minimum": 1, "maximum": 1}, 1),
        ("Number", {"minimum": -0.5}, -0.5),
        ("String", {"pattern": "[a-z]+|[0-9]{3}"}, "123"),
        ("String", {"pattern": "\\p{Greek}+"}, "αβγ"),
        ("String", {"pattern": "(?s)a.b"}, "a\nb"),
        ("String", {"pattern": "[a-z]+"}, ""),
    ],
)
def test_a_value_within_its_bounds_is_taken(type_: str, limits: dict[str, Any], value: Any) -> None:
    assert bound(type_, value, **limits) == value


SECRET = {"name": "token", "type": "Secret", "required": True}


def test_a_secret_comes_from_a_secret_and_not_from_the_spec() -> None:
    declared = template(inputs=[SECRET])
    assert bind_inputs(declared, {}, {"token": "s3cret", "other": "ignored"}) == {"token": "s3cret"}
    with pytest.raises(InputError) as refused:
        bind_inputs(declared, {"token": "s3cret"})
    assert str(refused.value) == (
        "input token is a Secret and cannot be given in spec.inputs, where everybody can read it: put it into a Secret"
        " under the key token, and name that Secret in spec.inputsFrom"
    )


def test_a_missing_secret_is_asked_for_with_the_way_to_give_it() -> None:
    with pytest.raises(InputError) as refused:
        bind_inputs(template(inputs=[SECRET, {"name": "a", "required": True}]), {})
    assert str(refused.value) == (
        "template run needs a value for: token, a; a Secret named in spec.inputsFrom must have: token"
    )


def test_any_input_can_come_from_a_secret_and_what_the_spec_gives_comes_first() -> None:
    declared = template(inputs=[{"name": "count", "type": "Integer", "default": "1"}, {"name": "who"}])
    assert bind_inputs(declared, {"who": "me"}, {"count": "7", "who": "you"}) == {"count": 7, "who": "me"}


@pytest.mark.parametrize(
    ("entry", "value"),
    [
        ({"type": "String", "pattern": "[a-z]+"}, "*****"),
        ({"type": "Secret"}, "*****"),
        ({"type": "Choice", "options": ["a", "b"]}, "a"),
        ({"type": "Boolean"}, True),
        ({"type": "Integer"}, 1),
        ({"type": "Integer", "minimum": 5}, 5),
        ({"type": "Number", "maximum": 0.5}, 0.5),
    ],
)
def test_a_value_that_was_not_looked_at_is_stood_in_for(entry: dict[str, Any], value: Any) -> None:
    declared = template(inputs=[{"name": "x", "required": True, **entry}])
    assert bind_inputs(declared, {}, {"x": None}) == {"x": value}


FACTS = {"os": {"family": "Debian", "none": None}, "disks": [{"size": 5}], "up": True}
VARIABLES = {"http_port": "8080", "a.b": "dotted"}


def from_host(source: dict[str, str], **entry: Any) -> Any:
    declared = template(inputs=[{"name": "x", "valueFrom": source, **entry}])
    assert bind_inputs(declared, {}) == {}
    return read_host(declared, host("web1", facts=FACTS, variables=VARIABLES))["x"]


@pytest.mark.parametrize(
    ("source", "entry", "expected"),
    [
        ({"fact": "os.family"}, {}, "Debian"),
        ({"fact": "disks.0.size"}, {"type": "Integer"}, 5),
        ({"fact": "up"}, {"type": "Boolean"}, True),
        ({"fact": "up"}, {}, "true"),
        ({"variable": "http_port"}, {"type": "Integer"}, 8080),
        ({"variable": "a.b"}, {}, "dotted"),
        ({"fact": "os.none"}, {"default": "x"}, "x"),
        ({"fact": "disks.1"}, {"default": "x"}, "x"),
        ({"fact": "os.family.deeper"}, {"default": "x"}, "x"),
        ({"variable": "nope"}, {"type": "Integer", "default": "9"}, 9),
    ],
)
def test_a_value_is_read_from_the_host(source: dict[str, str], entry: dict[str, Any], expected: Any) -> None:
    assert from_host(source, **entry) == expected


@pytest.mark.parametrize(
    ("source", "entry", "message"),
    [
        ({"fact": "os.release"}, {}, "Host web1 has no spec.facts.os.release, which input x is read from; give it one"),
        ({"variable": "nope"}, {}, "Host web1 has no spec.variables.nope, which input x is read from; give it one"),
        ({"fact": "os"}, {}, "input x must be a single String value, not a list or an object"),
        ({"fact": "os.family"}, {"type": "Integer"}, "input x must be of type Integer, not 'Debian'"),
        ({"fact": "os.family"}, {"pattern": "[a-z]+"}, "input x must match [a-z]+, not 'Debian'"),
    ],
)
def test_a_host_without_the_value_says_which(source: dict[str, str], entry: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError) as refused:
        from_host(source, **entry)
    assert str(refused.value).startswith(message)


def test_a_value_of_the_host_cannot_be_given() -> None:
    with pytest.raises(InputError) as refused:
        bind_inputs(template(inputs=[{"name": "x", "valueFrom": {"fact": "os.family"}}]), {"x": "Debian"})
    assert str(refused.value) == "input x is read from each Host's spec.facts.os.family and cannot be given"


def test_too_many_facts_are_not_read() -> None:
    declared = template(inputs=[{"name": "x", "valueFrom": {"fact": "a"}}])
    with pytest.raises(InputError, match="^Host web1: spec.facts has 32776 bytes as JSON, more than 32768$"):
        read_host(declared, host("web1", facts={"a": "x" * 32_768}))
