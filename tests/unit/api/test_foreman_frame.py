"""What every answer carries: how old it may be, and which organization and location the request chose."""

import time
from typing import Any

import pytest

from rollcall_api.cache import Cache
from rollcall_api.cluster import Cluster
from rollcall_api.foreman.errors import JsonBytes
from rollcall_api.foreman.frame import Frame
from rollcall_api.foreman.taxonomies import Context, Taxonomies


async def ready(scope: Any, receive: Any, send: Any) -> None:
    await JsonBytes(b"{}")(scope, receive, send)


async def test_an_age_that_grows_is_told_as_it_is_and_its_end_soon(monkeypatch: pytest.MonkeyPatch) -> None:
    now, broke_at = 1_000.0, 2_000.0
    monkeypatch.setattr(time, "monotonic", lambda: now)
    taxonomies = Taxonomies(Cache(Cluster(), "ns").hosts)
    frame = Frame(ready, taxonomies, "sum", lambda: max(now - broke_at, 0.0))

    async def told() -> bytes:
        heads: list[Any] = []

        async def send(message: Any) -> None:
            heads.extend(message.get("headers", ()))

        await frame({"type": "http", "path": "/api/status"}, None, send)  # type: ignore[arg-type]
        return next(value for name, value in heads if name == b"age")

    assert await told() == b"0"
    broke_at = 998.0
    now += 0.3
    for passed, age in ((0.0, b"2"), (0.5, b"2"), (0.3, b"3"), (0.1, b"3"), (0.9, b"4"), (40.0, b"44")):
        now += passed
        assert await told() == age
    broke_at = now
    assert await told() == b"0"


@pytest.mark.parametrize(("word", "shown"), [("a\r\nx: b", "a??x: b"), ("Höhe\0", "Höhe?"), ("山", "?")])
def test_no_word_makes_two_headers_of_one(word: str, shown: str) -> None:
    cache = Cache(Cluster(), "ns")
    metadata = {"name": "web1", "uid": "u", "resourceVersion": "1"}
    cache.hosts.put({"metadata": metadata, "spec": {"organization": word}})
    context = Context(Taxonomies(cache.hosts))
    context.choose({"organization_id": word, "location_id": " "})
    assert context.organization is not None
    (_, organization), (_, location) = context.headers
    assert organization.decode("latin-1") == f"{context.organization.id}; {shown}"
    assert location == b"; ANY"
