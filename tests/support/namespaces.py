"""Namespaces for tests."""

import secrets
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from support.kube import Kube, KubeError, Object


@contextmanager
def made_namespaces(kube: Kube) -> Iterator[Callable[..., str]]:
    """Makes namespaces that enforce a Pod Security Standard, and deletes them at the end."""
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
