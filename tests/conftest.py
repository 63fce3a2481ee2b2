"""What all tests with a cluster share: the cluster, its CRDs, namespaces that go away."""

import os
import secrets
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import yaml

from support.kube import Kube, KubeError, Object

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
            any(c["type"] == "Established" and c["status"] == "True" for c in status.get("conditions", []))
            for status in found
        )

    kube.wait("established CRDs", established)


@pytest.fixture(scope="session")
def make_namespace(kube: Kube) -> Iterator[Callable[[str], str]]:
    """Makes namespaces that enforce the restricted Pod Security Standard, and deletes them at the end."""
    made: list[str] = []

    def make(prefix: str, enforce: str = "restricted") -> str:
        name = f"{prefix}-{secrets.token_hex(3)}"
        labels = {"pod-security.kubernetes.io/enforce": enforce, "rollcall-test": "true"}
        kube.create({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name, "labels": labels}})
        kube.wait("default service account", lambda: kube.find("serviceaccounts", name, "default"))
        made.append(name)
        return name

    yield make
    for name in made:
        let_go(kube, name)
        kube.delete("namespaces", None, name)


def let_go(kube: Kube, namespace: str) -> None:
    """Take the finalizers off whatever a killed operator left in a namespace."""
    for plural in ("jobinvocations", "pods"):
        try:
            held: list[Object] = kube.list(plural, namespace)
        except KubeError as error:
            if error.status == 404:
                continue
            raise
        for found in held:
            if found["metadata"].get("finalizers"):
                try:
                    kube.patch(plural, namespace, found["metadata"]["name"], {"metadata": {"finalizers": None}})
                except KubeError as error:
                    if error.status != 404:
                        raise
