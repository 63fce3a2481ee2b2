"""An operator that is newer than the cluster's CustomResourceDefinitions waits for them: else results would be lost."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from support.kube import Kube
from support.operator import Operator

NAME = "jobslices.rollcall.dev"
STATUS = "/spec/versions/0/schema/openAPIV3Schema/properties/status/properties"


@pytest.fixture
def older_slices(kube: Kube, crds: None) -> Iterator[Callable[[], None]]:
    """The definition of slices lacks a field that they have now, until the function is called, or the test ends."""
    path = kube.path("customresourcedefinitions", None, NAME)
    patch = {"headers": {"Content-Type": "application/json-patch+json"}}
    current = kube.get("customresourcedefinitions", None, NAME)["spec"]

    def restore() -> None:
        kube.request("PATCH", path, json=[{"op": "replace", "path": "/spec", "value": current}], **patch)

    kube.request("PATCH", path, json=[{"op": "remove", "path": f"{STATUS}/output"}], **patch)
    yield restore
    restore()


def test_an_operator_waits_for_definitions_of_its_own_age(
    kube: Kube, make_namespace: Callable[[str], str], older_slices: Callable[[], None], tmp_path: Path
) -> None:
    def published() -> bool:
        found = kube.request("GET", "/openapi/v3/apis/rollcall.dev/v1alpha1").json()["components"]["schemas"]
        return "output" not in found["dev.rollcall.v1alpha1.JobSlice"]["properties"]["status"]["properties"]

    kube.wait("older schema to be published", published)
    namespace = make_namespace("definitions")
    with Operator(namespace, kube.kubeconfig, tmp_path / "operator.log") as operator:
        operator.wait_until_leading(kube)
        kube.wait("complaint", lambda: "older than this operator and lack JobSlice.status.output;" in operator.said())
        older_slices()
        kube.create({
            "apiVersion": "rollcall.dev/v1alpha1", "kind": "JobInvocation",
            "metadata": {"name": "job", "namespace": namespace},
            "spec": {"templateRef": {"name": "none"}, "targeting": {"hosts": []}},
        })  # fmt: skip

        def looked_at() -> bool:
            return "status" in kube.get("jobinvocations", namespace, "job")

        kube.wait("operator to go on", looked_at)
        assert operator.said().count("older than this operator") == 1
