"""Secret values are found in every common form and however reads tear them, and nothing else changes."""

import base64
import json
import shlex
from itertools import pairwise
from urllib.parse import quote, quote_plus

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from rollcall.work import Credentials
from rollcall_runner.masking import MASK, Mask, MaskedStream, secrets_of

VALUE = "tröub4dor &3'$+/?"
TEXTS = st.text("abAB01+/ %&\n", min_size=4, max_size=12)


def masked(mask: Mask, *reads: bytes) -> bytes:
    stream = MaskedStream(mask)
    return b"".join([*(stream.feed(read) for read in reads), stream.finish()])


def torn(data: bytes, cuts: list[int]) -> list[bytes]:
    bounds = sorted({0, len(data), *(cut % (len(data) + 1) for cut in cuts)})
    return [data[start:end] for start, end in pairwise(bounds)]


@pytest.mark.parametrize(
    "shown",
    [
        VALUE,
        json.dumps(VALUE)[1:-1],
        json.dumps(VALUE, ensure_ascii=False)[1:-1],
        shlex.quote(VALUE)[1:-1],
        VALUE.replace("'", "'\\''"),
        r"tröub4dor\ \&3\'\$+/\?",
        quote(VALUE),
        quote(VALUE, safe=""),
        quote_plus(VALUE),
        quote(VALUE, safe="").replace("%C3%B6", "%c3%b6").replace("%2B", "%2b").replace("%2F", "%2f").replace(
            "%3F", "%3f"
        ),
    ],
)  # fmt: skip
def test_a_value_is_masked_in_every_form_in_which_it_is_printed(shown: str) -> None:
    assert masked(Mask([VALUE]), f"before={shown}&after".encode()) == b"before=********&after"


@given(st.binary(min_size=4, max_size=40), st.binary(max_size=7), st.binary(max_size=7), st.booleans())
def test_in_base64_a_value_is_masked_wherever_it_begins(
    raw: bytes, before: bytes, after: bytes, url_safe: bool
) -> None:
    value = base64.b32encode(raw).decode()
    encode = base64.urlsafe_b64encode if url_safe else base64.b64encode
    encoded = encode(before + value.encode() + after)
    rest = masked(Mask([value]), encoded)
    assert MASK in rest
    # What is left tells at most the bits that the value shares a character with.
    assert len(rest) - len(MASK) <= len(encode(before)) + len(encode(after)) + 4


def test_a_value_of_several_lines_is_masked_line_by_line() -> None:
    mask = Mask(["first line\r\n  second line  \nend\n"])
    assert masked(mask, b"first line / second line\nend") == b"******** / ********\nend"


@pytest.mark.parametrize("value", ["", "abc", "  abc  ", "a\nb\nc", "****"])
def test_what_is_too_short_is_not_masked(value: str) -> None:
    assert not Mask([value])
    assert masked(Mask([value]), b"abc **** a\nb\nc") == b"abc **** a\nb\nc"


def test_of_several_values_the_leftmost_and_then_the_longest_is_masked() -> None:
    mask = Mask(["pass", "password", "wordy thing"])
    assert masked(mask, b"password") == b"********"
    assert masked(mask, b"passwor") == b"********wor"
    assert masked(mask, b"passwordy thing") == b"********y thing"


@given(st.lists(TEXTS, max_size=3), st.lists(TEXTS, max_size=6), st.lists(st.integers(0, 200), max_size=8))
@example(["aaaa", "aaaaab"], ["aaaaa", "aaaaab"], [3, 5, 8])
@example(["abab", "babb"], ["ababb"], [4])
def test_no_tearing_changes_the_result_and_no_value_is_left(
    values: list[str], parts: list[str], cuts: list[int]
) -> None:
    mask = Mask(values)
    data = "".join(parts + values + parts).encode()
    whole = masked(mask, data)
    assert masked(mask, *torn(data, cuts)) == whole
    assert mask.text(data.decode()).encode() == whole
    for value in values:
        if len(value.strip()) >= 4 and "\n" not in value:
            assert value.encode() not in whole


@given(st.binary(max_size=300), st.lists(st.integers(0, 300), max_size=5))
def test_output_without_a_value_stays_as_it_is(data: bytes, cuts: list[int]) -> None:
    mask = Mask(["correct horse battery", "hunter2hunter2"])
    assert masked(mask, *torn(data, cuts)) == data


@given(st.text("ab", max_size=60), st.integers(0, 60))
def test_only_what_may_become_a_value_waits(text: str, cut: int) -> None:
    value = "abaabb"
    stream = MaskedStream(Mask([value]))
    data = text.encode()
    given = stream.feed(data[:cut]) + stream.feed(data[cut:])
    unmasked = data.rpartition(value.encode())[2]
    longest = max(n for n in range(len(value)) if unmasked.endswith(value[:n].encode()))
    assert len(stream.finish()) == longest
    assert given.replace(MASK, value.encode()) == data[: len(data) - longest]


def test_a_mask_shows_no_value() -> None:
    assert "hunter2" not in repr(Mask(["hunter2"]))


def test_the_secrets_of_credentials_are_what_somebody_may_print() -> None:
    credentials = Credentials("key", "certificate", "passphrase", "password", "become")
    assert secrets_of(credentials) == ("passphrase", "password", "become")
    assert secrets_of(Credentials()) == ()
