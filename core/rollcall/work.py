"""The work of a slice, as the operator writes it into a Secret and the runner reads it.

A runner pod sees only its own slice's part of a Secret, so no other host's credentials. The document is JSON in gzip:
scripts that differ from host to host only by a name shrink to almost one, and a Secret holds at most 1 MiB.
"""

import gzip
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from enum import StrEnum
from typing import Any, Final

from rollcall.playbook import PlaybookWork

WORK_KEY: Final = "work.json.gz"
"""The key of the Secret, and the name of the file, that holds the work."""
WORK_DIRECTORY: Final = "/run/rollcall"
"""Where a runner pod finds the file."""
WORK_PATH: Final = f"{WORK_DIRECTORY}/{WORK_KEY}"
ORDERS_DIRECTORY: Final = "/run/rollcall-orders"
"""Where a runner pod finds what it is told while it works: a downward API volume, renewed by the kubelet."""
STOP_PATH: Final = f"{ORDERS_DIRECTORY}/stop"
MAX_WORK_BYTES: Final = 1_000_000
"""The most that fits into a Secret, with room for its metadata."""


@dataclass(frozen=True, slots=True)
class Credentials:
    """What to log in with; any part may be absent. Its text form shows none of it."""

    private_key: str | None = None
    certificate: str | None = None
    passphrase: str | None = None
    password: str | None = None
    become_password: str | None = None

    def __repr__(self) -> str:
        present = [name for name in self.__slots__ if getattr(self, name) is not None]
        return f"Credentials({', '.join(present)})"

    __str__ = __repr__


class BecomeMethod(StrEnum):
    """The programs by which a login user becomes another."""

    SUDO = "Sudo"
    SU = "Su"
    DOAS = "Doas"
    DZDO = "Dzdo"


@dataclass(frozen=True, slots=True)
class EffectiveUser:
    """The user that the script runs as on the host, when that is not the one who logs in."""

    name: str
    method: BecomeMethod


class OnExcess(StrEnum):
    """What happens when a host says more than it may."""

    CUT = "Cut"
    FAIL = "Fail"


@dataclass(frozen=True, slots=True)
class StopOrder:
    """Tells a runner at work which hosts to stop; in an annotation of its pod, which the runner reads as a file.

    An order only ever grows: more hosts, or force where there was grace.
    """

    hosts: tuple[str, ...] | None
    """None: all of them."""
    force: bool = False
    """No grace: SIGKILL at once, and no waiting for a host that does not answer."""
    time: int = 0
    """When it was given, in epoch seconds."""

    def dump(self) -> str:
        """The JSON text, at most as long as its host names."""
        return json.dumps({"hosts": self.hosts, "force": self.force, "time": self.time}, separators=(",", ":"))

    @classmethod
    def load(cls, text: str) -> "StopOrder | None":
        """The inverse of `dump`; None for a text that is empty. Raises ValueError for anything else."""
        if not text.strip():
            return None
        try:
            document = json.loads(text)
            hosts = document["hosts"]
            return cls(
                None if hosts is None else tuple(map(str, hosts)), bool(document["force"]), int(document["time"])
            )
        except (KeyError, TypeError) as error:
            raise ValueError("not a stop order") from error


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
    """The most that a host may say, as it is shown: with masks in place of values."""
    on_excess: OnExcess = OnExcess.CUT
    stop_grace_seconds: int = 5
    """How long a script that is told to stop may take before it is killed."""
    spread_seconds: float = 0
    """Over how long the starts of the hosts are spread, evenly."""
    effective_user: EffectiveUser | None = None
    masked: tuple[str, ...] = ()
    """Values that must not appear in any output, beside the credentials: each of their lines of four characters or
    more."""
    playbook: PlaybookWork | None = None
    """How the work's only script is run when it is a playbook."""

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
                on_excess=OnExcess(document["on_excess"]),
                stop_grace_seconds=int(document["stop_grace_seconds"]),
                spread_seconds=float(document["spread_seconds"]),
                effective_user=_effective_user(document["effective_user"]),
                masked=tuple(document["masked"]),
                playbook=_playbook(document.get("playbook")),
            )
        except (KeyError, TypeError, ValueError, OSError, EOFError):
            raise ValueError("the work file is not what this runner understands") from None


def _playbook(document: Mapping[str, Any] | None) -> PlaybookWork | None:
    return None if document is None else PlaybookWork.load(document)


def _effective_user(document: Mapping[str, Any] | None) -> EffectiveUser | None:
    return None if document is None else EffectiveUser(str(document["name"]), BecomeMethod(document["method"]))
