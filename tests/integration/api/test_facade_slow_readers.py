"""Clients that ask for much and never read: what they cost, and what the others notice."""

import os
import socket
import time
from collections.abc import Iterator
from contextlib import ExitStack

import pytest

from integration.api.facade_world import FacadeProcess, World
from rollcall.names import HostState
from rollcall.outputs import Event, Exit, Stream
from support.usage import resident_mib

ROOT = "/api/job_invocations"
CLIENTS = 50
CHUNKS = 6
EVENTS = 250
"""Of eight kilobytes each, in a chunk."""
MOST_MIB = 120
"""How much the facade may grow by."""


@pytest.fixture(scope="module")
def large(world: World) -> int:
    """A job whose hosts have said 12 MB each."""
    id_: int = world.create()["id"]
    ended = {"state": "Succeeded", "exitCode": 0}
    world.deal(id_, {"web1": ended, "web2": ended}, "Done")
    noise = os.urandom(2_000).hex().encode() * 2  # compresses, as output does
    sequence = 0
    for host in ("web1", "web2"):
        for chunk in range(CHUNKS):
            begin = chunk * EVENTS
            events = [
                Event(host, number, 1_700_000_000.0 + number, Stream.STDOUT, noise)
                for number in range(begin, begin + EVENTS)
            ]
            if chunk == CHUNKS - 1:
                end = Exit(HostState.SUCCEEDED, exit_code=0)
                events.append(Event(host, begin + EVENTS, 1_700_009_000.0, Stream.EXIT, end))
            world.store(id_, sequence, events)
            sequence += 1
    world.settle(id_, "Complete", total=2, succeeded=2)
    with world.facade.client() as client:
        world.wait(client, f"{ROOT}/{id_}", "the end", lambda body: body["status"] == 0)
    return id_


@pytest.fixture
def deaf(facade: FacadeProcess, large: int) -> Iterator[list[socket.socket]]:
    """Clients that have asked for everything, and read nothing."""
    address = ("127.0.0.1", int(facade.url.rpartition(":")[2]))
    paths = [f"{ROOT}/{large}/outputs", f"{ROOT}/{large}/hosts/1", f"{ROOT}/{large}/hosts/2/raw"]
    with ExitStack() as stack:
        sockets = []
        for number in range(CLIENTS):
            connection = stack.enter_context(socket.socket())
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            connection.connect(address)
            token = facade.tokens["viewer"]
            head = f"GET {paths[number % 3]} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {token}\r\n\r\n"
            connection.sendall(head.encode())
            sockets.append(connection)
        yield sockets


def test_who_never_reads_holds_little_memory_and_nobody_up(
    world: World, facade: FacadeProcess, large: int, deaf: list[socket.socket]
) -> None:
    small = world.create()["id"]
    before = resident_mib(facade.process.pid)
    grown, slowest = 0.0, 0.0
    with facade.client() as client:
        until = time.monotonic() + 8
        while time.monotonic() < until:
            for path in (ROOT, f"{ROOT}/{small}", f"{ROOT}/{small}/outputs"):
                began = time.monotonic()
                assert client.get(path).status_code == 200
                slowest = max(slowest, time.monotonic() - began)
            grown = max(grown, resident_mib(facade.process.pid) - before)
        # Who reads gets it all, as soon as those who do not have been cut off.
        answer = client.get(f"{ROOT}/{large}/hosts/1", timeout=120)
    assert len(answer.content) > CHUNKS * EVENTS * 8_000
    assert answer.json()["complete"] is True
    print(f"grown by {grown:.0f} MiB, slowest answer {slowest * 1000:.0f} ms")
    assert grown < MOST_MIB
    assert slowest < 5
    cut = [connection for connection in deaf if was_cut(connection)]
    assert len(cut) >= CLIENTS // 3


def was_cut(connection: socket.socket) -> bool:
    """Whether the server has given up on a client."""
    connection.settimeout(0.2)
    try:
        while connection.recv(1_000_000):
            pass
    except TimeoutError:
        return False
    except ConnectionResetError:
        return True
    return True
