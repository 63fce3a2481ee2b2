"""A second cluster, which no other test uses: its programs may be stopped and killed.

It is made by a copy of `hack/cluster` and is like the first. What a killed run has left of it goes when it is made
again, and with `make down`.
"""

import os
import select
import shutil
import signal
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from support.kube import Kube

ROOT: Final = Path(__file__).parent.parent.parent
FOLDER: Final = ROOT / ".cluster-apart"


class OwnCluster:
    """The cluster, and what is done to it."""

    def __init__(self) -> None:
        self.kubeconfig = FOLDER / ".cluster" / "kubeconfig"
        self.kube = Kube(self.kubeconfig)

    def api_server(self) -> int:
        """A handle of the API server's process; the caller closes it."""
        for process in (int(entry) for entry in os.listdir("/proc") if entry.isdigit()):
            if not _is_below(process, FOLDER / ".cluster"):
                continue
            handle = os.pidfd_open(process)
            if _command(process)[:1] and Path(_command(process)[0]).name == "kube-apiserver":
                return handle
            os.close(handle)
        raise LookupError("there is no API server")

    @contextmanager
    def silent_api_server(self) -> Iterator[None]:
        """Meanwhile the API server does nothing: it is stopped as a process. Then it is killed and started anew.

        So the next one has nothing in its caches. When this ends, it answers.
        """
        handle = self.api_server()
        try:
            signal.pidfd_send_signal(handle, signal.SIGSTOP)
            yield
            signal.pidfd_send_signal(handle, signal.SIGKILL)
            select.select([handle], [], [])
        finally:
            os.close(handle)
        _run("up")  # that waits until all is well


@contextmanager
def own_cluster(images: Sequence[str]) -> Iterator[OwnCluster]:
    """The cluster, with these images."""
    # Of a run that was killed there may be any part: the copy, or a cluster that runs.
    shutil.rmtree(FOLDER / "hack", ignore_errors=True)
    shutil.copytree(ROOT / "hack", FOLDER / "hack", ignore=shutil.ignore_patterns("__pycache__"))
    _run("down")
    try:
        _run("up")
        for image in images:
            _run("load", image)
        found = OwnCluster()
        try:
            yield found
        finally:
            found.kube.client.close()
    finally:
        _run("down")
        shutil.rmtree(FOLDER)


def _run(*arguments: str) -> None:
    environment = {key: value for key, value in os.environ.items() if key != "KUBECONFIG"}
    done = subprocess.run(
        [FOLDER / "hack" / "cluster", *arguments],
        env=environment | {"CLUSTER": "bare"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr


def _is_below(process: int, state: Path) -> bool:
    """Whether it is a program that the first process of that cluster has started."""
    try:
        parent = int(Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[1])
    except (OSError, ValueError):
        return False
    return _command(parent)[-1:] == [str(state)]


def _command(process: int) -> list[str]:
    try:
        return Path(f"/proc/{process}/cmdline").read_bytes().decode(errors="replace").split("\0")[:-1]
    except OSError:
        return []
