"""The routes of hosts (contract §7.6)."""

from collections.abc import Iterator
from functools import partial
from typing import Any, Final

import orjson
from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response

from rollcall.names import Kind
from rollcall.query.fields import Field
from rollcall.query.fields import Kind as Values
from rollcall.query.foreman import Subject
from rollcall.query.hostrows import TARGETS, HostRow
from rollcall_api.foreman import lists
from rollcall_api.foreman.description import IDENTIFIER, LISTING, TAXONOMIES, Action, Param, Type
from rollcall_api.foreman.errors import JsonBytes, e1, e6
from rollcall_api.foreman.lookup import by_reference
from rollcall_api.foreman.render import time
from rollcall_api.foreman.requests import Bag, boolean, is_blank
from rollcall_api.foreman.routing import Backend, DialectRoute, Permission, add
from rollcall_api.foreman.taxonomies import Taxonomies, Taxonomy
from rollcall_api.objects import Object
from rollcall_api.problems import Rejected
from rollcall_api.records import Host

_VIEW: Final = Permission("view_hosts", (("list", Kind.HOST),))
_EDIT: Final = Permission("edit_hosts", (("update", Kind.HOST),))
_FIELDS: Final = Subject(
    {
        **TARGETS.fields,
        "organization": Field(("organizationName",)),
        "organization_id": Field(("organizationId",), Values.INTEGER),
        "location": Field(("locationName",)),
        "location_id": Field(("locationId",), Values.INTEGER),
    },
    TARGETS.prefixes,
)
_ROOT: Final = "/api/hosts"
_THIN: Final = Param("thin", "Only list ID and name of hosts", Type.BOOLEAN)
_HOST: Final = Param(
    "host",
    "The host",
    Type.HASH,
    required=True,
    params=(
        Param("ip", "The address to connect to"),
        Param("organization_id", "Organization, by id or name", Type.ANY),
        Param("location_id", "Location, by id or name", Type.ANY),
        Param("enabled", "Whether the host takes new work", Type.BOOLEAN),
    ),
)


def router(backend: Backend) -> APIRouter:
    """The routes of hosts."""
    routes = APIRouter(route_class=DialectRoute)
    endpoints = Endpoints(backend)
    listing = Action("hosts", "index", "GET", _ROOT, "List all hosts", (*LISTING, _THIN))
    showing = Action("hosts", "show", "GET", f"{_ROOT}/{{id}}", "Show a host", (*TAXONOMIES, IDENTIFIER))
    updating = Action("hosts", "update", "PUT", f"{_ROOT}/{{id}}", "Update a host", (*TAXONOMIES, IDENTIFIER, _HOST))
    add(routes, listing, endpoints.index)
    add(routes, showing, endpoints.show)
    add(routes, updating, endpoints.update)
    return routes


class _Row(HostRow):
    """A host as searches see it, with its taxonomies."""

    __slots__ = ("_more",)

    def __init__(self, host: Host, taxonomies: Taxonomies) -> None:
        super().__init__(host.resource)
        organization, location = taxonomies.organization_of(host), taxonomies.location_of(host)
        self._more = {
            "organizationId": organization.id,
            "organizationName": organization.name,
            "locationId": location.id,
            "locationName": location.name,
        }

    def __getitem__(self, name: str) -> Any:
        return self._more[name] if name in self._more else super().__getitem__(name)

    def get(self, name: str, default: Any = None) -> Any:
        """The value of that name; the default for a name that no host has."""
        return self._more[name] if name in self._more else super().get(name, default)

    def __contains__(self, name: object) -> bool:
        return name in self._more or super().__contains__(name)


class Endpoints:
    """The handlers."""

    def __init__(self, backend: Backend) -> None:
        self._backend = backend
        self._hosts = backend.jobs.cache.hosts
        self._taxonomies = backend.taxonomies

    async def index(self, request: Request) -> Response:
        """`GET /api/hosts`."""
        _, bag = await self._backend.admit(request, _VIEW)
        thin = boolean(bag, "thin")
        rows = ((host.name, _Row(host, self._taxonomies)) for host in self._within(bag))
        return lists.listed(rows, _FIELDS, partial(self._item, thin=thin), bag)

    async def show(self, request: Request) -> Response:
        """`GET /api/hosts/:id`, by id or name."""
        await self._backend.admit(request, _VIEW)
        return _shown(self._item(self._find(request.path_params["id"]).name, thin=False))

    async def update(self, request: Request) -> Response:
        """`PUT /api/hosts/:id`."""
        user, bag = await self._backend.admit(request, _EDIT)
        host = self._find(request.path_params["id"])
        given = bag.get("host", {})
        if not isinstance(given, dict):
            raise e6({"host": ["must be a hash"]}, host.id)
        if not is_blank(given.get("name")) and given["name"] != host.name:
            raise e6({"name": ["can't be changed: jobs know the host by it"]}, host.id)
        organization, location = self._taxonomies.chosen(given)
        change = partial(_change, given=given, organization=organization, location=location)
        try:
            await self._backend.objects.change(Kind.HOST, host.name, change, user)
        except Rejected as problem:
            raise e6({"base": [str(problem)]}, host.id) from None
        return _shown(self._item(host.name, thin=False))

    def _within(self, bag: Bag) -> Iterator[Host]:
        """The hosts of the organization and the location that the parameters choose."""
        organization, location = self._taxonomies.chosen(bag)
        for host in self._hosts:
            if (
                host.id is not None
                and organization in (None, self._taxonomies.organization_of(host))
                and location in (None, self._taxonomies.location_of(host))
            ):
                yield host

    def _find(self, given: str) -> Host:
        host = by_reference(self._hosts, given, lambda host: host.name)
        if host is None:
            raise e1(404, f"Resource host not found by id '{given}'")
        return host

    def _item(self, name: str, thin: bool) -> dict[str, Any]:
        host = self._hosts.named(name)
        if host is None:
            raise e1(404, f"Resource host not found by id '{name}'")
        if thin:
            return {"id": host.id, "name": host.name}
        return {"id": host.id, "name": host.name, **self._details(host)}

    def _details(self, host: Host) -> dict[str, Any]:
        resource, facts = host.resource, host.resource.spec.facts
        organization, location = self._taxonomies.organization_of(host), self._taxonomies.location_of(host)
        created, contact = resource.metadata.creation_timestamp, resource.status.last_contact_time
        return {
            "display_name": host.name,
            "ip": resource.address,
            "mac": _fact(facts, "networking", "mac"),
            "operatingsystem_id": None,
            "operatingsystem_name": _fact(facts, "os", "distro", "description") or _fact(facts, "os", "name"),
            "architecture_name": _fact(facts, "os", "architecture"),
            "hostgroup_id": None,
            "hostgroup_name": resource.spec.groups[0] if resource.spec.groups else None,
            "hostgroup_title": resource.spec.groups[0] if resource.spec.groups else None,
            "organization_id": organization.id,
            "organization_name": organization.name,
            "location_id": location.id,
            "location_name": location.name,
            "uuid": host.uid,
            "enabled": not resource.spec.unschedulable,
            "managed": False,
            "build": False,
            "last_report": None if contact is None else time(contact),
            "created_at": None if created is None else time(created),
        }


def _fact(facts: Any, *path: str) -> Any:
    for name in path:
        facts = facts.get(name) if isinstance(facts, dict) else None
    return facts if isinstance(facts, str | int | float) else None


def _change(body: Object, given: dict[str, Any], organization: Taxonomy | None, location: Taxonomy | None) -> None:
    spec = body.setdefault("spec", {})
    if not is_blank(given.get("ip")):
        spec["address"] = str(given["ip"])
    for key, taxonomy in (("organization", organization), ("location", location)):
        if taxonomy is not None:
            spec[key] = taxonomy.name
    if "enabled" in given:
        spec["unschedulable"] = not boolean(given, "enabled", True)


def _shown(body: Any) -> JsonBytes:
    return JsonBytes(orjson.dumps(body))
