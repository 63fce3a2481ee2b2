"""The routes of tasks (contract §7.7)."""

import asyncio
import uuid
from collections.abc import Iterator
from typing import Any, Final

import orjson
from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response

from rollcall.names import Kind
from rollcall.query.ast import Direction, Order
from rollcall.query.foreman import TASKS
from rollcall.query.index import Index
from rollcall_api.foreman import lists, task_render
from rollcall_api.foreman.description import LISTING, TAXONOMIES, Action, Param, Type
from rollcall_api.foreman.errors import JsonBytes, e1
from rollcall_api.foreman.permissions import CANCEL_JOB
from rollcall_api.foreman.requests import is_blank
from rollcall_api.foreman.routing import Backend, DialectRoute, Permission, add
from rollcall_api.foreman.tasks import host_task_id
from rollcall_api.jobs import Member
from rollcall_api.records import Job
from rollcall_api.users import Identity

_VIEW: Final = Permission("view_foreman_tasks", (("list", Kind.JOB_INVOCATION),))
_CANCEL: Final = Permission("edit_foreman_tasks", CANCEL_JOB.rights)
_ROOT: Final = "/foreman_tasks/api/tasks"
_ID: Final = Param("id", "UUID of the task", required=True)
_BULK: Final = (
    Param("search", "Cancels the tasks of jobs that this search finds"),
    Param("task_ids", "Cancels the tasks with these ids, of jobs or of hosts", Type.ARRAY),
)
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
    add(routes, action("bulk_cancel", "POST", "/bulk_cancel", "Cancel tasks", *_BULK), endpoints.bulk_cancel)
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
        known, rows = await self._rows()

        def render(uid: str) -> dict[str, Any]:
            return task_render.job_task(self._jobs.view(known[uid]))

        return lists.listed(rows.items(), TASKS, render, bag, _NEWEST_FIRST)

    async def _rows(self) -> tuple[dict[str, Job], dict[str, dict[str, Any]]]:
        """All jobs by the ids of their tasks, and the rows that are searched."""
        known: dict[str, Job] = {}
        rows: dict[str, dict[str, Any]] = {}
        for count, job in enumerate(list(self._jobs.cache.jobs)):
            if count % _AT_ONCE == 0:
                await asyncio.sleep(0)
            if job.id is not None:
                known[job.uid] = job
                rows[job.uid] = task_render.job_row(job)
        return known, rows

    async def show(self, request: Request) -> Response:
        """`GET /foreman_tasks/api/tasks/:id`."""
        user, _ = await self._backend.admit(request, _VIEW)
        job, member = await self._target(request.path_params["id"], user)
        view = self._jobs.view(job)
        shown = task_render.job_task(view) if member is None else task_render.host_task(view, member)
        return JsonBytes(orjson.dumps(shown))

    async def sub_tasks(self, request: Request) -> Response:
        """`GET /foreman_tasks/api/tasks/:id/sub_tasks`: the hosts of a job, as far as they are planned."""
        user, bag = await self._backend.admit(request, _VIEW)
        job = self._job(request.path_params["id"])
        if job is None:
            raise _missing(request.path_params["id"])
        view = self._jobs.view(job)
        members = {host_task_id(job, member.name): member for member in await self._visible(job, user)}
        rows = {id_: task_render.host_row(job, member) for id_, member in members.items()}
        return lists.listed(rows.items(), TASKS, lambda id_: task_render.host_task(view, members[id_]), bag)

    async def bulk_cancel(self, request: Request) -> Response:
        """`POST /foreman_tasks/api/tasks/bulk_cancel`; what has ended is skipped."""
        user, bag = await self._backend.admit(request, _CANCEL)
        if not is_blank(bag.get("task_ids")) and isinstance(bag["task_ids"], list):
            found = [await self._target(str(given), user) for given in bag["task_ids"]]
        elif not is_blank(bag.get("search")):
            known, rows = await self._rows()
            found = [(known[uid], None) for uid in lists.found(Index(rows), TASKS, bag, _NEWEST_FIRST)]
        else:
            raise e1(400, "Please provide at least one of search or task_ids parameters in the request")
        done: dict[str, list[Any]] = {"cancelled": [], "skipped": []}
        for job, member in found:
            ended = job.finished or (member is not None and member.state is not None and member.state.ended)
            if not ended:
                await self._jobs.cancel(job, user, hosts=None if member is None else [member.name])
            view = self._jobs.view(job)
            shown = task_render.job_task(view) if member is None else task_render.host_task(view, member)
            done["skipped" if ended else "cancelled"].append(shown)
        return JsonBytes(orjson.dumps({"total": len(found), **done}))

    def _job(self, given: str) -> Job | None:
        return next((job for job in self._jobs.cache.jobs if job.uid == given and job.id is not None), None)

    async def _target(self, given: str, user: Identity) -> tuple[Job, Member | None]:
        """The job whose task has that id, or the job and the host whose task it is. Raises 404."""
        job = self._job(given)
        if job is not None:
            return job, None
        # An id of a host's task is a checksum: only making those of all hosts tells whose it is. The newest come first.
        for count, candidate in enumerate(self._newest() if _is_checksum(given) else ()):
            if count % _AT_ONCE == 0:
                await asyncio.sleep(0)
            for member in await self._visible(candidate, user):
                if host_task_id(candidate, member.name) == given:
                    return candidate, member
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
