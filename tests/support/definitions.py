"""The CRDs of this checkout, in a cluster."""

from pathlib import Path

import yaml

from support.kube import Kube

CRDS = Path(__file__).parent.parent.parent / "crds"


def establish(kube: Kube) -> None:
    """Apply them, and wait until the API server serves them."""
    manifests = [yaml.safe_load(path.read_text()) for path in sorted(CRDS.glob("*.yaml"))]
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
