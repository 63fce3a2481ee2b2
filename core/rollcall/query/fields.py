"""What the names in a query stand for: fields of hosts and of jobs, each in a table per language."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

from rollcall.query.ast import Path


class Kind(StrEnum):
    """What values a field has, which says how a word of a query is read and which operators make sense."""

    TEXT = "text"
    INTEGER = "integer"
    NUMBER = "number"
    BOOLEAN = "boolean"
    TIME = "time"
    """In rows: seconds since the epoch."""
    TEXTS = "texts"
    """An array of texts."""
    ANY = "any"
    """Any JSON value: facts."""


@dataclass(frozen=True, slots=True)
class Field:
    """One field of rows."""

    path: Path
    kind: Kind = Kind.TEXT
    free_text: bool = False
    """Whether a word without a field is looked for here."""
    operators: tuple[str, ...] = ()
    """The only operators that suit it, by the names that its errors use; without any, those of its kind."""


Fields = Mapping[str, Field]
