"""Turns hosts of ssh_config into manifests."""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Final

from rollcall.resources.host import DEFAULT_PORT
from rollcall.work import HostKeyPolicy
from rollcall_cli.credentials import secret_command, shell_path
from rollcall_cli.errors import CommandError
from rollcall_cli.jumps import Hop, hops, hops_of_command
from rollcall_cli.kubenames import host_names
from rollcall_cli.manifests import HostManifest
from rollcall_cli.notes import counted, listed
from rollcall_cli.ssh.config import Configuration, Settings
from rollcall_cli.ssh.known_hosts import HostKeys

KNOWN_HOSTS_NAME: Final = "ssh-known-hosts"
"""The ConfigMap of lines with `@cert-authority` and `@revoked`."""
MAX_JUMPS: Final = 5


@dataclass(frozen=True, slots=True)
class Wishes:
    """What the configuration does not say, and the person who imports it does."""

    namespace: str | None = None
    labels: Mapping[str, str] = field(default_factory=dict)
    credentials: str | None = None
    policy: HostKeyPolicy = HostKeyPolicy.STRICT
    keys: HostKeys | None = None
    """Instead of the known_hosts files that the configuration names."""


@dataclass(frozen=True, slots=True)
class Imported:
    """The manifests, and what a person should know about them."""

    hosts: tuple[HostManifest, ...]
    known_hosts: str
    """The lines of known_hosts files with markers that are for any of the hosts."""
    secrets: tuple[str, ...]
    warnings: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class _Endpoint:
    """A host as it is reached."""

    address: str
    port: int
    user: str
    key_name: str
    """What its lines in known_hosts files are for."""
    key_files: tuple[Path, ...]
    identity: str | None
    """The file with its private key, where the configuration names one."""
    jump: str | None = None
    """What the jump host is called here."""


def convert(configuration: Configuration, aliases: Sequence[str], wishes: Wishes) -> Imported:
    """The manifests of some hosts and of those on the way to them. Raises CommandError."""
    return _Conversion(configuration, wishes).imported(aliases)


class _Conversion:
    def __init__(self, configuration: Configuration, wishes: Wishes) -> None:
        self._configuration = configuration
        self._wishes = wishes
        self._defaults = frozenset(Configuration(Path("/dev/null")).of("localhost").all("identityfile"))
        self._found: dict[str, _Endpoint] = {}
        self._commands: list[str] = []

    def imported(self, aliases: Sequence[str]) -> Imported:
        for alias in aliases:
            self._reach(Hop(alias), None, ())
        names = host_names(self._found)
        secrets = self._secrets()
        hosts: list[HostManifest] = []
        marked: dict[str, None] = {}
        for called, endpoint in self._found.items():
            keys = self._wishes.keys or HostKeys.read(endpoint.key_files)
            port = DEFAULT_PORT if endpoint.key_name != endpoint.address else endpoint.port
            lines = keys.marked(endpoint.key_name, port)
            marked |= dict.fromkeys(lines)
            name = names[called]
            hosts.append(HostManifest(
                name=name,
                address=None if endpoint.address == name else endpoint.address,
                port=endpoint.port,
                user=endpoint.user,
                credentials=self._wishes.credentials or secrets.get(endpoint.identity or ""),
                jump_host=names[endpoint.jump] if endpoint.jump else None,
                host_keys=tuple(keys.of(endpoint.key_name, port)),
                known_hosts=KNOWN_HOSTS_NAME if lines else None,
                policy=self._wishes.policy,
                labels=self._wishes.labels,
                original=called if called != name else None,
            ))  # fmt: skip
        text = "".join(f"{line}\n" for line in marked)
        used = {host.credentials for host in hosts}
        commands = tuple(
            secret_command(name, self._wishes.namespace, [("ssh-privatekey", shell_path(path))])
            for path, name in secrets.items()
            if name in used
        )
        return Imported(tuple(hosts), text, commands, tuple(self._warnings(hosts)))

    def _reach(self, hop: Hop, before: tuple[Hop, ...] | None, way: tuple[str, ...]) -> str:
        """Take in a host, and those on the way to it; what it is called here.

        `before`: the jump hosts that are named for it, instead of those in its own configuration. `way`: the hosts that
        are reached over it.
        """
        settings = self._configuration.of(hop.host, hop.user, hop.port)
        endpoint = self._endpoint(hop.host, settings)
        jumps = self._hops(hop.host, settings) if before is None else before
        called = self._called(hop, endpoint, jumps)
        if called in way or len(way) > MAX_JUMPS:
            raise CommandError(f"the jump hosts of {way[0]} lead in a circle, or are more than {MAX_JUMPS}")
        if called not in self._found:
            self._found[called] = endpoint
            if jumps:
                jump = self._reach(jumps[-1], jumps[:-1] or None, (*way, called))
                self._found[called] = replace(endpoint, jump=jump)
        return called

    def _called(self, hop: Hop, endpoint: _Endpoint, jumps: tuple[Hop, ...]) -> str:
        """Its alias; one that is reached in another way than its alias alone says has that in its name."""
        settings = self._configuration.of(hop.host)
        if (endpoint, jumps) == (self._endpoint(hop.host, settings), self._hops(hop.host, settings)):
            return hop.host
        return "-".join((*(jump.host for jump in jumps), endpoint.user, hop.host, str(endpoint.port)))

    def _endpoint(self, host: str, settings: Settings) -> _Endpoint:
        address = settings.one("hostname") or host
        files = " ".join((*settings.all("userknownhostsfile"), *settings.all("globalknownhostsfile"))).split()
        identities = [path for path in settings.all("identityfile") if path not in self._defaults]
        return _Endpoint(
            address=address,
            port=int(settings.one("port") or DEFAULT_PORT),
            user=settings.one("user") or "root",
            key_name=settings.one("hostkeyalias") or address,
            key_files=tuple(path for name in files if (path := Path(name).expanduser()).is_file()),
            identity=identities[0] if identities else None,
        )

    def _hops(self, host: str, settings: Settings) -> tuple[Hop, ...]:
        command = settings.one("proxycommand")
        try:
            return hops_of_command(command) if command else hops(settings.one("proxyjump") or "")
        except ValueError:
            if host not in self._commands:
                self._commands.append(host)
            return ()

    def _secrets(self) -> Mapping[str, str]:
        """The names of Secrets, by the files of the private keys."""
        paths = dict.fromkeys(endpoint.identity for endpoint in self._found.values() if endpoint.identity)
        files = [Path(path).name for path in paths]
        # Keys of the same name in several folders have these in the names of their Secrets.
        wanted = {path: path if files.count(Path(path).name) > 1 else Path(path).name for path in paths}
        wanted = {path: "-".join(re.findall(r"[A-Za-z0-9]+", f"ssh {text}")) for path, text in wanted.items()}
        names = host_names(wanted.values())
        return {path: names[text] for path, text in wanted.items()}

    def _warnings(self, hosts: Sequence[HostManifest]) -> list[str]:
        changed = [f"{host.original} is {host.name}" for host in hosts if host.original]
        without = [host.name for host in hosts if not host.credentials]
        strict = self._wishes.policy is HostKeyPolicy.STRICT
        keyless = [host.name for host in hosts if strict and not host.host_keys and not host.known_hosts]
        aliased = [name for name, found in self._found.items() if found.key_name != found.address]
        said: list[tuple[Sequence[str], Callable[[str], str]]] = [
            (self._commands, lambda names: f"a ProxyCommand other than ssh -W, which is left out: {names}"),
            (changed, lambda names: f"{counted(changed, 'host')} cannot have the same name in Kubernetes: {names}"),
            (without, lambda names: f"no credentials for {names}: --credentials names a Secret for all hosts"),
            (
                keyless,
                lambda names: (
                    f"no host key for {names}, so that they will be refused: connect with ssh once, or "
                    "give --known-hosts FILE, or --host-key-policy AcceptNew"
                ),
            ),
            (
                [name for name in aliased if any(h.known_hosts and (h.original or h.name) == name for h in hosts)],
                lambda names: f"certificates for a HostKeyAlias are not for the address, and will be refused: {names}",
            ),
        ]
        return [sentence(listed(names)) for names, sentence in said if names]
