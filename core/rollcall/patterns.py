"""Regular expressions that authors write: matching one takes time in proportion to the text, whatever it says.

Python's own engine tries alternatives one after the other, so that `(a+)+b` takes minutes for forty characters. RE2
follows all alternatives at once. The API server checks patterns at admission with Go's regexp, which is its sibling.
"""

from enum import Enum
from functools import lru_cache
from typing import Any, Final

import re2

MAX_MATCHED_LENGTH: Final = 4096
"""The longest text that is matched: RE2's time also grows with the pattern's size."""
_MAX_MEMORY: Final = 512 * 1024


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
        found.Add(text)
        found.Compile()
        self._match = found.Match

    def accepts(self, text: str) -> bool:
        """Whether the text matches."""
        return bool(self._match(text))


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
        reason = error.args[0] if error.args else ""
        raise PatternError(reason.decode(errors="replace") if isinstance(reason, bytes) else str(reason)) from None
