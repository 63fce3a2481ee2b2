"""Lines to a file descriptor, in batches, with a bounded queue that its producers are told about.

A thread writes what has gathered while it wrote the last batch: a single line leaves at once, and many leave together.
The queue is not refused to anyone, but whoever reads from a host stops while it is `congested`, so that a slow reader
of the pod's log slows the hosts down instead of filling the memory.

A kubelet begins a new log file at 10 MiB, and gives nobody the old one who does not follow it by then. The operator
follows a pod that has run for a second. So at its start a runner writes no more than what fits into one file.
"""

import asyncio
import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Final

from rollcall.lastwords import Said

HIGH_WATER: Final = 1 << 20
LOW_WATER: Final = 1 << 18


@dataclass(frozen=True, slots=True)
class Start:
    """How much is written, in bytes, in the first seconds."""

    size: int = 8 << 20
    """Less than the file that a kubelet begins anew, `containerLogMaxSize`, and than what may yet be on its way."""
    seconds: float = 10.0
    """In which the operator has come to follow the log, however busy it is."""


class LineWriter:
    """Writes lines to a file descriptor; `run` must be running."""

    def __init__(self, descriptor: int, start: Start | None = None) -> None:
        self._descriptor = descriptor
        self._start = start or Start()
        self._written = 0
        self._queue: list[bytes] = []
        self._size = 0
        self._more = asyncio.Event()
        self._closed = False
        self._gone = False
        self._on_relief: list[Callable[[], None]] = []
        self.said = Said()
        """What was written, if it is little."""

    @property
    def congested(self) -> bool:
        """Whether more is queued than the reader has lately taken."""
        return self._size > HIGH_WATER

    def write(self, line: bytes) -> None:
        """Queues a line; drops it when the reader is gone."""
        if self._gone:
            return
        self.said.add(line)
        self._queue.append(line)
        self._size += len(line)
        self._more.set()

    def on_relief(self, callback: Callable[[], None]) -> None:
        """Calls `callback` once, when the queue has become short."""
        self._on_relief.append(callback)

    def close(self) -> None:
        """Lets `run` return when everything is written."""
        self._closed = True
        self._more.set()

    async def run(self) -> None:
        """Writes until `close` is called and the queue is empty. Raises OSError when the reader is gone."""
        loop = asyncio.get_running_loop()
        started = loop.time() + self._start.seconds
        with ThreadPoolExecutor(max_workers=1, thread_name_prefix="lines") as executor:
            while self._queue or not self._closed:
                await self._more.wait()
                self._more.clear()
                if self._written + self._size > self._start.size and (seconds := started - loop.time()) > 0:
                    await asyncio.sleep(seconds)
                batch, self._queue = b"".join(self._queue), []
                try:
                    await loop.run_in_executor(executor, self._write_all, batch)
                except OSError:
                    self._gone = True
                    self._size = 0
                    self._relieve()
                    raise
                self._written += len(batch)
                self._size -= len(batch)
                if self._size <= LOW_WATER:
                    self._relieve()

    def _relieve(self) -> None:
        callbacks, self._on_relief = self._on_relief, []
        for callback in callbacks:
            callback()

    def _write_all(self, data: bytes) -> None:
        view = memoryview(data)
        while view:
            view = view[os.write(self._descriptor, view) :]
