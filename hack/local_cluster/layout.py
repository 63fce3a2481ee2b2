"""Where things are: the checkout, its `.cluster/` folder, and the cache that all checkouts share."""

import hashlib
import os
from dataclasses import dataclass
from pathlib import Path

HACK = Path(__file__).resolve().parent.parent


@dataclass(frozen=True)
class Layout:
    """The folders of one checkout's cluster. `state` holds what goes away with the cluster."""

    checkout: Path
    cache: Path

    @property
    def state(self) -> Path:
        return self.checkout / ".cluster"

    @property
    def kubeconfig(self) -> Path:
        return self.state / "kubeconfig"

    @property
    def environment(self) -> Path:
        return self.state / "env"

    @property
    def log(self) -> Path:
        return self.state / "log"

    @property
    def key(self) -> str:
        """Eight hexadecimal digits that tell this checkout's cluster from every other's on the machine."""
        return hashlib.sha256(str(self.checkout).encode()).hexdigest()[:8]

    @property
    def name(self) -> str:
        """The name of the cluster, of its kubeconfig context, and of its cgroup."""
        return f"rollcall-{self.key}"


def here() -> Layout:
    """Returns the layout of the checkout that this file is part of."""
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    return Layout(checkout=HACK.parent, cache=cache / "rollcall")
