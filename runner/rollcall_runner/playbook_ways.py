"""How ssh reaches the hosts of a playbook's run: a file of settings for each of them and for each jump host.

ssh is told nothing but the name of such a file. A jump host's settings are used by an ssh of its own, which the ssh of
the host behind it starts (ProxyCommand); hosts share the connection to it while it lasts. Passwords of jump hosts are
in files that sshpass reads, keys in files that ssh reads.
"""

import os
import re
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from shlex import quote as quoted
from typing import Final

import asyncssh

from rollcall.work import HostKeyPolicy, HostWork, JumpHost, Work
from rollcall_runner.connection import Login
from rollcall_runner.hostkeys import PLAIN_KEYS, Destination, Expectation, HostKeys

CONNECT_SECONDS: Final = 30
"""How long ssh waits for a host, from the TCP connection to the first words of its SSH server."""
JUMP_SECONDS: Final = 15
"""How long it waits for the first jump host; for each further one a bit longer, so that the first tells the reason."""
_ADDRESS: Final = re.compile(r"[0-9A-Za-z_:][0-9A-Za-z_.:%-]*")
"""What ssh can only take for an address: what begins with `-` would be an option."""
_USER: Final = re.compile(r"[^\s\"\\\x00-\x1f\x7f]+( [^\s\"\\\x00-\x1f\x7f]+)*")
"""What can be written in quotes into a file of settings."""

_OWN_PASSWORD: Final = "unset SSH_ASKPASS; export SSH_ASKPASS_REQUIRE=never\n"
"""Ansible lets ssh ask a program for the password of a host. That of a jump host would ask it too, and give it away."""
_MAX_TOLD_BYTES: Final = 10_000

WriteFile = Callable[[Path, str], None]
KeyFile = Callable[[int, Login], Path]


def usable_address(host: Destination) -> bool:
    """Whether ssh can only take the machine's address for one."""
    return _ADDRESS.fullmatch(host.address) is not None


def unusable(jump: JumpHost) -> str | None:
    """What ssh cannot take of a jump host, if anything."""
    if not usable_address(jump):
        return "spec.address"
    return None if _USER.fullmatch(jump.user) else "spec.user"


def told_by(jump: str) -> str:
    """What is said after the words of the ssh that could not reach a jump host, or was of no use there."""
    return f"(at the jump host {jump})"


TOLD_BY: Final = re.compile(re.escape(told_by("NAME")).replace("NAME", r"([0-9a-z.-]+)"))
"""Finds these words."""


def known_hosts(host: Destination, expected: Expectation) -> str:
    """OpenSSH's known_hosts for one machine, under the address, for which a certificate must be."""
    kinds = zip(("", "@cert-authority ", "@revoked "), expected.known or ((), (), ()), strict=True)
    return "".join(
        f"{mark}{host.address} {key.export_public_key('openssh').decode().strip()}\n"
        for mark, keys in kinds
        for key in keys
    )


def _settings(lines: Mapping[str, object]) -> str:
    return "".join(f"{name} {value}\n" for name, value in lines.items())


class Ways:
    """Writes the files, and reads from them afterwards which keys were accepted."""

    def __init__(self, work: Work, folder: Path, host_keys: HostKeys, write: WriteFile, key: KeyFile) -> None:
        self._work = work
        self._folder = folder
        self._host_keys = host_keys
        self._write = write
        self._key = key
        self._accepting: dict[str, Destination] = {}

    def settings(self, host: HostWork) -> Path:
        """The file of settings for a host."""
        return self._folder / "ssh" / f"host-{self._work.hosts.index(host)}"

    def lay_out(self, host: HostWork) -> None:
        """Writes what is needed to reach a host from its last jump host, or directly."""
        self._write(
            self.settings(host), _settings({**self._identity(host), **self._before(host, told=self._told(host))})
        )

    def lay_out_jump(self, jump: JumpHost, login: Login) -> None:
        """Writes what is needed to reach a jump host."""
        index = self._work.jump_hosts.index(jump)
        path = self._folder / "ssh" / f"jump-{index}"
        lines: dict[str, object] = {
            "HostName": jump.address.replace("%", "%%"),
            "Port": jump.port,
            "User": f'"{jump.user}"',
            **self._identity(jump),
            **self._before(jump),
            "ConnectTimeout": JUMP_SECONDS + 2 * len(self._work.way(jump)),
            "LogLevel": "ERROR",
            "ControlMaster": "auto",
            "ControlPath": f'"{self._folder / "control" / f"j{index}"}"',
        }
        if login.keys:
            lines["IdentityFile"] = f'"{self._key(jump.credentials, login)}"'
        else:
            lines |= {"IdentityFile": "none", "PubkeyAuthentication": "no"}
        if login.password is None:
            lines["BatchMode"] = "yes"
            ask = ""
        else:
            lines["NumberOfPasswordPrompts"] = 1
            secret = path.with_name(f"jump-{index}.password")
            self._write(secret, login.password + "\n")
            ask = f"sshpass -f {quoted(str(secret))} "
        self._write(path, _settings(lines))
        told = quoted(told_by(jump.name))
        command = f'{ask}ssh -F {quoted(str(path))} -W "[$1]:$2" {quoted(jump.name)}'
        self._write(self._script(index), f"{_OWN_PASSWORD}{command} || {{ echo {told} >&2; exit 255; }}\n")

    def told(self, host: HostWork) -> str:
        """What ssh said at the jump hosts when it was last on the way to a host."""
        path = self._told(host)
        return path.read_bytes()[:_MAX_TOLD_BYTES].decode(errors="replace") if path.exists() else ""

    def note_accepted(self) -> None:
        """Takes in which keys ssh has accepted."""
        for host in self._accepting.values():
            lines = self._known(host).read_text().splitlines()
            # Those with a mark are of the known hosts: keys that are revoked.
            first = next((line for line in lines if not line.startswith("@")), None)
            if first is not None:
                with suppress(asyncssh.KeyImportError):  # an ssh that was killed may have left half a line
                    self._host_keys.accept(host, asyncssh.import_public_key(first.partition(" ")[2]))

    def _identity(self, host: Destination) -> dict[str, object]:
        """The settings by which a machine proves what it is, and those that are the same for all."""
        expected, known = self._host_keys.expected(host), self._known(host)
        check, file = "yes", f'"{known}"'
        if host.policy is HostKeyPolicy.IGNORE:
            check, file = "no", "/dev/null"
        else:
            self._write(known, known_hosts(host, expected))
        # Without it ssh tells of every key that it takes without knowing it.
        lines: dict[str, object] = {} if check == "yes" and not expected.accepts else {"LogLevel": "ERROR"}
        if expected.accepts:
            self._accepting[host.name] = host
            check = "accept-new"
            lines["HostKeyAlgorithms"] = ",".join(PLAIN_KEYS)
        return {
            "HostKeyAlias": host.address,
            "StrictHostKeyChecking": check,
            "UserKnownHostsFile": file,
            "GlobalKnownHostsFile": "/dev/null",
            "UpdateHostKeys": "no",
            **lines,
            "IdentitiesOnly": "yes",
            "IdentityAgent": "none",
            "ServerAliveInterval": 15,
            "ServerAliveCountMax": 3,
        }

    def _before(self, host: Destination, told: Path | None = None) -> dict[str, object]:
        """How the jump host before it is used. What ssh says there goes to the file `told`: the ssh of a host whose
        connection is to persist throws it away."""
        if host.via is None:
            return {}
        command = f"/bin/sh {quoted(str(self._script(host.via)))} %h %p"
        return {"ProxyCommand": f"{command} 2>{quoted(str(told))}" if told else command}

    def _script(self, jump: int) -> Path:
        return self._folder / "ssh" / f"jump-{jump}.sh"

    def _told(self, host: HostWork) -> Path:
        return self.settings(host).with_suffix(".told")

    def _known(self, host: Destination) -> Path:
        return self._folder / "known_hosts" / os.path.basename(host.name)
