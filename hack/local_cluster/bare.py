"""A cluster of Kubernetes' own programs, started by hand in namespaces of their own: Linux and root, no Docker."""

import shutil
import subprocess
import sys
import time
from pathlib import Path

from . import (
    api,
    certificates,
    cgroups,
    configuration,
    containerd,
    debian,
    environment,
    go_programs,
    network,
    processes,
)
from .layout import Layout
from .shell import ClusterError, say, tail

START_SECONDS = 120.0
WATCHERS = 8192
# The programs' whole environment: what a developer's shell exports (a proxy, say) must not change the cluster. Garbage
# collection took a quarter of the API server's time, and memory is what a machine that runs tests has more of.
PROGRAMS_ENVIRONMENT = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "HOME": "/root", "LANG": "C.UTF-8", "GOGC": "400"}


def up(layout: Layout) -> None:
    """Starts the cluster unless it runs and is healthy, after removing whatever an earlier one left behind."""
    if complete(layout):
        try:
            wait(layout)
            return
        except ClusterError as reason:
            say(f"The cluster runs but is not healthy ({reason}). Starting it anew.")
    debian.require(debian.FOR_CLUSTER, layout.log)
    binaries = go_programs.require(layout, go_programs.KUBERNETES)
    tools = go_programs.require(layout, go_programs.TOOLS)
    clean(layout, keep_log=False)
    start = time.monotonic()
    net = network.choose(layout.key)
    configure(layout, net, binaries, tools)
    supervisor = launch(layout)
    network.connect(net, layout.key, supervisor)
    (layout.state / "network-is-up").touch()
    pause = layout.state / "pause.tar"
    containerd.write_pause_archive(pause)
    containerd.import_archive(layout, pause)
    wait(layout)
    addresses = {"ROLLCALL_NODE_ADDRESS": net.node, "ROLLCALL_HOST_ADDRESS": net.outside}
    environment.write(layout, [binaries, tools], {"ROLLCALL_CLUSTER": "bare", **addresses})
    say(f"The cluster is up after {time.monotonic() - start:.1f} s. Use it with: {environment.source_command(layout)}")


def down(layout: Layout) -> None:
    """Ends the cluster and removes all it has made, but for its log and the cache."""
    debian.use_administrators_path()
    clean(layout, keep_log=True)


def describe(layout: Layout) -> str | None:
    """Returns what is not well with the cluster, or None if it is healthy."""
    if not complete(layout):
        return "not running"
    lacking = api.missing(api.connect(layout))
    return f"running, but without {lacking}" if lacking else None


def complete(layout: Layout) -> bool:
    """Tells whether the cluster runs and was brought up to the end: its environment file is written last."""
    return layout.environment.exists() and processes.find(layout.state) is not None


def clean(layout: Layout, *, keep_log: bool) -> None:
    """Ends what runs, and removes what is left, whether or not it ended by itself before."""
    processes.end(layout.state)
    network.disconnect(layout.key)
    cgroups.remove(layout.name)
    for entry in layout.state.iterdir() if layout.state.exists() else ():
        if entry == layout.log and keep_log:
            continue
        if entry.is_dir() and not entry.is_symlink():
            shutil.rmtree(entry)
        else:
            entry.unlink()
    for place in mount_points():
        # Another cluster may have its own folder mounted here, where this process cannot see it.
        if place.is_dir() and not any(place.iterdir()) and not network.in_use():
            place.rmdir()


def mount_points() -> list[Path]:
    return [Path(target) for target in configuration.BINDS.values()]


def configure(layout: Layout, net: network.Network, binaries: Path, tools: Path) -> None:
    """Writes certificates and configuration files into the cluster's folder."""
    state, folder = layout.state, layout.state / "certificates"
    for name in ("log", "kubelet", "etcd", "containerd", "cni/net.d", "cni/state", "volume-plugins"):
        (state / name).mkdir(parents=True, exist_ok=True)
    (state / "etcd").chmod(0o700)
    for place in mount_points():
        place.mkdir(parents=True, exist_ok=True)
    certificates.make_authority(folder)
    addresses = [net.node, net.api_service, "127.0.0.1"]
    names = [
        "localhost",
        "kubernetes",
        "kubernetes.default",
        "kubernetes.default.svc",
        "kubernetes.default.svc.cluster.local",
    ]
    certificates.make_server(folder, "kube-apiserver", addresses, names)
    certificates.make_client(folder, "kubelet-client", "kube-apiserver-kubelet-client", "system:masters")
    certificates.make_client(folder, "admin", "admin", "system:masters")
    users = {
        "kube-controller-manager": ("system:kube-controller-manager", None),
        "kube-scheduler": ("system:kube-scheduler", None),
        "kube-proxy": ("system:kube-proxy", None),
        "kubelet": (f"system:node:{configuration.NODE_NAME}", "system:nodes"),
    }
    for file, (user, group) in users.items():
        certificates.make_client(folder, file, user, group)
        write_secret(state / f"{file}.kubeconfig", configuration.kubeconfig(net, layout.name, file, folder))
    write_secret(layout.kubeconfig, configuration.kubeconfig(net, layout.name, "admin", folder))
    (state / "containerd.toml").write_text(configuration.containerd())
    (state / "cni/net.d/pods.conflist").write_text(configuration.cni(net))
    (state / "kubelet.json").write_text(configuration.kubelet(layout.name))
    (state / "kube-proxy.json").write_text(configuration.kube_proxy(net))
    (state / "supervisor.json").write_text(configuration.supervisor(net, binaries, tools))


def write_secret(file: Path, text: str) -> None:
    file.touch(mode=0o600)
    file.write_text(text)


def launch(layout: Layout) -> int:
    """Starts the supervisor in new namespaces, in a session of its own, and returns its process."""
    cgroups.make(layout.name)
    allow_log_followers()
    namespaces = ["unshare", "--mount", "--net", "--pid", "--fork", "--kill-child", "--mount-proc"]
    with (layout.log / "supervisor.log").open("wb") as log:
        launcher = subprocess.Popen(
            [*namespaces, sys.executable, "-I", str(processes.SUPERVISOR), str(layout.state)],
            stdin=subprocess.DEVNULL, stdout=log, stderr=log, env=PROGRAMS_ENVIRONMENT, cwd="/", start_new_session=True,
        )  # fmt: skip
    while (supervisor := processes.find(layout.state)) is None:
        if launcher.poll() is not None:
            raise ClusterError(f"the supervisor did not start:\n{tail(layout.log / 'supervisor.log')}")
        time.sleep(0.02)
    return supervisor


def allow_log_followers() -> None:
    """Raises how many file watchers root may have: the kubelet needs one for each log that is followed."""
    setting = Path("/proc/sys/fs/inotify/max_user_instances")
    before = int(setting.read_text())
    if before < WATCHERS:
        setting.write_text(str(WATCHERS))
        say(f"Raised fs.inotify.max_user_instances of this machine from {before} to {WATCHERS}")


def wait(layout: Layout) -> None:
    """Waits until the cluster can run pods; raises ClusterError, with the logs that tell why, if it never can."""
    client, deadline = api.connect(layout), time.monotonic() + START_SECONDS
    while (lacking := api.missing(client)) is not None:
        if processes.find(layout.state) is None or time.monotonic() > deadline:
            raise ClusterError(f"there is no {lacking.removeprefix('the ')}\n{troubled(layout)}")
        time.sleep(0.1)


def troubled(layout: Layout) -> str:
    """Returns the ends of the logs of programs that ended."""
    logs = sorted(layout.log.glob("*.log"))
    ended = [log for log in logs if log.name == "supervisor.log" or "supervisor: " in tail(log, 200)]
    return "\n".join(f"--- {log}\n{tail(log)}" for log in ended if log.stat().st_size)
