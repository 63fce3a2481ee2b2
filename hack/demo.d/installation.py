"""Rollcall in the cluster, by Helm, with a login and a token for the facade."""

import json
import secrets
import time
import urllib.error
import urllib.request
from dataclasses import dataclass

from commands import Object, apply, get, kubectl, namespace, read_secret, run, secret
from names import (
    CLIENT_ACCOUNT,
    IMAGE,
    JOBS,
    KUBERNETES_USER,
    LOGIN,
    LOGIN_SECRET,
    RELEASE,
    SYSTEM,
    USERS_SECRET,
)
from terminal import Trouble

HASH = """
import pathlib
from rollcall_api.users import HASHER
print(HASHER.hash(pathlib.Path("/login/password").read_text()))
"""


@dataclass(frozen=True)
class Facade:
    """Where the facade is, and what lets one in."""

    url: str
    login: str
    password: str
    token: str


def prepare() -> str:
    """Make the namespaces and the login; returns its password."""
    apply(namespace(SYSTEM, "restricted"), namespace(JOBS, "restricted"))
    login = read_secret(SYSTEM, LOGIN_SECRET)
    if login is None:
        login = {"username": LOGIN, "password": secrets.token_urlsafe(18)}
        apply(secret(SYSTEM, LOGIN_SECRET, login) | {"type": "kubernetes.io/basic-auth"})
        kubectl("delete", "secret", "-n", SYSTEM, USERS_SECRET, "--ignore-not-found")
    if read_secret(SYSTEM, USERS_SECRET) is None:
        user = {"passwordHash": _password_hash(), "username": KUBERNETES_USER}
        apply(secret(SYSTEM, USERS_SECRET, {f"{LOGIN}.json": json.dumps(user)}))
    return login["password"]


def install() -> None:
    """Install the chart, or upgrade it."""
    again = get("deployment", SYSTEM, f"{RELEASE}-operator") is not None
    repository, _, tag = IMAGE.rpartition(":")
    values = [
        f"image.repository={repository}",
        f"image.tag={tag}",
        f"operator.namespaces={{{JOBS}}}",
        f"api.namespace={JOBS}",
        f"api.users={USERS_SECRET}",
        f"api.impersonation.users={{{KUBERNETES_USER}}}",
        "api.service.type=NodePort",
    ]
    # --take-ownership: the resource definitions may be there already, from the tests or an earlier demo.
    helm = ["helm", "upgrade", "--install", RELEASE, "charts/rollcall", "-n", SYSTEM, "--take-ownership"]
    run(*helm, *(f"--set={value}" for value in values))
    deployments = [f"deployment/{RELEASE}-operator", f"deployment/{RELEASE}-api"]
    if again:  # the image has the same name as before, but may be another one
        kubectl("rollout", "restart", "-n", SYSTEM, *deployments)
    for deployment in deployments:
        kubectl("rollout", "status", "-n", SYSTEM, deployment, "--timeout=180s")


def open_facade(password: str) -> Facade:
    """Give the login and a service account the right to run jobs, and find the facade's address."""
    apply(_service_account(), _may_run_jobs())
    token = kubectl("create", "token", "-n", JOBS, CLIENT_ACCOUNT, "--duration=24h").strip()
    nodes = json.loads(kubectl("get", "nodes", "-o", "json"))["items"]
    addresses = [entry["address"] for entry in nodes[0]["status"]["addresses"] if entry["type"] == "InternalIP"]
    service = get("service", SYSTEM, f"{RELEASE}-api") or {}
    facade = Facade(f"http://{addresses[0]}:{service['spec']['ports'][0]['nodePort']}", LOGIN, password, token)
    _wait_until_it_answers(facade.url)
    run(
        "hack/cluster",
        "env",
        f"ROLLCALL_URL={facade.url}",
        f"ROLLCALL_USER={LOGIN}",
        f"ROLLCALL_PASSWORD={password}",
        f"ROLLCALL_TOKEN={token}",
    )
    return facade


def _wait_until_it_answers(url: str) -> None:
    """Wait for /readyz. Raises Trouble when it cannot be reached from here."""
    direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    for _ in range(50):
        try:
            with direct.open(f"{url}/readyz", timeout=2):
                return
        except (urllib.error.URLError, OSError):
            time.sleep(0.2)
    raise Trouble(
        f"the facade does not answer at {url} from this machine; reach it with"
        f" `kubectl -n {SYSTEM} port-forward service/{RELEASE}-api 8080:80`"
    )


def _password_hash() -> str:
    """The argon2 hash of the password, made by a pod of the image: this machine may have no argon2."""
    kubectl("delete", "pod", "-n", SYSTEM, "password-hash", "--ignore-not-found", "--wait")
    apply(_hashing_pod())
    done = "--for=jsonpath={.status.phase}=Succeeded"
    kubectl("wait", done, "pod/password-hash", "-n", SYSTEM, "--timeout=60s")
    hashed = kubectl("logs", "-n", SYSTEM, "password-hash").strip()
    kubectl("delete", "pod", "-n", SYSTEM, "password-hash", "--wait=false")
    return hashed


def _hashing_pod() -> Object:
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": "password-hash", "namespace": SYSTEM},
        "spec": {
            "restartPolicy": "Never",
            "automountServiceAccountToken": False,
            "securityContext": {
                "runAsNonRoot": True,
                "runAsUser": 65532,
                "fsGroup": 65532,
                "seccompProfile": {"type": "RuntimeDefault"},
            },
            "containers": [
                {
                    "name": "hash",
                    "image": IMAGE,
                    "imagePullPolicy": "IfNotPresent",
                    "command": ["python", "-c", HASH],
                    "securityContext": {
                        "allowPrivilegeEscalation": False,
                        "readOnlyRootFilesystem": True,
                        "capabilities": {"drop": ["ALL"]},
                    },
                    "volumeMounts": [{"name": "login", "mountPath": "/login", "readOnly": True}],
                }
            ],
            "volumes": [{"name": "login", "secret": {"secretName": LOGIN_SECRET, "defaultMode": 0o440}}],
        },
    }


def _service_account() -> Object:
    return {
        "apiVersion": "v1",
        "kind": "ServiceAccount",
        "metadata": {"name": CLIENT_ACCOUNT, "namespace": JOBS},
        "automountServiceAccountToken": False,
    }


def _may_run_jobs() -> Object:
    group = "rbac.authorization.k8s.io"
    return {
        "apiVersion": f"{group}/v1",
        "kind": "RoleBinding",
        "metadata": {"name": "run-jobs", "namespace": JOBS},
        "roleRef": {"apiGroup": group, "kind": "ClusterRole", "name": f"{RELEASE}-runner"},
        "subjects": [
            {"apiGroup": group, "kind": "User", "name": KUBERNETES_USER},
            {"kind": "ServiceAccount", "name": CLIENT_ACCOUNT, "namespace": JOBS},
        ],
    }
