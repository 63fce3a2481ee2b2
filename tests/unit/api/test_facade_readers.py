"""Readers that take nothing are cut off, those that are merely slow are not; with a real server and real sockets."""

import asyncio
import socket
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import ExitStack, asynccontextmanager, contextmanager
from typing import Any

import pytest
import uvicorn

from rollcall_api.readers import Readers

LARGE = 4 * 1024 * 1024
SMALL_WINDOW = 4096
REQUEST = b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"


@asynccontextmanager
async def served(readers: Readers, size: int) -> AsyncIterator[tuple[uvicorn.Server, int]]:
    """A server that answers with so many bytes, and its port."""

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"%d" % size)]})
        await send({"type": "http.response.body", "body": bytes(size)})

    with socket.create_server(("127.0.0.1", 0)) as listener:
        protocol: Any = readers.protocol
        config = uvicorn.Config(app, http=protocol, lifespan="off", log_config=None, timeout_keep_alive=1)
        server = uvicorn.Server(config)
        serving = asyncio.create_task(server.serve(sockets=[listener]))
        try:
            yield server, listener.getsockname()[1]
        finally:
            server.should_exit = True
            await serving


@contextmanager
def reader(window: int = SMALL_WINDOW) -> Iterator[socket.socket]:
    """A socket for which the kernel keeps little."""
    with socket.socket() as connection:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, window)
        connection.setblocking(False)
        yield connection


async def ask(connection: socket.socket, port: int) -> None:
    loop = asyncio.get_running_loop()
    await loop.sock_connect(connection, ("127.0.0.1", port))
    await loop.sock_sendall(connection, REQUEST)


async def until_cut_off(server: uvicorn.Server, within: float) -> float:
    """How long the server keeps the connection that it has now."""
    began = time.monotonic()
    await until(lambda: bool(server.server_state.connections))
    await until(lambda: not server.server_state.connections, within)
    return time.monotonic() - began


async def until(probe: Callable[[], bool], within: float = 10) -> None:
    end = time.monotonic() + within
    while not probe():
        assert time.monotonic() < end
        await asyncio.sleep(0.02)


@pytest.mark.parametrize("size", [LARGE, 10 * LARGE])
async def test_who_takes_nothing_is_cut_off(size: int) -> None:
    async with served(Readers(lambda: False, patience=0.3), size) as (server, port):
        with reader() as connection:
            await ask(connection, port)
            assert await until_cut_off(server, 10) > 0.3


async def test_who_asks_again_and_again_and_takes_nothing_is_cut_off() -> None:
    """What is unsent is less than the server keeps without waiting for the reader."""
    readers = Readers(lambda: False, patience=0.3)
    async with served(readers, 20_000) as (server, port):
        with reader() as connection:
            await ask(connection, port)
            await until(lambda: bool(server.server_state.connections))
            (protocol,) = server.server_state.connections
            while not protocol.transport.get_write_buffer_size():
                await asyncio.get_running_loop().sock_sendall(connection, REQUEST)
                await asyncio.sleep(0.02)
            await until_cut_off(server, 10)


async def test_who_takes_little_but_steadily_gets_all_of_it() -> None:
    loop = asyncio.get_running_loop()
    async with served(Readers(lambda: False, patience=0.5), LARGE) as (_, port):
        with reader(65_536) as connection:
            await ask(connection, port)
            began, count = time.monotonic(), 0
            while data := await loop.sock_recv(connection, 131_072):
                count += len(data)
                await asyncio.sleep(0.05)
            assert count > LARGE
            assert time.monotonic() - began > 1


@pytest.mark.parametrize(("waited_for", "most"), [(True, 100 * LARGE), (False, LARGE)])
async def test_they_are_cut_off_sooner_when_others_wait_or_much_is_kept(waited_for: bool, most: int) -> None:
    readers = Readers(lambda: waited_for, patience=600, hurried=0.3, most=most)
    async with served(readers, 2 * LARGE) as (server, port):
        with reader() as connection:
            await ask(connection, port)
            await until_cut_off(server, 10)


async def test_however_many_take_nothing_little_is_kept_for_all_of_them() -> None:
    readers = Readers(lambda: False, patience=600, hurried=600, most=LARGE)
    async with served(readers, LARGE) as (server, port):
        with ExitStack() as stack:
            sockets = [stack.enter_context(reader()) for _ in range(12)]
            for connection in sockets:
                await ask(connection, port)
            await until(lambda: server.server_state.total_requests == len(sockets))
            await until(lambda: len(server.server_state.connections) <= 3)
            assert server.server_state.connections
            for connection in sockets:
                connection.close()
