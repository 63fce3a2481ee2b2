"""Ids of runs that are about to be made."""

import asyncio

from rollcall_operator.cluster import ClusterError
from rollcall_operator.schedule_ids import MAX_BLOCK, RunIds


class Sequence:
    """Numbers from 1 on, given after a turn of the loop; and the sizes of the blocks that were taken."""

    def __init__(self) -> None:
        self.blocks: list[int] = []
        self.broken = False

    async def take(self, count: int) -> range:
        await asyncio.sleep(0)
        if self.broken:
            raise ClusterError(0, "Invalid", "somebody edited it")
        begin = sum(self.blocks) + 1
        self.blocks.append(count)
        return range(begin, begin + count)


async def all_of(ids: RunIds, count: int) -> list[int | None]:
    return list(await asyncio.gather(*(ids.next() for _ in range(count))))


async def test_one_run_takes_one_id() -> None:
    sequence = Sequence()
    assert await RunIds(sequence.take, lambda: 0).next() == 1
    assert sequence.blocks == [1]


async def test_runs_that_are_due_together_have_ids_of_one_block() -> None:
    sequence = Sequence()
    found = await all_of(RunIds(sequence.take, lambda: 80), 20)
    assert sorted(number for number in found if number) == list(range(1, 21))
    assert sequence.blocks == [81], "the first who asks, and all who are due"


async def test_blocks_grow_while_one_after_the_other_is_used_up() -> None:
    sequence = Sequence()
    ids = RunIds(sequence.take, lambda: 0)
    found = [await ids.next() for _ in range(2 * MAX_BLOCK)]
    assert found == list(range(1, 2 * MAX_BLOCK + 1))
    assert sequence.blocks == [1, 2, 4, 8, 16, 32, 64, 128, 256, MAX_BLOCK]


async def test_without_a_sequence_runs_are_made_all_the_same() -> None:
    sequence = Sequence()
    sequence.broken = True
    ids = RunIds(sequence.take, lambda: 0)
    assert await all_of(ids, 30) == [None] * 30
    assert sequence.blocks == []
