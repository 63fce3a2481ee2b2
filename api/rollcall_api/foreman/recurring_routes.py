"""The routes of recurring logics: Schedules, paused, gone on with, and ended (contract §7.7)."""

from collections.abc import Iterator
from typing import Any, Final

import orjson
from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response

from rollcall.names import Kind
from rollcall.query.ast import Direction, Order
from rollcall.query.fields import Field
from rollcall.query.fields import Kind as Values
from rollcall.query.foreman import Subject
from rollcall_api.foreman import lists
from rollcall_api.foreman.description import LISTING, TAXONOMIES, Action, Param, Type
from rollcall_api.foreman.errors import JsonBytes, e1, e6
from rollcall_api.foreman.permissions import CANCEL_JOB
from rollcall_api.foreman.render import recurrence
from rollcall_api.foreman.requests import boolean, identifier
from rollcall_api.foreman.routing import Backend, DialectRoute, Permission, add
from rollcall_api.records import Schedule
from rollcall_api.series import has_ended

_VIEW: Final = Permission("view_recurring_logics", (("list", Kind.SCHEDULE),))
_EDIT: Final = Permission("edit_recurring_logics", (("update", Kind.SCHEDULE),))
_CANCEL: Final = Permission(_EDIT.name, (*_EDIT.rights, *CANCEL_JOB.rights))
_FIELDS: Final = Subject(
    {
        "id": Field(("id",), Values.INTEGER),
        "cron_line": Field(("cron_line",), free_text=True),
        "max_iteration": Field(("max_iteration",), Values.INTEGER),
        "iteration": Field(("iteration",), Values.INTEGER),
        "purpose": Field(("purpose",), free_text=True),
        "state": Field(("state",)),
    }
)
_NEWEST_FIRST: Final = (Order(("id",), Direction.DESCENDING, missing_first=False),)
_ROOT: Final = "/foreman_tasks/api/recurring_logics"
_ID: Final = Param("id", "ID of desired recurring logic", Type.NUMERIC, required=True)
_ENABLED: Final = Param("enabled", "Whether the recurring logic is enabled", Type.BOOLEAN)
_LOGIC: Final = Param("recurring_logic", "The recurring logic", Type.HASH, params=(_ENABLED,))


def router(backend: Backend) -> APIRouter:
    """The routes of recurring logics."""
    routes = APIRouter(route_class=DialectRoute)
    endpoints = Endpoints(backend)

    def action(name: str, method: str, path: str, summary: str, *params: Param) -> Action:
        return Action("recurring_logics", name, method, _ROOT + path, summary, (*TAXONOMIES, *params))

    add(routes, action("index", "GET", "", "List recurring logics", *LISTING[2:]), endpoints.index)
    add(routes, action("show", "GET", "/{id}", "Show recurring logic details", _ID), endpoints.show)
    add(routes, action("update", "PUT", "/{id}", "Update recurring logic", _ID, _ENABLED, _LOGIC), endpoints.update)
    add(routes, action("cancel", "POST", "/{id}/cancel", "Cancel recurring logic", _ID), endpoints.cancel)
    return routes


class Endpoints:
    """The handlers."""

    def __init__(self, backend: Backend) -> None:
        self._backend = backend
        self._series = backend.series
        self._jobs = backend.jobs
        self._table = backend.jobs.cache.schedules

    async def index(self, request: Request) -> Response:
        """`GET /foreman_tasks/api/recurring_logics`; the newest first."""
        user, bag = await self._backend.admit(request, _VIEW)
        rights = await self._backend.rights(user, bag, ("create", Kind.SCHEDULE), ("patch", Kind.SCHEDULE))
        known: dict[str, dict[str, Any]] = {}

        def rows() -> Iterator[tuple[str, dict[str, Any]]]:
            for schedule in list(self._table):
                if schedule.id is not None:
                    known[schedule.name] = self._recurrence(schedule)
                    yield schedule.name, known[schedule.name]

        pace = self._backend.pace
        return await lists.listed(pace, rows(), _FIELDS, lambda name: known[name], bag, _NEWEST_FIRST, rights)

    async def show(self, request: Request) -> Response:
        """`GET /foreman_tasks/api/recurring_logics/:id`."""
        await self._backend.admit(request, _VIEW)
        return self._shown(self._find(request.path_params["id"]))

    async def update(self, request: Request) -> Response:
        """`PUT /foreman_tasks/api/recurring_logics/:id`: `enabled` false pauses the series, true goes on with it."""
        user, bag = await self._backend.admit(request, _EDIT)
        schedule = self._find(request.path_params["id"])
        given = bag.get("recurring_logic")
        merged = {**(given if isinstance(given, dict) else {}), **bag}
        if "enabled" not in merged:
            return self._shown(schedule)
        if has_ended(schedule):
            raise e6({"base": ["has ended, so that it can be neither paused nor gone on with"]}, schedule.id)
        await (self._series.resume if boolean(merged, "enabled") else self._series.pause)(schedule, user)
        return self._shown(self._find(request.path_params["id"]))

    async def cancel(self, request: Request) -> Response:
        """`POST /foreman_tasks/api/recurring_logics/:id/cancel`: ends the series and its queued job; what is at work
        goes on."""
        user, _ = await self._backend.admit(request, _CANCEL)
        schedule = self._find(request.path_params["id"])
        await self._series.end(schedule, user)
        return self._shown(self._find(request.path_params["id"]))

    def _find(self, given: str) -> Schedule:
        number = identifier(given)
        schedule = None if number is None else self._table.numbered(number)
        if schedule is None:
            raise e1(404, f"Resource recurring_logic not found by id '{given}'")
        return schedule

    def _recurrence(self, schedule: Schedule) -> dict[str, Any]:
        return recurrence(schedule, self._jobs.cache.jobs.of_schedule(schedule.name))

    def _shown(self, schedule: Schedule) -> JsonBytes:
        return JsonBytes(orjson.dumps(self._recurrence(schedule)))
