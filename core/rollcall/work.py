"""The work of a slice, as the operator writes it into a Secret and the runner reads it.

A runner pod sees only its own slice's part of a Secret, so no other host's credentials. The document is JSON in gzip:
scripts that differ from host to host only by a name shrink to almost one, and a Secret holds at most 1 MiB.
"""

import gzip
import json
from collections.abc import Mapping
from dataclasses import dataclass, fields
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
_LEVEL: Final = 6
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


class HostKeyPolicy(StrEnum):
    """What becomes of a machine whose key is not known."""

    STRICT = "Strict"
    """It is refused."""
    ACCEPT_NEW = "AcceptNew"
    """The first key that it shows is accepted and recorded; from then on only that one."""
    IGNORE = "Ignore"
    """Whatever key it shows, it is believed."""


class OnExcess(StrEnum):
    """What happens when a host says more than it may."""

    CUT = "Cut"
    FAIL = "Fail"


class OnFailure(StrEnum):
    """What follows a step that fails."""

    STOP = "Stop"
    CONTINUE = "Continue"


@dataclass(frozen=True, slots=True)
class StepWork:
    """One step, the same for all hosts but for its script."""

    name: str
    timeout_seconds: int | None = None
    """None: as long as the host may take."""
    on_failure: OnFailure = OnFailure.STOP
    skipped: bool = False


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
class JumpHost:
    """One host on the way to others: how to reach it, and which of the work's credentials it gets."""

    name: str
    address: str
    port: int
    user: str
    host_keys: tuple[str, ...]
    credentials: int
    policy: HostKeyPolicy = HostKeyPolicy.STRICT
    known_hosts: int | None = None
    """Which of the work's known hosts count for it, beside its own keys."""
    via: int | None = None
    """Which of the work's jump hosts leads to it; None: it is reached directly."""

    @property
    def where(self) -> str:
        """Address and port as people write them."""
        return endpoint(self.address, self.port)


@dataclass(frozen=True, slots=True)
class HostWork:
    """One host: how to reach it, as for a jump host, and which of the work's scripts and credentials it gets."""

    name: str
    address: str
    port: int
    user: str
    host_keys: tuple[str, ...]
    credentials: int
    script: int
    policy: HostKeyPolicy = HostKeyPolicy.STRICT
    known_hosts: int | None = None
    via: int | None = None
    steps: tuple[int, ...] = ()
    """The scripts of the work's steps, those aside that are skipped; then `script` is the first of them."""
    environment: Mapping[str, str] | None = None
    """For a script that runs in the pod itself, what it finds in its environment; None: it runs on the host."""

    @property
    def where(self) -> str:
        """Address and port as people write them."""
        return endpoint(self.address, self.port)


def endpoint(address: str, port: int) -> str:
    """Address and port as people write them: `192.0.2.1:22`, `[2001:db8::1]:22`."""
    return f"[{address}]:{port}" if ":" in address else f"{address}:{port}"


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
    jump_hosts: tuple[JumpHost, ...] = ()
    """Each comes after the one that leads to it."""
    known_hosts: tuple[str, ...] = ()
    """Texts in OpenSSH's known_hosts format."""
    tty: bool = False
    """Whether the scripts get a terminal."""
    steps: tuple[StepWork, ...] = ()
    """The steps of the template in their order; empty when it has one script."""
    playbook: PlaybookWork | None = None
    """How the work's only script is run when it is a playbook."""

    def way(self, host: HostWork | JumpHost) -> tuple[JumpHost, ...]:
        """The jump hosts on the way to a host, the first that is connected to first."""
        way: list[JumpHost] = []
        via = host.via
        while via is not None:
            way.insert(0, self.jump_hosts[via])
            via = way[0].via
        return tuple(way)

    def __repr__(self) -> str:
        return f"Work({len(self.hosts)} hosts)"

    def dump(self) -> bytes:
        """The compressed document in the Secret."""
        text = json.dumps(self, default=_fields, ensure_ascii=False, separators=(",", ":"))
        return gzip.compress(text.encode(), _LEVEL, mtime=0)

    @classmethod
    def load(cls, data: bytes) -> "Work":
        """The inverse of `dump`. Raises ValueError for anything else, without showing the content."""
        try:
            document: Mapping[str, Any] = json.loads(gzip.decompress(data))
            return cls(
                hosts=tuple(map(_host_work, document["hosts"])),
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
                jump_hosts=tuple(JumpHost(**_destination(host)) for host in document["jump_hosts"]),
                known_hosts=tuple(document["known_hosts"]),
                tty=bool(document["tty"]),
                steps=tuple(
                    StepWork(**{**step, "on_failure": OnFailure(step["on_failure"])}) for step in document["steps"]
                ),
                playbook=_playbook(document.get("playbook")),
            )
        except (KeyError, TypeError, ValueError, OSError, EOFError):
            raise ValueError("the work file is not what this runner understands") from None


def _fields(part: Any) -> dict[str, Any]:
    """The fields of a part of a work; the facts of hosts are large, and not copied for this as by `asdict`."""
    return {field.name: getattr(part, field.name) for field in fields(part)}


def _host_work(document: Mapping[str, Any]) -> HostWork:
    return HostWork(**{**_destination(document), "steps": tuple(document["steps"])})


def _playbook(document: Mapping[str, Any] | None) -> PlaybookWork | None:
    return None if document is None else PlaybookWork.load(document)


def _effective_user(document: Mapping[str, Any] | None) -> EffectiveUser | None:
    return None if document is None else EffectiveUser(str(document["name"]), BecomeMethod(document["method"]))


def _destination(document: Mapping[str, Any]) -> dict[str, Any]:
    host_keys, policy = tuple(document["host_keys"]), HostKeyPolicy(document["policy"])
    return {**document, "host_keys": host_keys, "policy": policy}
