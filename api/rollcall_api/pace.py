"""Long work on the event loop, a slice at a time: everybody else has their turn in between.

However many requests have such work, one slice at a time is done, in the order in which they ask for the next; so that
a request which needs none of it waits for one slice, and not for one of each.
"""

import asyncio
import time
from collections.abc import Callable, Iterable
from typing import Final, TypeVar

from rollcall.query.evaluate import Steps

T = TypeVar("T")

SLICE_SECONDS: Final = 0.005
"""After so long others have their turn; what work does between two stops comes on top of it."""


class Pace:
    """Does work that can be stopped."""

    def __init__(self) -> None:
        self._turn = asyncio.Lock()

    async def run(self, work: Steps[T]) -> T:
        """What comes of the work."""
        while True:
            async with self._turn:
                begin = now = time.perf_counter()
                try:
                    while now - begin < SLICE_SECONDS:
                        next(work)
                        now = time.perf_counter()
                except StopIteration as end:
                    result: T = end.value
                    return result
                # Whoever waits for the turn gets it after all others have had theirs.
                await asyncio.sleep(0)


def through(items: Iterable[T], look: Callable[[T], object]) -> Steps[None]:
    """The work of looking at all items."""
    for item in items:
        look(item)
        yield
