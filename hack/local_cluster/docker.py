"""Docker, where an engine answers."""

import shutil
import subprocess
from pathlib import Path

from .shell import ClusterError, run

ANSWER_SECONDS = 10


class Docker:
    """The image store of a Docker engine."""

    def answers(self) -> bool:
        """Tells whether an engine can be used. The client alone is no sign of one."""
        if shutil.which("docker") is None:
            return False
        question = ["docker", "version", "--format", "{{.Server.Version}}"]
        try:
            return subprocess.run(question, capture_output=True, timeout=ANSWER_SECONDS, check=False).returncode == 0
        except subprocess.TimeoutExpired:
            return False

    def build(self, image: str, context: Path, dockerfile: Path, options: list[str]) -> None:
        command = ["docker", "build", f"--tag={image}", f"--file={dockerfile}", *options, str(context)]
        if code := subprocess.run(command, check=False).returncode:
            raise ClusterError(f"docker build: exit code {code}")

    def identify(self, image: str) -> str | None:
        done = subprocess.run(
            ["docker", "image", "inspect", "--format={{.Id}}", image], capture_output=True, check=False
        )
        return done.stdout.decode().strip() if done.returncode == 0 else None

    def save(self, image: str, file: Path) -> None:
        run("docker", "save", "--output", file, image)
