"""Stand-ins for nodes: a process that does for thousands of pods what kubelets do, as far as the API server can see.

It registers Nodes, renews their Leases, watches the pods that the scheduler binds to each, gets the Secrets that they
mount, and writes their status: Running, then Succeeded. It answers the API server's requests for container logs, and
follows them, at the port that a kubelet has. What a container does and says is `standin_runner`'s; a pod that mounts no
work, or that of a native Job, goes the same way. KWOK's nodes do all of this but the logs: theirs come from fixed
files, and without the words of a runner there is nothing for an operator to collect.

What is left out, beside everything that runs containers: images, volumes other than Secrets, probes, restarts, events,
metrics, several containers in a pod, a log's rotation and its parameters but `follow` and `sinceTime`, and who may ask
for a log. A kubelet reads a pod before each status write, and no container starts in no time: this is a faster node
than any real one, so that what is measured is the control plane. A pod that is deleted while it runs ends at once, with
the exit code of a SIGKILL.

It ends when its stdin is closed, however its parent ended, and takes its Nodes along.
"""

import argparse
import asyncio
import base64
import sys
import time
from collections import defaultdict
from collections.abc import AsyncIterator, Coroutine
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import orjson
import uvloop
from aiohttp import ClientError, ClientSession, ClientTimeout, TCPConnector

from rollcall.work import WORK_KEY, Work
from support.kube import Kube
from support.standin_logs import Container, Containers, Logs, happens
from support.standin_runner import Log

Document = dict[str, Any]

MARK: Final = "rollcall.dev/standin"
"""The label and the taint of these Nodes, and the resource that only they have."""
PODS_PER_NODE: Final = 250
HEARTBEAT_SECONDS: Final = 10.0
_LEASES: Final = "/apis/coordination.k8s.io/v1/namespaces/kube-node-lease/leases"
_STRATEGIC: Final = "application/strategic-merge-patch+json"
_AT_ONCE: Final = 8
"""How many requests may be under way. A kubelet asks few things at a time: more of them would make every other request
wait longer, and let no pod end sooner."""
_SIGKILLED: Final = 137


class RequestError(Exception):
    """An answer of the API server that is not a success."""

    def __init__(self, status: int, text: str) -> None:
        super().__init__(f"{status}: {text[:500]}")
        self.status = status


class Api:
    """Requests to the API server, as JSON."""

    def __init__(self, kube: Kube, session: ClientSession) -> None:
        self._url = kube.server
        self._session = session
        self._authorization = {k: v for k, v in kube.client.headers.items() if k.lower() == "authorization"}
        self._slots = asyncio.Semaphore(_AT_ONCE)

    async def request(
        self, method: str, path: str, body: Document | None = None, kind: str = "application/json"
    ) -> Document:
        """The answer. Raises RequestError."""
        headers = {"Content-Type": kind, **self._authorization}
        data = None if body is None else orjson.dumps(body)
        async with (
            self._slots,
            self._session.request(method, self._url + path, data=data, headers=headers) as response,
        ):
            text = await response.read()
            if response.status >= 400:
                raise RequestError(response.status, text.decode())
            return orjson.loads(text)  # type: ignore[no-any-return]

    async def watch(self, path: str) -> AsyncIterator[Document]:
        """Watch events until the API server ends the watch."""
        async with self._session.get(self._url + path, headers=self._authorization) as response:
            rest = b""
            async for data in response.content.iter_any():
                *lines, rest = (rest + data).split(b"\n")
                for line in lines:
                    yield orjson.loads(line)


class Kubelet:
    """What one node does."""

    def __init__(self, api: Api, name: str, address: str, port: int, containers: Containers) -> None:
        self._api = api
        self._name = name
        self._address = address
        self._port = port
        self._containers = containers
        self._begun: set[str] = set()
        self._secrets: dict[tuple[str, str], asyncio.Future[Document]] = {}
        self._users: defaultdict[tuple[str, str], set[str]] = defaultdict(set)
        self._tasks = asyncio.TaskGroup()

    async def run(self) -> None:
        """Work for ever. Raises whatever goes wrong that a kubelet would not expect."""
        await self._api.request("POST", "/api/v1/nodes", self._node())
        await self._api.request("POST", _LEASES, self._lease())
        async with self._tasks:
            self._tasks.create_task(self._beat())
            self._tasks.create_task(self._follow_pods())

    async def _beat(self) -> None:
        while True:
            await asyncio.sleep(HEARTBEAT_SECONDS)
            await self._api.request(
                "PATCH", f"{_LEASES}/{self._name}", {"spec": self._lease()["spec"]}, "application/merge-patch+json"
            )

    async def _follow_pods(self) -> None:
        """See every pod of the node, and every change of one."""
        mine = f"/api/v1/pods?fieldSelector=spec.nodeName%3D{self._name}"
        while True:
            found = await self._api.request("GET", mine)
            for pod in found["items"]:
                self._see(pod)
            version = found["metadata"]["resourceVersion"]
            try:
                async for event in self._api.watch(f"{mine}&watch=true&resourceVersion={version}"):
                    if event["type"] == "DELETED":
                        self._forget(event["object"])
                    elif event["type"] in ("ADDED", "MODIFIED"):
                        self._see(event["object"])
                    else:
                        break
            except ClientError:
                continue

    def _see(self, pod: Document) -> None:
        metadata, phase = pod["metadata"], pod["status"].get("phase")
        if phase in ("Succeeded", "Failed"):
            return
        if "deletionTimestamp" in metadata:
            self._kill(pod)
        elif metadata["uid"] not in self._begun:
            self._begun.add(metadata["uid"])
            self._tasks.create_task(self._expect(self._run(pod)))

    def _forget(self, pod: Document) -> None:
        metadata = pod["metadata"]
        key = (metadata["namespace"], metadata["name"])
        self._begun.discard(metadata["uid"])
        self._forget_secrets(metadata["uid"])
        if key in self._containers and self._containers[key].uid == metadata["uid"]:
            self._containers.pop(key).killed.set()

    def _kill(self, pod: Document) -> None:
        """End a pod that is being deleted; its own task does it, if it has one."""
        metadata = pod["metadata"]
        container = self._containers.get((metadata["namespace"], metadata["name"]))
        if container is not None and container.uid == metadata["uid"]:
            container.killed.set()
        elif metadata["uid"] not in self._begun:
            self._begun.add(metadata["uid"])
            self._tasks.create_task(self._expect(self._let_go(pod)))

    async def _expect(self, work: Coroutine[Any, Any, None]) -> None:
        """Do something about a pod that may be gone, or another's, by then."""
        try:
            await work
        except RequestError as error:
            if error.status not in (404, 409):
                raise

    async def _run(self, pod: Document) -> None:
        """Carry a pod from its binding to its end."""
        metadata = pod["metadata"]
        log = Log(await self._work(pod), time.time())
        container = self._containers[metadata["namespace"], metadata["name"]] = Container(metadata["uid"], log)
        started = {"startedAt": _moment(log.began)}
        await self._write(pod, "Running", {"running": started})
        if not await happens(container.killed, max(0.0, log.ends_at - time.time())):
            ended = {"exitCode": 0, "reason": "Completed", "message": log.summary}
            await self._write(pod, "Succeeded", {"terminated": started | ended | {"finishedAt": _moment(time.time())}})
            return
        log.cut(time.time())
        ended = {"exitCode": _SIGKILLED, "reason": "Error", "finishedAt": _moment(time.time())}
        await self._write(pod, "Failed", {"terminated": started | ended})
        await self._let_go(pod)

    async def _work(self, pod: Document) -> Work | None:
        """What the runner in the pod does, from the Secrets that the pod mounts."""
        for volume in pod["spec"].get("volumes", ()):
            if "secret" in volume:
                items = volume["secret"].get("items", ())
                key = next((item["key"] for item in items if item["path"] == WORK_KEY), WORK_KEY)
                data = (await self._secret(pod["metadata"], volume["secret"]["secretName"])).get("data") or {}
                if key in data:
                    return Work.load(base64.b64decode(data[key]))
        return None

    async def _secret(self, user: Document, name: str) -> Document:
        """A Secret that a pod uses. It is asked for once, as long as any pod of the node uses it."""
        identity = (user["namespace"], name)
        self._users[identity].add(user["uid"])
        if identity not in self._secrets:
            path = f"/api/v1/namespaces/{user['namespace']}/secrets/{name}"
            self._secrets[identity] = asyncio.ensure_future(self._api.request("GET", path))
        try:
            return await asyncio.shield(self._secrets[identity])
        except RequestError:
            self._secrets.pop(identity, None)
            raise

    def _forget_secrets(self, uid: str) -> None:
        for identity, users in list(self._users.items()):
            users.discard(uid)
            if not users:
                del self._users[identity]
                self._secrets.pop(identity, None)

    async def _let_go(self, pod: Document) -> None:
        """Tell the API server that nothing of a deleted pod is left here."""
        options = {"gracePeriodSeconds": 0, "preconditions": {"uid": pod["metadata"]["uid"]}}
        await self._api.request("DELETE", _path(pod), options)

    async def _write(self, pod: Document, phase: str, state: Document) -> None:
        """Write the pod's status as a kubelet does: a strategic merge patch keeps the conditions of others."""
        now = _moment(time.time())
        running = phase == "Running"
        done = {} if running else {"reason": "PodCompleted"}
        ready = {"status": str(running), "lastTransitionTime": now} | done
        yes = {"status": "True", "lastTransitionTime": now}
        container = pod["spec"]["containers"][0]
        status = {
            "phase": phase,
            "hostIP": self._address,
            "hostIPs": [{"ip": self._address}],
            "startTime": now,
            "conditions": [
                {"type": "PodReadyToStartContainers", "status": str(running), "lastTransitionTime": now},
                {"type": "Initialized"} | yes,
                {"type": "Ready"} | ready,
                {"type": "ContainersReady"} | ready,
            ],
            "containerStatuses": [
                {
                    "name": container["name"],
                    "image": container["image"],
                    "imageID": "",
                    "containerID": f"standin://{pod['metadata']['uid']}",
                    "ready": running,
                    "started": running,
                    "restartCount": 0,
                    "state": state,
                }
            ],
        }
        if not running:
            del status["startTime"]
        body = {"metadata": {"uid": pod["metadata"]["uid"]}, "status": status}
        await self._api.request("PATCH", f"{_path(pod)}/status", body, _STRATEGIC)

    def _node(self) -> Document:
        now = _moment(time.time())
        size = {"cpu": "64", "memory": "256Gi", "ephemeral-storage": "1Ti", "pods": str(PODS_PER_NODE), MARK: "1000000"}
        pressures = ("MemoryPressure", "DiskPressure", "PIDPressure")
        conditions = [{"type": type_, "status": "False", "reason": "StandIn"} for type_ in pressures]
        conditions.append({"type": "Ready", "status": "True", "reason": "StandIn"})
        return {
            "apiVersion": "v1",
            "kind": "Node",
            "metadata": {
                "name": self._name,
                "labels": {"kubernetes.io/hostname": self._name, "kubernetes.io/os": "linux", MARK: "true"},
            },
            # Others' pods go elsewhere as long as there is room. Nothing has to tolerate it, as with NoSchedule.
            "spec": {"taints": [{"key": MARK, "effect": "PreferNoSchedule"}]},
            "status": {
                "capacity": size,
                "allocatable": size,
                "conditions": [c | {"lastHeartbeatTime": now, "lastTransitionTime": now} for c in conditions],
                "addresses": [
                    {"type": "InternalIP", "address": self._address},
                    {"type": "Hostname", "address": self._name},
                ],
                "daemonEndpoints": {"kubeletEndpoint": {"Port": self._port}},
                "nodeInfo": dict.fromkeys(
                    ("machineID", "systemUUID", "bootID", "kernelVersion", "osImage", "containerRuntimeVersion",
                     "kubeletVersion", "kubeProxyVersion", "operatingSystem", "architecture"),
                    "standin",
                ),
            },
        }  # fmt: skip

    def _lease(self) -> Document:
        return {
            "apiVersion": "coordination.k8s.io/v1",
            "kind": "Lease",
            "metadata": {"name": self._name, "labels": {MARK: "true"}},
            "spec": {
                "holderIdentity": self._name,
                "leaseDurationSeconds": 40,
                "renewTime": datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ"),
            },
        }


async def _main(arguments: argparse.Namespace) -> None:
    kube = Kube(arguments.kubeconfig)
    containers: Containers = {}
    port = await Logs(containers).serve(arguments.address, arguments.certificate)
    timeout = ClientTimeout(total=None, sock_connect=30)
    async with ClientSession(connector=TCPConnector(ssl=kube.tls, limit=0), timeout=timeout) as session:
        api = Api(kube, session)
        names = [f"standin-{number}" for number in range(arguments.nodes)]
        kubelets = (Kubelet(api, name, arguments.address, port, containers).run() for name in names)
        work = asyncio.ensure_future(asyncio.gather(*kubelets))
        end = asyncio.ensure_future(asyncio.to_thread(sys.stdin.buffer.read))
        await asyncio.wait({work, end}, return_when=asyncio.FIRST_COMPLETED)
        work.cancel()
        (failure,) = await asyncio.gather(work, return_exceptions=True)
        for name in names:
            for path in (f"/api/v1/nodes/{name}", f"{_LEASES}/{name}"):
                await api.request("DELETE", path)
    if isinstance(failure, Exception):
        raise failure


def _path(pod: Document) -> str:
    metadata = pod["metadata"]
    return f"/api/v1/namespaces/{metadata['namespace']}/pods/{metadata['name']}"


def _moment(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Registers stand-ins for nodes until stdin is closed.")
    parser.add_argument("--kubeconfig", type=Path, required=True)
    parser.add_argument("--address", required=True, help="of this machine, as the API server reaches it")
    parser.add_argument("--certificate", type=Path, required=True, help="certificate and key to serve logs with")
    parser.add_argument("--nodes", type=int, required=True)
    return parser.parse_args()


if __name__ == "__main__":
    uvloop.run(_main(_arguments()))
