"""The routes of tasks (contract §7.7)."""

import asyncio
import uuid
from collections.abc import Callable, Iterator
from typing import Any, Final

import orjson
from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response

from rollcall.names import Kind
from rollcall.query.ast import Direction, Order
from rollcall.query.foreman import TASKS
from rollcall_api.foreman import lists, tasks
from rollcall_api.foreman.description import LISTING, TAXONOMIES, Action, Param
from rollcall_api.foreman.errors import JsonBytes, e1
from rollcall_api.foreman.routing import Backend, DialectRoute, Permission, add
from rollcall_api.jobs import Member
from rollcall_api.records import Job
from rollcall_api.users import Identity

_VIEW: Final = Permission("view_foreman_tasks", (("list", Kind.JOB_INVOCATION),))
_ROOT: Final = "/foreman_tasks/api/tasks"
_ID: Final = Param("id", "UUID of the task", required=True)
_NEWEST_FIRST: Final = (Order(("started",), Direction.DESCENDING, missing_first=False),)
_AT_ONCE: Final = 500
"""After so many jobs others get their turn."""


def router(backend: Backend) -> APIRouter:
    """The routes of tasks."""
    routes = APIRouter(route_class=DialectRoute)
    endpoints = Endpoints(backend)

    def action(name: str, method: str, path: str, summary: str, *params: Param) -> Action:
        return Action("foreman_tasks", name, method, _ROOT + path, summary, (*TAXONOMIES, *params))

    add(routes, action("index", "GET", "", "List tasks", *LISTING[2:]), endpoints.index)
    add(routes, action("show", "GET", "/{id}", "Show task details", _ID), endpoints.show)
    add(routes, action("sub_tasks", "GET", "/{id}/sub_tasks", "List sub tasks", _ID, *LISTING[2:]), endpoints.sub_tasks)
    return routes


class Endpoints:
    """The handlers."""

    def __init__(self, backend: Backend) -> None:
        self._backend = backend
        self._jobs = backend.jobs

    async def index(self, request: Request) -> Response:
        """`GET /foreman_tasks/api/tasks`: those of jobs. Those of hosts are below them."""
        _, bag = await self._backend.admit(request, _VIEW)
        rows: dict[str, dict[str, Any]] = {}
        known: dict[str, Job] = {}
        for count, job in enumerate(list(self._jobs.cache.jobs)):
            if count % _AT_ONCE == 0:
                await asyncio.sleep(0)
            if job.id is not None:
                known[job.uid] = job
                rows[job.uid] = tasks.job_row(job)

        def render(uid: str) -> dict[str, Any]:
            return tasks.job_task(self._jobs.view(known[uid]))

        return lists.listed(rows.items(), TASKS, render, bag, _NEWEST_FIRST)

    async def show(self, request: Request) -> Response:
        """`GET /foreman_tasks/api/tasks/:id`."""
        user, _ = await self._backend.admit(request, _VIEW)
        shown = await self._find(request.path_params["id"], user)
        return JsonBytes(orjson.dumps(shown()))

    async def sub_tasks(self, request: Request) -> Response:
        """`GET /foreman_tasks/api/tasks/:id/sub_tasks`: the hosts of a job, as far as they are planned."""
        user, bag = await self._backend.admit(request, _VIEW)
        job = self._job(request.path_params["id"])
        if job is None:
            raise _missing(request.path_params["id"])
        view = self._jobs.view(job)
        members = {tasks.host_task_id(job, member.name): member for member in await self._visible(job, user)}
        rows = {id_: tasks.host_row(job, member) for id_, member in members.items()}
        return lists.listed(rows.items(), TASKS, lambda id_: tasks.host_task(view, members[id_]), bag)

    def _job(self, given: str) -> Job | None:
        return next((job for job in self._jobs.cache.jobs if job.uid == given and job.id is not None), None)

    async def _find(self, given: str, user: Identity) -> Callable[[], dict[str, Any]]:
        """What renders the task of that id. Raises 404."""
        job = self._job(given)
        if job is not None:
            view = self._jobs.view(job)
            return lambda: tasks.job_task(view)
        # An id of a host's task is a checksum: only making those of all hosts tells whose it is. The newest come first.
        for count, candidate in enumerate(self._newest() if _is_checksum(given) else ()):
            if count % _AT_ONCE == 0:
                await asyncio.sleep(0)
            for member in await self._visible(candidate, user):
                if tasks.host_task_id(candidate, member.name) == given:
                    found, view = member, self._jobs.view(candidate)
                    return lambda: tasks.host_task(view, found)
        raise _missing(given)

    def _newest(self) -> Iterator[Job]:
        for id_ in list(reversed(self._jobs.cache.jobs.ids)):
            job = self._jobs.cache.jobs.numbered(id_)
            if job is not None:
                yield job

    async def _visible(self, job: Job, user: Identity) -> list[Member]:
        """The hosts of a job that are dealt into slices, and that the user may see."""
        if not await self._backend.access.allows(user, "list", Kind.HOST):
            return []
        return [member for member in self._jobs.view(job).members if member.slice is not None]


def _is_checksum(given: str) -> bool:
    try:
        return uuid.UUID(given).version == 5
    except ValueError:
        return False


def _missing(given: str) -> Exception:
    return e1(404, f"Resource task not found by id '{given}'")
