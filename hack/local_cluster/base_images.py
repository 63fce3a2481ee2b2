"""The base images that Dockerfiles name, made from Debian's packages where they cannot be pulled."""

import hashlib
import json
import os
import re
import subprocess
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

from .shell import run_slowly

SUITE = "trixie"
# As in the images that these stand for: nobody reads manuals in a container.
LEFT_OUT = ("doc", "info", "locale", "man")


@dataclass(frozen=True)
class Recipe:
    """What goes into a base image: Debian packages, and shell commands to run in the finished file system."""

    packages: tuple[str, ...]
    commands: tuple[str, ...] = ()
    command: str = "bash"

    @property
    def key(self) -> str:
        return hashlib.sha256(json.dumps([SUITE, LEFT_OUT, asdict(self)]).encode()).hexdigest()[:12]


RECIPES = {
    "debian:trixie-slim": Recipe(("ca-certificates",)),
    # Debian's own python3 is 3.13. The image this stands for has it in /usr/local/bin and lets pip install beside it.
    "python:3.13-slim-trixie": Recipe(
        ("ca-certificates", "python3", "python3-pip", "python3-venv"),
        (
            "for name in python python3 python3.13; do ln -s /usr/bin/python3.13 /usr/local/bin/$name; done",
            "ln -s /usr/bin/pip3 /usr/local/bin/pip",
            "rm -f /usr/lib/python3.13/EXTERNALLY-MANAGED",
        ),
        "python3",
    ),
}


def named_in(dockerfile: str) -> list[str]:
    """Returns the images that a Dockerfile builds on, without its own stages."""
    lines = re.findall(r"^\s*FROM\s+(?:--\S+\s+)*(\S+)(?:\s+AS\s+(\S+))?", dockerfile, re.IGNORECASE | re.MULTILINE)
    stages = {stage for _, stage in lines if stage}
    return sorted({image for image, _ in lines if image not in stages and image != "scratch"})


def require_archive(folder: Path, name: str, recipe: Recipe) -> Path:
    """Returns a tar file of a base image's file system, made if the cache lacks it."""
    archive = folder / f"{name.replace(':', '-')}-{recipe.key}.tar"
    if archive.exists():
        return archive
    folder.mkdir(parents=True, exist_ok=True)
    unfinished = archive.with_suffix(".unfinished.tar")
    command = ["mmdebstrap", "--variant=minbase", f"--include={','.join(recipe.packages)}"]
    command += [f"--dpkgopt=path-exclude=/usr/share/{place}/*" for place in LEFT_OUT]
    command += [f"--customize-hook=chroot \"$1\" sh -c '{line}'" for line in recipe.commands]
    command += [SUITE, str(unfinished), *sources()]
    environment = {**os.environ, **dict(proxies())}
    run_slowly(f"Making {name} from Debian's packages", command, folder / "mmdebstrap.log", environment)
    unfinished.rename(archive)
    return archive


def sources() -> list[str]:
    """Returns sources.list lines for the suite at the mirror that this machine uses; none where it is not Debian."""
    question = ["apt-get", "indextargets", "--format", "$(LABEL) $(REPO_URI)"]
    listed = subprocess.run(question, capture_output=True, text=True, check=False).stdout
    mirrors = dict(reversed([line.split(maxsplit=1) for line in listed.splitlines()]))
    lines = []
    if "Debian" in mirrors:
        lines += [f"deb {mirrors['Debian']} {SUITE} main", f"deb {mirrors['Debian']} {SUITE}-updates main"]
        if "Debian-Security" in mirrors:
            lines.append(f"deb {mirrors['Debian-Security']} {SUITE}-security main")
    return lines


def apt_proxies() -> str:
    """Returns apt's proxy settings on this machine, as apt's configuration has them; empty if there are none."""
    question = ["apt-config", "dump", "Acquire::http::Proxy", "Acquire::https::Proxy"]
    listed = subprocess.run(question, capture_output=True, text=True, check=False).stdout
    return "".join(f"{line}\n" for line in listed.splitlines() if not line.endswith('"";'))


def proxies() -> Iterator[tuple[str, str]]:
    """Yields apt's proxies as environment variables: given to mmdebstrap as options, they would end up in the image."""
    for scheme, address in re.findall(
        r'^Acquire::(https?)::Proxy "([^"]+)";$', apt_proxies(), re.IGNORECASE | re.MULTILINE
    ):
        yield f"{scheme.lower()}_proxy", address
