"""Which keys a machine may show: those written on its Host, those in known hosts, the first one, or any."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

import asyncssh

from rollcall.outputs import AcceptedKey
from rollcall.work import HostKeyPolicy, HostWork, JumpHost, Work

PLAIN_KEYS: Final = (
    "ssh-ed25519",
    "ecdsa-sha2-nistp256",
    "ecdsa-sha2-nistp384",
    "ecdsa-sha2-nistp521",
    "rsa-sha2-512",
    "rsa-sha2-256",
)
"""The kinds of host keys that are asked for where none is known, and after the known ones."""

Destination = HostWork | JumpHost
KnownHosts = tuple[list[asyncssh.SSHKey], list[asyncssh.SSHKey], list[asyncssh.SSHKey]]
"""Keys, authorities whose certificates count, and keys that count for nothing."""


class HostKeysError(ValueError):
    """A host's key is not one that is known for it, or none is known; the message says what to do."""


@dataclass(frozen=True, slots=True)
class Expectation:
    """What a machine may show."""

    known: KnownHosts | None
    """None: anything."""
    accepts: bool = False
    """Whether a key that is not known is accepted, because none is."""

    @property
    def algorithms(self) -> str | Sequence[str]:
        """What to ask for. The known kinds come first, so that a host with keys of several kinds shows one that is
        known. The others follow, so that a host that has none of these shows a key, which is refused with its
        fingerprint, and does not just hang up. A certificate would be of no use where its authority is not known."""
        if self.known is None:
            return ()
        keys, authorities, _ = self.known
        if authorities:
            return f"+{','.join(PLAIN_KEYS)}"
        # The same as a list, which asyncssh need not take for patterns: that takes it milliseconds.
        known = (name.decode("ascii") for key in keys for name in key.sig_algorithms)
        return list(dict.fromkeys((*known, *PLAIN_KEYS)))

    @property
    def count(self) -> int:
        """How many keys and authorities are known."""
        return len(self.known[0]) + len(self.known[1]) if self.known else 0


class HostKeys:
    """What a work knows of host keys, and what has been accepted since."""

    def __init__(self, work: Work) -> None:
        self._work = work
        self._known: dict[int, asyncssh.SSHKnownHosts] = {}
        self._accepted: dict[str, AcceptedKey] = {}

    def expected(self, host: Destination) -> Expectation:
        """What a machine may show. Raises HostKeysError when nothing that it could show would be believed."""
        if host.policy is HostKeyPolicy.IGNORE:
            return Expectation(None)
        accepted = self._accepted.get(host.name)
        keys = _read(host.host_keys if accepted is None else (accepted.key,))
        found, authorities, revoked = self._look_up(host)
        if host.host_keys and not (keys or found or authorities):
            raise HostKeysError(
                f"none of the {len(host.host_keys)} host keys of {host.name} can be read; write each in spec.hostKeys "
                "of its Host object as in the .pub file of the machine, for example `ssh-ed25519 AAAA...`"
            )
        known = ([*keys, *found], authorities, revoked)
        nothing = not (keys or found or authorities)
        if nothing and host.policy is HostKeyPolicy.STRICT:
            raise HostKeysError(_unknown(host))
        return Expectation(known, accepts=nothing)

    def accept(self, host: Destination, key: asyncssh.SSHKey) -> bool:
        """Takes the first key of a machine; False for another one than was taken meanwhile."""
        text = key.export_public_key("openssh").decode().strip()
        accepted = AcceptedKey(host.name, host.address, host.port, text)
        return self._accepted.setdefault(host.name, accepted).key == text

    def accepted(self, hosts: Iterable[Destination]) -> tuple[AcceptedKey, ...]:
        """What has been accepted of these."""
        return tuple(self._accepted[host.name] for host in hosts if host.name in self._accepted)

    def _look_up(self, host: Destination) -> KnownHosts:
        """What the known hosts say of a host."""
        if host.known_hosts is None:
            return [], [], []
        try:
            if host.known_hosts not in self._known:
                self._known[host.known_hosts] = asyncssh.import_known_hosts(self._work.known_hosts[host.known_hosts])
            port = None if host.port == asyncssh.DEFAULT_PORT else host.port
            keys, authorities, revoked, *_ = self._known[host.known_hosts].match(host.address.lower(), "", port)
        except ValueError:
            raise HostKeysError(
                f"the known hosts for {host.name} cannot be read; compare the ConfigMap that spec.knownHostsFrom of "
                "its Host object names with what `ssh-keyscan` prints"
            ) from None
        return list(keys), list(authorities), list(revoked)


def unchecked(hosts: Iterable[Destination]) -> tuple[str, ...]:
    """The names of those that are believed whatever key they show."""
    return tuple(host.name for host in hosts if host.policy is HostKeyPolicy.IGNORE)


def _read(lines: Iterable[str]) -> list[asyncssh.SSHKey]:
    keys = []
    for line in lines:
        try:
            keys.append(asyncssh.import_public_key(line))
        except (asyncssh.KeyImportError, ValueError):
            continue  # a kind of key that a newer OpenSSH has; another may fit
    return keys


def _unknown(host: Destination) -> str:
    where = "neither spec.hostKeys nor its known hosts have one" if host.known_hosts is not None else ""
    return (
        f"no host key is known for {host.name}, so nothing proves that {host.address} is that machine"
        f"{': ' + where if where else ''}; add its public keys to spec.hostKeys of its Host object "
        "(`ssh-keyscan` prints them)"
    )


def refused(host: Destination, expectation: Expectation, shown: str | None) -> HostKeysError:
    """The error about a machine that showed a key with this fingerprint."""
    what = (
        f"the key {shown}"
        if shown
        else "a key that is revoked, or cannot be read, or a certificate that does not count"
    )
    if host.policy is HostKeyPolicy.ACCEPT_NEW:
        advice = "put its new key into spec.hostKeys, which counts before the one that was recorded in status.hostKeys"
    else:
        advice = "update spec.hostKeys" if host.known_hosts is None else "update spec.hostKeys or its known hosts"
    return HostKeysError(
        f"the host at {host.where} shows {what}, which is none of the {expectation.count} known for {host.name}; "
        f"if the machine was reinstalled, {advice}"
    )
