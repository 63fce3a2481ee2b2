"""The cgroup that a bare cluster's pods live in, in version 2 and in every hierarchy of version 1."""

import os
import time
from collections.abc import Iterator
from pathlib import Path

from .shell import ClusterError

REMOVE_SECONDS = 10.0


def hierarchies() -> Iterator[tuple[Path, bool]]:
    """Yields where each cgroup hierarchy is mounted, and whether it is of version 2."""
    for line in Path("/proc/self/mounts").read_text().splitlines():
        _, place, kind, *_ = line.split()
        if kind in ("cgroup", "cgroup2"):
            yield Path(place), kind == "cgroup2"


def make(name: str) -> None:
    """Makes the cgroup. The kubelet makes its own below it, but wants this one to exist with all controllers."""
    for root, unified in hierarchies():
        if unified:
            delegate(root)
        (root / name).mkdir(exist_ok=True)


def delegate(root: Path) -> None:
    for controller in (root / "cgroup.controllers").read_text().split():
        (root / "cgroup.subtree_control").write_text(f"+{controller}")


def remove(name: str) -> None:
    """Removes the cgroup with all below it. Its processes have ended, but the kernel may need a moment to notice."""
    deadline = time.monotonic() + REMOVE_SECONDS
    for root, _ in hierarchies():
        while (root / name).exists():
            try:
                for folder, _, _ in os.walk(root / name, topdown=False):
                    os.rmdir(folder)
            except OSError as error:
                if time.monotonic() > deadline:
                    raise ClusterError(f"cannot remove the cgroup {root / name}: {error}") from error
                time.sleep(0.1)
