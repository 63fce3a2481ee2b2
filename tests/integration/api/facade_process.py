"""A facade of a test's own: from the source tree, with a service account, for one namespace."""

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx

from integration.api.facade_world import (
    FACADE_CLUSTER_RULES,
    FACADE_RULES,
    FacadeProcess,
    Relay,
    free_port,
    is_ready,
    service_account,
    write_kubeconfig,
)
from support.kube import Kube


@contextmanager
def running_facade(kube: Kube, namespace: str, folder: Path, *arguments: str) -> Iterator[FacadeProcess]:
    """The facade as it is deployed, with the rights that the chart gives it, and these arguments besides."""
    token = service_account(kube, namespace, "facade", FACADE_RULES)
    api = "rbac.authorization.k8s.io"
    role = {"apiVersion": f"{api}/v1", "kind": "ClusterRole", "metadata": {"name": namespace}}
    kube.create({**role, "rules": FACADE_CLUSTER_RULES})
    binding = {"apiVersion": f"{api}/v1", "kind": "ClusterRoleBinding", "metadata": {"name": namespace}}
    reference = {"apiGroup": api, "kind": "ClusterRole", "name": namespace}
    subject = {"kind": "ServiceAccount", "name": "facade", "namespace": namespace}
    kube.create({**binding, "roleRef": reference, "subjects": [subject]})
    address = httpx.URL(kube.server)
    relay = Relay(address.host, address.port or 443)
    kubeconfig = write_kubeconfig(kube, folder / "kubeconfig", relay.port, token)
    log = folder / "log"
    port, metrics_port = free_port(), free_port()
    command = [sys.executable, "-m", "rollcall_api.main", "--namespace", namespace, "--ids-namespace", namespace]
    command += ["--bind", "127.0.0.1", "--port", str(port), "--metrics-port", str(metrics_port), *arguments]
    with log.open("wb") as output:
        process = subprocess.Popen(
            command, env={**os.environ, "KUBECONFIG": str(kubeconfig)}, stdout=output, stderr=subprocess.STDOUT
        )
    running = FacadeProcess(f"http://127.0.0.1:{port}", log, relay, process, metrics_port=metrics_port)
    try:
        kube.wait(f"readiness; its log: {log}", lambda: is_ready(running), timeout=60)
        yield running
    finally:
        process.kill()
        process.wait()
        relay.close()
        kube.delete("clusterrolebindings", None, namespace)
        kube.delete("clusterroles", None, namespace)
