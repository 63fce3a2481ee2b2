"""Several calls at once, of which all are finished, whatever becomes of the others."""

import asyncio
from collections.abc import Awaitable, Iterable


async def side_by_side(calls: Iterable[Awaitable[None]]) -> None:
    """Await all calls, side by side; then raise the first error of those that failed."""
    results = await asyncio.gather(*calls, return_exceptions=True)
    for result in results:
        if isinstance(result, BaseException):
            raise result
