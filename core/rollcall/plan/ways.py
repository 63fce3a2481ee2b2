"""The way to a host: which keys it may show, and over which jump hosts it is reached."""

from collections.abc import Callable, Collection, Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Final

from rollcall.knownhosts import KnownHosts, KnownHostsError, names_of
from rollcall.names import Reason
from rollcall.plan.pods import Trouble
from rollcall.resources.host import Host
from rollcall.work import HostKeyPolicy, JumpHost

MAX_JUMPS: Final = 5
LOGIN_KEYS: Final = frozenset({"ssh-privatekey", "password"})
"""The keys of a Secret, one of which is enough to log in."""

ConfigMapData = Mapping[str, str]
ConfigMaps = Mapping[str, ConfigMapData | None]
"""The texts in ConfigMaps by name; None for one that is not there."""


class WayError(Exception):
    """There is no way to a host."""

    def __init__(self, reason: Reason, message: str) -> None:
        super().__init__(message)
        self.trouble = Trouble(reason, message)


@dataclass(frozen=True, slots=True)
class Way:
    """What a work says of the way to a host; see `HostWork`."""

    host_keys: tuple[str, ...]
    policy: HostKeyPolicy
    known_hosts: int | None
    via: int | None


NOWHERE: Final = Way((), HostKeyPolicy.STRICT, None, None)
"""The way of a script that runs in the pod itself."""


def jump_hosts(host: Host, hosts: Mapping[str, Host]) -> tuple[Host, ...]:
    """The jump hosts of a host, its own first. Raises WayError when one is not there, or they lead nowhere."""
    found: list[Host] = []
    names = [host.metadata.name]
    last = host
    while last.spec.jump_host_ref is not None:
        name = last.spec.jump_host_ref.name
        text = f"spec.jumpHostRef of Host {names[-1]}"
        names.append(name)
        if name in names[:-1]:
            raise WayError(Reason.INVALID_SPEC, f"{text} leads in a circle: {' -> '.join(names)}")
        if len(found) == MAX_JUMPS:
            message = f"{text} is one too many: a host is reached over {MAX_JUMPS} jump hosts at most"
            raise WayError(Reason.INVALID_SPEC, message)
        if name not in hosts:
            raise WayError(Reason.HOST_NOT_FOUND, f"there is no Host {name}, which {text} names")
        last = hosts[name]
        found.append(last)
    return tuple(found)


def all_jump_hosts(chosen: Iterable[Host], hosts: Mapping[str, Host]) -> tuple[Host, ...]:
    """The jump hosts of those hosts that there is a way to, each once."""
    found: dict[str, Host] = {}
    for host in chosen:
        if host.spec.jump_host_ref is not None:
            with suppress(WayError):  # it fails by itself when its turn comes
                found |= {jump.metadata.name: jump for jump in jump_hosts(host, hosts)}
    return tuple(found.values())


def jump_secret(jump: Host, secrets: Mapping[str, Collection[str] | None]) -> str:
    """The Secret to log in to a jump host with, of those whose keys are known. Raises WayError."""
    name = jump.metadata.name
    if jump.spec.credentials_ref is None:
        message = f"nothing to log in with on the jump host {name}: its Host has no spec.credentialsRef"
        raise WayError(Reason.INVALID_CREDENTIALS, message)
    secret = jump.spec.credentials_ref.name
    keys = secrets.get(secret)
    if keys is None:
        message = f"there is no Secret {secret}, which the jump host {name} is to be logged in to with"
        raise WayError(Reason.SECRET_NOT_FOUND, message)
    if LOGIN_KEYS.isdisjoint(keys):
        message = f"the Secret {secret} holds neither ssh-privatekey nor password for the jump host {name}"
        raise WayError(Reason.INVALID_CREDENTIALS, message)
    return secret


def missing(
    chosen: Iterable[Host], hosts: Mapping[str, Host], secrets: Mapping[str, Collection[str] | None]
) -> Trouble | None:
    """What the ways to the hosts lack and may yet turn up: they are often applied together."""
    seen: set[str] = set()
    for host in chosen:
        try:
            for jump in jump_hosts(host, hosts):
                if jump.metadata.name not in seen:
                    seen.add(jump.metadata.name)
                    jump_secret(jump, secrets)
        except WayError as error:
            if error.trouble.reason != Reason.INVALID_SPEC:
                return error.trouble
    return None


def known_hosts_maps(hosts: Iterable[Host]) -> frozenset[str]:
    """The ConfigMaps that the hosts' keys come from."""
    sources = (host.spec.known_hosts_from for host in hosts)
    return frozenset(source.config_map_key_ref.name for source in sources if source is not None)


class Ways:
    """The ways to the hosts of a work, with what they share: jump hosts and known hosts."""

    def __init__(self, hosts: Mapping[str, Host], config_maps: ConfigMaps, login: Callable[[Host], int]) -> None:
        """`login` gives the place of a jump host's credentials in the work; what it raises is raised here."""
        self._hosts = hosts
        self._config_maps = config_maps
        self._login = login
        self._places: dict[str, int] = {}
        self._sources: dict[tuple[str, str], _Source] = {}
        self.jump_hosts: list[JumpHost] = []

    @property
    def known_hosts(self) -> tuple[str, ...]:
        """What the known hosts say of all hosts so far."""
        return tuple(source.known.text(source.names) for source in self._sources.values())

    def to(self, host: Host) -> Way:
        """The way to a host of the work. Raises WayError."""
        via: int | None = None
        for jump in reversed(jump_hosts(host, self._hosts)):
            via = self._over(jump, via)
        return self._way(host, via)

    def _over(self, jump: Host, via: int | None) -> int:
        """The place of a jump host."""
        name = jump.metadata.name
        if name not in self._places:
            way = self._way(jump, via)
            self.jump_hosts.append(
                JumpHost(
                    name=name,
                    address=jump.address,
                    port=jump.spec.port,
                    user=jump.spec.user,
                    host_keys=way.host_keys,
                    credentials=self._login(jump),
                    policy=way.policy,
                    known_hosts=way.known_hosts,
                    via=via,
                )
            )
            self._places[name] = len(self.jump_hosts) - 1
        return self._places[name]

    def _way(self, host: Host, via: int | None) -> Way:
        # What a person has written comes before what was once accepted.
        keys = host.spec.host_keys or host.status.host_keys
        return Way(keys, host.spec.host_key_policy, self._known(host), via)

    def _known(self, host: Host) -> int | None:
        """The place of the known hosts that count for a host."""
        if host.spec.known_hosts_from is None:
            return None
        reference = host.spec.known_hosts_from.config_map_key_ref
        place = reference.name, reference.key
        if place not in self._sources:
            self._sources[place] = _Source(self._read(host, *place), {})
        self._sources[place].names |= dict.fromkeys(names_of(host.address, host.spec.port))
        return list(self._sources).index(place)

    def _read(self, host: Host, name: str, key: str) -> KnownHosts:
        data = self._config_maps.get(name)
        if data is None or key not in data:
            lacking = f"there is no ConfigMap {name}" if data is None else f"the ConfigMap {name} has no key {key}"
            message = f"{lacking}, from which spec.knownHostsFrom of Host {host.metadata.name} takes its keys"
            raise WayError(Reason.CONFIG_MAP_NOT_FOUND, message)
        try:
            return KnownHosts.parse(data[key])
        except KnownHostsError as error:
            raise WayError(Reason.INVALID_SPEC, f"the known hosts in ConfigMap {name}, key {key}: {error}") from None


@dataclass(slots=True)
class _Source:
    """Known hosts, and the names that are looked for in them."""

    known: KnownHosts
    names: dict[str, None]
