"""Clients that ask for something once a second each, in a process of their own, and how long each answer took."""

import asyncio
import itertools
import json
import random
import re
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any, Final

import uvloop

_FOLDER: Final = Path(__file__).parent.parent
_LENGTH: Final = re.compile(rb"\r\ncontent-length: *([0-9]+)\r\n", re.IGNORECASE)


def poll(port: int, paths: Sequence[str], headers: Mapping[str, str], clients: int, seconds: float) -> list[float]:
    """The times in seconds, ascending, until so many clients had each of their answers. Raises for any but a 200."""
    order = {"port": port, "paths": paths, "headers": headers, "clients": clients, "seconds": seconds}
    done = subprocess.run(
        [sys.executable, "-m", "support.pollers"],
        cwd=_FOLDER,
        input=json.dumps(order).encode(),
        stdout=subprocess.PIPE,
        timeout=seconds + 60,
        check=True,
    )
    return sorted(json.loads(done.stdout))


async def _poll(port: int, paths: Sequence[str], headers: Mapping[str, str], clients: int, seconds: float) -> Any:
    rest = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
    every = itertools.cycle(f"GET {path} HTTP/1.1\r\nHost: localhost\r\n{rest}\r\n".encode() for path in paths)
    taken: list[float] = []
    until = time.monotonic() + seconds
    await asyncio.gather(*(_client(port, next(every), until, taken) for _ in range(clients)))
    return taken


async def _client(port: int, request: bytes, until: float, taken: list[float]) -> None:
    await asyncio.sleep(random.random())  # not all of them at once
    while time.monotonic() < until:
        # A connection each time, as most scripts do, because the server closes one that is idle for long anyway.
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        with closing(writer):
            began = time.monotonic()
            writer.write(request)
            head = await reader.readuntil(b"\r\n\r\n")
            length = _LENGTH.search(head)
            if length is None or not head.startswith(b"HTTP/1.1 200 "):
                raise RuntimeError(f"an answer that is not wanted: {head!r}")
            await reader.readexactly(int(length[1]))
            taken.append(time.monotonic() - began)
        await asyncio.sleep(max(0.0, 1.0 - taken[-1]))


if __name__ == "__main__":
    print(json.dumps(uvloop.run(_poll(**json.load(sys.stdin)))))
