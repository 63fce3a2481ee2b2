"""The facade, run from the source tree with a service account of its own, in front of a real API server.

No operator runs here: the tests write slices, statuses and output as it would.
"""

import signal
from collections.abc import Callable, Iterator

import httpx
import pytest

from integration.api.facade_world import (
    BLIND,
    EXECUTE,
    FACADE_CLUSTER_RULES,
    FACADE_RULES,
    OPS_PASSWORD,
    RUN,
    VIEW,
    FacadeProcess,
    Relay,
    World,
    free_port,
    grant,
    is_ready,
    launch,
    service_account,
    write_kubeconfig,
    write_user,
)
from support.kube import Kube


@pytest.fixture(scope="session")
def namespace(crds: None, make_namespace: Callable[[str], str]) -> str:
    return make_namespace("api")


@pytest.fixture(scope="session")
def facade(kube: Kube, namespace: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[FacadeProcess]:
    folder = tmp_path_factory.mktemp("facade")
    token = service_account(kube, namespace, "facade", FACADE_RULES)
    api = "rbac.authorization.k8s.io"
    role = {"apiVersion": f"{api}/v1", "kind": "ClusterRole", "metadata": {"name": namespace}}
    kube.create({**role, "rules": FACADE_CLUSTER_RULES})
    subject = {"kind": "ServiceAccount", "name": "facade", "namespace": namespace}
    reference = {"apiGroup": api, "kind": "ClusterRole", "name": namespace}
    binding = {"apiVersion": f"{api}/v1", "kind": "ClusterRoleBinding", "metadata": {"name": namespace}}
    kube.create({**binding, "roleRef": reference, "subjects": [subject]})
    server = httpx.URL(kube.server)
    relay = Relay(server.host, server.port or 443)
    users = folder / "users"
    users.mkdir()
    write_user(users, "ops", "ops@example.com", OPS_PASSWORD)
    write_user(users, "hunted", "hunted@example.com", OPS_PASSWORD)
    write_user(users, "former", "former@example.com", OPS_PASSWORD, disabled=True)
    grant(kube, namespace, "ops", RUN, {"apiGroup": api, "kind": "User", "name": "ops@example.com"})
    kubeconfig = write_kubeconfig(kube, folder / "kubeconfig", relay.port, token)
    log = folder / "log"
    port, metrics_port = free_port(), free_port()
    process = launch(namespace, kubeconfig, users, log, port, metrics_port)
    running = FacadeProcess(f"http://127.0.0.1:{port}", log, relay, process, metrics_port=metrics_port)
    try:
        kube.wait(f"readiness; its log: {log}", lambda: is_ready(running), timeout=120)
        for name, rules in (("runner", RUN), ("executor", EXECUTE), ("viewer", VIEW), ("blind", BLIND), ("nobody", [])):
            running.tokens[name] = service_account(kube, namespace, name, rules)
        yield running
        process.terminate()
        assert process.wait(timeout=30) in (0, -signal.SIGTERM), log.read_text()
        assert "Traceback" not in log.read_text()
    finally:
        process.kill()
        process.wait()
        relay.close()
        kube.delete("clusterrolebindings", None, namespace)
        kube.delete("clusterroles", None, namespace)


@pytest.fixture(scope="session")
def world(kube: Kube, namespace: str, facade: FacadeProcess) -> World:
    built = World(kube, namespace, facade)

    def visible() -> bool:
        with facade.client() as client:
            answer = client.post("/api/job_invocations", json=built.order(search_query="nonsense = 1"))
        return answer.status_code == 400  # the template is known, and the query is looked at

    kube.wait("template in the facade's cache", visible)
    return built
