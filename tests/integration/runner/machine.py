"""A machine with real sudo, doas and su: a pod of the image in hack/sshhost, whose sshd answers at a node port."""

import os
import secrets
import socket
from contextlib import suppress
from dataclasses import dataclass, replace

import asyncssh

from rollcall.work import BecomeMethod, Credentials, EffectiveUser, HostWork, Work
from support.kube import Kube
from support.sshhosts import IMAGE, KeyPair, generate_key


@dataclass(frozen=True)
class Machine:
    """A host with the users that hack/sshhost/entrypoint.sh lists; all but root have the same password."""

    address: str
    port: int
    host_key: str
    client_key: KeyPair
    password: str
    root_password: str

    @property
    def key(self) -> Credentials:
        """Logs in, and holds nothing to become another user with."""
        return Credentials(private_key=self.client_key.private)

    def work(
        self, script: str, name: str, method: BecomeMethod, logins: dict[str, Credentials], **changes: object
    ) -> Work:
        """The script as user `name`, once for each login user; the hosts are called after the login users."""
        users = list(logins)
        work = Work(
            hosts=tuple(
                HostWork(user, self.address, self.port, user, (self.host_key,), index, 0)
                for index, user in enumerate(users)
            ),
            scripts=(script,),
            credentials=tuple(replace(logins[user], private_key=self.client_key.private) for user in users),
            parallelism=100,
            execution_timeout_seconds=60,
            output_limit_bytes=10_000_000,
            effective_user=EffectiveUser(name, method),
        )
        return replace(work, **changes)  # type: ignore[arg-type]

    async def ask(self, command: str) -> str:
        """What a command of root says there."""
        async with asyncssh.connect(
            self.address,
            self.port,
            username="root",
            client_keys=[asyncssh.import_private_key(self.client_key.private)],
            known_hosts=([asyncssh.import_public_key(self.host_key)], [], []),
            config=None,
        ) as connection:
            done = await connection.run(command, check=True, timeout=30)
            return str(done.stdout)

    async def alive(self, *pids: str) -> list[str]:
        """Those of the processes that exist and are not zombies."""
        states = dict(line.split() for line in (await self.ask("ps -e -o pid=,state=")).splitlines())
        return [pid for pid in pids if states.get(pid, "Z") != "Z"]

    async def cleans_up(self) -> None:
        """Waits until no directory of a script is left there."""
        await self.ask("until [ -z \"$(find /tmp -maxdepth 1 -name 'rollcall.*')\" ]; do sleep 0.1; done")


def start_machine(kube: Kube, namespace: str) -> Machine:
    """Starts the pod and waits until its sshd answers."""
    host_key, client_key = generate_key(), generate_key()
    passwords = secrets.token_urlsafe(12), secrets.token_urlsafe(12)
    kube.create({
        "apiVersion": "v1", "kind": "Secret", "metadata": {"name": "machine", "namespace": namespace},
        "stringData": {
            "ssh_host_ed25519_key": host_key.private,
            "authorized_keys": client_key.public + "\n",
            "password": passwords[0],
            "root_password": passwords[1],
        },
    })  # fmt: skip
    kube.create({
        "apiVersion": "v1", "kind": "Pod",
        "metadata": {"name": "machine", "namespace": namespace, "labels": {"app": "machine"}},
        "spec": {
            "terminationGracePeriodSeconds": 1,
            "automountServiceAccountToken": False,
            "containers": [{
                "name": "sshd", "image": IMAGE, "imagePullPolicy": "IfNotPresent",
                "volumeMounts": [{"name": "keys", "mountPath": "/etc/rollcall-host", "readOnly": True}],
            }],
            "volumes": [{"name": "keys", "secret": {"secretName": "machine"}}],
        },
    })  # fmt: skip
    service = kube.create({
        "apiVersion": "v1", "kind": "Service", "metadata": {"name": "machine", "namespace": namespace},
        "spec": {"type": "NodePort", "selector": {"app": "machine"}, "ports": [{"port": 22}]},
    })  # fmt: skip
    address = os.environ.get("ROLLCALL_NODE_ADDRESS") or node_address(kube)
    port = service["spec"]["ports"][0]["nodePort"]
    kube.wait("sshd on the machine", lambda: speaks_ssh(address, port), 120)
    return Machine(address, port, host_key.public, client_key, *passwords)


def node_address(kube: Kube) -> str:
    addresses = kube.list("nodes")[0]["status"]["addresses"]
    return next(str(entry["address"]) for entry in addresses if entry["type"] == "InternalIP")


def speaks_ssh(address: str, port: int) -> bool:
    with suppress(OSError), socket.create_connection((address, port), timeout=1) as connection:
        return connection.recv(4) == b"SSH-"
    return False
