"""Jobs go right when the API server itself stops for half a minute, for kubelet and scheduler as for the operator.

In a cluster of its own, so that no other test goes without its API server.
"""

import os
import time
from pathlib import Path

import pytest

from integration.test_faults import SHARING, Jobs, Kubelet
from support.definitions import establish
from support.jobs import furnish
from support.kube import Kube, KubeError
from support.namespaces import made_namespaces
from support.operator import IMAGE, Operator
from support.own_cluster import own_cluster
from support.sshhosts import IMAGE as SSH_HOST
from support.sshhosts import running_hosts, shared_client_key

STOPPED_SECONDS = 30

pytestmark = pytest.mark.skipif(
    os.environ.get("ROLLCALL_CLUSTER") != "bare",
    reason="stops the process of an API server: only CLUSTER=bare, Kubernetes' own programs, has one on this machine",
)


def serves(kube: Kube, namespace: str) -> bool:
    """Whether the API server has read what it serves; before, it puts everybody off (429)."""
    try:
        kube.list("jobslices", namespace)
    except KubeError:
        return False
    return True


def test_jobs_go_on_after_the_api_server_was_stopped_and_started_anew(tmp_path: Path) -> None:
    with own_cluster([IMAGE, SSH_HOST]) as cluster, made_namespaces(cluster.kube) as make_namespace:
        kube = cluster.kube
        establish(kube)
        key = shared_client_key(kube)
        hosts = running_hosts(kube, key)[:6]
        jobs = Jobs(
            kube, furnish(kube, make_namespace("stopped"), hosts, key), sorted(host.name for host in hosts), tmp_path
        )
        with Kubelet(Operator(jobs.namespace, kube.kubeconfig, tmp_path / "operator.log", *SHARING)) as kubelet:
            kubelet.operator.wait_until_leading(kube)
            kube.wait("full caches", lambda: serves(kube, jobs.namespace))
            jobs.create("apart", "sleep 2", rollout={"batches": [2, "100%"], "concurrency": 2, "hostsPerSlice": 1})
            jobs.create("together", "sleep 10", rollout={"hostsPerSlice": len(hosts)})
            jobs.wait_for("apart", jobs.names[0], "Succeeded")
            jobs.at_work("together", jobs.names[-1])
            with cluster.silent_api_server():
                time.sleep(STOPPED_SECONDS)
            kube.wait("full caches", lambda: serves(kube, jobs.namespace))
            for name in ("apart", "together"):
                jobs.all_succeed(name)
            jobs.create("later")
            jobs.all_succeed("later")
