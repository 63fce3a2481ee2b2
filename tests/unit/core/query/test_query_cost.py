"""What would take too long is refused before it is answered, and the rest can be worked at in pieces."""

from datetime import UTC, datetime
from typing import Any

import pytest

from rollcall.query.ast import Has, Or, Order, Query, Statement
from rollcall.query.cost import CostError, check_cost, check_scan
from rollcall.query.evaluate import at_once, select, selecting
from rollcall.query.foreman import HOSTS, parse
from rollcall.query.index import Index
from rollcall.query.predicates import Equals, Like
from unit.core.query.selecting import index

NOW = datetime(2026, 11, 22, 13, 30, tzinfo=UTC)


def patterns(count: int, paths: int = 1) -> Query:
    return Or(tuple(Has((f"field{number % paths}",), Like((str(number),))) for number in range(count)))


@pytest.mark.parametrize(
    ("query", "message"),
    [
        (patterns(65), "it has 65 tests other than equality, and may have 64"),
        (patterns(33, 33), "it has 33 different fields and facts, and may have 32"),
    ],
)
def test_a_query_that_asks_too_much_of_an_index_is_refused(query: Query, message: str) -> None:
    with pytest.raises(CostError) as refusal:
        check_cost(Statement(query), Index())
    assert str(refusal.value) == message


def test_what_is_allowed_is_allowed() -> None:
    check_cost(Statement(patterns(64, 32)), Index())
    check_cost(Statement(Has(("name",), Equals(tuple(map(str, range(10_000)))))), Index())
    check_scan(patterns(256))


def test_a_scan_has_fewer_conditions() -> None:
    with pytest.raises(CostError) as refusal:
        check_scan(patterns(257))
    assert str(refusal.value) == "it has 257 conditions, and may have 256"


@pytest.mark.parametrize("text", ["name ~ a and id > 1", "name = a or name = b", "not name ~ a", "", "facts.x = 1"])
def test_work_in_pieces_comes_to_the_same(text: str) -> None:
    rows: list[dict[str, Any]] = [{"name": name, "id": id_} for id_, name in enumerate(("a", "ab", "b", "ba", "c"))]
    statement = Statement(parse(text, HOSTS, NOW), (Order(("id",)),))
    assert at_once(selecting(statement, index(*rows))) == select(statement, index(*rows))


def test_there_is_a_stop_at_each_test_and_each_order() -> None:
    rows = index({"name": "a"}, {"name": "b"})
    statement = Statement(patterns(5, 5), (Order(("name",)),))
    assert len(list(selecting(statement, rows))) == 5 * 2 + 1
    assert len(list(selecting(statement, rows))) == 5 + 1


def test_an_index_tells_when_sets_of_its_rows_are_no_longer_true() -> None:
    rows = index({"name": "a"}, {"name": "b"})
    before = rows.layout
    rows.put("c", {"name": "c"})
    rows.put("a", {"name": "a", "id": 1})
    assert rows.layout == before
    rows.remove("b")
    assert rows.layout != before
