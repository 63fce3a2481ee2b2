"""The routes of job invocations (§2): each reads its parameters, asks the shared code, and renders."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from typing import Any, Final

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response

from rollcall.names import Kind
from rollcall_api.bounded import WeightedCache
from rollcall_api.foreman import creation, output, render, search
from rollcall_api.foreman.errors import JsonBytes, e1, e2
from rollcall_api.foreman.requests import Page, boolean, identifier, read_bag, since
from rollcall_api.foreman.routing import Backend, DialectRoute, Permission, chain, compact, parameters, streamed
from rollcall_api.jobs import Member, View
from rollcall_api.records import Job
from rollcall_api.users import Identity

Stamp = tuple[int, int, int, int]

_ROOT: Final = "/api/job_invocations"
_ITEMS_BYTES: Final = 8 * 1024 * 1024
_BODIES_BYTES: Final = 8 * 1024 * 1024
_OUTPUTS_AT_ONCE: Final = 8
_LIST_JOBS: Final = Permission("view_job_invocations", (("list", Kind.JOB_INVOCATION),))
_VIEW_JOB: Final = Permission("view_job_invocations", (("get", Kind.JOB_INVOCATION),))
_VIEW_OUTPUT: Final = Permission("view_job_invocations", (("get", Kind.JOB_INVOCATION), ("get", Kind.JOB_OUTPUT)))
_CREATE_JOB: Final = Permission("create_job_invocations", (("create", Kind.JOB_INVOCATION),))


def router(backend: Backend) -> APIRouter:
    """The routes of job invocations."""
    endpoints = Endpoints(backend)
    routes = APIRouter(prefix=_ROOT, route_class=DialectRoute, tags=["Foreman job invocations"])
    add = routes.add_api_route
    paging = parameters("search", "order", "page", "per_page", "location_id", "organization_id")
    showing = parameters("host_status", "include_hosts", path=("id",))
    reading = parameters("since", path=("id", "host_id"))
    reading_all = parameters("search_query", "since", "raw", path=("id",))
    creating = {"requestBody": {"content": {"application/json": {"schema": {"type": "object"}}}, "required": True}}
    add("", endpoints.index, methods=["GET"], summary="List job invocations", openapi_extra=paging)
    add("", endpoints.create, methods=["POST"], status_code=201, summary="Create a job", openapi_extra=creating)
    add("/{id}", endpoints.show, methods=["GET"], summary="Show job invocation", openapi_extra=showing)
    add("/{id}/hosts/{host_id}", endpoints.output, methods=["GET"], summary="Output of a host", openapi_extra=reading)
    for method in ("GET", "POST"):
        name = f"{method.lower()}_outputs"
        add(
            "/{id}/outputs",
            endpoints.outputs,
            methods=[method],
            summary="Outputs of hosts in a job",
            operation_id=name,
            openapi_extra=reading_all,
        )
    return routes


class Endpoints:
    """The handlers, and the encoded bodies that they keep."""

    def __init__(self, backend: Backend) -> None:
        self._backend = backend
        self._jobs = backend.jobs
        self._outputs = backend.outputs
        self._access = backend.access
        self._items: WeightedCache[str, tuple[Stamp, bytes]] = WeightedCache(_ITEMS_BYTES)
        self._bodies: WeightedCache[tuple[Any, ...], tuple[Stamp, bytes]] = WeightedCache(_BODIES_BYTES)

    async def index(self, request: Request) -> Response:
        """`GET /api/job_invocations` (§2.1)."""
        await self._backend.permit(request.scope["user"], _LIST_JOBS)
        bag = await read_bag(request)
        page = Page.parse(bag)
        order = search.job_order(str(bag.get("order") or ""))
        query = None if bag.get("search") is None else str(bag["search"])
        every = self._jobs.cache.jobs.ids
        found = every if query is None else search.select_jobs(query, every)
        items = [self._item(job) for job in self._page(found, page, order)]
        body = render.envelope(items, total=len(every), subtotal=len(found), page=page, search=query, order=order)
        return JsonBytes(body)

    async def show(self, request: Request) -> Response:
        """`GET /api/job_invocations/:id` (§2.2)."""
        user = request.scope["user"]
        await self._backend.permit(user, _VIEW_JOB)
        bag = await read_bag(request)
        given = request.path_params["id"]
        job = self._find(given)
        if job is None:
            raise e1(404, f"Resource job_invocation not found by id '{given}'")
        may_view_hosts = await self._access.allows(user, "list", Kind.HOST)
        body = self._show(job, boolean(bag, "host_status"), boolean(bag, "include_hosts", True), may_view_hosts)
        return JsonBytes(body)

    async def create(self, request: Request) -> Response:
        """`POST /api/job_invocations` (§2.3)."""
        user = request.scope["user"]
        await self._backend.permit(user, _CREATE_JOB)
        bag = await read_bag(request)
        may_view_templates = await self._access.allows(user, "list", Kind.JOB_TEMPLATE)
        may_view_hosts = await self._access.allows(user, "list", Kind.HOST)
        include_hosts = boolean(bag, "include_hosts", True)
        wish = creation.parse(bag, self._jobs.cache, may_view_templates, may_view_hosts)
        job = await self._jobs.create(wish, user)
        return JsonBytes(self._show(job, False, include_hosts, may_view_hosts), 201)

    async def output(self, request: Request) -> Response:
        """`GET /api/job_invocations/:id/hosts/:host_id` (§2.4)."""
        user = request.scope["user"]
        await self._backend.permit(user, _VIEW_OUTPUT)
        bag = await read_bag(request)
        job = self._find(request.path_params["id"])
        if job is None:
            raise e2(404, f"Job invocation not found by id '{request.path_params['id']}'")
        member = self._member(await self._visible(job, user), request.path_params["host_id"])
        moment = since(bag)
        key = ("output", member.slice.uid if member.slice else "", member.name)
        kept = self._bodies.get(key) if moment is None else None
        if kept is not None:
            return JsonBytes(kept[1])
        opened = await self._outputs.open(member, job.finished, moment)
        if opened.rest is not None:
            return streamed(output.in_parts(opened, moment))
        body = output.host_output(opened.first, moment)
        if moment is None and member.slice is not None and member.slice.done:
            # What a finished host said never changes.
            body = compact(body)
            self._bodies.put(key, ((0, 0, 0, 0), body), len(body) + 300)
        return JsonBytes(body)

    async def outputs(self, request: Request) -> Response:
        """`GET|POST /api/job_invocations/:id/outputs` (§2.8)."""
        user = request.scope["user"]
        await self._backend.permit(user, _VIEW_OUTPUT)
        bag = await read_bag(request)
        job = self._find(request.path_params["id"])
        if job is None:
            raise e1(404, f"Resource job_invocation not found by id '{request.path_params['id']}'")
        members = search.select_members(str(bag.get("search_query") or ""), await self._visible(job, user))
        parts = self._output_parts(members, job.finished, since(bag), boolean(bag, "raw"))
        # The first part is made before the answer begins, so that a cluster that is away can still be told of.
        return streamed(chain(await anext(parts), parts))

    async def _output_parts(
        self, members: Sequence[Member], finished: bool, moment: float | None, raw: bool
    ) -> AsyncIterator[bytes]:
        """The body, a few hosts at a time: however many there are, no more are held in memory."""
        separator = b'{"outputs":['
        for start in range(0, len(members), _OUTPUTS_AT_ONCE):
            some = [member for member in members[start : start + _OUTPUTS_AT_ONCE] if member.host is not None]
            found = await asyncio.gather(*(self._outputs.open(member, finished, moment) for member in some))
            for member, opened in zip(some, found, strict=True):
                yield separator
                separator = b","
                id_ = member.host.id or 0 if member.host else 0
                if opened.rest is None:
                    yield output.outputs_item(opened.first, id_, moment, raw)
                else:
                    async for part in output.in_parts(opened, moment, raw=raw, host_id=id_):
                        yield part
        yield (separator if separator != b"," else b"") + b"]}"

    def _find(self, given: str) -> Job | None:
        id_ = identifier(given)
        return None if id_ is None else self._jobs.cache.jobs.numbered(id_)

    async def _visible(self, job: Job, user: Identity) -> list[Member]:
        """The job's hosts that exist and that the user may see."""
        if not await self._access.allows(user, "list", Kind.HOST):
            return []
        return [m for m in self._jobs.view(job).members if m.host is not None and m.host.id is not None]

    @staticmethod
    def _member(members: Sequence[Member], given: str) -> Member:
        id_ = identifier(given)
        for member in members:
            if member.host is not None and member.host.id == id_:
                return member
        raise e1(404, f"Host with id '{given}' was not found")

    def _page(self, ids: Sequence[int], page: Page, order: search.Order) -> list[Job]:
        """The jobs of a page; by id without looking at any other."""
        size = len(ids) if page.per_page is None else page.per_page
        first = (page.number - 1) * size
        jobs = self._jobs.cache.jobs
        if order.key is not None:
            key = order.key
            views = [self._jobs.view(job) for id_ in ids if (job := jobs.numbered(id_)) is not None]
            # Absent values come first when ascending and last when descending (§6.6).
            views.sort(key=lambda view: ((value := key(view)) is not None, value), reverse=order.descending)
            return [view.job for view in views[first : first + size]]
        if order.descending:
            end = max(len(ids) - first, 0)
            wanted = ids[max(end - size, 0) : end][::-1]
        else:
            wanted = ids[first : first + size]
        return [job for id_ in wanted if (job := jobs.numbered(id_)) is not None]

    def _item(self, job: Job) -> bytes:
        stamp = self._jobs.stamp(job)
        kept = self._items.get(job.uid)
        if kept is not None and kept[0] == stamp:
            return kept[1]
        body = compact(render.item(self._jobs.view(job)))
        self._items.put(job.uid, (stamp, body), len(body) + 200)
        return body

    def _show(self, job: Job, host_status: bool, include_hosts: bool, may_view_hosts: bool) -> bytes:
        key = (job.uid, host_status, include_hosts, may_view_hosts)
        stamp = self._jobs.stamp(job)
        kept = self._bodies.get(key)
        if kept is not None and kept[0] == stamp:
            return kept[1]
        view: View = self._jobs.view(job)
        body = render.show(view, host_status=host_status, include_hosts=include_hosts, may_view_hosts=may_view_hosts)
        body = compact(body)
        self._bodies.put(key, (stamp, body), len(body) + 300)
        return body
