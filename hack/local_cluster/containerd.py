"""Images for the containerd of a bare cluster."""

import hashlib
import io
import json
import platform
import shutil
import tarfile
import time
from pathlib import Path

from . import processes
from .configuration import CONTAINERD_SOCKET, PAUSE_IMAGE
from .layout import Layout
from .shell import ClusterError, run

ARCHITECTURES = {"x86_64": "amd64", "aarch64": "arm64"}
SOCKET_SECONDS = 30.0


def import_archive(layout: Layout, file: Path) -> None:
    """Imports a docker-archive. Waits for containerd, which may have started only just now."""
    deadline = time.monotonic() + SOCKET_SECONDS
    while not (socket := socket_path(layout)).exists():
        if time.monotonic() > deadline:
            raise ClusterError(f"containerd does not listen: see {layout.log / 'containerd.log'}")
        time.sleep(0.02)
    run("ctr", "--address", socket, "--namespace", "k8s.io", "images", "import", file)


def socket_path(layout: Layout) -> Path:
    supervisor = processes.find(layout.state)
    if supervisor is None:
        raise ClusterError("the cluster is not running: run hack/cluster up first")
    # The supervisor's view of the file system is the only one that has the socket.
    return Path(f"/proc/{supervisor}/root{CONTAINERD_SOCKET}")


def write_pause_archive(file: Path) -> None:
    """Writes a docker-archive of the image that holds a pod's namespaces: a static program that can pause."""
    program = shutil.which("catatonit")
    assert program is not None
    layer = tar({"pause": Path(program).read_bytes()})
    config = {
        "architecture": ARCHITECTURES.get(platform.machine(), platform.machine()),
        "os": "linux",
        "config": {"Entrypoint": ["/pause", "-P"]},
        "rootfs": {"type": "layers", "diff_ids": [f"sha256:{hashlib.sha256(layer).hexdigest()}"]},
    }
    manifest = [{"Config": "config.json", "RepoTags": [PAUSE_IMAGE], "Layers": ["layer.tar"]}]
    file.write_bytes(
        tar(
            {
                "manifest.json": json.dumps(manifest).encode(),
                "config.json": json.dumps(config).encode(),
                "layer.tar": layer,
            }
        )
    )


def tar(files: dict[str, bytes]) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        for name, content in files.items():
            entry = tarfile.TarInfo(name)
            entry.size, entry.mode = len(content), 0o755
            archive.addfile(entry, io.BytesIO(content))
    return buffer.getvalue()
