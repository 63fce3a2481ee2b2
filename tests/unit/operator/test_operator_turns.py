"""How many have their turn at a time, and how long that counts."""

import asyncio

import pytest

from rollcall_operator.turns import Turns


async def take(turns: Turns, end: asyncio.Event, log: list[str], name: str) -> None:
    async with turns.turn():
        log.append(name)
        await end.wait()


def test_so_many_have_their_turn_in_the_order_in_which_they_asked() -> None:
    async def story() -> list[str]:
        turns, log, ends = Turns(2, patience=60), list[str](), [asyncio.Event() for _ in range(4)]
        tasks = [asyncio.create_task(take(turns, ends[i], log, f"{i}")) for i in range(4)]
        await asyncio.sleep(0)
        log.append("-")
        ends[1].set()
        await tasks[1]
        await asyncio.sleep(0)
        log.append("-")
        for end in ends:
            end.set()
        await asyncio.gather(*tasks)
        return log

    assert asyncio.run(story()) == ["0", "1", "-", "2", "-", "3"]


def test_one_that_takes_long_is_counted_no_more_and_gives_back_nothing_twice() -> None:
    async def story() -> list[str]:
        turns, log, ends = Turns(1, patience=0.01), list[str](), [asyncio.Event() for _ in range(2)]
        slow = asyncio.create_task(take(turns, ends[0], log, "slow"))
        next_ = asyncio.create_task(take(turns, ends[1], log, "next"))
        await asyncio.sleep(0.05)
        for end in ends:
            end.set()
        await asyncio.gather(slow, next_)
        inside = asyncio.Event()
        tasks = [asyncio.create_task(take(turns, inside, log, f"{i}")) for i in range(3)]
        await asyncio.sleep(0)
        at_once = len(log) - 2
        inside.set()
        await asyncio.gather(*tasks)
        return [*log[:2], str(at_once)]

    assert asyncio.run(story()) == ["slow", "next", "1"]


def test_an_error_gives_the_turn_back() -> None:
    async def story() -> None:
        turns = Turns(1, patience=60)
        for _ in range(3):
            with pytest.raises(ValueError, match="oops"):
                async with turns.turn():
                    raise ValueError("oops")

    asyncio.run(asyncio.wait_for(story(), 5))
