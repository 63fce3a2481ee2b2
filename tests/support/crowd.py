"""Hosts by the thousand, which are objects and nothing else: only a stand-in for a runner can run jobs on them."""

from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from itertools import islice

from support.jobs import API_VERSION, template
from support.kube import Kube, Object
from support.sshhosts import generate_key

_WRITERS = 16
_STEP = 2_000


def stock(kube: Kube, namespace: str, hosts: int) -> None:
    """Put so many hosts into a namespace, with what a job on them needs."""
    key = generate_key("crowd")
    kube.create({
        "apiVersion": "v1", "kind": "Secret", "metadata": {"name": "ops-key", "namespace": namespace},
        "stringData": {"ssh-privatekey": key.private},
    })  # fmt: skip
    kube.create(template(namespace))
    create_all(kube, (_host(namespace, number, key.public) for number in range(hosts)), f"of {hosts:,} hosts")


def create_all(kube: Kube, manifests: Iterable[Object], what: str) -> None:
    """Create objects, some at a time, and show how far it is."""
    created, remaining = 0, iter(manifests)
    with ThreadPoolExecutor(_WRITERS) as pool:
        while batch := list(islice(remaining, _STEP)):
            created += sum(1 for _ in pool.map(kube.create, batch))
            print(f"{created:,} {what} created", flush=True)


def wait_until_numbered(kube: Kube, namespace: str) -> None:
    """Wait until the hosts have their ids: those writes are no job's."""

    def done() -> bool:
        return not kube.list("hosts", namespace, labelSelector="!rollcall.dev/id", limit=1)

    kube.wait("hosts with ids", done, 300, interval=1)


def host_name(number: int) -> str:
    """The name of a host, of which the first is 0."""
    return f"host-{number:05}"


def _host(namespace: str, number: int, host_key: str) -> Object:
    return {
        "apiVersion": API_VERSION,
        "kind": "Host",
        "metadata": {"name": host_name(number), "namespace": namespace},
        "spec": {
            "address": f"198.18.{number // 256}.{number % 256}",
            "user": "ops",
            "hostKeys": [host_key],
            "credentialsRef": {"name": "ops-key"},
        },
    }
