"""A real S3 server on the loopback address, versitygw, with a folder of its own."""

import os
import subprocess
import time
from pathlib import Path
from types import TracebackType
from typing import Self

import httpx

from support.operator import free_port

ROOT = Path(__file__).parent.parent.parent
ACCESS_KEY = "rollcall-tests"
SECRET_KEY = "canary-of-the-secret-key"
BUCKET = "output"


class ObjectServer:
    """Runs while it is entered; it can be stopped and started again without losing anything."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.port = free_port()
        self._program = subprocess.run(
            [ROOT / "hack" / "cluster", "s3-server"], check=True, stdout=subprocess.PIPE, text=True
        ).stdout.strip()
        self._process: subprocess.Popen[bytes] | None = None

    def address(self, prefix: str) -> str:
        """The address of an output store."""
        return f"s3://{BUCKET}/{prefix}?endpoint=http://127.0.0.1:{self.port}&region=us-east-1"

    @property
    def credentials(self) -> dict[str, str]:
        """The environment that may read and write."""
        return {"AWS_ACCESS_KEY_ID": ACCESS_KEY, "AWS_SECRET_ACCESS_KEY": SECRET_KEY}

    def start(self) -> Self:
        (self.folder / "data" / BUCKET).mkdir(parents=True, exist_ok=True)
        (self.folder / "attributes").mkdir(exist_ok=True)
        keys = {"ROOT_ACCESS_KEY_ID": ACCESS_KEY, "ROOT_SECRET_ACCESS_KEY": SECRET_KEY}
        with (self.folder / "log").open("ab") as log:
            self._process = subprocess.Popen(
                [
                    self._program, "--port", f"127.0.0.1:{self.port}", "--quiet",
                    "posix", "--sidecar", str(self.folder / "attributes"), str(self.folder / "data"),
                ],
                env={**os.environ, **keys},
                stdout=log,
                stderr=log,
            )  # fmt: skip
        deadline = time.monotonic() + 20
        while not self._answers():
            assert time.monotonic() < deadline, (self.folder / "log").read_text()
            time.sleep(0.05)
        return self

    def _answers(self) -> bool:
        assert self._process is not None
        assert self._process.poll() is None, (self.folder / "log").read_text()
        try:
            httpx.get(f"http://127.0.0.1:{self.port}/", trust_env=False)
        except httpx.TransportError:
            return False
        return True

    def stop(self) -> None:
        if self._process is not None:
            self._process.terminate()
            self._process.wait(20)
            self._process = None

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()
