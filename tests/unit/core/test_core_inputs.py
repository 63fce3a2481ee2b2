"""An invocation's inputs get the types that the template declares, or its author is told what to change."""

from typing import Any

import pytest

from rollcall.template import InputError, bind_inputs
from unit.core.objects import template


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


@pytest.mark.parametrize("type_", ["String", "Integer", "Number", "Boolean", "Choice"])
def test_an_optional_input_without_a_value_is_empty(type_: str) -> None:
    assert bind_inputs(template(inputs=[{"name": "x", "type": type_}]), {}) == {"x": ""}
