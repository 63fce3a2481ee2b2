"""The routes of organizations and locations (contract §7.6); `taxonomies` says what they are."""

from collections.abc import Callable, Mapping
from typing import Any, Final

import orjson
from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response

from rollcall.names import Kind
from rollcall.query.fields import Field
from rollcall.query.fields import Kind as Values
from rollcall.query.foreman import Subject
from rollcall_api.foreman import lists
from rollcall_api.foreman.description import IDENTIFIER, PAGING, PERMISSIONS, SEARCHING, Action, Param
from rollcall_api.foreman.errors import JsonBytes, e1
from rollcall_api.foreman.routing import Backend, DialectRoute, Permission, add
from rollcall_api.foreman.taxonomies import Taxonomy

_FIELDS: Final = Subject(
    {
        "name": Field(("name",), free_text=True),
        "title": Field(("title",), free_text=True),
        "id": Field(("id",), Values.INTEGER),
    }
)


def router(backend: Backend) -> APIRouter:
    """The routes of organizations and locations."""
    routes = APIRouter(route_class=DialectRoute)
    known = backend.taxonomies
    kinds: tuple[tuple[str, Callable[[], Mapping[str, Taxonomy]]], ...] = (
        ("organization", lambda: known.organizations),
        ("location", lambda: known.locations),
    )
    for name, every in kinds:
        endpoints = Endpoints(backend, name, every)

        def action(called: str, path: str, summary: str, *params: Param, plural: str = f"{name}s") -> Action:
            return Action(plural, called, "GET", f"/api/{plural}{path}", summary, params)

        listing = action("index", "", f"List all {name}s", *SEARCHING, *PAGING, PERMISSIONS)
        add(routes, listing, endpoints.index)
        add(routes, action("show", "/{id}", f"Show the {name}", IDENTIFIER), endpoints.show)
    return routes


class Endpoints:
    """The handlers of one of the two."""

    def __init__(self, backend: Backend, name: str, every: Callable[[], Mapping[str, Taxonomy]]) -> None:
        self._backend = backend
        self._name = name
        self._every = every
        self._view = Permission(f"view_{name}s", (("list", Kind.HOST),))

    async def index(self, request: Request) -> Response:
        """`GET /api/organizations`, or `/api/locations`."""
        user, bag = await self._backend.admit(request, self._view)
        pace, rights = self._backend.pace, await self._backend.rights(user, bag)
        known = {name: _shown(taxonomy) for name, taxonomy in self._every().items()}
        return await lists.listed(pace, known.items(), _FIELDS, lambda name: known[name], bag, rights=rights)

    async def show(self, request: Request) -> Response:
        """`GET /api/organizations/:id`, or `/api/locations/:id`; by id or name."""
        await self._backend.admit(request, self._view)
        given = request.path_params["id"]
        for taxonomy in self._every().values():
            if given in (str(taxonomy.id), taxonomy.name):
                return JsonBytes(orjson.dumps(_shown(taxonomy)))
        raise e1(404, f"Resource {self._name} not found by id '{given}'")


def _shown(taxonomy: Taxonomy) -> dict[str, Any]:
    return {
        "id": taxonomy.id,
        "name": taxonomy.name,
        "title": taxonomy.name,
        "description": None,
        "parent_id": None,
        "parent_name": None,
        "created_at": None,
        "updated_at": None,
    }
