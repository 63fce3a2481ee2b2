"""What is wrong with a query, and where."""

from typing import Final

MAX_LENGTH: Final = 16_384
"""The longest query that is read, in characters."""
MAX_DEPTH: Final = 64
"""How deep parentheses and negations may be nested."""


class QueryError(ValueError):
    """A query cannot be read. Its text form is a sentence with the place.

    A dialect makes its own words from the parts.
    """

    def __init__(self, message: str, position: int, *, expected: str = "", subject: str = "") -> None:
        """`position` counts characters from 0; `expected` says what could stand there; `subject` is the text that is
        wrong: a field's name, a value."""
        self.message = message
        self.position = position
        self.expected = expected
        self.subject = subject
        super().__init__(message)

    def __str__(self) -> str:
        expected = f": expected {self.expected}" if self.expected else ""
        return f"{self.message} at character {self.position + 1}{expected}"


class UnspeakableError(ValueError):
    """A language has no words for a query that another one can say."""
