"""Finds what a path names: by id, by `id-name`, by the name that people see, or by the object's (contract §7.3)."""

import re
from collections.abc import Callable
from typing import Final, TypeVar

from rollcall_api.cache import Table
from rollcall_api.foreman.requests import identifier
from rollcall_api.records import Record

R = TypeVar("R", bound=Record)

_ID_AND_NAME: Final = re.compile(r"([0-9]{1,18})-.*", re.DOTALL)


def by_reference(table: Table[R], given: str, titled: Callable[[str], R | None]) -> R | None:
    """The record that the text names; None for one that has no id yet, too. `titled` finds one by what people call it.

    A name that looks like `id-name` counts as a name if there is one such.
    """
    number = identifier(given)
    if number is not None:
        return table.numbered(number)
    found = titled(given) or table.named(given)
    match = _ID_AND_NAME.fullmatch(given)
    if found is None and match is not None:
        found = table.numbered(int(match[1]))
    return found if found is not None and found.id is not None else None
