"""The chart, installed by Helm, with three hosts to run jobs on and three people to run them."""

import json
import os
import secrets
from collections.abc import Callable, Iterator

import httpx
import pytest

from e2e.release import OUTPUT_LIMIT_BYTES, Person, Release, kubectl
from rollcall_api.users import HASHER
from support.jobs import furnish
from support.kube import Kube, Object
from support.sshhosts import SshHost, generate_key, start_hosts

IMAGE = os.environ.get("ROLLCALL_IMAGE", "rollcall:dev")
HOSTS = ("web1", "web2", "db1")
RBAC = "rbac.authorization.k8s.io"


@pytest.fixture(scope="session")
def machines(kube: Kube, make_namespace: Callable[..., str]) -> str:
    """The namespace of the pods that play the hosts."""
    return make_namespace("e2e-hosts", enforce="baseline")


@pytest.fixture(scope="session")
def alice() -> Person:
    """Logs in by password, and may run jobs."""
    return Person("alice@example.com", login="alice", password=secrets.token_urlsafe(18))


@pytest.fixture(scope="session")
def dora() -> Person:
    """Logs in by password, and may also write templates, bookmarks and hosts."""
    return Person("dora@example.com", login="dora", password=secrets.token_urlsafe(18))


@pytest.fixture(scope="session")
def erin() -> Person:
    """Logs in by password, and may run jobs and see her own."""
    return Person("erin@example.com", login="erin", password=secrets.token_urlsafe(18))


@pytest.fixture(scope="session")
def release(
    kube: Kube, crds: None, make_namespace: Callable[..., str], alice: Person, dora: Person, erin: Person
) -> Iterator[Release]:
    """The chart; the operator serves one namespace only, so that nobody else's jobs are touched.

    The CRDs are there before, as other tests may be making them at the same moment.
    """
    system, jobs = make_namespace("e2e"), make_namespace("e2e-jobs")
    made = Release(f"e2e-{secrets.token_hex(3)}", system, jobs)
    users = {
        f"{person.login}.json": json.dumps({"passwordHash": HASHER.hash(person.password), "username": person.username})
        for person in (alice, dora, erin)
    }
    kube.create({
        "apiVersion": "v1", "kind": "Secret", "metadata": {"name": "people", "namespace": system},
        "stringData": users,
    })  # fmt: skip
    repository, _, tag = IMAGE.rpartition(":")
    values = (
        f"image.repository={repository}",
        f"image.tag={tag}",
        f"operator.namespaces={{{jobs}}}",
        "operator.referenceGraceSeconds=5",
        f"runner.outputLimitBytes={OUTPUT_LIMIT_BYTES}",
        f"api.namespace={jobs}",
        "api.users=people",
        f"api.impersonation.users={{{alice.username},{dora.username},{erin.username}}}",
        "api.service.type=NodePort",
    )
    try:
        made.install(values)
    except AssertionError:
        print(kubectl("get", "pods", "-n", system, "-o", "wide"))
        for component in ("operator", "api"):
            print(made.log(component)[-5_000:])
        raise
    yield made
    print(made.log("operator")[-20_000:])
    made.uninstall()


@pytest.fixture(scope="session")
def host_password() -> str:
    """The password of the user `ops` on every host."""
    return secrets.token_urlsafe(18)


@pytest.fixture(scope="session")
def hosts(kube: Kube, release: Release, machines: str, host_password: str) -> list[SshHost]:
    """Three hosts, known in the jobs' namespace together with the key to them and the template `run-command`."""
    client_key = generate_key()
    started = start_hosts(kube, machines, list(HOSTS), client_key, host_password)
    furnish(kube, release.jobs, started, client_key)
    return started


@pytest.fixture
def namespace(release: Release, hosts: list[SshHost]) -> str:
    """The jobs' namespace, furnished."""
    return release.jobs


@pytest.fixture(scope="session")
def carol(kube: Kube, release: Release, alice: Person) -> Person:
    """A service account that may run jobs, as alice may; it has a token."""
    metadata = {"name": "carol", "namespace": release.jobs}
    kube.create({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": metadata})
    kube.create({
        "apiVersion": f"{RBAC}/v1",
        "kind": "RoleBinding",
        "metadata": {"name": "run-jobs", "namespace": release.jobs},
        "roleRef": {"apiGroup": RBAC, "kind": "ClusterRole", "name": f"{release.name}-rollcall-runner"},
        "subjects": [
            {"apiGroup": RBAC, "kind": "User", "name": alice.username},
            {"kind": "ServiceAccount", **metadata},
        ],
    })  # fmt: skip
    token = kubectl("create", "token", "carol", "-n", release.jobs).strip()
    return Person(f"system:serviceaccount:{release.jobs}:carol", token=token)


def bind(kube: Kube, release: Release, role: str, person: Person) -> None:
    """Gives a person one of the chart's roles in the jobs' namespace."""
    kube.create({
        "apiVersion": f"{RBAC}/v1",
        "kind": "RoleBinding",
        "metadata": {"name": f"{person.login}-{role}", "namespace": release.jobs},
        "roleRef": {"apiGroup": RBAC, "kind": "ClusterRole", "name": f"{release.name}-rollcall-{role}"},
        "subjects": [{"apiGroup": RBAC, "kind": "User", "name": person.username}],
    })  # fmt: skip


@pytest.fixture(scope="session")
def as_dora(kube: Kube, release: Release, dora: Person) -> Iterator[httpx.Client]:
    """The facade, with the login of somebody who may run jobs, and write what they need."""
    for role in ("runner", "author", "inventory-admin"):
        bind(kube, release, role, dora)
    with dora.client(release.url) as client:
        yield client


@pytest.fixture(scope="session")
def as_erin(kube: Kube, release: Release, erin: Person) -> Iterator[httpx.Client]:
    """The facade, with the login of somebody who sees their own jobs only."""
    bind(kube, release, "requester", erin)
    with erin.client(release.url) as client:
        yield client


@pytest.fixture(scope="session")
def as_alice(release: Release, alice: Person, carol: Person) -> Iterator[httpx.Client]:
    """The facade, with a login."""
    with alice.client(release.url) as client:
        yield client


@pytest.fixture(scope="session")
def as_carol(release: Release, carol: Person) -> Iterator[httpx.Client]:
    """The facade, with a token."""
    with carol.client(release.url) as client:
        yield client


@pytest.fixture
def on_host(machines: str) -> Callable[..., str]:
    """Runs a command on a host, past Rollcall: what is really there."""

    def run(host: str, *command: str) -> str:
        return kubectl("exec", "-n", machines, host, "--", *command)

    return run


@pytest.fixture
def running(kube: Kube, namespace: str, on_host: Callable[..., str]) -> Callable[[Object, str], Object]:
    """Creates an invocation and waits until its process is at work on a host; returns the runner pod of its slice."""

    def start(manifest: Object, host: str) -> Object:
        name = kube.create(manifest)["metadata"]["name"]
        kube.wait(f"{name} at work", lambda: name in on_host(host, "ps", "axww", "-o", "args"), 60, interval=0.5)
        pods = kube.list("pods", namespace, labelSelector=f"rollcall.dev/invocation={name}")
        assert len(pods) == 1
        return pods[0]

    return start
