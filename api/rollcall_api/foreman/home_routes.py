"""The routes that tell of the server itself and of who asks (contract §7.2, §7.6)."""

import uuid
from typing import Any, Final

import orjson
from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response

from rollcall.names import GROUP, Kind
from rollcall.query.fields import Field
from rollcall.query.fields import Kind as Values
from rollcall.query.foreman import Subject
from rollcall_api.foreman import lists
from rollcall_api.foreman.description import IDENTIFIER, PAGING, PERMISSIONS, SEARCHING, Action, Param
from rollcall_api.foreman.errors import FOREMAN_VERSION, JsonBytes, e1
from rollcall_api.foreman.numbers import number_of
from rollcall_api.foreman.routing import Backend, DialectRoute, Permission, add
from rollcall_api.lists import DEFAULT_PER_PAGE
from rollcall_api.users import Identity

ANYBODY: Final = Permission("none", ())
"""What everybody may who is let in."""
_SETTINGS: Final = Permission("view_settings", (("list", Kind.JOB_INVOCATION),))
_SETTING_FIELDS: Final = Subject({"name": Field(("name",), free_text=True), "id": Field(("id",), Values.INTEGER)})
_USER_FIELDS: Final = Subject({"login": Field(("login",), free_text=True), "id": Field(("id",), Values.INTEGER)})


def router(backend: Backend) -> APIRouter:
    """The routes of the server itself."""
    routes = APIRouter(route_class=DialectRoute)
    endpoints = Endpoints(backend)

    def action(resource: str, name: str, path: str, summary: str, *params: Param) -> Action:
        return Action(resource, name, "GET", path, summary, params)

    listing = (*SEARCHING, *PAGING, PERMISSIONS)
    add(routes, action("home", "index", "/api", "Show available API links"), endpoints.links)
    add(routes, action("home", "status", "/api/status", "Show status"), endpoints.status)
    add(routes, action("ping", "index", "/api/ping", "Show whether services answer"), endpoints.ping)
    add(routes, action("ping", "statuses", "/api/statuses", "Show statuses of services"), endpoints.statuses)
    add(routes, action("settings", "index", "/api/settings", "List all settings", *listing), endpoints.settings)
    add(routes, action("settings", "show", "/api/settings/{id}", "Show a setting", IDENTIFIER), endpoints.setting)
    add(routes, action("users", "current", "/api/current_user", "Show the current user"), endpoints.current_user)
    add(routes, action("users", "index", "/api/users", "List the user who asks", *listing), endpoints.users)
    add(routes, action("users", "show", "/api/users/{id}", "Show the user who asks", IDENTIFIER), endpoints.user)
    return routes


class Endpoints:
    """The handlers."""

    def __init__(self, backend: Backend) -> None:
        self._backend = backend

    async def links(self, request: Request) -> Response:
        """`GET /api`."""
        await self._backend.admit(request, ANYBODY)
        names = ("bookmarks", "hosts", "job_invocations", "job_templates", "locations", "organizations")
        return _shown({"links": {name: {"index": f"/api/{name}"} for name in names}})

    async def status(self, request: Request) -> Response:
        """`GET /api/status`."""
        await self._backend.admit(request, ANYBODY)
        return _shown({"result": "ok", "status": 200, "version": FOREMAN_VERSION, "api_version": 2})

    async def statuses(self, request: Request) -> Response:
        """`GET /api/statuses`: the one proxy that there is runs scripts and playbooks."""
        await self._backend.admit(request, ANYBODY)
        features = {"script": FOREMAN_VERSION, "ansible": FOREMAN_VERSION, "dynflow": FOREMAN_VERSION}
        proxy = {"name": "rollcall", "status": "ok", "duration_ms": "0", "version": FOREMAN_VERSION}
        database = {"active": True, "duration_ms": "0"}
        foreman = {"version": FOREMAN_VERSION, "api": {"version": "v2"}, "plugins": [], "database": database}
        return _shown({"results": {"foreman": {**foreman, "smart_proxies": [{**proxy, "features": features}]}}})

    async def ping(self, request: Request) -> Response:
        """`GET /api/ping`: who gets this answer has reached all that there is."""
        await self._backend.admit(request, ANYBODY)
        services = {"database": {"active": True, "duration_ms": "0"}, "cache": {"servers": []}}
        return _shown({"results": {"foreman": services}})

    async def settings(self, request: Request) -> Response:
        """`GET /api/settings`."""
        user, bag = await self._backend.admit(request, _SETTINGS)
        pace, rights, known = self._backend.pace, await self._backend.rights(user, bag), self._settings()
        return await lists.listed(pace, known.items(), _SETTING_FIELDS, known.__getitem__, bag, rights=rights)

    async def setting(self, request: Request) -> Response:
        """`GET /api/settings/:id`, by id or name."""
        await self._backend.admit(request, _SETTINGS)
        given = request.path_params["id"]
        for setting in self._settings().values():
            if given in (str(setting["id"]), setting["name"]):
                return _shown(setting)
        raise e1(404, f"Resource setting not found by id '{given}'")

    async def current_user(self, request: Request) -> Response:
        """`GET /api/current_user`."""
        user, _ = await self._backend.admit(request, ANYBODY)
        return _shown(_user(user))

    async def users(self, request: Request) -> Response:
        """`GET /api/users`: whoever asks sees themself."""
        user, bag = await self._backend.admit(request, ANYBODY)
        pace, rows = self._backend.pace, [(user.username, _user(user))]
        rights = await self._backend.rights(user, bag)
        return await lists.listed(pace, rows, _USER_FIELDS, lambda _: _user(user), bag, rights=rights)

    async def user(self, request: Request) -> Response:
        """`GET /api/users/:id`, by id or login; nobody but themself."""
        user, _ = await self._backend.admit(request, ANYBODY)
        given = request.path_params["id"]
        if given not in (str(number_of(user.username)), user.username):
            raise e1(404, f"Resource user not found by id '{given}'")
        return _shown(_user(user))

    def _settings(self) -> dict[str, dict[str, Any]]:
        # The same for every replica, and for ever: clients use it to tell one server from another.
        instance = str(uuid.uuid5(uuid.NAMESPACE_DNS, f"{self._backend.objects.namespace}.{GROUP}"))
        return {
            name: {"id": number_of(f"settings/{name}"), "name": name, "value": value, "description": text}
            for name, value, text in (
                ("entries_per_page", DEFAULT_PER_PAGE, "How many entries a page has"),
                ("instance_id", instance, "What this server is known by"),
            )
        }


def _user(user: Identity) -> dict[str, Any]:
    return {
        "id": number_of(user.username),
        "login": user.username,
        "firstname": None,
        "lastname": None,
        "mail": None,
        "admin": False,
        "disabled": False,
        "organizations": [],
        "locations": [],
    }


def _shown(body: Any) -> JsonBytes:
    return JsonBytes(orjson.dumps(body))
