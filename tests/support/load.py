"""The two programs of a load test, each a process of its own: a server with nothing behind it, and a client.

The server answers everything with the same bytes, under the facade's server settings. The client keeps some
connections busy, each with one request at a time, and reads the server's CPU time itself, at both ends of the measured
time, so that neither its own start nor the warming up counts.
"""

import asyncio
import itertools
import json
import os
import re
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

import uvloop

CONNECTIONS: Final = 16
WARM_UP_SECONDS: Final = 0.3
_FOLDER: Final = Path(__file__).parent.parent
_LENGTH: Final = re.compile(rb"\r\ncontent-length: *([0-9]+)\r\n", re.IGNORECASE)
_TICKS: Final = os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True, slots=True)
class Server:
    """A server process on this machine."""

    port: int
    pid: int


@dataclass(frozen=True, slots=True)
class Load:
    """What a server took under load."""

    per_second: float
    """Requests answered."""
    cpu_us: float
    """CPU time of the server for one request, in microseconds."""
    client_share: float
    """How much of a core the client used; near 1 it was the client that was measured."""


@contextmanager
def bare_server(body: bytes) -> Iterator[Server]:
    """A uvicorn process that answers every request with this JSON."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port: int = listener.getsockname()[1]
        process = subprocess.Popen(
            [sys.executable, "-m", "support.load", "serve", str(listener.fileno())],
            cwd=_FOLDER,
            stdin=subprocess.PIPE,
            pass_fds=[listener.fileno()],
        )
    try:
        assert process.stdin is not None
        with process.stdin as pipe:
            pipe.write(body)
        yield Server(port, process.pid)
    finally:
        process.terminate()
        process.wait()


def drive(server: Server, paths: Sequence[str], headers: Mapping[str, str], seconds: float) -> Load:
    """Asks for the paths in turn, over and over, from a process of its own. Any answer but 200 is an error."""
    order = {"port": server.port, "pid": server.pid, "paths": paths, "headers": headers, "seconds": seconds}
    done = subprocess.run(
        [sys.executable, "-m", "support.load", "drive"],
        cwd=_FOLDER,
        input=json.dumps(order).encode(),
        stdout=subprocess.PIPE,
        timeout=seconds + 60,
        check=True,
    )
    return Load(**json.loads(done.stdout))


def _serve(descriptor: int) -> None:
    import uvicorn  # here, because the client starts many times without it

    body = sys.stdin.buffer.read()
    headers = [(b"content-type", b"application/json; charset=utf-8"), (b"content-length", b"%d" % len(body))]

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": body})

    config = uvicorn.Config(
        app,
        loop="uvloop",
        http="httptools",
        ws="none",
        lifespan="off",
        log_config=None,
        access_log=False,
        server_header=False,
    )
    uvicorn.Server(config).run(sockets=[socket.socket(fileno=descriptor)])


class _Requests:
    """The requests still to be sent, how many were answered, and the first failure."""

    def __init__(self, paths: Sequence[str], headers: Mapping[str, str]) -> None:
        rest = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
        every = [f"GET {path} HTTP/1.1\r\nHost: localhost\r\n{rest}\r\n".encode() for path in paths]
        self.next = itertools.cycle(every)
        self.answered = 0
        self.failure: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def fail(self, message: str) -> None:
        if not self.failure.done():
            self.failure.set_exception(RuntimeError(message))

    async def go_on(self, seconds: float) -> None:
        """Lets the connections work for so long. Raises RuntimeError at the first failure."""
        await asyncio.wait([self.failure], timeout=seconds)
        if self.failure.done():
            self.failure.result()


class _Connection(asyncio.Protocol):
    def __init__(self, requests: _Requests) -> None:
        self._requests = requests
        self._received = b""
        self._awaited = 0

    def connection_made(self, transport: Any) -> None:
        self._write = transport.write
        self._write(next(self._requests.next))

    def data_received(self, data: bytes) -> None:
        self._received += data
        if not self._awaited:
            end = self._received.find(b"\r\n\r\n") + 4
            if end < 4:
                return
            length = _LENGTH.search(self._received, 0, end)
            if length is None or not self._received.startswith(b"HTTP/1.1 200 "):
                self._requests.fail(f"an answer that is not wanted: {self._received[:500]!r}")
                return
            self._awaited = end + int(length[1])
        if len(self._received) >= self._awaited:
            self._received = b""
            self._awaited = 0
            self._requests.answered += 1
            self._write(next(self._requests.next))

    def connection_lost(self, exc: Exception | None) -> None:
        self._requests.fail(f"the server closed a connection: {exc}")


async def _drive(port: int, pid: int, paths: Sequence[str], headers: Mapping[str, str], seconds: float) -> Load:
    requests = _Requests(paths, headers)
    loop = asyncio.get_running_loop()
    for _ in range(CONNECTIONS):
        await loop.create_connection(lambda: _Connection(requests), "127.0.0.1", port)
    await requests.go_on(WARM_UP_SECONDS)
    began, cpu, own, answered = time.monotonic(), _cpu_seconds(pid), time.process_time(), requests.answered
    await requests.go_on(seconds)
    requests.failure.cancel()  # what follows is the end
    count = requests.answered - answered
    taken = time.monotonic() - began
    if not count:
        raise RuntimeError(f"no answer within {seconds} s")
    return Load(count / taken, (_cpu_seconds(pid) - cpu) / count * 1e6, (time.process_time() - own) / taken)


def _cpu_seconds(pid: int) -> float:
    """The CPU time of a process, user and system (proc_pid_stat(5), fields 14 and 15)."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / _TICKS


def _main(task: str, *arguments: str) -> None:
    if task == "serve":
        _serve(int(arguments[0]))
    else:
        print(json.dumps(asdict(uvloop.run(_drive(**json.load(sys.stdin))))))


if __name__ == "__main__":
    _main(*sys.argv[1:])
