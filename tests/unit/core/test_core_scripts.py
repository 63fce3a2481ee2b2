"""A script gets its inputs quoted for the shell, and nothing that an author writes in it harms the operator."""

import shlex
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rollcall.template import MAX_SCRIPT_BYTES, RenderError, bind_inputs, render_script
from unit.core.objects import host, template

TEXT = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=60)


def rendered(script: str, **inputs: Any) -> str:
    declared = template(script, inputs=[{"name": name} for name in inputs])
    return render_script(declared, bind_inputs(declared, inputs), host("web1", address="192.0.2.7"))


@given(TEXT)
def test_the_shell_sees_any_input_as_one_word_and_unchanged(value: str) -> None:
    assert shlex.split(rendered("printf %s {{ inputs.x }}", x=value)) == ["printf", "%s", value]


@given(TEXT, TEXT)
def test_inputs_that_are_joined_stay_one_word(first: str, second: str) -> None:
    line = rendered("printf %s {{ inputs.x ~ inputs.y }} {{ inputs.x }}{{ inputs.y }}", x=first, y=second)
    assert shlex.split(line) == ["printf", "%s", first + second, first + second]


@given(TEXT)
def test_a_choice_or_a_filter_does_not_lose_the_quotes(value: str) -> None:
    script = "{% if true %}printf {{ inputs.x }} {{ inputs.x | default('') }} {{ inputs.x if true else '' }}{% endif %}"
    assert shlex.split(rendered(script, x=value)) == ["printf", value, value, value]


@pytest.mark.parametrize(
    "script",
    [
        "{% set y = inputs.x %}{% set y = y ~ y %}",
        "{% for a in 'aa' %}{% for b in 'bb' %}{% endfor %}{% endfor %}",
        "{% macro m() %}{% endmacro %}",
        "{{ 'a'.center(300000000) }}",
        "{{ 'a' | center(300000000) }}",
        "{{ '{:>300000000}'.format(1) }}",
    ],
)
def test_what_computes_without_bound_is_no_part_of_the_language(script: str) -> None:
    with pytest.raises(RenderError):
        rendered(script, x="1")


@given(TEXT)
def test_raw_inserts_what_was_given(value: str) -> None:
    assert rendered("{{ inputs.x | raw }}", x=value) == value


@pytest.mark.parametrize(
    ("script", "expected"),
    [
        ("echo '{{ inputs.x | raw }}'\n", "echo 'a; b'\n"),
        ("echo {{ inputs.x }}\n", "echo 'a; b'\n"),
        ("echo {{ inputs.x | raw | upper }}", "echo 'A; B'"),
        ("echo {{ inputs.x | upper | raw }}", "echo A; B"),
        ("echo {{ inputs['x'] }}", "echo 'a; b'"),
        ("{% if inputs.x %}yes{% else %}no{% endif %}", "yes"),
        ("ping {{ host.name }} {{ host.address }}", "ping web1 192.0.2.7"),
        ("{% raw %}{{ not ours }}{% endraw %}", "{{ not ours }}"),
        ("a {# says nothing #}b", "a b"),
        ("{{ 1 + 1 }} {{ true }} {{ inputs.z is defined }}", "2 true false"),
        ("awk '{print $1}' # {}\n\n", "awk '{print $1}' # {}\n\n"),
    ],
)
def test_a_script_reads_its_inputs_and_its_host(script: str, expected: str) -> None:
    assert rendered(script, x="a; b") == expected


@pytest.mark.parametrize(("given_", "expected"), [("true", "true"), ("no", "false")])
def test_a_boolean_is_written_as_the_shell_would(given_: str, expected: str) -> None:
    declared = template("{{ inputs.b }}", inputs=[{"name": "b", "type": "Boolean"}])
    assert render_script(declared, bind_inputs(declared, {"b": given_}), host()) == expected


@pytest.mark.parametrize("name", ["x", "_", "items", "keys", "values", "get", "copy", "pop", "update"])
def test_an_input_may_have_any_name_that_the_schema_allows(name: str) -> None:
    assert rendered("{{ inputs.%s }}" % name, **{name: "value"}) == "value"  # noqa: UP031


@pytest.mark.parametrize(
    ("script", "words"),
    [
        ("{{ inputs.y }}", "has no attribute 'y'"),
        ("{{ inputs.y | raw }}", "has no attribute 'y'"),
        ("{{ y }}", "'y' is undefined"),
        ("{% if inputs.y %}{% endif %}", "has no attribute 'y'"),
        ("{{ inputs.x | shout }}", "No filter named 'shout'"),
        ("{{ 1 / 0 }}", "ZeroDivisionError"),
        ("{% include 'other' %}", "include is not allowed"),
        ("{% for n in range(9) %}{% endfor %}", "for is not allowed"),
    ],
)
def test_what_cannot_be_rendered_is_said_with_the_template_named(script: str, words: str) -> None:
    with pytest.raises(RenderError) as refused:
        rendered(script, x="1")
    assert str(refused.value).startswith("the script of template run cannot be rendered")
    assert words in str(refused.value)


@pytest.mark.parametrize(
    ("script", "line"),
    [("{{", 1), ("ok\nok\n{% if %}\n", 3), ("a\n{{ inputs.x }", 2), ("{% endfor %}", 1), ("\n\n{{ 'a }}", 3)],
)
def test_a_syntax_error_is_said_with_its_line(script: str, line: int) -> None:
    with pytest.raises(RenderError, match=rf"^the script of template run cannot be rendered in line {line}: "):
        rendered(script, x="1")


@pytest.mark.parametrize(
    "script",
    [
        "{{ ''.__class__ }}",
        "{{ ''.__class__.__mro__[1].__subclasses__() }}",
        "{{ inputs.__class__.__base__ }}",
        "{{ host.__init__.__globals__ }}",
        "{{ inputs['__class__'] }}",
        "{{ self.__init__.__globals__ }}",
        "{{ (inputs | attr('__class__')) }}",
        "{{ '{0.__class__.__mro__}'.format(inputs) | raw }}",
        "{{ cycler.__init__.__globals__.os }}",
        "{{ lipsum.__globals__ }}",
        "{% do inputs.clear() %}",
        "{{ inputs.update({'x': 1}) }}",
        "{{ [].append(1) }}",
        "{% import 'os' as os %}",
    ],
)
def test_no_way_leads_out_of_the_sandbox(script: str) -> None:
    with pytest.raises(RenderError):
        rendered(script, x="1")


def test_a_script_may_be_as_long_as_the_limit_and_not_longer() -> None:
    assert len(rendered("{{ inputs.x | raw }}", x="ä" * (MAX_SCRIPT_BYTES // 2))) == MAX_SCRIPT_BYTES // 2
    with pytest.raises(RenderError, match=f"^the script of template run is over {MAX_SCRIPT_BYTES} bytes$"):
        rendered("{{ inputs.x | raw }}", x="ä" * (MAX_SCRIPT_BYTES // 2) + "b")


@pytest.mark.parametrize("script", ["{{ '\\ud800' }}", "{{ '\\ud800' | raw }}", "{{ '%c' % 55296 }}"])
def test_a_character_that_is_none_is_refused_and_not_a_traceback(script: str) -> None:
    with pytest.raises(RenderError):
        rendered(script)


@pytest.mark.parametrize(
    "script", ["{{ (10 ** 200000) % 7 }}", "{{ ('a' * 50000000) | length }}", "{{ ('%50000000d' % 1) | length }}"]
)
def test_an_expression_that_could_stop_the_operator_is_refused(script: str) -> None:
    """`10 ** 10 ** 10` never ends, and `'a' * 10 ** 10` takes all memory: no invocation would go on."""
    with pytest.raises(RenderError):
        rendered(script)


def test_deep_nesting_is_refused_and_not_a_traceback() -> None:
    with pytest.raises(RenderError):
        rendered("{{ " + "(" * 5_000 + "1" + ")" * 5_000 + " }}")
