"""Queries as people type them, and where they are wrong."""

import json
from datetime import datetime
from typing import Final

from rich.cells import cell_len

from rollcall import targeting
from rollcall.query import pql
from rollcall.query.ast import Statement
from rollcall.query.errors import QueryError
from rollcall.query.index import Index
from rollcall.resources.targeting import HostQuery, QueryLanguage
from rollcall_cli.errors import CommandError

_SHOWN: Final = 60
"""How much of a long line is shown on either side of what is wrong."""


def read(language: QueryLanguage, text: str, names: frozenset[str] = frozenset()) -> Statement:
    """What a text asks; PQL also as its arrays. `names` are those of all hosts. Raises CommandError, which points."""
    try:
        if language is QueryLanguage.PQL and text.lstrip().startswith("["):
            return _arrays(text)
        query = HostQuery.model_construct(language=language, text=text)
        return targeting.read(query, Index({name: {} for name in names}), datetime.now().astimezone())
    except QueryError as error:
        raise CommandError(f"{error}\n{pointed(text, error.position)}") from None


def _arrays(text: str) -> Statement:
    """Their errors point into all of the query in one line."""
    try:
        document = json.loads(text)
        return pql.parse_arrays(document)
    except json.JSONDecodeError as error:
        raise CommandError(f"this is no JSON: {error.msg}\n{pointed(text, error.pos)}") from None
    except QueryError as error:
        said = f"{error.message}: expected {error.expected}"
        raise CommandError(f"{said}\n{pointed(json.dumps(document), error.position)}") from None
    except RecursionError:
        raise CommandError("the arrays are nested too deep: expected nesting that is less deep") from None


def pointed(text: str, position: int) -> str:
    """The line of the text with that position, and a caret below it."""
    start = text.rfind("\n", 0, position) + 1
    line = text[start:].partition("\n")[0].replace("\t", " ")
    place = position - start
    first = max(0, place - _SHOWN)
    before = ("..." if first else "") + line[first:place]
    after = line[place : place + _SHOWN] + ("..." if len(line) > place + _SHOWN else "")
    return f"  {before}{after}\n  {' ' * cell_len(before)}^"
