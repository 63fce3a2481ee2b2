"""Organizations and locations: the words that Hosts have in `spec.organization` and `spec.location`.

They are no objects of their own. Every Host without such a word belongs to `Default Organization` (1) and `Default
Location` (2), which exist always; Foreman's own installer makes and numbers them so. The id of any other is a checksum
of its name, so that it is the same in every replica, and again when a host with that word comes back.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from rollcall_api.cache import Table
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
DEFAULT_ORGANIZATION: Final = Taxonomy(1, "Default Organization")
DEFAULT_LOCATION: Final = Taxonomy(2, "Default Location")


class Taxonomies:
    """The organizations and locations of the hosts as they are now."""

    def __init__(self, hosts: Table[Host]) -> None:
        self._hosts = hosts
        self._found: tuple[tuple[int, int], tuple[dict[str, Taxonomy], dict[str, Taxonomy]]] | None = None

    @property
    def organizations(self) -> Mapping[str, Taxonomy]:
        """All organizations, by name."""
        return self._all()[0]

    @property
    def locations(self) -> Mapping[str, Taxonomy]:
        """All locations, by name."""
        return self._all()[1]

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

    def _all(self) -> tuple[dict[str, Taxonomy], dict[str, Taxonomy]]:
        stamp = (self._hosts.generation, self._hosts.seen)
        if self._found is None or self._found[0] != stamp:
            organizations = {DEFAULT_ORGANIZATION.name: DEFAULT_ORGANIZATION}
            locations = {DEFAULT_LOCATION.name: DEFAULT_LOCATION}
            for host in self._hosts:
                organization, location = self.organization_of(host), self.location_of(host)
                organizations[organization.name] = organization
                locations[location.name] = location
            self._found = stamp, (organizations, locations)
        return self._found[1]


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
    def headers(self) -> list[tuple[bytes, bytes]]:
        """The two headers."""
        return [
            (b"foreman_current_organization", _shown(self.organization)),
            (b"foreman_current_location", _shown(self.location)),
        ]


def _shown(taxonomy: Taxonomy | None) -> bytes:
    text = ANY if taxonomy is None else f"{taxonomy.id}; {taxonomy.name}"
    return text.encode("latin-1", "replace")


def _named(kind: str, name: str | None, default: Taxonomy) -> Taxonomy:
    if not name or name == default.name:
        return default
    return Taxonomy(number_of(f"{kind}/{name}"), name)


def _chosen(value: Any, title: str, taxonomies: Taxonomies, attribute: str) -> Taxonomy | None:
    if value in (None, ""):
        return None
    known: Mapping[str, Taxonomy] = getattr(taxonomies, attribute)
    text = str(value)
    found = known.get(text) or next((taxonomy for taxonomy in known.values() if str(taxonomy.id) == text), None)
    if found is None:
        raise e2(404, f"{title} with id {value} not found")
    return found
