"""What all tests with a cluster share: the cluster, its CRDs, namespaces that go away."""

import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from xdist.remote import Producer
from xdist.scheduler import LoadScopeScheduling

from support.definitions import establish
from support.kube import Kube
from support.namespaces import made_namespaces

ROOT = Path(__file__).parent.parent


TOGETHER = ("tests/integration/api", "tests/integration/runner", "tests/e2e")
"""Folders whose tests share what is made once for all of them."""
LONGEST = ("tests/integration/test_operator_killed.py", "tests/e2e", "tests/integration/runner")
"""What should not be left for the end when two processes run the tests."""


class FilesAndFolders(LoadScopeScheduling):
    """Gives a process that runs tests beside others a whole file at a time, or folder."""

    def _split_scope(self, nodeid: str) -> str:
        return scope(nodeid)


def scope(nodeid: str) -> str:
    """The file or folder that a test must not be parted from."""
    path = nodeid.split("::", 1)[0]
    return next((folder for folder in TOGETHER if path.startswith(f"{folder}/")), path)


def pytest_xdist_make_scheduler(config: pytest.Config, log: Producer) -> LoadScopeScheduling | None:
    """Files and folders stay whole where `--dist loadfile` is asked for."""
    return FilesAndFolders(config, log) if config.getoption("dist") == "loadfile" else None


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with what takes longest."""
    last = len(LONGEST)
    items.sort(key=lambda item: LONGEST.index(scope(item.nodeid)) if scope(item.nodeid) in LONGEST else last)


@pytest.fixture(scope="session")
def kube() -> Iterator[Kube]:
    """The cluster: $KUBECONFIG, else the one that `hack/cluster up` made for this checkout."""
    path = Path(os.environ.get("KUBECONFIG") or ROOT / ".cluster" / "kubeconfig")
    if not path.exists():
        pytest.exit("there is no cluster: run `hack/cluster up`, or set KUBECONFIG", returncode=2)
    found = Kube(path)
    yield found
    found.client.close()


@pytest.fixture(scope="session")
def crds(kube: Kube) -> None:
    """The CRDs of this checkout, applied and established."""
    establish(kube)


@pytest.fixture(scope="session")
def make_namespace(kube: Kube) -> Iterator[Callable[[str], str]]:
    """Makes namespaces that enforce the restricted Pod Security Standard, and deletes them at the end."""
    with made_namespaces(kube) as make:
        yield make
