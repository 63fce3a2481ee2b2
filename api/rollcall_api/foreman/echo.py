"""What a job's resource has no field for and a client expects to see again, kept as annotations of the job."""

from collections.abc import Mapping
from typing import Any, Final

from rollcall.query.errors import MAX_LENGTH
from rollcall_api.foreman.requests import is_blank
from rollcall_api.foreman.targeting import Wish
from rollcall_api.jobs import echo_key
from rollcall_api.records import Job, Template

DIALECT: Final = "foreman"
_QUERY: Final = echo_key(DIALECT, "search-query")
_BOOKMARK: Final = echo_key(DIALECT, "bookmark-id")
_BOOKMARK_NAME: Final = echo_key(DIALECT, "bookmark-name")
_RANDOMIZED: Final = echo_key(DIALECT, "randomized-ordering")
_TIME_TO_PICKUP: Final = echo_key(DIALECT, "time-to-pickup")
_FEATURE: Final = echo_key(DIALECT, "feature")
_CATEGORY: Final = echo_key(DIALECT, "category")
_ENFORCED: Final = echo_key(DIALECT, "cancel-enforced")
_LONGEST: Final = 4_096
"""The longest annotation that runs of a schedule can have."""
_MORE: Final = tuple(f"{_QUERY}-{number}" for number in range(2, MAX_LENGTH // _LONGEST + 1))
"""Where the rest of a longer query is, as far as a query can go."""


def of_targeting(wish: Wish) -> dict[str, str]:
    """What is kept of the targeting."""
    kept = _split(wish.query)
    if wish.bookmark is not None:
        kept |= {_BOOKMARK: str(wish.bookmark.id), _BOOKMARK_NAME: wish.bookmark.name}
    if wish.randomized is not None:
        kept[_RANDOMIZED] = str(wish.randomized).lower()
    return kept


def of_wish(given: Mapping[str, Any], template: Template) -> dict[str, str]:
    """What is kept of the other parameters."""
    kept = {_CATEGORY: template.resource.spec.category}
    if not is_blank(given.get("feature")):
        kept[_FEATURE] = str(given["feature"])
    if not is_blank(given.get("time_to_pickup")):
        kept[_TIME_TO_PICKUP] = str(int(given["time_to_pickup"]))
    return kept


def of_job(job: Job, query: str | None) -> dict[str, str]:
    """What another run of the job keeps, with this query instead of the job's."""
    kept = {key: value for key, value in job.echo.items() if key in (_CATEGORY, _FEATURE, _TIME_TO_PICKUP, _RANDOMIZED)}
    if query is not None:
        return kept | _split(query)
    return kept | {key: job.echo[key] for key in (_QUERY, *_MORE, _BOOKMARK, _BOOKMARK_NAME) if key in job.echo}


def of_cancel(job: Job, *, force: bool, again: bool) -> dict[str, str | None]:
    """What is kept of an order to stop hosts; a None takes away what is kept already.

    Who asks a second time gets what `force` gives, but Foreman says something else of it (§3.5).
    """
    if force:
        return {_ENFORCED: None}
    is_forced = job.cancellation is not None and job.cancellation.force
    return {_ENFORCED: "true"} if again and not is_forced else {}


def cancel_enforced(job: Job) -> bool:
    """Whether the job was cancelled by force because somebody asked a second time."""
    return _ENFORCED in job.echo


def query(job: Job) -> str | None:
    """The search query that the job was made with; None where it is not known."""
    echo = job.echo
    return "".join(echo.get(key, "") for key in (_QUERY, *_MORE)) if _QUERY in echo else job.query


def _split(query: str | None) -> dict[str, str]:
    """The query in pieces of the length that an annotation may have. One that is longer than any that was typed lists
    the job's hosts, and is made of them again."""
    if query is None or len(query) > MAX_LENGTH:
        return {}
    pieces = [query[start : start + _LONGEST] for start in range(0, len(query), _LONGEST)] or [query]
    return dict(zip((_QUERY, *_MORE), pieces, strict=False))


def bookmark_id(job: Job) -> int | None:
    """The id of the bookmark that the job was made with."""
    return _integer(job.echo.get(_BOOKMARK))


def bookmark_name(job: Job) -> str | None:
    """The name of that bookmark."""
    return job.echo.get(_BOOKMARK_NAME)


def randomized(job: Job) -> bool | None:
    """Whether the hosts were to be in no order; None where nobody said."""
    return {"true": True, "false": False}.get(job.echo.get(_RANDOMIZED, ""))


def time_to_pickup(job: Job) -> int | None:
    """The parameter of that name."""
    return _integer(job.echo.get(_TIME_TO_PICKUP))


def feature(job: Job) -> str | None:
    """The feature that the job was made for."""
    return job.echo.get(_FEATURE)


def category(job: Job, template: Template | None) -> str:
    """The category of the job: what its template's was when it was made."""
    return job.echo.get(_CATEGORY) or (template.resource.spec.category if template else "Miscellaneous")


def _integer(text: str | None) -> int | None:
    return int(text) if text is not None and text.isdecimal() and len(text) < 19 else None
