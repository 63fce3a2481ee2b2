"""The work of a slice, as the operator writes it into a Secret and the runner reads it.

Each slice has a Secret of its own, so that a runner pod sees no other host's credentials. The document is JSON in gzip:
scripts that differ from host to host only by a name shrink to almost one, and a Secret holds at most 1 MiB.
"""

import gzip
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Final

WORK_KEY: Final = "work.json.gz"
"""The key of the Secret, and the name of the file, that holds the work."""
WORK_DIRECTORY: Final = "/run/rollcall"
"""Where a runner pod finds the file."""
WORK_PATH: Final = f"{WORK_DIRECTORY}/{WORK_KEY}"
MAX_WORK_BYTES: Final = 1_000_000
"""The most that fits into a Secret, with room for its metadata."""


@dataclass(frozen=True, slots=True)
class Credentials:
    """What to log in with; any part may be absent. Its text form shows none of it."""

    private_key: str | None = None
    certificate: str | None = None
    passphrase: str | None = None
    password: str | None = None

    def __repr__(self) -> str:
        present = [name for name in self.__slots__ if getattr(self, name) is not None]
        return f"Credentials({', '.join(present)})"

    __str__ = __repr__


@dataclass(frozen=True, slots=True)
class HostWork:
    """One host: how to reach it, and which of the work's scripts and credentials it gets."""

    name: str
    address: str
    port: int
    user: str
    host_keys: tuple[str, ...]
    credentials: int
    script: int


@dataclass(frozen=True, slots=True)
class Work:
    """What one runner pod does. Scripts and credentials are lists, because most hosts share them."""

    hosts: tuple[HostWork, ...]
    scripts: tuple[str, ...]
    credentials: tuple[Credentials, ...]
    parallelism: int
    execution_timeout_seconds: int
    output_limit_bytes: int

    def __repr__(self) -> str:
        return f"Work({len(self.hosts)} hosts)"

    def dump(self) -> bytes:
        """The compressed document in the Secret."""
        return gzip.compress(json.dumps(asdict(self), ensure_ascii=False, separators=(",", ":")).encode(), mtime=0)

    @classmethod
    def load(cls, data: bytes) -> "Work":
        """The inverse of `dump`. Raises ValueError for anything else, without showing the content."""
        try:
            document: Mapping[str, Any] = json.loads(gzip.decompress(data))
            return cls(
                hosts=tuple(HostWork(**{**host, "host_keys": tuple(host["host_keys"])}) for host in document["hosts"]),
                scripts=tuple(document["scripts"]),
                credentials=tuple(Credentials(**entry) for entry in document["credentials"]),
                parallelism=int(document["parallelism"]),
                execution_timeout_seconds=int(document["execution_timeout_seconds"]),
                output_limit_bytes=int(document["output_limit_bytes"]),
            )
        except (KeyError, TypeError, ValueError, OSError, EOFError):
            raise ValueError("the work file is not what this runner understands") from None
