"""Python's cyclic garbage is looked for while little is done.

A look at all objects stops everything for a quarter of a second where the operator holds 2,000 Hosts and 200
invocations, and Python takes one every few seconds of work. Little is found in it: what the operator lets go is
mostly in no cycle. So it waits for a quiet moment, or for the end of a long time without one. Young objects are
looked at as usual.
"""

import asyncio
import gc
from collections.abc import Callable
from typing import Final

LOOK_SECONDS: Final = 1.0
"""How often to see what was done since."""
LITTLE: Final = 8
"""How much may be done between two looks of a quiet time: Hosts' last contacts are written for long after a job."""
LONGEST_SECONDS: Final = 120.0
"""How long garbage is left at most while there is no quiet moment."""
WORTH_IT: Final = 20
"""After how many collections of the middle generation a full one may find something: the objects made and not freed by
then are 140,000."""
_NEVER: Final = 1_000_000_000


async def collect_garbage(
    work_done: Callable[[], int], look_seconds: float = LOOK_SECONDS, longest_seconds: float = LONGEST_SECONDS
) -> None:
    """Collect all garbage from time to time, for ever: when the count of the work that was done has hardly gone on."""
    young, middle, old = gc.get_threshold()
    gc.set_threshold(young, middle, _NEVER)
    loop = asyncio.get_running_loop()
    try:
        seen, last = _collections(), loop.time()
        while True:
            done = work_done()
            await asyncio.sleep(look_seconds)
            quiet = work_done() - done <= LITTLE
            overdue = loop.time() - last >= longest_seconds
            if _collections() - seen >= WORTH_IT and (quiet or overdue):
                gc.collect()
                seen, last = _collections(), loop.time()
    finally:
        gc.set_threshold(young, middle, old)


def _collections() -> int:
    """How often the middle generation was collected so far."""
    return int(gc.get_stats()[1]["collections"])
