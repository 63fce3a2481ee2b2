"""A pattern that an author writes cannot make the operator work for long."""

import time

import pytest
import re2
from hypothesis import given
from hypothesis import strategies as st

from rollcall.patterns import MAX_MATCHED_LENGTH, Anchor, Pattern, PatternError, matches
from rollcall.resources.jobtemplate import MAX_PATTERN_LENGTH


@pytest.mark.parametrize(
    ("pattern", "text", "expected"),
    [
        ("[a-z]+", "abc", True),
        ("[a-z]+", "abc1", False),
        ("[a-z]+", "1abc", False),
        ("a|ab", "ab", True),
        ("", "", True),
        ("a.b", "a\nb", False),
        ("(?i)ÄB", "äb", True),
    ],
)
def test_the_whole_text_must_match(pattern: str, text: str, expected: bool) -> None:
    assert matches(pattern, text) is expected


@pytest.mark.parametrize(
    "pattern",
    [
        "(a+)+b",
        "(a*)*c",
        "(a|aa)+c",
        "([a-z]*)*c",
        "(.*.*.*.*)*c",
        "[ab]*a[ab]{240}[ab]*c",
        "(" * 60 + "a*" + ")*" * 60 + "c",
        "(a{0,30}){0,30}c",
        "|".join("a" * count for count in range(1, 20)),
    ],
)
def test_no_pattern_takes_long_whatever_the_text(pattern: str) -> None:
    assert len(pattern) <= MAX_PATTERN_LENGTH
    begun = time.process_time()
    try:
        assert not matches(pattern, "ab" * (MAX_MATCHED_LENGTH // 2))
        assert not matches(pattern, "a" * (MAX_MATCHED_LENGTH - 1))
    except PatternError:
        pass
    assert time.process_time() - begun < 1


@pytest.mark.parametrize(
    ("pattern", "reason"),
    [
        ("(", "missing ): ("),
        ("(?=a)", "invalid perl operator: (?="),
        ("(a)\\1", "invalid escape sequence: \\1"),
        ("((a{100}){100}){100}", "invalid repetition size"),
        ("\\pL{900}", "pattern too large - compile failed"),
    ],
)
def test_what_is_no_pattern_is_said_with_the_reason(pattern: str, reason: str) -> None:
    with pytest.raises(PatternError, match="^") as refused:
        matches(pattern, "a")
    assert str(refused.value).startswith(reason)


ATOMS = st.sampled_from(["a", "b", "0", ".", "-", r"\.", r"\\", r"\$", "[ab]", "[^a]", "[a-c0]"])
SIGNS = st.sampled_from(["^", "$", "|", "*", "+", "?", "{2}", "(", ")"])


@given(
    st.lists(ATOMS | SIGNS, max_size=8).map("".join),
    st.text("ab0.\\$\n\u00e4- ", max_size=8),
    st.sampled_from(Anchor),
    st.booleans(),
)
def test_whoever_is_asked_says_what_re2_says(pattern: str, text: str, anchor: Anchor, fold: bool) -> None:
    options = re2.Options()
    options.log_errors = False
    try:
        expected = getattr(re2.compile(f"(?i){pattern}" if fold else pattern, options), anchor.value)(text)
    except re2.error:
        with pytest.raises(PatternError):
            Pattern(pattern, anchor, fold=fold)
        return
    assert Pattern(pattern, anchor, fold=fold).accepts(text) is (expected is not None)


@pytest.mark.parametrize(
    "pattern",
    [
        "(a+)+b",
        "[ab][ab]c|[ab][ab]d",
        "a" * 200,
        "|".join(["a" * 20 + "b"] * 12),
        "a(a|aa)a",
        "(a|a)" * 30 + "b",
        "(" + "|" * 500 + ")" + "." * 500 + "!",
        "." * 1_000 + "!",
    ],
)
def test_no_pattern_that_is_searched_takes_long(pattern: str) -> None:
    ask = Pattern(pattern, Anchor.NOWHERE).accepts
    begun = time.process_time()
    ask("a" * 100_000)
    assert time.process_time() - begun < 1


@pytest.mark.parametrize("length", [2_000, 16_000, 40_000])
def test_a_pattern_of_any_length_is_one_or_is_refused(length: int) -> None:
    if length < 4_000:
        assert Pattern("web.*" + "b" * length, Anchor.NOWHERE).accepts("web-" + "b" * length)
    else:
        with pytest.raises(PatternError, match="too large"):
            Pattern("web.*" + "b" * length, Anchor.NOWHERE)
