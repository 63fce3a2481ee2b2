"""Structured records of what happened: masked in every string, and bounded so that each fits into an event's line.

A record that is too long loses the ends of its longest texts, then whole parts; its member `cut` says that it did.
"""

import json
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Final

from rollcall.outputs import MAX_LINE_BYTES, Record
from rollcall_runner.masking import Mask

MAX_RECORD_BYTES: Final = MAX_LINE_BYTES - 1_000
"""The most bytes of a record as JSON; the rest of the line is for the host's name and the like."""
MIN_RECORD_BYTES: Final = 1_500
"""As much as a record may take when its host has no more room for long ones."""
_TEXT_LENGTHS: Final = (2_000, 500, 100)
_ENTRIES: Final = (100, 20)


def masked(value: Any, mask: Mask) -> Any:
    """The value with the mask's values replaced in every text, also in names; a number that is one becomes text."""
    match value:
        case str():
            return mask.text(value)
        case Mapping():
            return {mask.text(str(key)): masked(entry, mask) for key, entry in value.items()}
        case list() | tuple():
            return _masked_entries(value, mask)
        case bool() | None:
            return value
        case int() | float():
            text = str(value)
            return value if (shown := mask.text(text)) == text else shown
        case _:
            return mask.text(str(value))


def _masked_entries(value: Iterable[Any], mask: Mask) -> list[Any]:
    """Each entry, and what only several of them say: the lines of an output (`stdout_lines`) may be one base64."""
    entries = [masked(entry, mask) for entry in value]
    if not all(isinstance(entry, str) for entry in entries):
        return entries
    whole = "\n".join(entries)
    shown = mask.text(whole)
    return entries if shown == whole else shown.split("\n")


def fitted(record: Record, limit: int = MAX_RECORD_BYTES) -> Record:
    """The record, or what of it takes at most `limit` bytes as JSON, with `cut: true` in it.

    Its own members are never left out, apart from those that hold an object or a list.
    """
    if _size(record) <= limit:
        return record
    for length, entries in _bounds():
        shorter = {**_shortened(record, length, entries), "cut": True}
        if _size(shorter) <= limit:
            return shorter
    return {
        **{key: _shortened(value, 100, 0) for key, value in record.items() if not isinstance(value, dict | list)},
        "cut": True,
    }


def _bounds() -> Iterator[tuple[int, int]]:
    for entries in _ENTRIES:
        for length in _TEXT_LENGTHS:
            yield length, entries


def _shortened(value: Any, length: int, entries: int) -> Any:
    """The value with the ends of long texts, lists and objects left out."""
    match value:
        case str() if len(value) > length:
            return f"{value[:length]}... [{len(value) - length} characters were cut here]"
        case dict():
            return {
                str(key)[:length]: _shortened(entry, length, entries) for key, entry in list(value.items())[:entries]
            }
        case list():
            return [_shortened(entry, length, entries) for entry in value[:entries]]
        case _:
            return value


def _size(record: Record) -> int:
    return len(json.dumps(record, ensure_ascii=False, separators=(",", ":")).encode(errors="replace"))
