"""The routes of a job's hosts and of what is run on each (§2.9)."""

from typing import Any

import orjson
from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response

from rollcall.names import Kind
from rollcall_api.access import Reach
from rollcall_api.foreman import lists
from rollcall_api.foreman.host_routes import described
from rollcall_api.foreman.numbers import number_of
from rollcall_api.foreman.permissions import LIST_JOBS, VIEW_JOB, VIEW_TEMPLATE_INVOCATIONS
from rollcall_api.foreman.requests import Page, boolean, read_bag
from rollcall_api.foreman.routing import Backend
from rollcall_api.foreman.status import NOT_AVAILABLE, job_status
from rollcall_api.foreman.tasks import host_task_id
from rollcall_api.foreman.visible import Visible
from rollcall_api.jobs import Member
from rollcall_api.records import Job
from rollcall_api.users import Identity


def add_routes(routes: APIRouter, backend: Backend) -> None:
    """Adds the routes."""
    endpoints = Endpoints(backend)
    add = routes.add_api_route
    add("/{id}/hosts", endpoints.hosts, methods=["GET"], summary="List the hosts of a job")
    each = "List what is run on each host of a job"
    add("/{id}/template_invocations", endpoints.template_invocations, methods=["GET"], summary=each)


class Endpoints:
    """The handlers."""

    def __init__(self, backend: Backend) -> None:
        self._backend = backend
        self._access = backend.access
        self._visible = Visible(backend)

    async def hosts(self, request: Request) -> Response:
        """`GET /api/job_invocations/:id/hosts`."""
        user = request.scope["user"]
        searcher = await self._visible.permit(request, VIEW_JOB)
        bag = await read_bag(request)
        page = Page.parse(bag)
        job = self._visible.job(request.path_params["id"], searcher)
        sees = (await self._visible.searcher(request, LIST_JOBS)).sees
        every = await self._visible.members(job, request)
        found = await self._backend.hosts.of_members(str(bag.get("search") or ""), every, sees)
        if boolean(bag, "awaiting"):
            found = [member for member in found if job_status(member, job) == NOT_AVAILABLE]
        found = await self._backend.hosts.sorted_members(str(bag.get("order") or ""), found, sees)
        rights = await self._backend.rights(user, bag, edit=("update", Kind.HOST))
        permissions = None if rights is None else await self._permissions(user)

        def encode(member: Member) -> bytes:
            return orjson.dumps(_host(member, job, permissions))

        return await lists.paged(self._backend.pace, found, encode, len(every), page, bag, rights)

    async def template_invocations(self, request: Request) -> Response:
        """`GET /api/job_invocations/:id/template_invocations`."""
        searcher = await self._visible.permit(request, VIEW_TEMPLATE_INVOCATIONS)
        bag = await read_bag(request)
        page, rights = Page.parse(bag), await self._backend.rights(request.scope["user"], bag)
        job = self._visible.job(request.path_params["id"], searcher)
        view = self._backend.jobs.view(job)
        template_id = view.template.id if view.template else None
        effective_user = job.effective_user or (view.template.effective_user if view.template else None)
        members = [member for member in await self._visible.members(job, request) if member.slice is not None]

        def encode(member: Member) -> bytes:
            task = host_task_id(job, member.name)
            return orjson.dumps({
                "id": number_of(task),
                "template_id": template_id,
                "job_invocation_id": job.id,
                "effective_user": effective_user,
                "host_id": member.host.id if member.host else None,
                "run_host_job_task_id": task,
                "host_name": member.name,
            })  # fmt: skip

        return await lists.paged(self._backend.pace, members, encode, len(members), page, bag, rights)

    async def _permissions(self, user: Identity) -> dict[str, bool]:
        return {
            "view_foreman_tasks": await self._access.reach(user, "list", Kind.JOB_INVOCATION) is not Reach.NONE,
            "cancel_job_invocations": await self._access.reach(user, "patch", Kind.JOB_INVOCATION) is not Reach.NONE,
            "execute_jobs": await self._access.allows(user, "create", Kind.JOB_INVOCATION),
        }


def _host(member: Member, job: Job, permissions: dict[str, bool] | None) -> dict[str, Any]:
    host = member.host
    shown: dict[str, Any] = {
        "name": member.name,
        **(described(host) if host else {}),
        "id": host.id if host else None,
        "job_status": job_status(member, job),
        "smart_proxy_id": None,
        "smart_proxy_name": None,
    }
    if permissions is not None:
        cancellable = member.state is None or not member.state.ended
        task = {"id": host_task_id(job, member.name), "cancellable": cancellable and not job.finished}
        shown |= {"task": None if member.slice is None else task, "permissions": permissions}
    return shown
