"""Organizations and locations: the words that Hosts have in `spec.organization` and `spec.location`.

They are no objects of their own. Every Host without such a word belongs to `Default Organization` (1) and `Default
Location` (2), which exist always; Foreman's own installer makes and numbers them so. The id of any other is a checksum
of its name, so that it is the same in every replica, and again when a host with that word comes back.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from rollcall_api.cache import Hosts
from rollcall_api.foreman.errors import e2
from rollcall_api.foreman.numbers import number_of
from rollcall_api.records import Host

CONTEXT: Final = "rollcall.foreman.context"
"""In a request's scope: the taxonomies of its answer."""


@dataclass(frozen=True, slots=True)
class Taxonomy:
    """An organization, or a location."""

    id: int
    name: str


ANY: Final = "; ANY"
_CONTROLS: Final = re.compile(rb"[\x00-\x1f\x7f]")
"""What no header may hold, and a word may."""
DEFAULT_ORGANIZATION: Final = Taxonomy(1, "Default Organization")
DEFAULT_LOCATION: Final = Taxonomy(2, "Default Location")


class Taxonomies:
    """The organizations and locations of the hosts as they are now."""

    def __init__(self, hosts: Hosts) -> None:
        self._index = hosts.index

    @property
    def organizations(self) -> Mapping[str, Taxonomy]:
        """All organizations, by name; the default first."""
        return self._all("organization", DEFAULT_ORGANIZATION)

    @property
    def locations(self) -> Mapping[str, Taxonomy]:
        """All locations, by name; the default first."""
        return self._all("location", DEFAULT_LOCATION)

    def organization_of(self, host: Host) -> Taxonomy:
        """The organization of a host."""
        return _named("organization", host.resource.spec.organization, DEFAULT_ORGANIZATION)

    def location_of(self, host: Host) -> Taxonomy:
        """The location of a host."""
        return _named("location", host.resource.spec.location, DEFAULT_LOCATION)

    def chosen(self, bag: Mapping[str, Any]) -> tuple[Taxonomy | None, Taxonomy | None]:
        """The organization and the location that parameters name by id or name; None for any.

        Raises the 404 of contract §1.5 for one that does not exist.
        """
        return (
            _chosen(bag.get("organization_id"), "Organization", self, "organizations"),
            _chosen(bag.get("location_id"), "Location", self, "locations"),
        )

    def belongs(self, host: Host, organization: Taxonomy | None, location: Taxonomy | None) -> bool:
        """Whether the host is in these; in any, for None."""
        return organization in (None, self.organization_of(host)) and location in (None, self.location_of(host))

    def _all(self, kind: str, default: Taxonomy) -> dict[str, Taxonomy]:
        """The index knows which words there are, and forgets those that no host has any more."""
        names = {str(name) for name in self._index.values((kind,)) if name}
        return {default.name: default} | {name: _named(kind, name, default) for name in sorted(names)}


class Context:
    """What an answer says of organization and location, in headers that name those that the request chose."""

    __slots__ = ("_taxonomies", "location", "organization")

    def __init__(self, taxonomies: Taxonomies) -> None:
        self._taxonomies = taxonomies
        self.organization: Taxonomy | None = None
        self.location: Taxonomy | None = None

    def choose(self, bag: Mapping[str, Any]) -> None:
        """Takes in what the parameters choose. Raises the 404 for what does not exist."""
        self.organization, self.location = self._taxonomies.chosen(bag)

    @property
    def is_narrow(self) -> bool:
        """Whether the request chose an organization or a location."""
        return self.organization is not None or self.location is not None

    @property
    def headers(self) -> tuple[tuple[bytes, bytes], ...]:
        """The two headers."""
        return _headers(self.organization, self.location) if self.is_narrow else _OF_ANY


def _headers(organization: Taxonomy | None, location: Taxonomy | None) -> tuple[tuple[bytes, bytes], ...]:
    return (b"foreman_current_organization", _shown(organization)), (b"foreman_current_location", _shown(location))


def _shown(taxonomy: Taxonomy | None) -> bytes:
    text = ANY if taxonomy is None else f"{taxonomy.id}; {taxonomy.name}"
    return _CONTROLS.sub(b"?", text.encode("latin-1", "replace"))


_OF_ANY: Final = _headers(None, None)


def _named(kind: str, name: str | None, default: Taxonomy) -> Taxonomy:
    if not name or name == default.name:
        return default
    return Taxonomy(number_of(f"{kind}/{name}"), name)


def _chosen(value: Any, title: str, taxonomies: Taxonomies, attribute: str) -> Taxonomy | None:
    text = "" if value is None else str(value)
    if not text.strip():
        return None
    known: Mapping[str, Taxonomy] = getattr(taxonomies, attribute)
    found = known.get(text) or next((taxonomy for taxonomy in known.values() if str(taxonomy.id) == text), None)
    if found is None:
        raise e2(404, f"{title} with id {value} not found")
    return found
