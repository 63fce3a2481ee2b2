"""The fields of PQL's entities, and where rows have them (contracts/puppet.md §8.2)."""

from typing import Final

from rollcall.query.ast import NAME, Entry, Path
from rollcall.query.errors import QueryError
from rollcall.query.fields import Field, Kind

_ENVIRONMENT: Final = Field(("environment",))
_CERTNAME: Final = Field(NAME)
_FACT: Final = {"name": Field((Entry.NAME,)), "value": Field((Entry.VALUE,), Kind.ANY)}

CERTNAME: Final = "certname"
FACTS: Final = "facts"
FIELDS: Final[dict[str, dict[str, Field]]] = {
    "inventory": {
        CERTNAME: _CERTNAME,
        "environment": _ENVIRONMENT,
        "timestamp": Field(("lastContactTime",), Kind.TIME),
    },
    "nodes": {
        CERTNAME: _CERTNAME,
        "facts_environment": _ENVIRONMENT,
        "catalog_environment": _ENVIRONMENT,
        "report_environment": _ENVIRONMENT,
        "deactivated": Field(("deactivated",)),
    },
    FACTS: {CERTNAME: _CERTNAME, "environment": _ENVIRONMENT, **_FACT},
}
ENTRY_FIELDS: Final = {"name": _FACT["name"], "value": _FACT["value"]}
"""Those of a fact in a subquery."""


def find(entity: str, fields: dict[str, Field], name: str, path: Path | None, position: int) -> Field:
    """A field of an entity by its name, or by its path if it is a fact's. Raises QueryError."""
    if path is not None and entity == "inventory":
        return Field(path, Kind.ANY)
    found = fields.get(name)
    if found is None:
        expected = ", ".join(fields) + (", facts.NAME or trusted.NAME" if entity == "inventory" else "")
        raise QueryError(f"'{name}' is not a field of {entity}", position, expected=expected, subject=name)
    return found
