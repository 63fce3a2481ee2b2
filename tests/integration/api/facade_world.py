"""The facade as a process, the way to it, and what an operator would write into its namespace."""

import base64
import json
import os
import socket
import subprocess
import sys
import threading
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import httpx
import yaml
from argon2 import PasswordHasher

from rollcall.outputkeys import Contents
from rollcall.outputs import Chunk, Event
from rollcall.resources.joboutput import HostRange
from support.kube import Kube, Object

NOW = "2024-05-04T10:00:00Z"
OPS_PASSWORD = "correct horse battery staple"

FACADE_CLUSTER_RULES = [
    {"apiGroups": ["authentication.k8s.io"], "resources": ["tokenreviews"], "verbs": ["create"]},
    {"apiGroups": ["authorization.k8s.io"], "resources": ["subjectaccessreviews"], "verbs": ["create"]},
    {"apiGroups": [""], "resources": ["users", "groups", "serviceaccounts"], "verbs": ["impersonate"]},
]
FACADE_RULES = [
    {
        "apiGroups": ["rollcall.dev"],
        "resources": ["jobinvocations", "jobslices", "hosts", "inventories", "jobtemplates", "schedules"],
        "verbs": ["list", "watch"],
    },
    {"apiGroups": ["rollcall.dev"], "resources": ["jobinvocations", "schedules"], "verbs": ["get", "patch", "delete"]},
    {"apiGroups": ["rollcall.dev"], "resources": ["jobslices", "joboutputs"], "verbs": ["get", "list"]},
    {"apiGroups": [""], "resources": ["pods/log"], "verbs": ["get"]},
    {"apiGroups": [""], "resources": ["secrets"], "verbs": ["create", "patch"]},
    {"apiGroups": [""], "resources": ["configmaps"], "verbs": ["create"]},
    {"apiGroups": [""], "resources": ["configmaps"], "resourceNames": ["rollcall-ids"], "verbs": ["get", "update"]},
]
ALL = ["jobinvocations", "joboutputs", "hosts", "inventories", "jobtemplates", "schedules"]
VIEW = [{"apiGroups": ["rollcall.dev"], "resources": ALL, "verbs": ["get", "list"]}]
EXECUTE = [*VIEW, {"apiGroups": ["rollcall.dev"], "resources": ["jobinvocations"], "verbs": ["create"]}]
RUN = [
    *VIEW,
    {"apiGroups": ["rollcall.dev"], "resources": ["jobinvocations"], "verbs": ["create", "patch"]},
    {"apiGroups": ["rollcall.dev"], "resources": ["schedules"], "verbs": ["create"]},
]
BLIND = [{"apiGroups": ["rollcall.dev"], "resources": ["jobinvocations", "joboutputs"], "verbs": ["get", "list"]}]


class Relay:
    """A TCP relay to the API server, which can be cut off or held, and joined again.

    Cut off it refuses; held it takes connections and what is sent, and passes it on when it is joined again.
    """

    def __init__(self, host: str, port: int) -> None:
        self._target = (host, port)
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self._open: list[socket.socket] = []
        self._cut = False
        self._flows = threading.Event()
        self._flows.set()
        threading.Thread(target=self._accept, daemon=True).start()

    def cut(self) -> None:
        self._cut = True
        for connection in self._open:
            _shut(connection)
        self._open.clear()
        self._flows.set()

    def hold(self) -> None:
        self._flows.clear()

    def join(self) -> None:
        self._cut = False
        self._flows.set()

    def close(self) -> None:
        self.cut()
        _shut(self._listener)
        self._listener.close()

    def _accept(self) -> None:
        while True:
            try:
                near, _ = self._listener.accept()
            except OSError:
                return
            self._flows.wait()  # others may connect meanwhile: the kernel says yes to them
            if self._cut:
                near.close()
                continue
            far = socket.create_connection(self._target)
            self._open += [near, far]
            for source, sink in ((near, far), (far, near)):
                threading.Thread(target=_pump, args=(source, sink, self._flows), daemon=True).start()


def _pump(source: socket.socket, sink: socket.socket, flows: threading.Event) -> None:
    try:
        while data := source.recv(65536):
            flows.wait()
            sink.sendall(data)
    except OSError:
        pass
    finally:
        flows.wait()
        _shut(source)
        _shut(sink)
        source.close()  # the other direction closes the other end


def _shut(connection: socket.socket) -> None:
    try:
        connection.shutdown(socket.SHUT_RDWR)
    except OSError:
        return


@dataclass
class FacadeProcess:
    url: str
    log: Path
    relay: Relay | None
    process: subprocess.Popen[bytes]
    tokens: dict[str, str] = field(default_factory=dict)
    metrics_port: int = 0

    def client(self, user: str = "runner") -> httpx.Client:
        return self.anonymous({"Authorization": f"Bearer {self.tokens[user]}"})

    def anonymous(self, headers: dict[str, str] | None = None, **options: Any) -> httpx.Client:
        return httpx.Client(base_url=self.url, headers=headers, timeout=30, trust_env=False, verify=False, **options)


def grant(kube: Kube, namespace: str, name: str, rules: list[Object], subject: Object) -> None:
    api = "rbac.authorization.k8s.io"
    kube.apply({"apiVersion": f"{api}/v1", "kind": "Role", "metadata": {"name": name}, "rules": rules}, namespace)
    reference = {"apiGroup": api, "kind": "Role", "name": name}
    binding = {"apiVersion": f"{api}/v1", "kind": "RoleBinding", "metadata": {"name": name}}
    kube.apply({**binding, "roleRef": reference, "subjects": [subject]}, namespace)


def service_account(kube: Kube, namespace: str, name: str, rules: list[Object]) -> str:
    """A token of a new service account with these rights."""
    kube.apply({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": name}}, namespace)
    if rules:
        grant(kube, namespace, name, rules, {"kind": "ServiceAccount", "name": name, "namespace": namespace})
    body = {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": {"expirationSeconds": 7200}}
    path = kube.path("serviceaccounts", namespace, name) + "/token"
    answer: str = kube.request("POST", path, json=body).json()["status"]["token"]
    return answer


def launch(
    namespace: str, kubeconfig: Path, users: Path, log: Path, port: int, metrics_port: int = 0
) -> subprocess.Popen[bytes]:
    """Starts the facade from the source tree; what it says is added to the log."""
    with log.open("ab") as output:
        return subprocess.Popen(
            [
                sys.executable, "-W", "error", "-m", "rollcall_api.main",
                "--namespace", namespace, "--ids-namespace", namespace, "--users-dir", str(users),
                "--bind", "127.0.0.1", "--port", str(port), "--access-log", "--log-level", "debug",
                "--metrics-port", str(metrics_port),
            ],
            env={**os.environ, "KUBECONFIG": str(kubeconfig)},
            stdout=output,
            stderr=subprocess.STDOUT,
        )  # fmt: skip


def is_ready(facade: FacadeProcess) -> bool:
    assert facade.process.poll() is None, facade.log.read_text()
    try:
        return httpx.get(f"{facade.url}/readyz", trust_env=False).status_code == 200
    except httpx.TransportError:
        return False


def write_user(folder: Path, login: str, username: str, password: str, disabled: bool = False) -> None:
    digest = PasswordHasher(time_cost=1, memory_cost=8_192, parallelism=1).hash(password)
    document = {"passwordHash": digest, "username": username, "groups": ["ops", "system:masters"], "disabled": disabled}
    (folder / f"{login}.json").write_text(json.dumps(document))


def write_kubeconfig(kube: Kube, path: Path, port: int, token: str) -> Path:
    admin = yaml.safe_load(kube.kubeconfig.read_text())
    cluster = {k: v for k, v in admin["clusters"][0]["cluster"].items() if k.startswith("certificate-authority")}
    cluster |= {"server": f"https://127.0.0.1:{port}", "tls-server-name": httpx.URL(kube.server).host}
    document = {
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": "facade",
        "clusters": [{"name": "facade", "cluster": cluster}],
        "users": [{"name": "facade", "user": {"token": token}}],
        "contexts": [{"name": "facade", "context": {"cluster": "facade", "user": "facade"}}],
    }
    path.write_text(yaml.safe_dump(document))
    return path


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port: int = listener.getsockname()[1]
        return port


class World:
    """The namespace with some hosts and a template, and what an operator would write."""

    def __init__(self, kube: Kube, namespace: str, facade: FacadeProcess) -> None:
        self.kube = kube
        self.namespace = namespace
        self.facade = facade
        self.ids = {name: number for number, name in enumerate(("web1", "web2", "web3"), 1)}
        for name in self.ids:
            self.host(name)
        self.template(
            "run-command",
            11,
            {
                "displayName": "Run Command - Script Default",
                "category": "Commands",
                "features": ["run_script"],
                "descriptionFormat": "Run %{command}",
                "inputs": [
                    {"name": "command", "required": True},
                    {"name": "retries", "type": "Integer", "default": "3"},
                    {"name": "mode", "type": "Choice", "options": ["fast", "slow"]},
                ],
                "ssh": {"script": "{{ inputs.command | raw }}"},
            },
        )

    def host(self, name: str, id_: int | None = None) -> None:
        labels = {"rollcall.dev/id": str(id_ or self.ids[name])}
        self.kube.apply(
            {"apiVersion": "rollcall.dev/v1alpha1", "kind": "Host", "metadata": {"name": name, "labels": labels}},
            self.namespace,
        )

    def template(self, name: str, id_: int, spec: Object) -> None:
        metadata = {"name": name, "labels": {"rollcall.dev/id": str(id_)}}
        kind = {"apiVersion": "rollcall.dev/v1alpha1", "kind": "JobTemplate"}
        self.kube.apply({**kind, "metadata": metadata, "spec": spec}, self.namespace)

    def order(self, **given: Any) -> Object:
        """A create's body."""
        wish = {"job_template_id": 11, "targeting_type": "static_query", "search_query": "name ^ (web1, web2)"}
        return {"job_invocation": {**wish, "inputs": {"command": "uptime"}, **given}}

    def create(self, user: str = "runner", **given: Any) -> Object:
        with self.facade.client(user) as client:
            answer = client.post("/api/job_invocations", json=self.order(**given))
        assert answer.status_code == 201, answer.text
        body: Object = answer.json()
        return body

    def invocation(self, id_: int) -> Object:
        return self.kube.get("jobinvocations", self.namespace, f"job-{id_}")

    def deal(self, id_: int, states: dict[str, Object], state: str = "Running") -> Object:
        """Makes the one slice of a job, with the results of its hosts."""
        invocation = self.invocation(id_)
        name = f"job-{id_}-0"
        found = self.kube.find("jobslices", self.namespace, name)
        if found is None:
            found = self.kube.create(
                {
                    "apiVersion": "rollcall.dev/v1alpha1",
                    "kind": "JobSlice",
                    "metadata": {"name": name, "ownerReferences": [owner(invocation)]},
                    "spec": {"invocationRef": {"name": f"job-{id_}"}, "index": 0, "hosts": list(states)},
                },
                self.namespace,
            )
        status = {"state": state, "hosts": [{"name": host, **result} for host, result in states.items()]}
        return self.kube.patch("jobslices", self.namespace, name, {"status": status}, "status")

    def settle(self, id_: int, condition_type: str | None, **counts: int) -> None:
        """Writes a job's status: resolved, with counts, and ended when there is a condition for that."""
        types = ["Resolved", *([condition_type] if condition_type else [])]
        conditions = [
            {"type": t, "status": "True", "reason": "Test", "message": "", "lastTransitionTime": NOW} for t in types
        ]
        hosts = {"total": 0, "pending": 0, "running": 0, "succeeded": 0, "failed": 0, "cancelled": 0} | counts
        status = {"conditions": conditions, "hosts": hosts, "startTime": NOW, "slices": 1}
        self.kube.patch("jobinvocations", self.namespace, f"job-{id_}", {"status": status}, "status")

    def store(self, id_: int, sequence: int, events: list[Event]) -> None:
        """Stores a chunk of output."""
        slice_ = self.kube.get("jobslices", self.namespace, f"job-{id_}-0")
        chunk = Chunk()
        for event in events:
            chunk.add(event)
        hosts = {host: HostRange(**asdict(span)).wire() for host, span in chunk.hosts.items()}
        labels = {"rollcall.dev/slice": f"job-{id_}-0", "rollcall.dev/invocation": f"job-{id_}"}
        data = chunk.finish()
        contents = Contents.of(sequence, chunk.hosts, len(data), slice_["spec"]["hosts"])
        metadata = {
            "name": f"job-{id_}-0-{sequence}",
            "labels": labels,
            "annotations": {"rollcall.dev/chunk": str(contents)},
            "ownerReferences": [owner(slice_)],
        }
        self.kube.create(
            {
                "apiVersion": "rollcall.dev/v1alpha1",
                "kind": "JobOutput",
                "metadata": metadata,
                "spec": {"sliceRef": {"name": f"job-{id_}-0"}, "sequence": sequence, "hosts": hosts},
                "data": base64.b64encode(data).decode(),
            },
            self.namespace,
        )

    def wait(self, client: httpx.Client, path: str, what: str, probe: Any) -> Object:
        """The facade's answer once it satisfies the probe: the cache follows the API server at its own pace."""

        def look() -> Object | None:
            body: Object = client.get(path).json()
            return body if probe(body) else None

        return self.kube.wait(what, look)


def owner(raw: Object) -> Object:
    return {
        "apiVersion": raw["apiVersion"],
        "kind": raw["kind"],
        "name": raw["metadata"]["name"],
        "uid": raw["metadata"]["uid"],
        "controller": True,
    }
