"""Building container images, with or without Docker, and bringing them into the cluster."""

import hashlib
import tempfile
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from pathlib import Path
from typing import Protocol

from . import containerd, environment, kind
from .buildah import Buildah
from .docker import Docker
from .layout import Layout
from .shell import ClusterError, say


class Store(Protocol):
    """What builds and keeps images: Docker where an engine answers, else buildah."""

    def build(self, image: str, context: Path, dockerfile: Path, options: list[str]) -> None: ...

    def identify(self, image: str) -> str | None:
        """Returns the identity of an image's content, or None if the store does not have it."""
        ...

    def save(self, image: str, file: Path) -> None:
        """Writes a docker-archive of an image."""
        ...


def store(layout: Layout) -> Store:
    docker = Docker()
    return docker if docker.answers() else Buildah(layout)


def load(layout: Layout, image: str) -> None:
    """Brings an image, a docker-archive file or a name in the store, into the cluster unless it is there."""
    mode = environment.values(layout).get("ROLLCALL_CLUSTER") if layout.environment.exists() else None
    if mode not in ("bare", "kind"):
        raise ClusterError(
            "load works on a cluster that hack/cluster up made; another one pulls images from a registry of its own"
        )
    identity, archive = source(layout, image)
    # The note goes away with the cluster, as the image does.
    note = layout.state / "loaded" / hashlib.sha256(image.encode()).hexdigest()[:16]
    if note.exists() and note.read_text() == identity:
        return
    with archive as file:
        if mode == "kind":
            kind.load(layout, file)
        else:
            containerd.import_archive(layout, file)
    note.parent.mkdir(exist_ok=True)
    note.write_text(identity)
    say(f"Loaded {image}")


def source(layout: Layout, image: str) -> tuple[str, AbstractContextManager[Path]]:
    """Returns the identity of an image's content, and a docker-archive of it to open when that is needed."""
    file = Path(image)
    if file.is_file():
        status = file.stat()
        return f"{status.st_size} {status.st_mtime_ns}", nullcontext(file)
    where = store(layout)
    identity = where.identify(image)
    if identity is None:
        raise ClusterError(
            f"{image} is neither a file nor an image that was built or pulled: run hack/cluster build -t {image} first"
        )
    return identity, saved(where, image)


@contextmanager
def saved(where: Store, image: str) -> Iterator[Path]:
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder, "image.tar")
        where.save(image, file)
        yield file
