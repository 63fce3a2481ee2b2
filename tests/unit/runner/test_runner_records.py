"""Records: no secret in them, each fits into a line, and what is cut says so. Values reach Ansible as they are."""

import base64
import json
from typing import Any

import yaml
from hypothesis import given
from hypothesis import strategies as st

from rollcall.outputs import MAX_LINE_BYTES, Event, Stream, parse_line
from rollcall_runner.emitter import Emitter
from rollcall_runner.masking import Mask
from rollcall_runner.plain_yaml import plain_yaml
from rollcall_runner.records import MAX_RECORD_BYTES, fitted, masked

CANARY = "canary-0815"
NUMBER = 48151623
MASK = Mask((CANARY, str(NUMBER)))
TEXTS = st.text(max_size=30) | st.sampled_from([CANARY, f"x{CANARY}y", f"{CANARY}\n{CANARY}"])
LEAVES = st.none() | st.booleans() | st.integers() | st.just(NUMBER) | st.floats(allow_nan=False) | TEXTS
VALUES = st.recursive(
    LEAVES, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXTS, inner, max_size=4), max_leaves=20
)


@given(VALUES)
def test_no_secret_is_left_in_a_record_wherever_it_stands(value: Any) -> None:
    shown = json.dumps(masked({"data": value}, MASK), ensure_ascii=False)
    assert CANARY not in shown
    assert str(NUMBER) not in shown


def test_base64_that_only_several_lines_of_an_output_say_is_masked_in_them_too() -> None:
    secret = "long enough for more than one line of base64, which ends after 76 characters"
    lines = base64.encodebytes(f"a: {secret}; b: c\n".encode()).decode().splitlines()
    assert len(lines) == 2
    shown = masked({"stdout_lines": ["before", *lines, "after"], "rc": [0, "0"]}, Mask((secret,)))
    assert shown["rc"] == [0, "0"]
    assert (shown["stdout_lines"][0], shown["stdout_lines"][-1]) == ("before", "after")
    assert not any(line[20:40] in text for line in lines for text in shown["stdout_lines"])


BIG = st.text(alphabet='a\0é😀"', min_size=1, max_size=50).map(lambda text: text * 2_000)


@given(st.dictionaries(st.text(max_size=20), BIG | st.lists(BIG, max_size=20), max_size=8), BIG)
def test_a_record_fits_into_a_line_and_says_when_it_was_cut(result: dict[str, Any], text: str) -> None:
    record = {"event": "runner_on_ok", "uuid": "u" * 36, "task": text, "stdout": text, "data": {"res": result}}
    found = fitted(record)
    event = Event("h" * 253, 2**31, 1.7e9, Stream.RECORD, found)
    assert len(event.line()) <= MAX_LINE_BYTES
    assert parse_line(event.line()) == event
    assert found == record or found["cut"] is True
    assert (found["event"], found["uuid"]) == ("runner_on_ok", "u" * 36)


def test_what_is_short_is_left_as_it_is() -> None:
    record = {"event": "runner_on_ok", "data": {"res": {"msg": "x" * (MAX_RECORD_BYTES - 200)}}}
    assert fitted(record) is record


def test_an_emitter_masks_bounds_and_orders_records() -> None:
    lines: list[bytes] = []
    emitter = Emitter("web1", lines.append, 10_000, mask=MASK)
    emitter.output(Stream.STDOUT, b"first\n")
    for _ in range(5):
        emitter.record({"event": "x", "data": {"res": {"msg": CANARY + "y" * 4_000}}})
    said = [parse_line(line) for line in lines]
    assert [event.stream for event in said] == [Stream.STDOUT, *[Stream.RECORD] * 5]
    assert [event.seq for event in said] == list(range(6))
    assert CANARY not in str(said)
    sizes = [len(line) for line in lines[1:]]
    assert sizes[0] > 4_000
    assert sizes[-1] < 2_000  # the host's room for long records is used up


class _Unsafe(yaml.SafeLoader):
    """Takes the tag as Ansible does."""


_Unsafe.add_constructor("!unsafe", lambda loader, node: loader.construct_scalar(node))


@given(VALUES.filter(lambda value: "\ud800" not in repr(value)))
def test_values_arrive_in_yaml_as_they_are(value: Any) -> None:
    assert yaml.load(plain_yaml({"value": value}), _Unsafe) == {"value": value}


def test_every_text_is_kept_from_being_evaluated() -> None:
    assert (
        plain_yaml({"a": "{{ 1 }}", "b": [True, 3, "x\u2028"]})
        == '{"a": !unsafe "{{ 1 }}", "b": [true, 3, !unsafe "x\\u2028"]}'
    )
