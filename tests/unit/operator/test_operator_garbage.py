"""When cyclic garbage is collected: in quiet moments, and at last without one."""

import asyncio
import gc
import itertools
import weakref
from collections.abc import Callable, Iterator

import pytest

from rollcall_operator.garbage import LITTLE, WORTH_IT, collect_garbage

LOOKS = 20
LOOK_SECONDS = 0.001


class Cycle:
    """Garbage as soon as nobody else has it, freed by nothing but the collector."""

    def __init__(self) -> None:
        self.myself = self


@pytest.fixture(autouse=True)
def whole_collections_come_from_us_alone() -> Iterator[None]:
    """What other tests have left must not make Python collect all by itself meanwhile."""
    threshold = gc.get_threshold()
    gc.collect()
    yield
    assert gc.get_threshold() == threshold


def found(work_done: Callable[[], int], *, kept: int, longest_seconds: float = 3600) -> bool:
    """Whether old garbage was found in twenty looks, after so many collections of what is younger."""

    async def story() -> bool:
        collector = asyncio.create_task(collect_garbage(work_done, LOOK_SECONDS, longest_seconds))
        await asyncio.sleep(0)
        cycle = Cycle()
        for _ in range(kept):
            gc.collect(1)  # the object is old after the first of them
        garbage = weakref.ref(cycle)
        del cycle
        await asyncio.sleep(LOOKS * LOOK_SECONDS)
        collector.cancel()
        await asyncio.gather(collector, return_exceptions=True)
        return garbage() is None

    return asyncio.run(story())


def work(step: int) -> Callable[[], int]:
    """So much more was done each time that somebody asks."""
    count = itertools.count(step=step)
    return lambda: next(count)


def test_garbage_is_collected_when_nothing_is_done() -> None:
    assert found(work(0), kept=WORTH_IT)


def test_a_little_work_is_no_hindrance() -> None:
    assert found(work(LITTLE), kept=WORTH_IT)


def test_nothing_is_collected_during_work() -> None:
    assert not found(work(LITTLE + 1), kept=WORTH_IT)


def test_garbage_is_not_left_for_ever_where_work_never_ends() -> None:
    assert found(work(LITTLE + 1), kept=WORTH_IT, longest_seconds=5 * LOOK_SECONDS)


def test_nothing_is_looked_for_where_little_was_made() -> None:
    assert not found(work(0), kept=WORTH_IT // 2)
