"""Regular expressions that authors write: matching one takes time in proportion to the text, whatever it says.

Python's own engine tries alternatives one after the other, so that `(a+)+b` takes minutes for forty characters. RE2
follows all alternatives at once. The API server checks patterns at admission with Go's regexp, which is its sibling.

Telling RE2 of one text costs more than matching it. So short patterns that repeat nothing are left to Python's engine,
which has no more ways to try them than they name themselves, and a pattern that begins with plain characters is only
asked of texts that have those.
"""

import re
from collections.abc import Callable
from enum import Enum
from functools import lru_cache
from typing import Any, Final

import re2

MAX_MATCHED_LENGTH: Final = 4096
"""The longest text that is matched: RE2's time also grows with the pattern's size."""
_MAX_MEMORY: Final = 512 * 1024
_PLAIN: Final = r"[A-Za-z0-9 _/:@,;=<>%~&#\"'!-]"
_RANGE: Final = r"(?:[a-z]-[a-z]|[A-Z]-[A-Z]|[0-9]-[0-9]|[A-Za-z0-9_])"
_ATOM: Final = rf"(?:{_PLAIN}|\.|\\[.+*?()|\[\]{{}}^$\\/-]|\[\^?{_RANGE}+\])"
_WAY: Final = rf"\^?{_ATOM}*(?:\({_ATOM}*(?:\|{_ATOM}*)*\){_ATOM}*)?\$?"
"""A sequence with one choice in it at most: two choices would multiply, and twenty of them take minutes."""
_WITHOUT_REPETITION: Final = re.compile(rf"{_WAY}(?:\|{_WAY})*")
"""Patterns that mean the same to both engines, and fit a text at one place in as many ways at most as they name."""
_MAX_STEPS: Final = 256
"""How many steps Python's engine may take at one place of a text. RE2 takes hardly more for a long pattern."""
_BEGINNING: Final = re.compile(rf"(\^?)({_PLAIN}+)(?![?*+{{])")


class PatternError(ValueError):
    """The text is no regular expression, or one that is too large; the message says why."""


class Anchor(Enum):
    """Where in a text a match must be."""

    NOWHERE = "search"
    START = "match"
    WHOLE = "fullmatch"


class Pattern:
    """A regular expression that is asked again and again. Raises PatternError for what is none."""

    def __init__(self, pattern: str, anchor: Anchor, *, fold: bool = False) -> None:
        text = f"(?i){pattern}" if fold else pattern
        _compiled(text)  # says what is wrong with it, which a set does not
        # A set of one says whether it matches, and not where: a third of the time.
        kinds = {
            Anchor.NOWHERE: re2.Set.SearchSet,
            Anchor.START: re2.Set.MatchSet,
            Anchor.WHOLE: re2.Set.FullMatchSet,
        }
        found = kinds[anchor](_options())
        try:
            found.Add(text)
            found.Compile()
        except re2.error:
            # A set has less room for the same pattern, and does not say that this is what it lacks.
            raise PatternError("pattern too large") from None
        self.accepts: Final[Callable[[str], bool]] = _narrowed(pattern, anchor, found.Match, fold=fold)
        """Whether a text matches."""


def _narrowed(pattern: str, anchor: Anchor, match: Callable[[str], list[int]], *, fold: bool) -> Callable[[str], bool]:
    """What says the same as RE2's `match`, and asks it less."""
    if fold:
        return lambda text: bool(match(text))
    if (1 + pattern.count("|")) * len(pattern) <= _MAX_STEPS and _WITHOUT_REPETITION.fullmatch(pattern):
        # Python's `$` also fits before a last line end.
        at_end = re.sub(rf"({_ATOM})|\$", lambda found: found[1] or r"\Z", pattern)
        ask = getattr(re.compile(at_end), anchor.value)
        return lambda text: ask(text) is not None
    beginning = _BEGINNING.match(pattern)
    if beginning is None or "|" in pattern:
        return lambda text: bool(match(text))
    plain = beginning[2]
    if beginning[1] or anchor is not Anchor.NOWHERE:
        return lambda text: text.startswith(plain) and bool(match(text))
    return lambda text: plain in text and bool(match(text))


def _options() -> Any:
    options = re2.Options()
    options.max_mem = _MAX_MEMORY
    options.log_errors = False
    options.never_capture = True
    return options


def matches(pattern: str, text: str) -> bool:
    """Whether the whole text matches. Raises PatternError for what is no pattern."""
    return _compiled(pattern).fullmatch(text) is not None


@lru_cache(maxsize=256)
def _compiled(pattern: str) -> Any:
    try:
        return re2.compile(pattern, _options())
    except re2.error as error:
        raise PatternError(_reason(error)) from None


def _reason(error: Exception) -> str:
    """What RE2 has against a pattern."""
    reason = error.args[0] if error.args else ""
    return reason.decode(errors="replace") if isinstance(reason, bytes) else str(reason)
