"""Numeric ids: one sequence per kind, kept in a ConfigMap that is updated with optimistic locking.

The ConfigMap's data maps a kind's plural to the last id given, in decimal. Whoever wants ids writes the new value with
the resourceVersion that it read, and only after that write has succeeded are the ids its own: none is used twice.
"""

from collections.abc import Mapping
from typing import Final

from rollcall.names import LABEL_ID, Kind

IDS_CONFIG_MAP: Final = "rollcall-ids"


def take(data: Mapping[str, str], kind: Kind, count: int = 1) -> tuple[range, dict[str, str]]:
    """The next `count` ids of the kind, and the data to store before using them.

    Raises ValueError when the stored value is not a number: somebody edited it, and guessing could use an id twice.
    """
    text = data.get(kind.plural, "0")
    if not text.isdecimal():
        raise ValueError(f"ConfigMap {IDS_CONFIG_MAP}: {kind.plural} must be the last id given, not {text!r}")
    last = int(text)
    return range(last + 1, last + 1 + count), {**data, kind.plural: str(last + count)}


def read(labels: Mapping[str, str]) -> int | None:
    """The id in an object's labels; None when there is none, or none that we could have given."""
    text = labels.get(LABEL_ID, "")
    return int(text) if text.isdecimal() and len(text) <= 18 and int(text) > 0 else None
