"""What all tests with a cluster share: the cluster, its CRDs, namespaces that go away."""

import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import yaml

from support.kube import Kube
from support.namespaces import made_namespaces

ROOT = Path(__file__).parent.parent


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
