"""What a bare cluster's programs are told: their command lines and configuration files, as functions of the network.

All paths are as seen inside the cluster's namespaces, where `/run/rollcall` is `.cluster/` (see supervisor.py).
"""

import base64
import json
from pathlib import Path
from typing import Any

from .network import Network

INSIDE = "/run/rollcall"
CERTIFICATES = f"{INSIDE}/certificates"
CONTAINERD_SOCKET = "/run/containerd/containerd.sock"
NODE_NAME = "node"
PAUSE_IMAGE = "rollcall.dev/pause:1"

# Places outside their own folders where kubelet and the CNI library keep state, and where that goes instead.
BINDS = {f"{INSIDE}/kubelet": "/var/lib/kubelet", f"{INSIDE}/cni/state": "/var/lib/cni"}

# The published figures for Jobs were measured with these. With the defaults (20 and 50) the controllers, not the
# system under test, set the pace.
CONTROLLER_RATES = ["--kube-api-qps=1000", "--kube-api-burst=2000"]


def supervisor(network: Network, binaries: Path, tools: Path) -> str:
    """Returns the supervisor's plan."""
    return json.dumps({"binds": BINDS, "programs": programs(network, binaries, tools)}, indent=2)


def programs(network: Network, binaries: Path, tools: Path) -> list[dict[str, Any]]:
    """Returns what the supervisor starts, each with the socket or port that has to answer first."""
    controller_manager = [
        "--kubeconfig=" + kubeconfig_path("kube-controller-manager"),
        "--use-service-account-credentials=true",
        f"--service-account-private-key-file={CERTIFICATES}/service-accounts.key",
        f"--root-ca-file={CERTIFICATES}/ca.crt",
        f"--cluster-signing-cert-file={CERTIFICATES}/ca.crt",
        f"--cluster-signing-key-file={CERTIFICATES}/ca.key",
        "--leader-elect=false",
        *CONTROLLER_RATES,
    ]
    scheduler = ["--kubeconfig=" + kubeconfig_path("kube-scheduler"), "--leader-elect=false", *CONTROLLER_RATES]
    kubelet = [
        f"--config={INSIDE}/kubelet.json",
        "--kubeconfig=" + kubeconfig_path("kubelet"),
        f"--hostname-override={NODE_NAME}",
        f"--node-ip={network.node}",
    ]
    return [
        program("etcd", [str(tools / "etcd"), *etcd_flags()]),
        program("containerd", ["containerd", f"--config={INSIDE}/containerd.toml"]),
        program("kube-apiserver", [str(binaries / "kube-apiserver"), *api_server_flags(network)], needs=2379),
        program(
            "kube-controller-manager", [str(binaries / "kube-controller-manager"), *controller_manager], needs=6443
        ),
        program("kube-scheduler", [str(binaries / "kube-scheduler"), *scheduler], needs=6443),
        program("kube-proxy", [str(binaries / "kube-proxy"), f"--config={INSIDE}/kube-proxy.json"], needs=6443),
        program("kubelet", [str(binaries / "kubelet"), *kubelet], needs=CONTAINERD_SOCKET),
    ]


def program(name: str, command: list[str], needs: str | int | None = None) -> dict[str, Any]:
    return {"name": name, "command": command, "needs": needs}


def etcd_flags() -> list[str]:
    return [
        f"--data-dir={INSIDE}/etcd",
        "--listen-client-urls=http://127.0.0.1:2379",
        "--advertise-client-urls=http://127.0.0.1:2379",
        "--listen-peer-urls=http://127.0.0.1:2380",
        "--quota-backend-bytes=8589934592",
        # What a power cut would lose, a test run does not need.
        "--unsafe-no-fsync",
    ]


def api_server_flags(network: Network) -> list[str]:
    return [
        "--etcd-servers=http://127.0.0.1:2379",
        f"--advertise-address={network.node}",
        f"--service-cluster-ip-range={network.services}",
        f"--client-ca-file={CERTIFICATES}/ca.crt",
        f"--tls-cert-file={CERTIFICATES}/kube-apiserver.crt",
        f"--tls-private-key-file={CERTIFICATES}/kube-apiserver.key",
        f"--kubelet-client-certificate={CERTIFICATES}/kubelet-client.crt",
        f"--kubelet-client-key={CERTIFICATES}/kubelet-client.key",
        # The node's name resolves nowhere.
        "--kubelet-preferred-address-types=InternalIP",
        "--service-account-issuer=https://kubernetes.default.svc",
        f"--service-account-key-file={CERTIFICATES}/service-accounts.pub",
        f"--service-account-signing-key-file={CERTIFICATES}/service-accounts.key",
        "--authorization-mode=Node,RBAC",
        "--enable-admission-plugins=NodeRestriction",
        "--allow-privileged=true",
    ]


def containerd() -> str:
    """Returns containerd's configuration."""
    return f"""\
version = 2
root = "{INSIDE}/containerd"
state = "/run/containerd"

[grpc]
address = "{CONTAINERD_SOCKET}"

[plugins."io.containerd.internal.v1.opt"]
path = "{INSIDE}/containerd/opt"

[plugins."io.containerd.grpc.v1.cri"]
sandbox_image = "{PAUSE_IMAGE}"
# A machine that is itself confined may lack CAP_SYS_RESOURCE, which lowering a score needs.
restrict_oom_score_adj = true

[plugins."io.containerd.grpc.v1.cri".cni]
bin_dir = "/usr/lib/cni"
conf_dir = "{INSIDE}/cni/net.d"
"""


def cni(network: Network) -> str:
    """Returns the pods' network: each has a routed link of its own, so nothing depends on how a bridge filters."""
    link = {
        "type": "ptp",
        "ipMasq": False,
        "ipam": {
            "type": "host-local",
            "ranges": [[{"subnet": network.pods}]],
            "routes": [{"dst": "0.0.0.0/0"}],
            "dataDir": f"{INSIDE}/cni/addresses",
        },
    }
    # Version 0.4.0 is the newest that containerd 1.6 speaks.
    return json.dumps(
        {
            "cniVersion": "0.4.0",
            "name": "pods",
            "plugins": [link, {"type": "portmap", "capabilities": {"portMappings": True}}],
        }
    )


def kubelet(cgroup: str) -> str:
    """Returns the kubelet's configuration. Logs rotate at the default size: what reads them must survive that."""
    return json.dumps(
        {
            "apiVersion": "kubelet.config.k8s.io/v1beta1",
            "kind": "KubeletConfiguration",
            "containerRuntimeEndpoint": f"unix://{CONTAINERD_SOCKET}",
            "authentication": {
                "anonymous": {"enabled": False},
                "webhook": {"enabled": True},
                "x509": {"clientCAFile": f"{CERTIFICATES}/ca.crt"},
            },
            "authorization": {"mode": "Webhook"},
            "cgroupDriver": "cgroupfs",
            "cgroupRoot": f"/{cgroup}",
            "failCgroupV1": False,
            "failSwapOn": False,
            # There is no DNS. With an address that refuses, a look-up fails at once; with none, each pod gets an event.
            "clusterDNS": ["127.0.0.1"],
            "clusterDomain": "cluster.local",
            "maxPods": 250,
            "registryPullQPS": 0,
            "eventRecordQPS": 0,
            "kubeAPIQPS": 200,
            "kubeAPIBurst": 400,
            "podLogsDir": f"{INSIDE}/log/pods",
            "volumePluginDir": f"{INSIDE}/volume-plugins",
            # The disk is the developer's own and may be nearly full. Images that are collected cannot be pulled again.
            "evictionHard": {
                "memory.available": "100Mi",
                "nodefs.available": "1%",
                "imagefs.available": "1%",
                "nodefs.inodesFree": "1%",
            },
            "imageGCHighThresholdPercent": 100,
        }
    )


def kube_proxy(network: Network) -> str:
    return json.dumps(
        {
            "apiVersion": "kubeproxy.config.k8s.io/v1alpha1",
            "kind": "KubeProxyConfiguration",
            "clientConnection": {"kubeconfig": kubeconfig_path("kube-proxy")},
            "mode": "iptables",
            "clusterCIDR": network.pods,
            "hostnameOverride": NODE_NAME,
            # Connection tracking limits belong to the machine, not to a namespace.
            "conntrack": {"maxPerCore": 0},
            "iptables": {"minSyncPeriod": "100ms"},
        }
    )


def kubeconfig_path(user: str) -> str:
    return f"{INSIDE}/{user}.kubeconfig"


def kubeconfig(network: Network, cluster: str, user: str, certificates: Path) -> str:
    """Returns a kubeconfig (as JSON, which is YAML too) whose only context has the cluster's name."""

    def data(name: str) -> str:
        return base64.b64encode((certificates / name).read_bytes()).decode()

    server = {"server": f"https://{network.node}:6443", "certificate-authority-data": data("ca.crt")}
    credentials = {"client-certificate-data": data(f"{user}.crt"), "client-key-data": data(f"{user}.key")}
    return json.dumps(
        {
            "apiVersion": "v1",
            "kind": "Config",
            "clusters": [{"name": cluster, "cluster": server}],
            "users": [{"name": user, "user": credentials}],
            "contexts": [{"name": cluster, "context": {"cluster": cluster, "user": user}}],
            "current-context": cluster,
        },
        indent=2,
    )
