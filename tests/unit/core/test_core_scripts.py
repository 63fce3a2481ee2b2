"""A script gets its inputs quoted for the shell, and nothing that an author writes in it harms the operator."""

import shlex
import subprocess
import time
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rollcall.inputs import bind_inputs
from rollcall.template import MAX_SCRIPT_BYTES, RenderError
from unit.core.objects import host, script_for, template

TEXT = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=60)


def rendered(script: str, **inputs: Any) -> str:
    declared = template(script, inputs=[{"name": name} for name in inputs])
    return script_for(declared, bind_inputs(declared, inputs), host("web1", address="192.0.2.7"))


@given(TEXT)
def test_the_shell_sees_any_input_as_one_word_and_unchanged(value: str) -> None:
    assert shlex.split(rendered("printf %s {{ inputs.x }}", x=value)) == ["printf", "%s", value]


@given(st.lists(TEXT, min_size=1, max_size=20))
def test_a_real_shell_prints_any_input_unchanged(values: list[str]) -> None:
    inputs = {f"x{number}": value for number, value in enumerate(values)}
    script = "".join(f"printf '%s\\0' {{{{ inputs.{name} }}}}\n" for name in inputs)
    said = subprocess.run(["/bin/sh"], input=rendered(script, **inputs).encode(), capture_output=True, check=True)
    assert said.stderr == b""
    assert said.stdout == b"".join(value.encode() + b"\0" for value in values)


@pytest.mark.parametrize(
    "value", ["'; touch /tmp/x; '", "$(id)", "`id`", "-rf", "*", "~", "\n", "\\", '"', "a\tb", "é", "!"]
)
def test_a_real_shell_sees_no_syntax_in_an_input(value: str) -> None:
    script = rendered('set -- {{ inputs.x }}\nprintf \'%s %s\' "$#" "$1"', x=value)
    said = subprocess.run(["/bin/sh"], input=script.encode(), capture_output=True, check=True)
    assert said.stdout == f"1 {value}".encode()


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
        ("run {{ ('--force' if true) | raw }} {{ ('--dry' if false) | raw }}.", "run --force ."),
        ("{{ true ~ 1 ~ inputs.x }}", "'true1a; b'"),
        ("{{ inputs.z | default('none') }} {{ inputs.z.y.x | default('none') }}", "none none"),
        ("{{ 'a' in inputs.x }} {{ 'z' not in inputs.x }} {{ inputs.x in ['a; b', 'c'] }}", "true true true"),
        ("{{ 'x' in inputs }} {{ 'y' in inputs }} {{ inputs | length }}", "true false 1"),
        ("{{ inputs.x[0] }} {{ '12' | int + 1 }} {{ ' a ' | trim }} {{ 'x' | float(2) }}", "a 13 a 2"),
        ("awk '{print $1}' # {}\n\n", "awk '{print $1}' # {}\n\n"),
    ],
)
def test_a_script_reads_its_inputs_and_its_host(script: str, expected: str) -> None:
    assert rendered(script, x="a; b") == expected


@pytest.mark.parametrize(("given_", "expected"), [("true", "true"), ("no", "false")])
def test_a_boolean_is_written_as_the_shell_would(given_: str, expected: str) -> None:
    declared = template("{{ inputs.b }}", inputs=[{"name": "b", "type": "Boolean"}])
    assert script_for(declared, bind_inputs(declared, {"b": given_}), host()) == expected


@pytest.mark.parametrize("name", ["x", "_", "items", "keys", "values", "get", "copy", "pop", "update"])
def test_an_input_may_have_any_name_that_the_schema_allows(name: str) -> None:
    assert rendered("{{ inputs.%s }}" % name, **{name: "value"}) == "value"  # noqa: UP031


@pytest.mark.parametrize(
    ("script", "words"),
    [
        ("{{ inputs.y }}", "inputs has no 'y'; it has: x"),
        ("{{ inputs.y | raw }}", "inputs has no 'y'; it has: x"),
        ("{{ inputs['y'] }}", "inputs has no 'y'; it has: x"),
        ("{% if inputs.y %}{% endif %}", "inputs has no 'y'; it has: x"),
        ("{{ inputs.y ~ 'z' }}", "inputs has no 'y'; it has: x"),
        ("{{ inputs.y + 1 }}", "inputs has no 'y'; it has: x"),
        ("{{ 'a' in inputs.y }}", "inputs has no 'y'; it has: x"),
        ("{{ inputs.y.z }}", "inputs has no 'y'; it has: x"),
        ("{{ y }}", "there is no 'y' in a script; it reads inputs.NAME, host.NAME"),
        ("{{ host.ip }}", "host has no 'ip'; it has: address, facts, name, variables"),
        ("{{ inputs.x.y }}", "a single value has no 'y'"),
        ("{{ inputs }}", "inputs is not one value, but several: name one of them"),
        ("{{ inputs ~ 'a' }}", "inputs is not one value, but several"),
        ("{{ [1, 2] }}", "only text, numbers and truth values can be inserted"),
        ("{{ none }}", "only text, numbers and truth values can be inserted"),
        ("{{ self }}", "only text, numbers and truth values can be inserted"),
        ("{{ inputs.x | shout }}", "No filter named 'shout'"),
        ("{{ inputs.x + 1 }}", "+ is for numbers below 2 ** 64; join texts with ~"),
        ("{{ 1 / 0 }}", "ZeroDivisionError"),
        ("{% include 'other' %}", "include is not allowed"),
        ("{% for n in range(9) %}{% endfor %}", "for is not allowed"),
        ("{% autoescape true %}{{ inputs.x }}{% endautoescape %}", "is not allowed"),
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
    most = "ä" * (MAX_SCRIPT_BYTES // 2)
    assert len(rendered("{{ inputs.x | raw }}", x=most)) == MAX_SCRIPT_BYTES // 2
    with pytest.raises(RenderError, match=f"^the script of template run is over {MAX_SCRIPT_BYTES} bytes$"):
        rendered("{{ inputs.x | raw }}b", x=most)


@pytest.mark.parametrize("script", ["{{ '\\ud800' }}", "{{ '\\ud800' | raw }}", "{{ '%c' % 55296 }}"])
def test_a_character_that_is_none_is_refused_and_not_a_traceback(script: str) -> None:
    with pytest.raises(RenderError):
        rendered(script)


BIG = "a" * 262_143
WORST = {
    "a power of powers": "{{ (10 ** 200000) % 7 }}",
    "a multiplied text": "{{ ('a' * 50000000) | length }}",
    "a format": "{{ ('%50000000d' % 1) | length }}",
    "a format in a test": "{{ '%500000000d' is odd }}",
    "joined texts": "{{ (" + "inputs.x ~ " * 1_000 + "'') | length }}",
    "added texts": "{{ (" + "inputs.x + " * 70 + "'') | length }}",
    "filters": "{{ (inputs.x" + " | upper | lower" * 30 + ") | length }}",
    "searches": "{{ [" + "('b' in inputs.x), " * 500 + "1] | length }}",
    "conversions": "{{ [" + "inputs.x | int, " * 900 + "1] | length }}",
    "wide": "{{ 1 }}" * 18_000,
    "a long sum": "{{ " + "1 + " * 30_000 + "1 }}",
    "a long path": "{{ inputs" + ".x" * 60_000 + " }}",
    "brackets": "{{ " + "(" * 5_000 + "1" + ")" * 5_000 + " }}",
    "lists in lists": "{{ " + "[" * 2_000 + "1" + "]" * 2_000 + " }}",
    "negations": "{{ " + "not " * 9_000 + "1 }}",
    "signs": "{{ " + "-" * 9_000 + "1 }}",
    "blocks in blocks": "{% if 1 %}" * 3_000 + "{% endif %}" * 3_000,
    "many branches": "{% if 0 %}" + "{% elif 0 %}a" * 6_000 + "{% endif %}",
    "many choices": "{{ " + "1 if 0 else " * 6_000 + "1 }}",
    "quotes": "{{ " + "'" * 131_000,
    "backslashes": "{{ '" + "\\" * 131_000,
    "braces": "{{" * 65_000,
    "blanks": "{% raw %}" + ("{%" + " " * 1_000) * 130,
    "a long name": "{{ " + "a" * 131_000 + " }}",
    "a long number": "{{ " + "1" * 131_000 + " }}",
}


@pytest.mark.parametrize("script", WORST.values(), ids=WORST)
def test_the_worst_script_is_refused_in_bounded_time_and_in_a_short_sentence(script: str) -> None:
    """One that never ended, or took all memory, would keep every other invocation waiting."""
    begun = time.process_time()
    with pytest.raises(RenderError) as refused:
        rendered(script[:131_072], x=BIG)
    assert time.process_time() - begun < 3
    assert len(str(refused.value)) <= 1_000


def test_a_script_that_cannot_be_read_is_read_only_once() -> None:
    script = "{{ " + "1 + " * 30_000 + "2 }}"
    with pytest.raises(RenderError):
        rendered(script)
    begun = time.process_time()
    for _ in range(250):
        with pytest.raises(RenderError):
            rendered(script)
    assert time.process_time() - begun < 1


def test_ordinary_scripts_stay_far_below_the_limits() -> None:
    assert rendered("{{ inputs.x }}\n" * 1_000, x="1") == "1\n" * 1_000
    assert rendered("{% if inputs.x == '0' %}0" + "{% elif inputs.x == '1' %}1" * 200 + "{% endif %}", x="1") == "1"
    assert rendered("{{ " + "inputs.x ~ " * 500 + "'' }}", x="1") == "1" * 500
    assert rendered("{{ " + "(" * 20 + "1" + ")" * 20 + " }}") == "1"


FACTS = {"os": {"family": "Debian", "empty": None}, "disks": [{"name": "sda"}, "sdb"], "cores": 4, "a-b": True}


def for_host(script: str, **spec: Any) -> str:
    known = host("web1", facts=FACTS, variables={"port": "80 81", "http-port": "8080"}, **spec)
    return script_for(template(script), {}, known)


@pytest.mark.parametrize(
    ("script", "expected"),
    [
        ("{{ host.facts.os.family }}", "Debian"),
        ("{{ host.facts['os']['family'] }}", "Debian"),
        ("{{ host.facts.disks[0].name }} {{ host.facts.disks[1] }}", "sda sdb"),
        ("{{ host.facts.cores * 2 }} {{ host.facts['a-b'] }}", "8 true"),
        ("{{ host.facts.os.release | default('none') }} {{ host.facts.no.such.fact | default('none') }}", "none none"),
        ("{{ host.facts.os.empty | default('none') }}", "none"),
        ("{{ 'os' in host.facts }} {{ 'sdb' in host.facts.disks }} {{ host.facts.disks | length }}", "true true 2"),
        ("{% if host.facts.os.family == 'Debian' %}apt{% else %}dnf{% endif %}", "apt"),
        ("{{ host.variables.port }} {{ host.variables['http-port'] }}", "'80 81' 8080"),
        ("{{ host.variables[host.facts.os.empty | default('port')] | raw }}", "80 81"),
    ],
)
def test_a_script_reads_what_is_known_about_its_host(script: str, expected: str) -> None:
    assert for_host(script) == expected


@pytest.mark.parametrize(
    ("script", "words"),
    [
        ("{{ host.facts.net }}", "host.facts has no 'net'; it has: a-b, cores, disks, os"),
        ("{{ host.facts.os.release }}", "host.facts.os has no 'release'; it has: empty, family"),
        ("{{ host.facts.net.mac }}", "host.facts has no 'net'"),
        ("{{ host.facts.os }}", "host.facts.os is not one value, but several"),
        ("{{ host.facts.disks }}", "host.facts.disks is not one value, but several"),
        ("{{ host.facts.disks[2] }}", "host.facts.disks has no such entry"),
        ("{{ host.variables.nope }}", "host.variables has no 'nope'; it has: http-port, port"),
    ],
)
def test_what_is_not_known_about_a_host_is_said_with_what_is(script: str, words: str) -> None:
    with pytest.raises(RenderError) as refused:
        for_host(script)
    assert words in str(refused.value)


def test_facts_over_32_kib_cannot_be_read_and_the_rest_can() -> None:
    known = host("web1", facts={"a": "x" * 32_768})
    assert script_for(template("{{ host.name }}"), {}, known) == "web1"
    with pytest.raises(RenderError, match="spec.facts has 32776 bytes as JSON, more than 32768"):
        script_for(template("{{ host.facts.a }}"), {}, known)
