"""The Debian packages that a bare cluster needs."""

import os
import shutil
from collections.abc import Iterable
from pathlib import Path

from .shell import ClusterError, run_slowly, say

# A program (or file) that shows that a package is there -> the package.
FOR_CLUSTER = {
    "containerd": "containerd",
    "runc": "runc",
    "/usr/lib/cni/ptp": "containernetworking-plugins",
    "iptables": "iptables",
    "conntrack": "conntrack",
    "ip": "iproute2",
    "sysctl": "procps",
    "openssl": "openssl",
    "catatonit": "catatonit",
    "mount": "mount",
}
FOR_IMAGES = {"buildah": "buildah", "mmdebstrap": "mmdebstrap"}
ADMINISTRATORS_PATH = "/usr/local/sbin:/usr/sbin:/sbin"


def require(packages: dict[str, str], log: Path) -> None:
    """Installs what is missing of `packages`; raises ClusterError where there is no apt-get."""
    use_administrators_path()
    missing = sorted(package for sign, package in packages.items() if not present(sign))
    if not missing:
        return
    if shutil.which("apt-get") is None:
        raise ClusterError(
            f"this machine lacks {names(missing)} (Debian's names), and has no apt-get to install them with"
        )
    say(f"Installing Debian packages: {names(missing)}")
    environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    run_slowly("apt-get update", ["apt-get", "update"], log / "apt-update.log", environment)
    install = ["apt-get", "install", "--yes", "--no-install-recommends", *missing]
    run_slowly("apt-get install", install, log / "apt-install.log", environment)


def use_administrators_path() -> None:
    """Has programs found in the folders that Debian's su leaves out of PATH."""
    os.environ["PATH"] = f"{os.environ['PATH']}:{ADMINISTRATORS_PATH}"


def present(sign: str) -> bool:
    return Path(sign).exists() if sign.startswith("/") else shutil.which(sign) is not None


def names(packages: Iterable[str]) -> str:
    return ", ".join(packages)
