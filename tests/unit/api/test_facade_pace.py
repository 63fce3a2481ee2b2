"""Long work goes on in slices, one at a time, and lets everybody else in between."""

import asyncio
import itertools
import time
from collections.abc import Iterator

import pytest

from rollcall_api.pace import SLICE_SECONDS, Pace, through


def busy(count: int, log: list[str], name: str) -> Iterator[None]:
    """Work of which each piece takes a whole slice."""
    for _ in range(count):
        end = time.perf_counter() + SLICE_SECONDS
        while time.perf_counter() < end:
            pass
        log.append(name)
        yield


async def work(pace: Pace, log: list[str], name: str) -> None:
    await pace.run(through(busy(6, log, name), lambda _: None))


async def test_those_who_need_no_slice_are_let_in_after_each() -> None:
    pace, log, turns = Pace(), list[str](), list[int]()

    async def other() -> None:
        while len(log) < 2 * 6:
            turns.append(len(log))
            await asyncio.sleep(0)

    await asyncio.gather(work(pace, log, "a"), work(pace, log, "b"), other())
    steps = [later - earlier for earlier, later in itertools.pairwise(turns)]
    assert max(steps) == 1, "more than one slice was done between two turns of somebody else"


async def test_two_take_turns() -> None:
    pace, log = Pace(), list[str]()
    await asyncio.gather(work(pace, log, "a"), work(pace, log, "b"))
    assert log.index("b") < 3
    assert sorted(log) == ["a"] * 6 + ["b"] * 6


async def test_an_error_in_the_work_reaches_who_asked_and_holds_up_nobody() -> None:
    pace = Pace()

    def wrong(number: int) -> None:
        raise LookupError(number)

    with pytest.raises(LookupError):
        await pace.run(through([1], wrong))
    await pace.run(through([1], lambda _: None))
