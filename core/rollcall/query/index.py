"""Rows, by what is in them: for each path that a query has asked about, which rows have which value.

A row has a slot, and a set of rows is an integer with a bit for each: union and intersection of ten thousand rows are
one machine operation each. What rows have at a path is collected when first asked for, and kept up to date while it is
asked for again. A test looks at each *distinct* value once, however many rows have it, and equality at none.
"""

from array import array
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import chain
from typing import Any, Final

from rollcall.query.ast import Each, Path
from rollcall.query.predicates import Equals, Glob, Predicate, key

Row = Mapping[str, Any]
Bits = int
"""A set of rows, as the slots in it."""
NO_ROWS: Final[Bits] = 0
MOST_COLUMNS: Final = 64
"""Of how many paths it is remembered what rows have there. One that was not asked for the longest time is forgotten."""
_NOTHING: Final[dict[Any, Any]] = {}
_FEW: Final = 128
"""Up to how many rows with one value are kept one by one."""


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
    digits = f"{bits:b}"[::-1]
    slot = digits.find("1")
    while slot >= 0:  # most sets are sparse
        yield slot
        slot = digits.find("1", slot + 1)


class _Column:
    """What rows have at one path."""

    def __init__(self, path: Path, rows: Iterable[tuple[int, Row]]) -> None:
        self._path = path
        self._simple = all(isinstance(step, str) for step in path)
        """Whether a row has one value at most."""
        self._slots: dict[Any, int | array[int]] = {}
        """The slots with each value that few rows have, by the value's key: most values of some paths are unique."""
        self._masks: dict[Any, Bits] = {}
        """The slots with each other value."""
        self._values: dict[Any, Any] = {}
        """The values that are not their own keys."""
        self._arrays: dict[Any, list[Any]] = {}
        self._holding: dict[Any, list[Any]] | None = None
        """The keys of the arrays with each item; None until somebody asks."""
        self._places: Sequence[int] | None = None
        """As `places` says; None until somebody asks."""
        for slot, row in rows:
            self.add(slot, row)

    def add(self, slot: int, row: Row) -> None:
        self._places = None
        for name, value in self._found(row).items():
            if name in self._masks:
                self._masks[name] |= 1 << slot
                continue
            known = self._slots.get(name)
            if known is None:
                self._begin(name, value)
                self._slots[name] = slot
            elif isinstance(known, int):
                self._slots[name] = array("L", (known, slot))
            elif len(known) < _FEW:
                known.append(slot)
            else:
                self._masks[name] = bits_of((*known, slot), max(*known, slot) + 1)
                del self._slots[name]

    def remove(self, slot: int, row: Row) -> None:
        self._places = None
        for name in self._found(row):
            if name in self._masks:
                self._masks[name] &= ~(1 << slot)
                if not self._masks[name]:
                    del self._masks[name]
                    self._end(name)
                continue
            known = self._slots[name]
            if isinstance(known, int) or len(known) == 1:
                del self._slots[name]
                self._end(name)
            else:
                known.remove(slot)

    def replace(self, slot: int, before: Row, row: Row) -> None:
        old, new = self._found(before), self._found(row)
        # 1 and 1.0 have one key, and another text.
        if old.keys() != new.keys() or any(type(old[name]) is not type(new[name]) for name in old):
            self.remove(slot, before)
            self.add(slot, row)

    def values(self) -> Iterable[Any]:
        return (self._values.get(name, name) for name in chain(self._slots, self._masks))

    def places(self, capacity: int) -> Sequence[int]:
        """For each slot the place of its row in the order of their values, -1 for a row without a number or text."""
        if self._places is None:
            places = array("l", [-1]) * capacity
            for place, (_, value) in enumerate(sorted(filter(None, map(_rank, self.values())))):
                for slot in self._having(value):
                    if places[slot] < 0:
                        places[slot] = place
            self._places = places
        return self._places

    def _having(self, value: Any) -> Iterable[int]:
        """The slots of rows with this value."""
        name = key(value)
        if name in self._masks:
            return slots_of(self._masks[name])
        found = self._slots.get(name, ())
        return (found,) if isinstance(found, int) else found

    def rows(self, predicate: Predicate, capacity: int) -> Bits:
        """The rows with a value that the predicate accepts."""
        names: Iterable[Any]
        if isinstance(predicate, Glob) and predicate.plain:
            names = (predicate.pattern,)
        elif isinstance(predicate, Equals):
            names = chain(predicate.keys, *(self._arrays_with(item) for item in predicate.keys))
        else:
            names = self._accepted(predicate.accepts)
        masks, few = NO_ROWS, []
        for name in names:
            found = self._slots.get(name)
            if isinstance(found, int):
                few.append(found)
            elif found is not None:
                few.extend(found)
            else:
                masks |= self._masks.get(name, NO_ROWS)
        return masks | bits_of(few, capacity) if few else masks

    def _accepted(self, accepts: Callable[[Any], bool]) -> Iterator[Any]:
        names = chain(self._slots, self._masks)
        if not self._values:
            return filter(accepts, names)
        value_of = self._values.get
        return (name for name in names if accepts(value_of(name, name)))

    def _arrays_with(self, item: Any) -> Iterable[Any]:
        if not self._arrays:
            return ()
        if self._holding is None:
            self._holding = {}
            for name, value in self._arrays.items():
                for held in {key(part) for part in value}:
                    self._holding.setdefault(held, []).append(name)
        return self._holding.get(item, ())

    def _begin(self, name: Any, value: Any) -> None:
        """Learn of the first row with the value."""
        if isinstance(value, bool | list | dict):
            self._values[name] = value
        if isinstance(value, list):
            self._arrays[name], self._holding = value, None

    def _end(self, name: Any) -> None:
        """No row has the value any more."""
        self._values.pop(name, None)
        if self._arrays.pop(name, None) is not None:
            self._holding = None

    def _found(self, row: Row) -> dict[Any, Any]:
        """What the row has, by its keys."""
        if not self._simple:
            return {key(value): value for value in values_at(row, self._path)}
        value: Any = row
        for step in self._path:
            if type(value) is not dict and not isinstance(value, Mapping):
                return _NOTHING
            value = value.get(step)
        if value is None:
            return _NOTHING
        return {value if type(value) is str else key(value): value}


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
        self.layout = 0
        """Grows whenever a row goes: a set of rows that was made before may then stand for others."""
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
            for column in self._columns.values():
                column.add(slot, row)
        else:
            for column in self._columns.values():
                column.replace(slot, self._held(slot), row)
        self._rows[slot] = row

    def remove(self, name: str) -> None:
        """Let go of a row, if it is there."""
        slot = self._slots.pop(name, None)
        if slot is not None:
            self._items.clear()
            self._ordered = None
            for column in self._columns.values():
                column.remove(slot, self._held(slot))
            self._rows[slot] = None
            self._all &= ~(1 << slot)
            self._free.append(slot)
            self.layout += 1

    def row(self, name: str) -> Row | None:
        """The row of that name."""
        slot = self._slots.get(name)
        return None if slot is None else self._rows[slot]

    @property
    def all(self) -> Bits:
        """All rows."""
        return self._all

    def learn(self, path: Path) -> bool:
        """Collects what rows have at a path, which takes a look at each; False if that is known already."""
        known = path in self._columns
        self._column(path)
        return not known

    def having(self, path: Path, predicate: Predicate) -> Bits:
        """The rows with a value at the path that the predicate accepts."""
        return self._column(path).rows(predicate, len(self._rows))

    def values(self, path: Path) -> Iterable[Any]:
        """The distinct values at the path."""
        return self._column(path).values()

    def names(self, bits: Bits) -> list[str]:
        """The names of the rows in a set, in their order."""
        if self._ordered is None:
            self._ordered = sorted(self._slots.items(), key=self._place)
        held = f"{bits:0{len(self._rows)}b}"[::-1]
        return [name for name, slot in self._ordered if held[slot] == "1"]

    def places(self, path: Path, names: Iterable[str]) -> list[int]:
        """The places of these rows in the order of the values that rows have at the path, from 0, as many as names.

        Numbers come before texts. Of several values of a row the least counts; -1 for a row without a number or text.
        """
        places = self._column(path).places(len(self._rows))
        return [places[self._slots[name]] for name in names]

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

    def _held(self, slot: int) -> Row:
        row = self._rows[slot]
        assert row is not None, "a slot in use has a row"
        return row

    def _column(self, path: Path) -> _Column:
        column = self._columns.pop(path, None)
        if column is None:
            column = _Column(path, ((slot, row) for slot, row in enumerate(self._rows) if row is not None))
            if len(self._columns) >= MOST_COLUMNS:
                del self._columns[next(iter(self._columns))]
        self._columns[path] = column
        return column
