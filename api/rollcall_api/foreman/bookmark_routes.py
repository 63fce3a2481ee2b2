"""The routes of bookmarks (contract §7.5).

A bookmark of hosts is an Inventory with a query in Foreman's language; those of jobs are fixed, as Foreman seeds them.
"""

from functools import partial
from typing import Any, Final

import orjson
from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response

from rollcall.names import GROUP, Kind
from rollcall.query.fields import Field
from rollcall.query.fields import Kind as Values
from rollcall.query.foreman import Subject
from rollcall.resources.targeting import QueryLanguage
from rollcall_api.changes import KEEP, InventoryChange, change_inventory, new_inventory
from rollcall_api.cluster_names import slug
from rollcall_api.foreman import lists
from rollcall_api.foreman.description import IDENTIFIER, LISTING, TAXONOMIES, Action, Param, Type
from rollcall_api.foreman.errors import JsonBytes, e1, e6
from rollcall_api.foreman.numbers import number_of
from rollcall_api.foreman.requests import Bag, identifier, is_blank
from rollcall_api.foreman.routing import Backend, DialectRoute, Permission, add
from rollcall_api.parsing import parse_inventory
from rollcall_api.problems import Rejected
from rollcall_api.records import Inventory

_VIEW: Final = Permission("view_bookmarks", (("list", Kind.INVENTORY),))
_CREATE: Final = Permission("create_bookmarks", (("create", Kind.INVENTORY),))
_EDIT: Final = Permission("edit_bookmarks", (("update", Kind.INVENTORY),))
_DESTROY: Final = Permission("destroy_bookmarks", (("delete", Kind.INVENTORY),))
NAME: Final = f"foreman.{GROUP}/bookmark-name"
"""The annotation with a bookmark's name, where no object can have that name."""
JOBS: Final = {
    "failed": "status = failed",
    "succeeded": "status = succeeded",
    "running": "status = running",
    "pending": "status = queued",
    "recurring": "recurring = true",
    "recent": 'started_at > "24 hours ago"',
}
_FIELDS: Final = Subject(
    {
        "name": Field(("name",), free_text=True),
        "controller": Field(("controller",), free_text=True),
        "id": Field(("id",), Values.INTEGER),
        "public": Field(("public",), Values.BOOLEAN),
        "query": Field(("query",)),
    }
)
_ROOT: Final = "/api/bookmarks"
_BOOKMARK: Final = Param(
    "bookmark",
    "The bookmark",
    Type.HASH,
    required=True,
    params=(
        Param("name", "Bookmark name"),
        Param("controller", "What it finds; a new one can only find hosts"),
        Param("query", "The search query"),
        Param("public", "Whether others see it; every bookmark here is public", Type.BOOLEAN),
    ),
)


def router(backend: Backend) -> APIRouter:
    """The routes of bookmarks."""
    routes = APIRouter(route_class=DialectRoute)
    endpoints = Endpoints(backend)

    def action(name: str, method: str, path: str, summary: str, *params: Param, status: int = 200) -> Action:
        return Action("bookmarks", name, method, _ROOT + path, summary, (*TAXONOMIES, *params), status)

    add(routes, action("index", "GET", "", "List all bookmarks", *LISTING[2:]), endpoints.index)
    add(routes, action("show", "GET", "/{id}", "Show a bookmark", IDENTIFIER), endpoints.show)
    add(routes, action("create", "POST", "", "Create a bookmark", _BOOKMARK, status=201), endpoints.create)
    add(routes, action("update", "PUT", "/{id}", "Update a bookmark", IDENTIFIER, _BOOKMARK), endpoints.update)
    add(routes, action("destroy", "DELETE", "/{id}", "Delete a bookmark", IDENTIFIER), endpoints.destroy)
    return routes


class Endpoints:
    """The handlers."""

    def __init__(self, backend: Backend) -> None:
        self._backend = backend
        self._table = backend.jobs.cache.inventories

    async def index(self, request: Request) -> Response:
        """`GET /api/bookmarks`."""
        user, bag = await self._backend.admit(request, _VIEW)
        rights = await self._backend.rights(user, bag, ("create", Kind.INVENTORY), ("update", Kind.INVENTORY))
        known = {f"{shown['name']}/{shown['controller']}/{shown['id']}": shown for shown in self._all()}
        return await lists.listed(
            self._backend.pace, known.items(), _FIELDS, lambda key: known[key], bag, rights=rights
        )

    async def show(self, request: Request) -> Response:
        """`GET /api/bookmarks/:id`, by id or name."""
        await self._backend.admit(request, _VIEW)
        return _shown(self._find(request.path_params["id"]))

    async def create(self, request: Request) -> Response:
        """`POST /api/bookmarks`: a new Inventory."""
        user, bag = await self._backend.admit(request, _CREATE)
        given = _given(bag)
        name = str(given.get("name") or "")
        problems = {key: ["can't be blank"] for key in ("name", "query", "controller") if is_blank(given.get(key))}
        if not is_blank(given.get("controller")) and given["controller"] not in ("hosts", "dashboard"):
            problems["controller"] = ["is not included in the list: new bookmarks are for hosts"]
        if any(shown["name"] == name and shown["controller"] == "hosts" for shown in self._all()):
            problems["name"] = ["has already been taken"]
        if problems:
            raise e6(problems)
        body = new_inventory()
        change_inventory(body, _wanted(given))
        try:
            raw = await self._backend.objects.create(Kind.INVENTORY, lambda id_: f"{slug(name, 50)}-{id_}", body, user)
        except Rejected as problem:
            raise e6({"query": [str(problem)]}) from None
        return JsonBytes(orjson.dumps(bookmark(parse_inventory(raw))), 201)

    async def update(self, request: Request) -> Response:
        """`PUT /api/bookmarks/:id`."""
        user, bag = await self._backend.admit(request, _EDIT)
        given = _given(bag)
        old = self._find(request.path_params["id"])
        inventory = self._inventory(old)
        if any(shown["name"] == given.get("name") and shown["id"] != old["id"] for shown in self._all()):
            raise e6({"name": ["has already been taken"]}, old["id"])
        try:
            await self._backend.objects.change(
                Kind.INVENTORY, inventory.name, partial(change_inventory, change=_wanted(given)), user
            )
        except Rejected as problem:
            raise e6({"query": [str(problem)]}, old["id"]) from None
        return _shown(self._find(str(old["id"])))

    async def destroy(self, request: Request) -> Response:
        """`DELETE /api/bookmarks/:id`; answers what was deleted."""
        user, _ = await self._backend.admit(request, _DESTROY)
        old = self._find(request.path_params["id"])
        inventory = self._inventory(old)
        await self._backend.objects.delete(Kind.INVENTORY, inventory.name, inventory.uid, user)
        return _shown(old)

    def _all(self) -> list[dict[str, Any]]:
        hosts = [shown for inventory in self._table if (shown := bookmark(inventory)) is not None]
        return [*hosts, *(_seeded(name, query) for name, query in JOBS.items())]

    def _find(self, given: str) -> dict[str, Any]:
        number = identifier(given)
        for shown in self._all():
            if shown["id"] == number or shown["name"] == given:
                return shown
        raise e1(404, f"Resource bookmark not found by id '{given}'")

    def _inventory(self, shown: dict[str, Any]) -> Inventory:
        found = self._table.numbered(shown["id"]) if shown["controller"] == "hosts" else None
        if found is None:
            raise e6({"base": ["is built in and cannot be changed"]}, shown["id"])
        return found


def bookmark(inventory: Inventory) -> dict[str, Any] | None:
    """The bookmark that an Inventory is; None for one without an id, or without a query in Foreman's language."""
    query = inventory.resource.spec.query
    if inventory.id is None or query is None or query.language is not QueryLanguage.FOREMAN:
        return None
    name = inventory.resource.metadata.annotations.get(NAME) or inventory.name
    return _bookmark(inventory.id, name, "hosts", query.text)


def _seeded(name: str, query: str) -> dict[str, Any]:
    return _bookmark(number_of(f"bookmarks/job_invocations/{name}"), name, "job_invocations", query)


def _bookmark(id_: int, name: str, controller: str, query: str) -> dict[str, Any]:
    shown = {"name": name, "controller": controller, "query": query, "public": True, "id": id_}
    return {**shown, "owner_id": None, "owner_type": None}


def _given(bag: Bag) -> dict[str, Any]:
    given = bag.get("bookmark", bag)
    if not isinstance(given, dict):
        raise e6({"bookmark": ["must be a hash"]})
    return given


def _wanted(given: dict[str, Any]) -> InventoryChange:
    """What the parameters ask to be different."""
    query = KEEP if is_blank(given.get("query")) else str(given["query"])
    notes = {} if is_blank(given.get("name")) else {NAME: str(given["name"])}
    return InventoryChange(language=QueryLanguage.FOREMAN, query=query, notes=notes)


def _shown(body: dict[str, Any], status: int = 200) -> JsonBytes:
    return JsonBytes(orjson.dumps(body), status)
