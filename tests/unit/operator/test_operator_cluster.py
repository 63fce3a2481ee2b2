"""What the operator does when the API server puts it off, and when it may not lead any more."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from aiohttp import web

from rollcall_operator.cluster import MAX_SENDS, Cluster, ClusterError
from support.answering import answering


class Server:
    """An API server that puts off so many requests."""

    def __init__(self, puts_off: int) -> None:
        self.puts_off = puts_off
        self.heard: list[float] = []

    async def answer(self, _: web.Request) -> web.Response:
        self.heard.append(asyncio.get_running_loop().time())
        if len(self.heard) <= self.puts_off:
            return web.json_response({"reason": "TooManyRequests"}, status=429, headers={"Retry-After": "0.1"})
        return web.json_response({"metadata": {"name": "one"}})

    @asynccontextmanager
    async def client(self) -> AsyncIterator[Cluster]:
        async with answering(self.answer) as cluster:
            yield cluster


async def test_a_request_that_is_put_off_is_sent_again_when_the_server_says() -> None:
    server = Server(puts_off=2)
    async with server.client() as cluster:
        assert await cluster.get("pods", "default", "one") == {"metadata": {"name": "one"}}
    first, second, third = server.heard
    assert second - first >= 0.1
    assert third - second >= 0.1


async def test_a_request_is_not_put_off_for_ever() -> None:
    server = Server(puts_off=100)
    async with server.client() as cluster:
        with pytest.raises(ClusterError, match="429"):
            await cluster.get("pods", "default", "one")
    assert len(server.heard) == MAX_SENDS


async def test_nothing_is_written_once_another_may_lead() -> None:
    server = Server(puts_off=0)
    async with server.client() as cluster:
        cluster.may_write_until = asyncio.get_running_loop().time() - 1
        with pytest.raises(ClusterError, match="NotLeading"):
            await cluster.create("pods", {"metadata": {"namespace": "default"}})
        assert not server.heard
        await cluster.replace("leases", {"metadata": {"namespace": "default", "name": "one"}})
        await cluster.get("pods", "default", "one")
    assert len(server.heard) == 2
