"""The routes of hosts (contract §7.6)."""

from functools import partial
from typing import Any, Final

import orjson
from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response

from rollcall.names import Kind
from rollcall_api.changes import KEEP, HostChange, change_host
from rollcall_api.foreman import lists
from rollcall_api.foreman.description import IDENTIFIER, LISTING, TAXONOMIES, Action, Param, Type
from rollcall_api.foreman.errors import JsonBytes, e1, e6
from rollcall_api.foreman.lookup import by_reference
from rollcall_api.foreman.numbers import number_of
from rollcall_api.foreman.render import time
from rollcall_api.foreman.requests import Page, boolean, is_blank
from rollcall_api.foreman.routing import Backend, DialectRoute, Permission, add
from rollcall_api.foreman.taxonomies import CONTEXT, Taxonomy
from rollcall_api.problems import Rejected
from rollcall_api.records import Host
from rollcall_api.visibility import Searcher

_VIEW: Final = Permission("view_hosts", (("list", Kind.HOST),))
_EDIT: Final = Permission("edit_hosts", (("update", Kind.HOST),))
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


class Endpoints:
    """The handlers."""

    def __init__(self, backend: Backend) -> None:
        self._backend = backend
        self._hosts = backend.jobs.cache.hosts
        self._taxonomies = backend.taxonomies

    async def index(self, request: Request) -> Response:
        """`GET /api/hosts`."""
        user, bag = await self._backend.admit(request, _VIEW)
        rights = await self._backend.rights(user, bag, edit=("update", Kind.HOST))
        page, thin = Page.parse(bag), boolean(bag, "thin")
        reach = await self._backend.access.reach(user, "list", Kind.JOB_INVOCATION)
        sees = Searcher(user.username, True, reach).sees
        names, total = await self._backend.hosts.listed(bag, request.scope[CONTEXT], sees)

        def encode(name: str) -> bytes | None:
            host = self._hosts.named(name)
            return None if host is None else orjson.dumps(self._item(host, thin=thin))

        return await lists.paged(self._backend.pace, names, encode, total, page, bag, rights)

    async def show(self, request: Request) -> Response:
        """`GET /api/hosts/:id`, by id or name."""
        await self._backend.admit(request, _VIEW)
        return _shown(self._item(self._find(request), thin=False))

    async def update(self, request: Request) -> Response:
        """`PUT /api/hosts/:id`."""
        user, bag = await self._backend.admit(request, _EDIT)
        host = self._find(request)
        given = bag.get("host", {})
        if not isinstance(given, dict):
            raise e6({"host": ["must be a hash"]}, host.id)
        if not is_blank(given.get("name")) and given["name"] != host.name:
            raise e6({"name": ["can't be changed: jobs know the host by it"]}, host.id)
        change = partial(change_host, change=_wanted(given, *self._taxonomies.chosen(given)))
        try:
            await self._backend.objects.change(Kind.HOST, host.name, change, user)
        except Rejected as problem:
            raise e6({"base": [str(problem)]}, host.id) from None
        return _shown(self._item(self._hosts.named(host.name) or host, thin=False))

    def _find(self, request: Request) -> Host:
        """The host that the path names, of the request's organization and location."""
        given, context = request.path_params["id"], request.scope[CONTEXT]
        host = by_reference(self._hosts, given, self._hosts.named)
        if host is None or not self._taxonomies.belongs(host, context.organization, context.location):
            raise e1(404, f"Resource host not found by id '{given}'")
        return host

    def _item(self, host: Host, thin: bool) -> dict[str, Any]:
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
            **described(host),
            "architecture_name": _fact(facts, "os", "architecture"),
            "hostgroup_title": resource.spec.groups[0] if resource.spec.groups else None,
            "organization_id": organization.id,
            "organization_name": organization.name,
            "location_id": location.id,
            "location_name": location.name,
            "uuid": host.uid,
            "enabled": not resource.spec.unschedulable,
            "managed": True,
            "build": False,
            "last_report": None if contact is None else time(contact),
            "created_at": None if created is None else time(created),
        }


def _fact(facts: Any, *path: str) -> Any:
    for name in path:
        facts = facts.get(name) if isinstance(facts, dict) else None
    return facts if isinstance(facts, str | int | float) else None


def described(host: Host) -> dict[str, Any]:
    """The operating system and the first group of a host, with checksums of their names as ids."""
    facts, groups = host.resource.spec.facts, host.resource.spec.groups
    system = _fact(facts, "os", "distro", "description") or _fact(facts, "os", "name")
    return {
        "operatingsystem_id": None if system is None else number_of(str(system)),
        "operatingsystem_name": system,
        "hostgroup_id": number_of(groups[0]) if groups else None,
        "hostgroup_name": groups[0] if groups else None,
    }


def _wanted(given: dict[str, Any], organization: Taxonomy | None, location: Taxonomy | None) -> HostChange:
    """What the parameters ask to be different."""
    return HostChange(
        address=KEEP if is_blank(given.get("ip")) else str(given["ip"]),
        organization=KEEP if organization is None else organization.name,
        location=KEEP if location is None else location.name,
        unschedulable=not boolean(given, "enabled", True) if "enabled" in given else KEEP,
    )


def _shown(body: Any) -> JsonBytes:
    return JsonBytes(orjson.dumps(body))
