"""A pod is let go without touching what others want of it, however late the watch is."""

from collections.abc import Callable
from pathlib import Path

import pytest
from kubernetes.aio.client import Configuration
from kubernetes.aio.config import load_kube_config

from rollcall.names import FINALIZER_COLLECT, LABEL_INVOCATION, LABEL_SLICE
from rollcall_operator.cluster import Cluster, RefusedError
from rollcall_operator.execution import Execution
from rollcall_operator.settings import parse
from rollcall_operator.store import Store
from support.kube import Kube, Object
from support.operator import IMAGE, account

OTHERS = "tests.rollcall.dev/kept"
NAME = "released-0"


@pytest.fixture(scope="module")
def empty(make_namespace: Callable[[str], str]) -> str:
    return make_namespace("release")


@pytest.fixture
def stored(kube: Kube, empty: str) -> Store:
    """What the operator knows: a pod that waits for its results to be collected, and that no node takes."""
    store = Store()
    store.put("pods", make(kube, empty))
    return store


def make(kube: Kube, namespace: str) -> Object:
    """Make the pod, after any that another test has left."""
    if kube.find("pods", namespace, NAME) is not None:
        finalizers(kube, namespace)
        kube.delete("pods", namespace, NAME, gracePeriodSeconds=0)
        kube.wait("pod to go", lambda: kube.find("pods", namespace, NAME) is None)
    security = {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}, "runAsNonRoot": True,
                "seccompProfile": {"type": "RuntimeDefault"}}  # fmt: skip
    labels = {LABEL_INVOCATION: "released", LABEL_SLICE: NAME}
    return kube.create({
        "apiVersion": "v1", "kind": "Pod",
        "metadata": {"name": NAME, "namespace": namespace, "labels": labels, "finalizers": [FINALIZER_COLLECT]},
        "spec": {"nodeSelector": {"tests.rollcall.dev/nowhere": "yes"},
                 "containers": [{"name": "runner", "image": IMAGE, "securityContext": security}]},
    })  # fmt: skip


def finalizers(kube: Kube, namespace: str, *names: str) -> None:
    kube.patch("pods", namespace, NAME, {"metadata": {"finalizers": list(names)}})


def left(kube: Kube, namespace: str) -> list[str]:
    return kube.get("pods", namespace, NAME)["metadata"].get("finalizers", [])  # type: ignore[no-any-return]


async def release(store: Store, namespace: str, kubeconfig: Path) -> None:
    configuration = Configuration()
    await load_kube_config(config_file=str(kubeconfig), client_configuration=configuration)
    async with Cluster(configuration) as cluster:
        await Execution(cluster, store, parse(["--runner-image", IMAGE])).release_pod((namespace, "released"), NAME)


@pytest.mark.parametrize("now", [(FINALIZER_COLLECT, OTHERS), (OTHERS, FINALIZER_COLLECT)], ids=["after", "before"])
async def test_a_finalizer_that_somebody_has_set_since_stays(
    kube: Kube, empty: str, stored: Store, now: tuple[str, str]
) -> None:
    finalizers(kube, empty, *now)
    await release(stored, empty, kube.kubeconfig)
    assert left(kube, empty) == [OTHERS]
    assert not stored.pods[empty, "released"][NAME].held


async def test_another_pod_of_that_name_keeps_its_finalizers(kube: Kube, empty: str, stored: Store) -> None:
    make(kube, empty)
    await release(stored, empty, kube.kubeconfig)
    assert left(kube, empty) == [FINALIZER_COLLECT]


async def test_a_pod_that_is_gone_is_forgotten(kube: Kube, empty: str, stored: Store) -> None:
    finalizers(kube, empty)
    kube.delete("pods", empty, NAME, gracePeriodSeconds=0)
    await release(stored, empty, kube.kubeconfig)
    assert not stored.pods


async def test_who_may_not_let_it_go_is_told_so(kube: Kube, empty: str, stored: Store, tmp_path: Path) -> None:
    kubeconfig = account(kube, empty, tmp_path)
    kube.delete("rolebindings", empty, "operator")
    with pytest.raises(RefusedError, match="403"):
        await release(stored, empty, kubeconfig)
