"""How the hosts of an inventory are reached: address, login, and over which others."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from rollcall_cli.ansible.content import Content, Member, Unanswered, Vaulted
from rollcall_cli.credentials import secret_command, shell_path
from rollcall_cli.errors import CommandError
from rollcall_cli.jumps import Hop, hops_in_options

_ADDRESS: Final = ("ansible_host", "ansible_ssh_host")
_PORT: Final = ("ansible_port", "ansible_ssh_port")
_USER: Final = ("ansible_user", "ansible_ssh_user")
_OPTIONS: Final = ("ansible_ssh_args", "ansible_ssh_common_args", "ansible_ssh_extra_args")
_SSH: Final = frozenset({"ssh", "smart", "paramiko", "paramiko_ssh", "libssh"})
_CREDENTIALS: Final = {
    "ssh-privatekey": (
        "ansible_private_key_file", "ansible_ssh_private_key_file", "ansible_private_key", "ansible_ssh_private_key",
    ),
    "passphrase": ("ansible_private_key_passphrase", "ansible_ssh_private_key_passphrase"),
    "password": ("ansible_password", "ansible_ssh_pass", "ansible_ssh_password"),
    "become-password": ("ansible_become_password", "ansible_become_pass", "ansible_sudo_pass", "ansible_su_pass"),
}  # fmt: skip
"""The variables that a key of a Secret stands for; of several the last counts, as for Ansible."""
MAPPED: Final = frozenset(
    {*_ADDRESS, *_PORT, *_USER, "ansible_connection", *(name for names in _CREDENTIALS.values() for name in names)}
)
"""Ansible's variables that become something else than a variable."""


@dataclass(frozen=True, slots=True)
class Credentials:
    """What some hosts are logged in to with: for each key of a Secret, where its value is now."""

    places: tuple[tuple[str, str], ...]
    """The secret values themselves are only compared, and never shown."""
    identity: tuple[object, ...]

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Credentials) and self.identity == other.identity

    def __hash__(self) -> int:
        return hash(self.identity)

    def __repr__(self) -> str:
        return f"Credentials({', '.join(key for key, _ in self.places)})"

    def command(self, name: str, namespace: str | None) -> str:
        """The command that makes the Secret, where words in capitals are for a person to fill in."""
        return secret_command(name, namespace, self.places)


@dataclass(frozen=True, slots=True)
class Way:
    """How one host is reached."""

    address: str | None
    port: int | None
    user: str | None
    credentials: Credentials | None
    hops: tuple[Hop, ...]
    problems: tuple[str, ...]
    """What could not be read."""


def connection(member: Member) -> str:
    """By which of Ansible's ways a host is reached."""
    found = member.way.get("ansible_connection", "ssh")
    return str(found).rpartition(".")[2] if isinstance(found, str) else "ssh"


def by_ssh(member: Member) -> bool:
    """Whether a host is reached by SSH, and so can be a Host."""
    return connection(member) in _SSH


def way_of(member: Member) -> Way:
    """How a host is reached. Raises CommandError for a port that is none."""
    problems: list[str] = []

    def text(names: tuple[str, ...]) -> str | None:
        found = _last(member.way, names)
        if isinstance(found, Unanswered):
            problems.append(f"{names[0]} cannot be evaluated: {found.reason}")
            return None
        return None if found in (None, "") else str(found)

    address, user, port = text(_ADDRESS), text(_USER), text(_PORT)
    if port is not None and not port.isdecimal():
        raise CommandError(f"host {member.name}: {_PORT[0]} is '{port}', which is no number")
    hops: tuple[Hop, ...] = ()
    for name in _OPTIONS:
        if (options := text((name,))) is not None and not hops:
            try:
                hops = hops_in_options(options)
            except ValueError as error:
                problems.append(f"{name} names no jump host that can be read: {error}")
    return Way(address, None if port is None else int(port), user, _credentials(member), hops, tuple(problems))


def places(content: Content, ways: Mapping[str, Way]) -> Mapping[str, str]:
    """Hosts by their names, and by their addresses where these are no names."""
    by_address = {way.address: name for name, way in ways.items() if way.address}
    return {**by_address, **{name: name for name in content.members}}


def _last(found: Mapping[str, Any], names: tuple[str, ...]) -> Any:
    present = [found[name] for name in names if found.get(name) is not None]
    return present[-1] if present else None


def _credentials(member: Member) -> Credentials | None:
    shown, identity = [], []
    for key, names in _CREDENTIALS.items():
        name = next((name for name in reversed(names) if member.effective.get(name) not in (None, "")), None)
        if name is None:
            continue
        value = member.effective[name]
        evaluated = member.way.get(name)
        if name.endswith("_file") and isinstance(evaluated, str):
            value = evaluated
        shown.append((key, _file(value) if name.endswith("_file") else f"FILE_WITH_{key.replace('-', '_').upper()}"))
        identity.append((key, value if isinstance(value, Vaulted) else json.dumps(value)))
    return Credentials(tuple(shown), tuple(identity)) if shown else None


def _file(value: Any) -> str:
    return shell_path(value) if isinstance(value, str) else "FILE_WITH_SSH_PRIVATEKEY"
