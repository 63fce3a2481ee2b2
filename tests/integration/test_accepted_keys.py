"""The key that is recorded on a Host is the first that was accepted, whoever else writes to the Host meanwhile."""

from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any

import pytest
import pytest_asyncio
from kubernetes.aio.client import Configuration
from kubernetes.aio.config import load_kube_config

from rollcall.names import HostState
from rollcall.outputs import AcceptedKey, Exit
from rollcall.plan.observed import Collected, HostProgress, Observed
from rollcall.resources.host import Host
from rollcall.resources.jobinvocation import JobInvocation
from rollcall_operator.cluster import Cluster
from rollcall_operator.host_keys import HostKeys
from rollcall_operator.store import Store
from support.jobs import invocation
from support.kube import Kube
from support.sshhosts import SshHost, generate_key


@pytest_asyncio.fixture
async def cluster(kube: Kube) -> AsyncIterator[Cluster]:
    configuration = Configuration()
    await load_kube_config(str(kube.kubeconfig), client_configuration=configuration)
    async with Cluster(configuration) as connected:
        yield connected


@pytest.fixture
def host(kube: Kube, crds: None, namespace: str, request: pytest.FixtureRequest) -> Host:
    """A Host of which no key is known, as an operator sees it that hears of nothing that happens to it later."""
    machine = SshHost(request.node.name.replace("_", "-")[:50], "192.0.2.1", generate_key().public)
    manifest = machine.manifest(namespace, "ops-key", hostKeys=[], hostKeyPolicy="AcceptNew")
    return Host.model_validate(kube.apply(manifest))


def seen(host: Host, *keys: str) -> Observed:
    """A slice of each whose host has shown one of these keys."""
    name = host.metadata.name
    exits = (Exit(HostState.SUCCEEDED, 0, accepted_keys=(AcceptedKey(name, "192.0.2.1", 22, key),)) for key in keys)
    return Observed(
        JobInvocation.model_validate(invocation(host.metadata.namespace, "job", "true", [name])),
        hosts={name: host},
        collected={
            f"job-{index}": Collected({name: HostProgress(0, 1, exit_, 0, 0, "")}, complete=True)
            for index, exit_ in enumerate(exits)
        },
    )


async def record(cluster: Cluster, observed: Observed) -> None:
    namespace = observed.invocation.metadata.namespace
    await HostKeys(cluster, Store()).record(namespace, observed, list(observed.collected))


def recorded(kube: Kube, host: Host) -> Any:
    return kube.get("hosts", host.metadata.namespace, host.metadata.name).get("status", {}).get("hostKeys")


async def test_of_two_slices_the_first_wins_also_when_the_second_does_not_know(
    kube: Kube, cluster: Cluster, host: Host
) -> None:
    first, second = generate_key().public, generate_key().public
    await record(cluster, seen(host, first))
    await record(cluster, seen(host, second))
    assert recorded(kube, host) == [first]
    await record(cluster, seen(host, first))
    assert recorded(kube, host) == [first]


async def test_a_change_by_somebody_else_does_not_keep_the_key_from_being_recorded(
    kube: Kube, cluster: Cluster, host: Host
) -> None:
    labels = {"metadata": {"labels": {"role": "web"}}}
    kube.patch("hosts", host.metadata.namespace, host.metadata.name, labels)
    key = generate_key().public
    await record(cluster, seen(host, key, generate_key().public))
    assert recorded(kube, host) == [key]
    assert kube.get("hosts", host.metadata.namespace, host.metadata.name)["metadata"]["labels"] == {"role": "web"}


async def test_nothing_is_recorded_on_a_host_that_was_changed_or_deleted(
    kube: Kube, cluster: Cluster, host: Host
) -> None:
    namespace, name = host.metadata.namespace, host.metadata.name
    kube.patch("hosts", namespace, name, {"spec": {"address": "192.0.2.9"}})
    await record(cluster, seen(host, generate_key().public))
    assert recorded(kube, host) is None
    kube.delete("hosts", namespace, name)
    await record(cluster, seen(host, generate_key().public))
    assert kube.find("hosts", namespace, name) is None


async def test_a_slice_that_nobody_asks_about_records_nothing(kube: Kube, cluster: Cluster, host: Host) -> None:
    observed = replace(seen(host, generate_key().public), collected={})
    await record(cluster, observed)
    assert recorded(kube, host) is None
