"""An answer that leaves with one write is the one that uvicorn would have sent with two, byte for byte."""

import asyncio
import re
import socket
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any

import pytest
import uvicorn

from rollcall_api.foreman.errors import JsonBytes
from rollcall_api.whole import WHOLE, WholeAnswers

BODY = b'{"total": 1}'


@asynccontextmanager
async def served(app: Any) -> AsyncIterator[int]:
    """A server for the application, and its port."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        config = uvicorn.Config(app, http="httptools", lifespan="off", log_config=None, access_log=False)
        server = uvicorn.Server(config)
        serving = asyncio.create_task(server.serve(sockets=[listener]))
        try:
            yield listener.getsockname()[1]
        finally:
            server.should_exit = True
            await serving


class Writes(asyncio.Protocol):
    """What arrives on a connection, until the server closes it or `wanted` is there."""

    def __init__(self, wanted: bytes) -> None:
        self._wanted = wanted
        self.received = b""
        self.done = asyncio.get_running_loop().create_future()

    def data_received(self, data: bytes) -> None:
        self.received += data
        if self.received.endswith(self._wanted):
            self.connection_lost(None)

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002
        if not self.done.done():
            self.done.set_result(None)


async def answer(port: int, request: bytes, wanted: bytes = BODY) -> bytes:
    """What the server says until it has said what is wanted; without its date."""
    transport, reads = await asyncio.get_running_loop().create_connection(lambda: Writes(wanted), "127.0.0.1", port)
    transport.write(request)
    async with asyncio.timeout(10):
        await reads.done
    transport.close()
    return re.sub(rb"date: [^\r]*\r\n", b"", reads.received)


async def ready(scope: Any, receive: Any, send: Any) -> None:
    """Answers with what is there as a whole, where the server takes it so."""
    await JsonBytes(BODY)(scope, receive, send)


REQUESTS = {
    "ordinary": b"GET / HTTP/1.1\r\nHost: x\r\n\r\n",
    "HEAD": b"HEAD / HTTP/1.1\r\nHost: x\r\n\r\n",
    "to be closed": b"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n",
    "HTTP/1.0": b"GET / HTTP/1.0\r\n\r\n",
    "waits for 100": b"POST / HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: 0\r\n\r\n",
}


@pytest.mark.parametrize("request_", REQUESTS.values(), ids=REQUESTS)
async def test_the_answer_is_the_one_of_two_messages(request_: bytes) -> None:
    wanted = b"\r\n\r\n" if request_.startswith(b"HEAD") else BODY
    async with served(ready) as plain, served(WholeAnswers(ready)) as whole:
        expected = await answer(plain, request_, wanted)
        assert expected.startswith(b"HTTP/1.1 200 OK\r\n")
        assert await answer(whole, request_, wanted) == expected


async def test_requests_that_do_not_wait_for_each_other_are_answered_in_their_order() -> None:
    async def echo(scope: Any, receive: Any, send: Any) -> None:
        await asyncio.sleep(0.05 if scope["path"] == "/1" else 0)
        await JsonBytes(b"<%b>" % scope["path"].encode())(scope, receive, send)

    request = b"".join(b"GET /%d HTTP/1.1\r\nHost: x\r\n\r\n" % number for number in range(1, 6))
    async with served(WholeAnswers(echo)) as port:
        assert re.findall(rb"<(.*?)>", await answer(port, request, b"</5>")) == [b"/1", b"/2", b"/3", b"/4", b"/5"]


async def test_a_connection_goes_on_after_a_whole_answer_and_after_one_in_two_messages() -> None:
    async with served(WholeAnswers(ready)) as port:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        for request in (REQUESTS["ordinary"], REQUESTS["HEAD"], REQUESTS["ordinary"]):
            writer.write(request)
            head = await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), 10)
            assert head.startswith(b"HTTP/1.1 200 OK\r\n")
            if not request.startswith(b"HEAD"):
                assert await asyncio.wait_for(reader.readexactly(len(BODY)), 10) == BODY
        writer.close()
        await writer.wait_closed()


@pytest.mark.parametrize("value", [b"a\r\nset-cookie: b", b"a\nb", b"a\0b"])
async def test_a_header_with_a_line_end_is_an_error_and_never_two_headers(
    value: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    async def splitting(_: Any, __: Any, send: Any) -> None:
        headers: Sequence[tuple[bytes, bytes]] = [(b"content-length", b"%d" % len(BODY)), (b"x", value)]
        await send({"type": WHOLE, "status": 200, "headers": headers, "body": BODY})

    async with served(WholeAnswers(splitting)) as port:
        said = await answer(port, REQUESTS["ordinary"], b"Internal Server Error")
    assert said.startswith(b"HTTP/1.1 500 ")
    assert b"set-cookie" not in said
    assert "a character that no header may have" in caplog.text


LENGTH = (b"Content-Length", b"%d" % len(BODY))


@pytest.mark.parametrize("headers", [[], [LENGTH, LENGTH], [LENGTH, (b"Connection", b"close")]])
async def test_an_answer_that_does_not_say_where_it_ends_is_an_error(
    headers: list[tuple[bytes, bytes]], caplog: pytest.LogCaptureFixture
) -> None:
    async def endless(_: Any, __: Any, send: Any) -> None:
        await send({"type": WHOLE, "status": 200, "headers": headers, "body": BODY})

    async with served(WholeAnswers(endless)) as port:
        assert (await answer(port, REQUESTS["ordinary"], b"Internal Server Error")).startswith(b"HTTP/1.1 500 ")
    assert "a whole answer has one length" in caplog.text


async def test_a_reader_that_takes_nothing_holds_the_next_answer_up_and_gets_all_of_them() -> None:
    large = bytes(300_000)

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await JsonBytes(large)(scope, receive, send)

    count = 40
    async with served(WholeAnswers(app)) as port:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(REQUESTS["ordinary"] * count)
        await asyncio.sleep(0.5)
        for _ in range(count):
            await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), 10)
            assert await asyncio.wait_for(reader.readexactly(len(large)), 10) == large
        writer.close()
        await writer.wait_closed()
