"""The routes of tasks (contract §7.7)."""

from collections.abc import Iterable
from typing import Any, Final

import orjson
from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response

from rollcall.names import Kind
from rollcall.query.evaluate import Steps
from rollcall_api.foreman import lists, task_render
from rollcall_api.foreman.description import LISTING, TAXONOMIES, Action, Param, Type
from rollcall_api.foreman.errors import ForemanError, JsonBytes, e1, of_problem
from rollcall_api.foreman.job_fields import TASKS
from rollcall_api.foreman.permissions import CANCEL_JOB
from rollcall_api.foreman.requests import Bag, Page, is_blank
from rollcall_api.foreman.routing import Backend, DialectRoute, Permission, add
from rollcall_api.foreman.tasks import host_task_id, job_of_host_task
from rollcall_api.foreman.visible import Visible
from rollcall_api.job_search import JobSearch
from rollcall_api.jobs import Member
from rollcall_api.pace import through
from rollcall_api.problems import Conflict, NotFound, Problem, Rejected
from rollcall_api.records import Job

_VIEW: Final = Permission("view_foreman_tasks", (("list", Kind.JOB_INVOCATION),))
_CANCEL: Final = Permission("edit_foreman_tasks", CANCEL_JOB.rights)
_EDITS: Final = ("patch", Kind.JOB_INVOCATION)
_ROOT: Final = "/foreman_tasks/api/tasks"
_ID: Final = Param("id", "UUID of the task", required=True)
_BULK: Final = (
    Param("search", "Cancels the tasks of jobs that this search finds"),
    Param("task_ids", "Cancels the tasks with these ids, of jobs or of hosts", Type.ARRAY),
)
MOST_CANCELLED: Final = 100
"""How many tasks one request may cancel: each is a write."""


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
        self._visible = Visible(backend)
        self._search = JobSearch(backend.jobs, backend.pace, TASKS)

    async def index(self, request: Request) -> Response:
        """`GET /foreman_tasks/api/tasks`: those of jobs, the newest first. Those of hosts are below them."""
        user, bag = await self._backend.admit(request, _VIEW)
        rights = await self._backend.rights(user, bag, edit=_EDITS)
        page, order = Page.parse(bag), TASKS.order(str(bag.get("order") or ""))
        searcher = await self._visible.searcher(request, _VIEW)
        found = await self._search.find(str(bag.get("search") or ""), order, searcher)
        total = len(self._search.every(searcher))
        return await lists.paged(self._backend.pace, found, self._encoded, total, page, bag, rights)

    def _encoded(self, id_: int) -> bytes | None:
        job = self._jobs.cache.jobs.numbered(id_)
        return None if job is None else orjson.dumps(task_render.job_task(self._jobs.view(job)))

    async def show(self, request: Request) -> Response:
        """`GET /foreman_tasks/api/tasks/:id`."""
        await self._backend.admit(request, _VIEW)
        job, member = await self._target(request.path_params["id"], request, _VIEW)
        view = self._jobs.view(job)
        shown = task_render.job_task(view) if member is None else task_render.host_task(view, member)
        return JsonBytes(orjson.dumps(shown))

    async def sub_tasks(self, request: Request) -> Response:
        """`GET /foreman_tasks/api/tasks/:id/sub_tasks`: the hosts of a job, as far as they are planned."""
        user, bag = await self._backend.admit(request, _VIEW)
        rights = await self._backend.rights(user, bag, edit=_EDITS)
        given = request.path_params["id"]
        job, member = await self._target(given, request, _VIEW)
        if member is not None:
            raise _missing(given)
        view, members = self._jobs.view(job), await self._planned(job, request)
        rows: dict[str, tuple[Member, dict[str, Any]]] = {}

        def note(member: Member) -> None:
            row = task_render.host_row(job, member)
            rows[row["id"]] = member, row

        await self._backend.pace.run(through(members, note))
        return await lists.listed(
            self._backend.pace,
            ((id_, row) for id_, (_, row) in rows.items()),
            TASKS.subject,
            lambda id_: task_render.host_task(view, rows[id_][0]),
            bag,
            rights=rights,
        )

    async def bulk_cancel(self, request: Request) -> Response:
        """`POST /foreman_tasks/api/tasks/bulk_cancel`; what has ended, or can't be cancelled any more, is skipped.

        Nothing is cancelled unless everything is found. If the cluster does not answer in the middle, the error tells
        what has been done.
        """
        _, bag = await self._backend.admit(request, _CANCEL)
        done: dict[str, list[Any]] = {"cancelled": [], "skipped": []}
        found = await self._chosen(bag, request)
        for job, member in found:
            try:
                cancelled = await self._cancel(job, member, request)
            except Problem as problem:
                raise _broken_off(problem, len(found), done) from None
            view = self._jobs.view(self._jobs.cache.jobs.with_uid(job.uid) or job)
            shown = task_render.job_task(view) if member is None else task_render.host_task(view, member)
            done["cancelled" if cancelled else "skipped"].append(shown)
        return JsonBytes(orjson.dumps({"total": len(found), **done}))

    async def _chosen(self, bag: Bag, request: Request) -> list[tuple[Job, Member | None]]:
        """The tasks that are to be cancelled. Raises 400 for none and for too many, 404 for one that is not there."""
        if not is_blank(bag.get("task_ids")) and isinstance(bag["task_ids"], list):
            _check_count(len(bag["task_ids"]))
            return [await self._target(str(given), request, _CANCEL) for given in bag["task_ids"]]
        if is_blank(bag.get("search")):
            raise e1(400, "Please provide at least one of search or task_ids parameters in the request")
        searcher = await self._visible.searcher(request, _CANCEL)
        ids = await self._search.find(str(bag["search"]), TASKS.order(""), searcher)
        _check_count(len(ids))
        return [(job, None) for id_ in ids if (job := self._jobs.cache.jobs.numbered(id_)) is not None]

    async def _cancel(self, job: Job, member: Member | None, request: Request) -> bool:
        """Whether the task is cancelled now. Raises Forbidden and Unavailable."""
        if job.finished or (member is not None and member.state is not None and member.state.ended):
            return False
        try:
            await self._visible.cancel(job, request, hosts=None if member is None else [member.name])
        except (Conflict, NotFound, Rejected):
            return False  # it ended, or was deleted, in the meantime
        return True

    async def _target(self, given: str, request: Request, permission: Permission) -> tuple[Job, Member | None]:
        """The job whose task has that id, or the job and the host whose task it is. Raises 404."""
        jobs, searcher = self._jobs.cache.jobs, await self._visible.searcher(request, permission)
        job = jobs.with_uid(given)
        if job is not None and job.id is not None and searcher.sees(job):
            return job, None
        job = jobs.numbered(job_of_host_task(given) or 0)
        if job is not None and searcher.sees(job):
            member = await self._backend.pace.run(_whose(given, job, await self._planned(job, request)))
            if member is not None:
                return job, member
        raise _missing(given)

    async def _planned(self, job: Job, request: Request) -> list[Member]:
        """The hosts of a job on which it is planned, and that the requester may see."""
        if not await self._visible.hosts(request.scope["user"]):
            return []
        return [member for member in self._visible.among(self._jobs.view(job).members, job, request) if member.slice]


def _whose(given: str, job: Job, members: Iterable[Member]) -> Steps[Member | None]:
    """The host whose task in the job has that id."""
    for member in members:
        if host_task_id(job, member.name) == given:
            return member
        yield
    return None


def _broken_off(problem: Problem, total: int, done: dict[str, list[Any]]) -> ForemanError:
    """The error for a problem, with what has been done before it; the same request can be sent again."""
    count = sum(map(len, done.values()))
    error = of_problem(type(problem)(f"{problem}; {count} of {total} tasks were dealt with before"), _CANCEL.name)
    return ForemanError(error.status, {**error.body, "total": total, **done})


def _check_count(count: int) -> None:
    if count > MOST_CANCELLED:
        raise e1(400, f"{count} tasks are selected, and at most {MOST_CANCELLED} can be cancelled by one request")


def _missing(given: str) -> Exception:
    return e1(404, f"Resource task not found by id '{given}'")
