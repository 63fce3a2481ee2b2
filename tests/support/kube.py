"""A small synchronous Kubernetes client for tests: plain JSON over the kubeconfig's connection."""

import base64
import json
import ssl
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, TypeVar

import httpx
import yaml

Object = dict[str, Any]
T = TypeVar("T")

CORE = {
    "pods",
    "secrets",
    "configmaps",
    "namespaces",
    "events",
    "services",
    "serviceaccounts",
    "nodes",
    "limitranges",
    "resourcequotas",
}
GROUPS = {
    "deployments": "apps/v1",
    "replicasets": "apps/v1",
    "jobs": "batch/v1",
    "cronjobs": "batch/v1",
    "leases": "coordination.k8s.io/v1",
    "roles": "rbac.authorization.k8s.io/v1",
    "rolebindings": "rbac.authorization.k8s.io/v1",
    "clusterroles": "rbac.authorization.k8s.io/v1",
    "clusterrolebindings": "rbac.authorization.k8s.io/v1",
    "customresourcedefinitions": "apiextensions.k8s.io/v1",
    "validatingadmissionpolicies": "admissionregistration.k8s.io/v1",
    "validatingadmissionpolicybindings": "admissionregistration.k8s.io/v1",
}
ROLLCALL = {"hosts", "inventories", "jobtemplates", "jobinvocations", "jobslices", "joboutputs", "schedules"}
PLURALS = {
    "Host": "hosts", "JobTemplate": "jobtemplates", "JobInvocation": "jobinvocations", "JobSlice": "jobslices",
    "JobOutput": "joboutputs", "Inventory": "inventories", "Schedule": "schedules", "Namespace": "namespaces",
    "Pod": "pods", "Secret": "secrets", "LimitRange": "limitranges", "Node": "nodes",
    "ConfigMap": "configmaps", "ServiceAccount": "serviceaccounts", "Role": "roles", "RoleBinding": "rolebindings",
    "ClusterRole": "clusterroles", "ClusterRoleBinding": "clusterrolebindings", "Job": "jobs", "CronJob": "cronjobs",
    "Service": "services",
    "CustomResourceDefinition": "customresourcedefinitions", "ResourceQuota": "resourcequotas",
    "ValidatingAdmissionPolicy": "validatingadmissionpolicies",
    "ValidatingAdmissionPolicyBinding": "validatingadmissionpolicybindings",
}  # fmt: skip


class KubeError(Exception):
    """An answer of the API server that is not a success; `status` is its HTTP code."""

    def __init__(self, response: httpx.Response) -> None:
        self.status = response.status_code
        self.body = response.text
        super().__init__(f"{response.request.method} {response.request.url}: {self.status} {self.body[:500]}")


class Kube:
    """Reads and writes objects of a cluster as JSON."""

    def __init__(self, kubeconfig: Path) -> None:
        self.kubeconfig = kubeconfig
        config = yaml.safe_load(kubeconfig.read_text())
        context = next(c["context"] for c in config["contexts"] if c["name"] == config["current-context"])
        cluster = next(c["cluster"] for c in config["clusters"] if c["name"] == context["cluster"])
        user = next(u["user"] for u in config["users"] if u["name"] == context["user"])
        self.server: str = cluster["server"]
        self.tls = verify = ssl.create_default_context(cadata=_data(cluster, "certificate-authority").decode())
        headers = {"Authorization": f"Bearer {user['token']}"} if "token" in user else {}
        if "token" not in user:
            with tempfile.NamedTemporaryFile() as cert, tempfile.NamedTemporaryFile() as key:
                Path(cert.name).write_bytes(_data(user, "client-certificate"))
                Path(key.name).write_bytes(_data(user, "client-key"))
                verify.load_cert_chain(cert.name, key.name)
        self.client = httpx.Client(base_url=self.server, verify=verify, headers=headers, timeout=60, trust_env=False)

    def path(self, plural: str, namespace: str | None = None, name: str | None = None) -> str:
        if plural in CORE:
            root = "/api/v1"
        elif plural in ROLLCALL:
            root = "/apis/rollcall.dev/v1alpha1"
        else:
            root = f"/apis/{GROUPS[plural]}"
        scope = f"/namespaces/{namespace}" if namespace and plural != "namespaces" else ""
        return f"{root}{scope}/{plural}" + (f"/{name}" if name else "")

    def request(self, method: str, path: str, **kwargs: Any) -> httpx.Response:
        response = self.client.request(method, path, **kwargs)
        if response.is_error:
            raise KubeError(response)
        return response

    def get(self, plural: str, namespace: str | None, name: str) -> Object:
        return self.request("GET", self.path(plural, namespace, name)).json()  # type: ignore[no-any-return]

    def find(self, plural: str, namespace: str | None, name: str) -> Object | None:
        try:
            return self.get(plural, namespace, name)
        except KubeError as error:
            if error.status == 404:
                return None
            raise

    def list(self, plural: str, namespace: str | None = None, **params: Any) -> list[Object]:
        return self.request("GET", self.path(plural, namespace), params=params).json()["items"]  # type: ignore[no-any-return]

    def create(self, body: Object, namespace: str | None = None) -> Object:
        namespace = body["metadata"].get("namespace", namespace)
        return self.request("POST", self.path(PLURALS[body["kind"]], namespace), json=body).json()  # type: ignore[no-any-return]

    def apply(self, body: Object, namespace: str | None = None) -> Object:
        """Server-side apply."""
        namespace = body["metadata"].get("namespace", namespace)
        return self.request(  # type: ignore[no-any-return]
            "PATCH",
            self.path(PLURALS[body["kind"]], namespace, body["metadata"]["name"]),
            params={"fieldManager": "tests", "force": "true"},
            headers={"Content-Type": "application/apply-patch+yaml"},
            content=json.dumps(body),
        ).json()

    def patch(self, plural: str, namespace: str | None, name: str, body: Object, subresource: str = "") -> Object:
        """JSON merge patch (RFC 7386)."""
        return self.request(  # type: ignore[no-any-return]
            "PATCH",
            self.path(plural, namespace, name) + (f"/{subresource}" if subresource else ""),
            headers={"Content-Type": "application/merge-patch+json"},
            content=json.dumps(body),
        ).json()

    def delete(self, plural: str, namespace: str | None, name: str, **options: Any) -> None:
        try:
            self.request("DELETE", self.path(plural, namespace, name), json=options or None)
        except KubeError as error:
            if error.status != 404:
                raise

    def watch(self, plural: str, namespace: str | None = None, timeout: float = 60, **params: Any) -> Iterator[Object]:
        """The objects as they are and as they change; the generator ends with the timeout."""
        params |= {"watch": "true", "timeoutSeconds": str(int(timeout) + 1)}
        with self.client.stream("GET", self.path(plural, namespace), params=params, timeout=timeout + 5) as response:
            for line in response.iter_lines():
                yield json.loads(line)

    def wait(self, what: str, probe: Callable[[], T | None], timeout: float = 60, interval: float = 0.1) -> T:
        """The first answer of `probe` that says something: not None, False, nor empty. TimeoutError says `what`."""
        deadline = time.monotonic() + timeout
        while True:
            answer = probe()
            if answer:
                return answer
            if time.monotonic() > deadline:
                raise TimeoutError(f"after {timeout} s still no {what}")
            time.sleep(interval)


def condition(resource: Object, type_: str) -> Object | None:
    """The condition of that type in an object's status."""
    return next((c for c in resource.get("status", {}).get("conditions", []) if c["type"] == type_), None)


def _data(entry: Object, key: str) -> bytes:
    if f"{key}-data" in entry:
        return base64.b64decode(entry[f"{key}-data"])
    return Path(entry[key]).read_bytes()
