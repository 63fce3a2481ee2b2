"""Turns what an inventory holds into manifests."""

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence, Set
from dataclasses import dataclass, field

from rollcall.resources.host import DEFAULT_PORT
from rollcall.work import HostKeyPolicy
from rollcall_cli.ansible.content import ALL, UNGROUPED, Content
from rollcall_cli.ansible.variables import Layers, layers
from rollcall_cli.ansible.ways import MAPPED, Credentials, by_ssh, connection, places, way_of
from rollcall_cli.errors import CommandError
from rollcall_cli.kubenames import group_names, host_names
from rollcall_cli.manifests import (
    LABEL_INVENTORY,
    GroupManifest,
    HostManifest,
    InventoryManifest,
)
from rollcall_cli.notes import counted, listed

Keys = Callable[[str, int], Sequence[str]]
"""The known host keys of an address and port."""


@dataclass(frozen=True, slots=True)
class Wishes:
    """What the inventory does not say, and the person who imports it does."""

    inventory: str
    """The name of the Inventory."""
    namespace: str | None = None
    labels: Mapping[str, str] = field(default_factory=dict)
    user: str | None = None
    """For hosts whose user the inventory does not name."""
    credentials: str | None = None
    """A Secret for all hosts, whatever the inventory says."""
    policy: HostKeyPolicy = HostKeyPolicy.STRICT
    kept: Set[str] = frozenset()
    """Variables that travel although they look like secrets."""
    keys: Keys = lambda _address, _port: ()


@dataclass(frozen=True, slots=True)
class Imported:
    """The manifests, and what a person should know about them."""

    hosts: tuple[HostManifest, ...]
    inventory: InventoryManifest
    secrets: tuple[str, ...]
    """Commands that make the Secrets that the Hosts refer to."""
    warnings: tuple[str, ...]


def convert(content: Content, wishes: Wishes) -> Imported:
    """The manifests of an inventory. Raises CommandError for what no manifest can say."""
    return _Conversion(content, wishes).imported()


class _Conversion:
    def __init__(self, content: Content, wishes: Wishes) -> None:
        self._content = content
        self._wishes = wishes
        self._warnings: list[str] = []
        self._names = host_names(content.members)
        self._groups = group_names(name for name in content.groups if name not in (ALL, UNGROUPED))
        self._ways = {name: way_of(member) for name, member in content.members.items() if by_ssh(member)}
        self._jumps = self._jump_hosts()
        self._secrets = self._secret_names()
        self._layers = layers(content, wishes.kept, self._groups)

    def imported(self) -> Imported:
        wanted = self._wanted()
        direct: defaultdict[str, list[str]] = defaultdict(list)
        for name, group in self._content.groups.items():
            for host in group.hosts:
                if name in self._groups:
                    direct[host].append(self._groups[name])
        hosts = tuple(self._host(name, direct[name]) for name in wanted)
        self._warn_of_names(wanted)
        self._warn_of_variables(self._layers)
        self._warn_of_ways(hosts, wanted)
        return Imported(hosts, self._inventory(), self._commands(hosts), tuple(self._warnings))

    def _wanted(self) -> list[str]:
        """The selected hosts, and those over which they are reached."""
        found = dict.fromkeys(name for name in self._content.selected if name in self._ways)
        for name in list(found):
            jump = self._jumps.get(name)
            while jump is not None and jump not in found:
                found[jump] = None
                jump = self._jumps.get(jump)
        if not found:
            raise CommandError("no host that is reached by SSH is in the inventory, or in what --limit leaves of it")
        return list(found)

    def _host(self, name: str, groups: Iterable[str]) -> HostManifest:
        way, variables = self._ways[name], self._layers.hosts[name]
        made = self._names[name]
        address = way.address or (name if made != name else None)
        port = way.port or DEFAULT_PORT
        secret = self._wishes.credentials or (self._secrets[way.credentials] if way.credentials else None)
        jump = self._jumps.get(name)
        return HostManifest(
            name=made,
            address=address,
            port=port,
            user=way.user or self._wishes.user,
            credentials=secret,
            jump_host=self._names[jump] if jump else None,
            host_keys=tuple(self._wishes.keys(address or made, port)),
            policy=self._wishes.policy,
            groups=tuple(sorted(groups)),
            variables=variables,
            labels={LABEL_INVENTORY: self._wishes.inventory, **self._wishes.labels},
            original=name if made != name else None,
        )

    def _inventory(self) -> InventoryManifest:
        groups = {}
        for name, made in sorted(self._groups.items(), key=lambda entry: entry[1]):
            children = [self._groups[child] for child in self._content.groups[name].children if child in self._groups]
            variables = self._layers.groups[name]
            if children or variables:
                groups[made] = GroupManifest(sorted(children), variables)
        return InventoryManifest(self._wishes.inventory, self._layers.shared, groups)

    def _jump_hosts(self) -> dict[str, str]:
        """The last host on the way to each host that has any."""
        known = places(self._content, self._ways)
        found: dict[str, str] = {}
        absent: defaultdict[str, list[str]] = defaultdict(list)
        for name, way in self._ways.items():
            if not way.hops:
                continue
            jump = known.get(way.hops[-1].host)
            if jump is None or jump not in self._ways:
                absent[way.hops[-1].host].append(name)
            elif jump != name:
                found[name] = jump
        for host, behind in absent.items():
            self._warnings.append(
                f"{host}, the jump host of {counted(behind, 'host')}, is not in the inventory: write a Host for it, "
                f"and its name as jumpHostRef of {listed(behind)}"
            )
        self._compare(known, found)
        return found

    def _compare(self, known: Mapping[str, str], found: Mapping[str, str]) -> None:
        """Warn of jump hosts that are reached in another way for some hosts than their own Hosts will say."""
        otherwise: defaultdict[str, list[str]] = defaultdict(list)
        for name, jump in found.items():
            *before, last = self._ways[name].hops
            own = self._ways[jump]
            user, port = own.user or self._wishes.user, own.port or DEFAULT_PORT
            differs = (last.user or user, last.port or port) != (user, port)
            if differs or (before and known.get(before[-1].host) != found.get(jump)):
                otherwise[jump].append(name)
        for jump, behind in otherwise.items():
            self._warnings.append(
                f"for {counted(behind, 'host')} the inventory reaches {jump} by another user, port or way than for "
                f"itself: what counts is what the Host {jump} says"
            )

    def _secret_names(self) -> Mapping[Credentials, str]:
        found = dict.fromkeys(way.credentials for way in self._ways.values() if way.credentials)
        base = f"{self._wishes.inventory}-credentials"
        return {one: f"{base}-{number}" if len(found) > 1 else base for number, one in enumerate(found, start=1)}

    def _commands(self, hosts: Iterable[HostManifest]) -> tuple[str, ...]:
        used = {host.credentials for host in hosts}
        namespace = self._wishes.namespace
        return tuple(one.command(name, namespace) for one, name in self._secrets.items() if name in used)

    def _warn_of_names(self, wanted: Sequence[str]) -> None:
        changed = [f"{name} is {self._names[name]}" for name in wanted if self._names[name] != name]
        if changed:
            self._warnings.append(
                f"{counted(changed, 'host')} cannot have the same name in Kubernetes: {listed(changed)}; an annotation "
                "keeps the old one"
            )
        groups = [f"{name} is {made}" for name, made in self._groups.items() if name != made]
        if groups:
            self._warnings.append(f"{counted(groups, 'group')} cannot have the same name: {listed(groups)}")

    def _warn_of_variables(self, found: Layers) -> None:
        by_input = "a job gets such a value by an input of type Secret"
        left_out = {
            "only for Ansible": tuple(name for name in found.ansible if name not in MAPPED),
            f"kept by Ansible Vault ({by_input})": found.vaulted,
            f"secret by name ({by_input}; --keep NAME takes one along all the same)": found.secret,
        }
        for what, names in left_out.items():
            if names:
                self._warnings.append(f"left out {counted(names, 'variable')} {what}: {listed(names)}")
        if found.templates:
            self._warnings.append(
                f"{counted(found.templates, 'variable')} with a template in the value, which stays as it is written: "
                f"{listed(found.templates)}"
            )
        if found.settled:
            self._warnings.append(
                f"{found.settled} of the hosts have values of their groups as their own, because Ansible's precedence "
                "(of group_vars over an inventory file, of ansible_group_priority) is not that of the groups alone"
            )
        if locked := self._content.locked_files:
            self._warnings.append(f"{counted(locked, 'file')} encrypted as a whole, and not read: {listed(locked)}")

    def _warn_of_ways(self, hosts: Sequence[HostManifest], wanted: Sequence[str]) -> None:
        others = [
            f"{name} ({connection(member)})" for name, member in self._content.members.items() if name not in self._ways
        ]
        if others:
            self._warnings.append(f"left out {counted(others, 'host')} not reached by SSH: {listed(others)}")
        problems = [f"{name}: {problem}" for name in wanted for problem in self._ways[name].problems]
        if problems:
            self._warnings.append(f"{counted(problems, 'setting')} not understood: {listed(problems)}")
        nobody = [host.name for host in hosts if host.user is None]
        if nobody:
            self._warnings.append(f"no user for {listed(nobody)}, which means root: --user names one")
        without = [host.name for host in hosts if not host.credentials]
        if without:
            self._warnings.append(f"no credentials for {listed(without)}: --credentials names a Secret for all hosts")
        keyless = [host.name for host in hosts if not host.host_keys]
        if keyless and self._wishes.policy is HostKeyPolicy.STRICT:
            self._warnings.append(
                f"no host key for {listed(keyless)}, so that they will be refused: give --known-hosts FILE, or "
                "--host-key-policy AcceptNew"
            )
