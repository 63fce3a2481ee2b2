"""Rows, by what is in them: for each path that a query has asked about, which rows have which value.

A row has a slot, and a set of rows is an integer with a bit for each: union and intersection of ten thousand rows are
one machine operation each. What rows have at a path is collected when first asked for, and kept up to date from then
on. A test looks at each *distinct* value once, however many rows have it, and equality at none.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from itertools import chain
from typing import Any, Final

from rollcall.query.ast import Each, Path
from rollcall.query.predicates import Equals, Glob, Predicate, key

Row = Mapping[str, Any]
Bits = int
"""A set of rows, as the slots in it."""
NO_ROWS: Final[Bits] = 0


def values_at(row: Row, path: Path) -> Iterator[Any]:
    """What the row has at the path; nothing where something on the way is missing, and for null."""
    found: Iterable[Any] = (row,)
    for step in path:
        found = _taken(found, step)
    return (value for value in found if value is not None)


def _taken(values: Iterable[Any], step: Any) -> Iterator[Any]:
    for value in values:
        if isinstance(step, Each):
            if step is Each.ITEM and isinstance(value, list):
                yield from value
            elif step is Each.NAME and isinstance(value, Mapping):
                yield from (name for name, inner in value.items() if inner is not None)
        elif isinstance(step, int):
            if isinstance(value, list) and -len(value) <= step < len(value):
                yield value[step]
        elif isinstance(value, Mapping) and step in value:
            yield value[step]


def bits_of(slots: Iterable[int], capacity: int) -> Bits:
    """The set of these slots, all of them below the capacity."""
    mask = bytearray(capacity // 8 + 1)
    for slot in slots:
        mask[slot >> 3] |= 1 << (slot & 7)
    return int.from_bytes(mask, "little")


def slots_of(bits: Bits) -> Iterator[int]:
    """The slots in a set, from the lowest."""
    return (slot for slot, digit in enumerate(reversed(f"{bits:b}")) if digit == "1")


class _Column:
    """What rows have at one path."""

    def __init__(self, path: Path, rows: Iterable[tuple[int, Row]]) -> None:
        self._path = path
        self._values: dict[Any, Any] = {}
        self._slots: dict[Any, int | set[int]] = {}
        """A set only for a value that several rows have: most values of some paths are unique."""
        self._arrays: dict[Any, Any] = {}
        for slot, row in rows:
            self.add(slot, row)

    def add(self, slot: int, row: Row) -> None:
        for value in values_at(row, self._path):
            name = key(value)
            known = self._slots.get(name)
            if known is None:
                self._values[name], self._slots[name] = value, slot
                if isinstance(value, list):
                    self._arrays[name] = value
            elif isinstance(known, set):
                known.add(slot)
            elif known != slot:
                self._slots[name] = {known, slot}

    def remove(self, slot: int, row: Row) -> None:
        # A row may have a value twice.
        for name in {key(value) for value in values_at(row, self._path)}:
            known = self._slots[name]
            if isinstance(known, set) and len(known) > 1:
                known.discard(slot)
            else:
                del self._values[name], self._slots[name]
                self._arrays.pop(name, None)

    def values(self) -> Iterable[Any]:
        return self._values.values()

    def having(self, value: Any) -> Iterable[int]:
        """The slots of rows with this value."""
        found = self._slots.get(key(value), ())
        return found if isinstance(found, set | tuple) else (found,)

    def slots(self, predicate: Predicate) -> Iterator[int]:
        names: Iterable[Any]
        if isinstance(predicate, Glob) and predicate.plain:
            names = (predicate.pattern,)
        elif isinstance(predicate, Equals):
            arrays = (name for name, value in self._arrays.items() if predicate.accepts(value))
            names = chain(predicate.keys, arrays)
        else:
            accepts = predicate.accepts
            names = [name for name, value in self._values.items() if accepts(value)]
        for name in names:
            found = self._slots.get(name)
            if isinstance(found, set):
                yield from found
            elif found is not None:
                yield found


def _rank(value: Any) -> tuple[int, str | int | float] | None:
    """What sorts a value among numbers and texts."""
    if isinstance(value, str):
        return 1, value
    return (0, value) if isinstance(value, int | float) and not isinstance(value, bool) else None


class Index:
    """Rows by name, to be selected from. Not thread-safe.

    A row is replaced as a whole and never changed in place: what is kept of it is found again by what it held.
    """

    def __init__(
        self,
        rows: Mapping[str, Row] | None = None,
        *,
        groups: Iterable[str] = (),
        order: Callable[[str], Any] | None = None,
    ) -> None:
        """`groups` are names of groups that exist although no row may be in them; `order` sorts names that are to stand
        in another order than that of their characters."""
        self.groups = frozenset(groups)
        self._order = order
        self._rows: list[Row | None] = []
        self._names: list[str] = []
        self._slots: dict[str, int] = {}
        self._free: list[int] = []
        self._all: Bits = NO_ROWS
        self._ordered: list[tuple[str, int]] | None = None
        self._columns: dict[Path, _Column] = {}
        self._items: dict[Path, tuple[Index, Mapping[str, str]]] = {}
        for name, row in (rows or {}).items():
            self.put(name, row)

    def __len__(self) -> int:
        return len(self._slots)

    def put(self, name: str, row: Row) -> None:
        """Take in a row, in place of one of that name."""
        self._items.clear()
        slot = self._slots.get(name)
        if slot is None:
            slot = self._slots[name] = self._new_slot(name)
            self._ordered = None
            self._all |= 1 << slot
        else:
            self._forget(slot)
        self._rows[slot] = row
        for column in self._columns.values():
            column.add(slot, row)

    def remove(self, name: str) -> None:
        """Let go of a row, if it is there."""
        slot = self._slots.pop(name, None)
        if slot is not None:
            self._items.clear()
            self._ordered = None
            self._forget(slot)
            self._rows[slot] = None
            self._all &= ~(1 << slot)
            self._free.append(slot)

    def row(self, name: str) -> Row | None:
        """The row of that name."""
        slot = self._slots.get(name)
        return None if slot is None else self._rows[slot]

    @property
    def all(self) -> Bits:
        """All rows."""
        return self._all

    def having(self, path: Path, predicate: Predicate) -> Bits:
        """The rows with a value at the path that the predicate accepts."""
        return bits_of(self._column(path).slots(predicate), len(self._rows))

    def values(self, path: Path) -> Iterable[Any]:
        """The distinct values at the path."""
        return self._column(path).values()

    def names(self, bits: Bits) -> list[str]:
        """The names of the rows in a set, in their order."""
        if self._ordered is None:
            self._ordered = sorted(self._slots.items(), key=self._place)
        held = f"{bits:0{len(self._rows)}b}"[::-1]
        return [name for name, slot in self._ordered if held[slot] == "1"]

    def ranks(self, path: Path) -> Mapping[str, int]:
        """The places of rows in the order of their values at the path, from 0; rows without a number or text have none.

        Numbers come before texts. Of several values of a row the least counts.
        """
        column = self._column(path)
        values = sorted(filter(None, map(_rank, column.values())))
        found: dict[str, int] = {}
        for place, (_, value) in enumerate(values):
            for slot in column.having(value):
                found.setdefault(self._names[slot], place)
        return found

    def _place(self, entry: tuple[str, int]) -> Any:
        return self._order(entry[0]) if self._order else entry[0]

    def bits(self, names: Iterable[str]) -> Bits:
        """The set of the rows with these names, as far as they are there."""
        return bits_of((self._slots[name] for name in names if name in self._slots), len(self._rows))

    def items(self, path: Path) -> tuple["Index", Mapping[str, str]]:
        """The items of all arrays at the path, as the `value` of a row each, and whose they are, by name."""
        if path not in self._items:
            owners: dict[str, str] = {}
            items = Index()
            for name in self._slots:
                for item in values_at(self.row(name) or {}, (*path, Each.ITEM)):
                    owners[str(len(owners))] = name
                    items.put(str(len(owners) - 1), {"value": item})
            self._items[path] = items, owners
        return self._items[path]

    def _new_slot(self, name: str) -> int:
        if self._free:
            slot = self._free.pop()
            self._names[slot] = name
            return slot
        self._rows.append(None)
        self._names.append(name)
        return len(self._rows) - 1

    def _forget(self, slot: int) -> None:
        row = self._rows[slot]
        assert row is not None, "a slot in use has a row"
        for column in self._columns.values():
            column.remove(slot, row)

    def _column(self, path: Path) -> _Column:
        column = self._columns.get(path)
        if column is None:
            rows = ((slot, row) for slot, row in enumerate(self._rows) if row is not None)
            column = self._columns[path] = _Column(path, rows)
        return column
