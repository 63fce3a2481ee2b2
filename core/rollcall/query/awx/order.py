"""The order of lists (contracts/awx.md §5.3)."""

from rollcall.query.ast import Direction, Order
from rollcall.query.awx.models import Model, Relation
from rollcall.query.awx.parameters import walk


def parse_order(text: str, model: Model) -> tuple[Order, ...]:
    """The order in an `order_by`, and at its end by id. Raises QueryError in AWX's words.

    As in PostgreSQL, what has no value comes last, or first where the order is descending.
    """
    orders = []
    for part in text.split(","):
        name = part.strip().removeprefix("-")
        if not name:
            continue
        place = walk(model, name.split("__"))
        path = (*place.path, "id") if isinstance(place.end, Relation) else place.path
        descending = part.strip().startswith("-")
        direction = Direction.DESCENDING if descending else Direction.ASCENDING
        orders.append(Order(path, direction, missing_first=descending))
    return (*orders, Order(("id",)))
