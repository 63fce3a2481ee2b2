"""The operator from the source tree, on a real API server and kubelet, with real sshd hosts."""

from collections.abc import Callable, Iterator

import pytest

from support.jobs import furnish
from support.kube import Kube
from support.operator import Operator
from support.sshhosts import KeyPair, SshHost, running_hosts, shared_client_key


@pytest.fixture(scope="session")
def client_key(kube: Kube) -> KeyPair:
    return shared_client_key(kube)


@pytest.fixture(scope="session")
def hosts(kube: Kube, client_key: KeyPair) -> list[SshHost]:
    return running_hosts(kube, client_key)


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
