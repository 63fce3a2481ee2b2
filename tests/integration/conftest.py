"""The operator from the source tree, on a real API server and kubelet, with real sshd hosts."""

from collections.abc import Callable, Iterator

import pytest

from support.jobs import furnish
from support.kube import Kube
from support.operator import Operator
from support.sshhosts import HOSTS_NAMESPACE, KeyPair, SshHost, generate_key, start_hosts

PASSWORD = "wrong-pony-battery"


@pytest.fixture(scope="session")
def client_key(kube: Kube) -> KeyPair:
    """The key that all hosts accept; it stays in the cluster, as the hosts do."""
    kube.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": HOSTS_NAMESPACE}})
    kube.wait("default service account", lambda: kube.find("serviceaccounts", HOSTS_NAMESPACE, "default"))
    name = "client-key"
    if kube.find("configmaps", HOSTS_NAMESPACE, name) is None:
        key = generate_key()
        data = {"private": key.private, "public": key.public}
        metadata = {"name": name, "namespace": HOSTS_NAMESPACE}
        kube.create({"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": data})
    found = kube.get("configmaps", HOSTS_NAMESPACE, name)["data"]
    return KeyPair(found["private"], found["public"])


@pytest.fixture(scope="session")
def hosts(kube: Kube, client_key: KeyPair) -> list[SshHost]:
    """Ten running hosts."""
    return start_hosts(kube, HOSTS_NAMESPACE, [f"host-{number}" for number in range(10)], client_key, PASSWORD)


@pytest.fixture(scope="module")
def namespace(
    kube: Kube, crds: None, make_namespace: Callable[[str], str], hosts: list[SshHost], client_key: KeyPair
) -> str:
    """A namespace with the ten hosts, the key to them, and the template `run-command`."""
    return furnish(kube, make_namespace("it"), hosts, client_key)


@pytest.fixture(scope="module")
def operator(kube: Kube, namespace: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Operator]:
    """An operator that serves the module's namespace, and is not patient."""
    log = tmp_path_factory.mktemp("operator") / "operator.log"
    with Operator(namespace, kube.kubeconfig, log, "--reference-grace-seconds", "3") as started:
        yield started
    print(started.said()[-20_000:])
