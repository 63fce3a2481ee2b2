"""What all tests with a cluster share: the cluster, its CRDs, namespaces that go away."""

import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import yaml

from support.kube import Kube
from support.namespaces import made_namespaces

ROOT = Path(__file__).parent.parent


TOGETHER = (Path("integration/api"), Path("integration/runner"), Path("e2e"))
"""Folders whose tests share what is made once for all of them."""
LONGEST = ("integration/test_operator_killed.py", "e2e", "integration/runner")
"""What should not be left for the end when two processes run the tests."""


@pytest.hookimpl(tryfirst=True)  # xdist reads the groups in a hook of its own
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Let processes that run the tests side by side (`--dist loadgroup`) take a whole file at a time, or folder."""

    def group(item: pytest.Item) -> str:
        path = item.path.relative_to(ROOT / "tests")
        return next((str(folder) for folder in TOGETHER if path.is_relative_to(folder)), str(path))

    groups = {item: group(item) for item in items}
    for item, name in groups.items():
        item.add_marker(pytest.mark.xdist_group(name))
    items.sort(key=lambda item: LONGEST.index(groups[item]) if groups[item] in LONGEST else len(LONGEST))


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
    manifests = [yaml.safe_load(path.read_text()) for path in sorted((ROOT / "crds").glob("*.yaml"))]
    for manifest in manifests:
        kube.apply(manifest)

    def established() -> bool:
        names = (manifest["metadata"]["name"] for manifest in manifests)
        found = [kube.get("customresourcedefinitions", None, name).get("status", {}) for name in names]
        return all(
            any(c["type"] == "Established" and c["status"] == "True" for c in status.get("conditions") or ())
            for status in found
        )

    kube.wait("established CRDs", established)


@pytest.fixture(scope="session")
def make_namespace(kube: Kube) -> Iterator[Callable[[str], str]]:
    """Makes namespaces that enforce the restricted Pod Security Standard, and deletes them at the end."""
    with made_namespaces(kube) as make:
        yield make
