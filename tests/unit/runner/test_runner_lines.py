"""Lines reach the reader at once, but not faster than a node keeps them for whoever follows its log."""

import asyncio
import os
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from rollcall_runner.lines import LineWriter, Start

LINE = b"x" * 99 + b"\n"


@pytest.fixture
def pipe() -> Iterator[tuple[int, int]]:
    ends = os.pipe()
    yield ends
    for end in ends:
        os.close(end)


def size(path: Path) -> int:
    return path.stat().st_size


def wait_for(path: Path, expected: int) -> None:
    while size(path) < expected:
        time.sleep(0.001)


async def test_much_is_held_back_until_somebody_can_have_begun_to_read(tmp_path: Path) -> None:
    path = tmp_path / "log"
    with path.open("wb", buffering=0) as file:
        writer = LineWriter(file.fileno(), Start(size=1_000, seconds=0.3))
        writing = asyncio.create_task(writer.run())
        for _ in range(9):
            writer.write(LINE)
        await asyncio.wait_for(asyncio.to_thread(wait_for, path, 900), 5)
        began = asyncio.get_running_loop().time()
        for _ in range(2):
            writer.write(LINE)
        await asyncio.sleep(0.05)
        assert size(path) == 900
        writer.close()
        await writing
        assert size(path) == 1_100
        assert asyncio.get_running_loop().time() - began > 0.2


async def test_later_nothing_is_held_back(tmp_path: Path) -> None:
    path = tmp_path / "log"
    with path.open("wb", buffering=0) as file:
        writer = LineWriter(file.fileno(), Start(size=1_000, seconds=0.05))
        writing = asyncio.create_task(writer.run())
        await asyncio.sleep(0.06)
        for _ in range(100):
            writer.write(LINE)
        writer.close()
        await asyncio.wait_for(writing, 5)
        assert size(path) == 10_000


async def test_what_is_held_back_makes_hosts_wait(tmp_path: Path) -> None:
    with (tmp_path / "log").open("wb", buffering=0) as file:
        writer = LineWriter(file.fileno(), Start(size=1_000, seconds=0.1))
        writing = asyncio.create_task(writer.run())
        for _ in range(11_000):
            writer.write(LINE)
        assert writer.congested
        relieved = asyncio.Event()
        writer.on_relief(relieved.set)
        await asyncio.wait_for(relieved.wait(), 5)
        assert not writer.congested
        writer.close()
        await writing


async def test_a_slow_reader_gets_all_of_it(pipe: tuple[int, int]) -> None:
    reading, writing_end = pipe
    writer = LineWriter(writing_end)
    got = bytearray()

    def read() -> None:
        while len(got) < 1_000_000:
            got.extend(os.read(reading, 10_000))

    thread = threading.Thread(target=read)
    writing = asyncio.create_task(writer.run())
    for number in range(10_000):
        writer.write(f"{number:099d}\n".encode())
    thread.start()
    writer.close()
    await writing
    await asyncio.to_thread(thread.join, 5)
    assert got == b"".join(f"{number:099d}\n".encode() for number in range(10_000))
