"""What the operator knows of slices stays right when their watch is cut, and when it has missed what happened."""

import asyncio
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from support.exposition import scrape
from support.kube import Kube, Object
from support.operator import Operator
from support.proxy import Answer, Break, Call, Faults, Proxy

LIST = Call("GET", "/rollcall.dev/v1alpha1/jobslices")


class Lists(Faults):
    """Counts how often slices are listed, and lets nobody list them while told to wait."""

    def __init__(self) -> None:
        self.listed = 0
        self.open = threading.Event()
        self.open.set()

    async def before(self, call: Call) -> Answer | None:
        if call == LIST:
            self.listed += 1
            await asyncio.to_thread(self.open.wait)
        return None


@pytest.fixture
def world(
    kube: Kube, crds: None, make_namespace: Callable[[str], str], tmp_path: Path
) -> Iterator[tuple[Operator, Proxy, Lists]]:
    """An operator that leads, behind a proxy."""
    namespace, lists = make_namespace("watching"), Lists()
    with Proxy(kube, lists) as proxy:
        config = proxy.kubeconfig(tmp_path / "kubeconfig")
        with Operator(namespace, config, tmp_path / "operator.log") as operator:
            operator.wait_until_leading(kube)
            yield operator, proxy, lists


def a_slice(namespace: str, index: int) -> Object:
    """A slice of an invocation that does not exist: nobody changes it."""
    spec = {"invocationRef": {"name": "nobody"}, "index": index, "hosts": [f"host-{index}"]}
    metadata = {"name": f"nobody-{index}", "namespace": namespace}
    return {"apiVersion": "rollcall.dev/v1alpha1", "kind": "JobSlice", "metadata": metadata, "spec": spec}


def wait_until_known(kube: Kube, operator: Operator, slices: int) -> None:
    def known() -> bool:
        return scrape(operator.port).value("rollcall_objects", resource="jobslices") == slices

    kube.wait(f"{slices} slices in /metrics", known, 30)


def break_watch(kube: Kube, proxy: Proxy, how: Break) -> None:
    """Break the watch of slices, as soon as there is one."""
    kube.wait("watch of slices", lambda: proxy.disturb(how, lambda call: call.path == LIST.path) == 1, 30)


def test_a_watch_that_is_cut_goes_on_where_it_was(kube: Kube, world: tuple[Operator, Proxy, Lists]) -> None:
    operator, proxy, lists = world
    kube.create(a_slice(operator.namespace, 0))
    wait_until_known(kube, operator, 1)
    listed = lists.listed
    for index in range(1, 4):
        break_watch(kube, proxy, Break.CUT)
        kube.create(a_slice(operator.namespace, index))
        wait_until_known(kube, operator, index + 1)
    kube.delete("jobslices", operator.namespace, "nobody-0")
    wait_until_known(kube, operator, 3)
    assert lists.listed == listed


def test_what_happened_while_the_watch_was_too_old_is_found_in_a_list(
    kube: Kube, world: tuple[Operator, Proxy, Lists]
) -> None:
    operator, proxy, lists = world
    for index in range(3):
        kube.create(a_slice(operator.namespace, index))
    wait_until_known(kube, operator, 3)
    lists.open.clear()
    listed = lists.listed
    break_watch(kube, proxy, Break.EXPIRED)
    kube.wait("list of slices", lambda: lists.listed > listed, 30)
    for index in range(2):
        kube.delete("jobslices", operator.namespace, f"nobody-{index}")
    for index in range(3, 8):
        kube.create(a_slice(operator.namespace, index))
    lists.open.set()
    wait_until_known(kube, operator, 6)
    kube.create(a_slice(operator.namespace, 8))
    wait_until_known(kube, operator, 7)
    assert "a part of the operator failed" not in operator.said()
