"""Orders to stop are obeyed when they change, only grow, and mean nothing when they are broken."""

import asyncio
from pathlib import Path

import pytest

from rollcall.work import StopOrder
from rollcall_runner.orders import OrderFile, Orders


def state(orders: Orders, *hosts: str) -> list[str]:
    words = []
    for host in hosts:
        stop = orders.of(host)
        words.append("force" if stop.forced.is_set() else "stop" if stop.asked.is_set() else "go")
        assert stop.asked.is_set() or not stop.forced.is_set()
    return words


@pytest.fixture
def orders() -> Orders:
    return Orders(("a", "b", "c"))


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "stop"


def test_orders_are_for_the_hosts_that_they_name(orders: Orders) -> None:
    assert state(orders, "a", "b", "c") == ["go", "go", "go"]
    orders.obey(StopOrder(("b", "somebody-else")))
    assert state(orders, "a", "b", "c") == ["go", "stop", "go"]
    orders.obey(StopOrder(("c",), force=True))
    assert state(orders, "a", "b", "c") == ["go", "stop", "force"]
    orders.obey(StopOrder(None))
    assert state(orders, "a", "b", "c") == ["stop", "stop", "force"]
    orders.obey(StopOrder(None, force=True))
    assert state(orders, "a", "b", "c") == ["force", "force", "force"]


def test_the_file_is_obeyed_when_it_changes(orders: Orders, path: Path) -> None:
    file = OrderFile(path, orders)
    file.look()
    path.touch()
    file.look()
    assert state(orders, "a", "b", "c") == ["go", "go", "go"]
    path.write_text(StopOrder(("a",)).dump())
    file.look()
    assert state(orders, "a", "b", "c") == ["stop", "go", "go"]
    path.write_text(StopOrder(("a", "b"), force=True).dump())
    file.look()
    assert state(orders, "a", "b", "c") == ["force", "force", "go"]
    path.unlink()
    file.look()
    assert state(orders, "a", "b", "c") == ["force", "force", "go"]


BROKEN = (
    b"{",
    b"null",
    b"[]",
    b'"all"',
    b'{"hosts": 3, "force": false}',
    b'{"hosts": null}',
    b"\xff\xfe",
    b"\0",
    b"9" * 5_000,
    b"[" * 99_999,
)


@pytest.mark.parametrize("content", BROKEN)
def test_what_cannot_be_understood_is_no_order(orders: Orders, path: Path, content: bytes) -> None:
    file = OrderFile(path, orders)
    path.write_bytes(content)
    file.look()
    assert state(orders, "a", "b", "c") == ["go", "go", "go"]
    path.write_text(StopOrder(None).dump())
    file.look()
    assert state(orders, "a", "b", "c") == ["stop", "stop", "stop"]


def test_a_directory_in_place_of_the_file_is_no_order(orders: Orders, path: Path) -> None:
    path.mkdir()
    OrderFile(path, orders).look()
    assert state(orders, "a", "b", "c") == ["go", "go", "go"]


async def test_a_volume_that_the_kubelet_renews_is_noticed(orders: Orders, tmp_path: Path) -> None:
    for number, text in enumerate(("", StopOrder(("a",)).dump())):
        (tmp_path / f"version{number}").mkdir()
        (tmp_path / f"version{number}" / "stop").write_text(text)
    (tmp_path / "..data").symlink_to("version0")
    (tmp_path / "stop").symlink_to("..data/stop")
    watching = asyncio.create_task(OrderFile(tmp_path / "stop", orders).watch())
    news = asyncio.create_task(orders.news())
    await asyncio.sleep(0)
    (tmp_path / "new").symlink_to("version1")
    (tmp_path / "new").rename(tmp_path / "..data")
    async with asyncio.timeout(10):
        await news
    watching.cancel()
    assert state(orders, "a", "b", "c") == ["stop", "go", "go"]
