"""The order of search results (contracts/foreman.md §6.6)."""

from rollcall.query.ast import Direction, Order
from rollcall.query.errors import QueryError
from rollcall.query.foreman.fields import Subject


def parse_order(text: str, subject: Subject) -> tuple[Order, ...]:
    """The order that a text asks for; none for a blank one. Raises QueryError for a field that is not one.

    Only `desc` is descending. Rows without a value stand last when descending, else first.
    """
    words = text.split()
    if not words:
        return ()
    field = subject.fields.get(words[0])
    if field is None:
        raise QueryError(
            f"the field '{words[0]}' in the order statement is not valid field for search", 0, subject=words[0]
        )
    descending = len(words) > 1 and words[1].lower() == "desc"
    direction = Direction.DESCENDING if descending else Direction.ASCENDING
    return (Order(field.path, direction, missing_first=not descending),)
