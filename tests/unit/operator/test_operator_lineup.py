"""In which order schedules are looked at, and requests are sent."""

import asyncio

import pytest

from rollcall_operator.lineup import FEW, Lineup, Rank
from rollcall_operator.slots import Slots

A, B, C = (("jobs", name) for name in "abc")


async def test_who_is_due_comes_first() -> None:
    lineup = Lineup()
    for key, rank in ((A, Rank.SETTLE), (B, Rank.DUE), (C, Rank.SETTLE), (C, Rank.DUE), (A, Rank.SETTLE)):
        lineup.add(key, rank)
    assert [await lineup.next() for _ in range(3)] == [(B, Rank.DUE), (C, Rank.DUE), (A, Rank.SETTLE)]
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(lineup.next(), 0)


async def test_who_is_being_looked_at_comes_again_after_that() -> None:
    lineup = Lineup()
    lineup.add(A, Rank.DUE)
    assert await lineup.next() == (A, Rank.DUE)
    lineup.add(A, Rank.SETTLE)
    lineup.add(A, Rank.DUE)
    lineup.add(B, Rank.SETTLE)
    assert await lineup.next() == (B, Rank.SETTLE)
    lineup.done(A)
    assert await lineup.next() == (A, Rank.DUE)


async def test_while_a_run_is_made_few_others_are_looked_at() -> None:
    lineup = Lineup()
    lineup.add(A, Rank.DUE)
    for number in range(FEW + 2):
        lineup.add(("jobs", str(number)), Rank.SETTLE)
    taken = [await lineup.next() for _ in range(1 + FEW)]
    more = [asyncio.create_task(lineup.next()) for _ in range(3)]
    await asyncio.sleep(0)
    assert not any(task.done() for task in more)
    lineup.done(taken[-1][0])
    await asyncio.sleep(0)
    assert [task.done() for task in more] == [True, False, False]
    lineup.done(A)
    await asyncio.sleep(0)
    assert [task.done() for task in more] == [True, True, False]
    lineup.add(B, Rank.DUE)
    assert await more[2] == (B, Rank.DUE)


async def test_what_a_worker_was_given_that_has_gone_is_given_to_another() -> None:
    lineup = Lineup()
    leaving, staying = asyncio.create_task(lineup.next()), asyncio.create_task(lineup.next())
    await asyncio.sleep(0)
    lineup.add(A, Rank.DUE)
    leaving.cancel()
    assert await asyncio.wait_for(staying, 1) == (A, Rank.DUE)
    lineup.done(A)
    gone = asyncio.create_task(lineup.next())
    await asyncio.sleep(0)
    gone.cancel()
    lineup.add(B, Rank.SETTLE)
    assert await asyncio.wait_for(lineup.next(), 1) == (B, Rank.SETTLE)


async def test_beside_what_is_urgent_few_others_have_a_slot() -> None:
    slots, order = Slots(4, beside_urgent=1), []
    over = {name: asyncio.Event() for name in ("urgent", "a", "b", "c")}

    async def ask(name: str, *, urgent: bool = False) -> None:
        async with slots.slot(urgent=urgent):
            order.append(name)
            await over[name].wait()

    async with asyncio.TaskGroup() as group:
        group.create_task(ask("urgent", urgent=True))
        for name in "abc":
            group.create_task(ask(name))
        await asyncio.sleep(0)
        assert order == ["urgent", "a"]
        over["a"].set()
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        assert order == ["urgent", "a", "b"]
        over["urgent"].set()
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        assert order == ["urgent", "a", "b", "c"]
        over["b"].set()
        over["c"].set()


async def test_a_run_that_takes_long_to_make_holds_up_nobody() -> None:
    lineup = Lineup(patience=0)
    lineup.add(A, Rank.DUE)
    others = {("jobs", str(number)) for number in range(FEW + 2)}
    for key in others:
        lineup.add(key, Rank.SETTLE)
    async with asyncio.timeout(5):
        taken = [(await lineup.next())[0] for _ in range(1 + len(others))]
    assert set(taken) == {A, *others}
    for key in taken:
        lineup.done(key)


async def test_what_is_urgent_and_takes_long_holds_up_nobody() -> None:
    slots, never = Slots(8, beside_urgent=1, patience=0), asyncio.Event()
    inside: list[str] = []
    all_inside = asyncio.Event()

    async def ask(name: str, *, urgent: bool = False) -> None:
        async with slots.slot(urgent=urgent):
            inside.append(name)
            if len(inside) == 4:
                all_inside.set()
            await never.wait()

    hanging = [asyncio.create_task(ask(name, urgent=name == "urgent")) for name in ("urgent", "a", "b", "c")]
    async with asyncio.timeout(5):
        await all_inside.wait()
    never.set()
    await asyncio.gather(*hanging)


async def test_what_is_urgent_waits_behind_no_other() -> None:
    slots, order = Slots(1, beside_urgent=1), []

    async def ask(name: str, *, urgent: bool = False) -> None:
        async with slots.slot(urgent=urgent):
            order.append(name)
            await asyncio.sleep(0)

    async with asyncio.TaskGroup() as group:
        for name in ("first", "second", "third"):
            group.create_task(ask(name))
        group.create_task(ask("urgent", urgent=True))
    assert order == ["first", "urgent", "second", "third"]


async def test_a_slot_that_nobody_waits_for_any_more_is_not_lost() -> None:
    slots = Slots(1, beside_urgent=1)

    async def take() -> None:
        async with slots.slot():
            pass

    async with slots.slot():
        waiting, given = asyncio.create_task(take()), asyncio.create_task(take())
        await asyncio.sleep(0)
        waiting.cancel()
    given.cancel()  # in the moment in which it has been given the slot
    await asyncio.gather(waiting, given, return_exceptions=True)
    async with asyncio.timeout(1), slots.slot():
        pass
