"""buildah, which builds images without an engine, in a store of its own below the cache.

What a build needs from this machine (certificate authorities, a package index, a proxy) is mounted while it runs and is
not part of the image.
"""

import json
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from . import base_images, debian, go_programs
from .layout import Layout
from .shell import ClusterError, run, say

CERTIFICATES = "/etc/ssl/certs"
IMAGE_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
RECIPE_LABEL = "dev.rollcall.recipe"
# The pip settings that say where packages come from. Others (a folder of wheels, say) mean nothing inside a build.
PIP_SETTINGS = ("index-url", "extra-index-url", "trusted-host", "proxy")


class Buildah:
    """The store, with the base images that Dockerfiles name made from Debian's packages."""

    def __init__(self, layout: Layout) -> None:
        self._layout = layout

    def build(self, image: str, context: Path, dockerfile: Path, options: list[str]) -> None:
        debian.require(debian.FOR_IMAGES, self._layout.log)
        for name in base_images.named_in(dockerfile.read_text()):
            self._require_base(name)
        settings = ["--isolation=chroot", "--pull-never", "--layers", f"--tag={image}", f"--file={dockerfile}"]
        with machine_mounts() as mounts:
            done = subprocess.run(
                self._command("build", *settings, *mounts, *options, str(context.resolve())), check=False
            )
        if done.returncode:
            raise ClusterError(f"buildah build: exit code {done.returncode}")

    def identify(self, image: str) -> str | None:
        found = self._inspect(image)
        return found["FromImageID"] if found else None

    def save(self, image: str, file: Path) -> None:
        run(*self._command("push", image, f"docker-archive:{file}:{image}"))

    def _command(self, *arguments: str) -> list[str]:
        store = self._layout.cache / "images"
        # In a mount namespace of its own, a build that is killed leaves nothing mounted.
        program = ["unshare", "--mount", "buildah", "--storage-driver=overlay"]
        return [*program, f"--root={store / 'store'}", f"--runroot={store / 'run'}", *arguments]

    def _inspect(self, image: str) -> dict[str, Any] | None:
        debian.require(debian.FOR_IMAGES, self._layout.log)
        done = subprocess.run(self._command("inspect", "--type=image", image), capture_output=True, check=False)
        found: dict[str, Any] | None = json.loads(done.stdout) if done.returncode == 0 else None
        return found

    def _require_base(self, name: str) -> None:
        """Makes a base image, unless the store has it as today's recipe makes it."""
        recipe = base_images.RECIPES.get(name)
        found = self._inspect(name)
        if recipe is None:
            if found is None:
                known = ", ".join(base_images.RECIPES)
                raise ClusterError(
                    f"there is no base image {name} here, and without a Docker engine only these can be made: {known}"
                )
            return
        if found and (found["OCIv1"]["config"].get("Labels") or {}).get(RECIPE_LABEL) == recipe.key:
            return
        with go_programs.locked(self._layout.cache / "images.lock"):
            archive = base_images.require_archive(self._layout.cache / "images", name, recipe)
            say(f"Adding the base image {name} to the store")
            container = run(*self._command("from", "scratch")).strip()
            run(*self._command("add", container, str(archive), "/"))
            labels = [f"--env=PATH={IMAGE_PATH}", f"--label={RECIPE_LABEL}={recipe.key}", f"--cmd={recipe.command}"]
            run(*self._command("config", *labels, container))
            run(*self._command("commit", "--rm", container, name))


@contextmanager
def machine_mounts() -> Iterator[list[str]]:
    """Yields the options that give a build this machine's certificate authorities, package index and proxies."""
    files = {"/etc/pip.conf": pip_configuration(), "/etc/apt/apt.conf.d/90machine": base_images.apt_proxies()}
    options = [f"--volume={CERTIFICATES}:{CERTIFICATES}:ro"]
    with tempfile.TemporaryDirectory() as folder:
        for target, text in files.items():
            if text:
                source = Path(folder, Path(target).name)
                source.write_text(text)
                options.append(f"--volume={source}:{target}:ro")
        yield options


def pip_configuration() -> str:
    """Returns a pip.conf that has a build find packages where this machine's pip does; empty if that is the default."""
    listed = subprocess.run(
        [sys.executable, "-m", "pip", "config", "list"], capture_output=True, text=True, check=False
    ).stdout
    settings: dict[str, str] = {}
    for line in listed.splitlines():
        # `global.index-url='...'`; what the environment says (`:env:.`) comes last, as it wins.
        name, _, value = line.partition("=")
        setting = name.rpartition(".")[2]
        if setting in PIP_SETTINGS and (setting not in settings or name.startswith(":env:")):
            settings[setting] = value.strip("'")
    return "[global]\n" + "".join(f"{name} = {value}\n" for name, value in settings.items()) if settings else ""
