"""The routes that stop a job and run it again (§2.6, §2.7)."""

from collections.abc import Iterable, Sequence

import orjson
from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response

from rollcall.names import Kind
from rollcall_api.foreman import echo, rerun
from rollcall_api.foreman.errors import ForemanError, JsonBytes, e1, e2, e5
from rollcall_api.foreman.permissions import CANCEL_JOB, CREATE_JOB, LIST_JOBS, VIEW_JOB
from rollcall_api.foreman.requests import boolean, read_bag
from rollcall_api.foreman.routing import Backend
from rollcall_api.foreman.tasks import host_task_id
from rollcall_api.foreman.visible import Visible, no_job
from rollcall_api.jobs import Member
from rollcall_api.problems import BadSearch, Conflict, Forbidden, NotFound, Rejected
from rollcall_api.records import Job
from rollcall_api.reruns import Again


def add_routes(routes: APIRouter, backend: Backend) -> None:
    """Adds the routes."""
    endpoints = Endpoints(backend)
    add = routes.add_api_route
    add("/{id}/cancel", endpoints.cancel, methods=["POST"], summary="Cancel job invocation")
    add("/{id}/rerun", endpoints.rerun, methods=["POST"], status_code=201, summary="Rerun job")


class Endpoints:
    """The handlers."""

    def __init__(self, backend: Backend) -> None:
        self._backend = backend
        self._jobs = backend.jobs
        self._access = backend.access
        self._visible = Visible(backend)

    async def cancel(self, request: Request) -> Response:
        """`POST /api/job_invocations/:id/cancel` (§2.6)."""
        searcher = await self._visible.permit(request, CANCEL_JOB)
        bag = await read_bag(request)
        job = self._visible.job(request.path_params["id"], searcher)
        force = boolean(bag, "force")
        if bag.get("search") is not None:
            return await self._cancel_some(job, str(bag["search"]), request, force)
        if job.finished:
            raise _refused()
        # Who asks again does not want to wait for the hosts any longer.
        again = job.cancellation is not None and job.cancellation.hosts is None
        await self._stop(job, request, None, force=force, again=again)
        return JsonBytes(orjson.dumps({"cancelled": True, "id": job.id}))

    async def _cancel_some(self, job: Job, text: str, request: Request, force: bool) -> Response:
        """Stops the hosts that a search finds, those that have not ended."""
        members = await self._visible.members(job, request)
        sees = (await self._visible.searcher(request, LIST_JOBS)).sees
        try:
            found = await self._backend.hosts.of_members(text, members, sees)
        except BadSearch as problem:
            raise e1(422, f"Failed to cancel tasks on hosts: {problem}") from None
        names = [member.name for member in found if not job.finished and not _ended(member)]
        if names:
            await self._stop(job, request, names, force=force, again=_asked_again(job, names, members))
        tasks = [host_task_id(job, name) for name in names]
        stopped = frozenset(names)
        others = [member for member in found if member.name not in stopped]
        skipped = [host_task_id(job, member.name) if member.slice else None for member in others]
        return JsonBytes(orjson.dumps({"total": len(found), "cancelled": tasks, "skipped": skipped}))

    async def _stop(self, job: Job, request: Request, hosts: list[str] | None, *, force: bool, again: bool) -> None:
        kept = echo.of_cancel(job, force=force, again=again)
        try:
            await self._visible.cancel(job, request, force=force or again, hosts=hosts, echo=kept)
        except (NotFound, Conflict):
            raise no_job(str(job.id)) from None
        except Rejected:
            raise _refused() from None
        except Forbidden:
            raise e5(CANCEL_JOB.name) from None

    async def rerun(self, request: Request) -> Response:
        """`POST /api/job_invocations/:id/rerun` (§2.7)."""
        user = request.scope["user"]
        await self._backend.permit(user, CREATE_JOB)
        bag = await read_bag(request)
        job = self._visible.job(request.path_params["id"], await self._visible.searcher(request, VIEW_JOB))
        template = self._jobs.cache.templates.named(job.template)
        if not await self._access.allows(user, "list", Kind.JOB_TEMPLATE):
            template = None
        if rerun.chosen(bag) is not Again.ALL:
            await self._jobs.outcomes(job)
        members = await self._visible.members(job, request)
        wish = rerun.parse(bag, job, template, members)
        again = await self._jobs.create(wish, user)
        return JsonBytes(rerun.flat(self._jobs.view(again)), 201)


def _ended(member: Member) -> bool:
    return member.state is not None and member.state.ended


def _asked_again(job: Job, names: Sequence[str], members: Iterable[Member]) -> bool:
    """Whether exactly the hosts that are being stopped are to be stopped: a cancellation is hard for all its hosts."""
    order = job.cancellation
    if order is None:
        return False
    chosen = None if order.hosts is None else set(order.hosts)
    return set(names) == {m.name for m in members if not _ended(m) and (chosen is None or m.name in chosen)}


def _refused() -> ForemanError:
    return e2(422, "The job could not be cancelled.")
