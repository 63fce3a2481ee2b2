"""The routes of job invocations (§2.1 to §2.3): each reads its parameters, asks the shared code, and renders."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from functools import partial
from typing import Any, Final

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response

from rollcall.names import Kind
from rollcall_api.access import Reach
from rollcall_api.bounded import WeightedCache
from rollcall_api.foreman import creation, job_hosts, job_orders, job_outputs, lists, render
from rollcall_api.foreman.errors import JsonBytes, e5
from rollcall_api.foreman.job_fields import JOBS
from rollcall_api.foreman.permissions import CREATE_JOB, CREATE_SERIES, LIST_JOBS, VIEW_JOB
from rollcall_api.foreman.requests import Bag, Page, boolean, read_bag
from rollcall_api.foreman.routing import Backend, DialectRoute, compact
from rollcall_api.foreman.targeting import Scope
from rollcall_api.foreman.taxonomies import CONTEXT
from rollcall_api.foreman.visible import Visible
from rollcall_api.job_search import JobSearch
from rollcall_api.jobs import Stamp
from rollcall_api.lists import encoded
from rollcall_api.problems import Forbidden
from rollcall_api.records import Job
from rollcall_api.users import Identity

_ROOT: Final = "/api/job_invocations"
_ITEMS_BYTES: Final = 8 * 1024 * 1024
_PAGES_BYTES: Final = 2 * 1024 * 1024
_BODIES_BYTES: Final = 8 * 1024 * 1024


def router(backend: Backend) -> APIRouter:
    """The routes of job invocations."""
    endpoints = Endpoints(backend)
    routes = APIRouter(prefix=_ROOT, route_class=DialectRoute, tags=["Foreman job invocations"])
    add = routes.add_api_route
    add("", endpoints.index, methods=["GET"], summary="List job invocations")
    add("", endpoints.create, methods=["POST"], status_code=201, summary="Create a job")
    add("/{id}", endpoints.show, methods=["GET"], summary="Show job invocation")
    job_outputs.add_routes(routes, backend)
    job_orders.add_routes(routes, backend)
    job_hosts.add_routes(routes, backend)
    return routes


class Endpoints:
    """The handlers, and the encoded bodies that they keep."""

    def __init__(self, backend: Backend) -> None:
        self._backend = backend
        self._jobs = backend.jobs
        self._access = backend.access
        self._visible = Visible(backend)
        self._search = JobSearch(backend.jobs, backend.pace, JOBS)
        self._items: WeightedCache[str, tuple[Stamp, bytes]] = WeightedCache(_ITEMS_BYTES)
        self._pages: WeightedCache[tuple[Any, ...], tuple[tuple[int, ...], bytes]] = WeightedCache(_PAGES_BYTES)
        self._bodies: WeightedCache[tuple[Any, ...], tuple[Stamp, bytes]] = WeightedCache(_BODIES_BYTES)

    async def index(self, request: Request) -> Response:
        """`GET /api/job_invocations` (§2.1)."""
        user = request.scope["user"]
        searcher = await self._visible.permit(request, LIST_JOBS)
        bag = await read_bag(request)
        page, order = Page.parse(bag), JOBS.order(str(bag.get("order") or ""))
        found = await self._search.find(str(bag.get("search") or ""), order, searcher)
        total = len(self._search.every(searcher))
        rights = await self._backend.rights(user, bag, ("create", Kind.JOB_INVOCATION), ("patch", Kind.JOB_INVOCATION))
        if rights is None:
            return JsonBytes(await self._page(found, total, page, bag))
        first, last = page.bounds(len(found))
        items = await self._backend.pace.run(encoded(found[first:last], self._item))
        encode = partial(render.with_permissions, permissions=await self._permissions(user))
        items = await self._backend.pace.run(encoded(items, encode))
        return JsonBytes(lists.envelope(items, total, len(found), page, bag, rights))

    async def show(self, request: Request) -> Response:
        """`GET /api/job_invocations/:id` (§2.2)."""
        user = request.scope["user"]
        searcher = await self._visible.permit(request, VIEW_JOB)
        bag = await read_bag(request)
        job = self._visible.job(request.path_params["id"], searcher)
        include_hosts, hosts = boolean(bag, "include_hosts", True), searcher.may_view_hosts
        body = self._show(job, request, boolean(bag, "host_status"), include_hosts, hosts)
        if boolean(bag, "include_permissions"):
            body = render.with_permissions(body, await self._permissions(user))
        return JsonBytes(body)

    async def create(self, request: Request) -> Response:
        """`POST /api/job_invocations` (§2.3)."""
        user = request.scope["user"]
        await self._backend.permit(user, CREATE_JOB)
        bag = await read_bag(request)
        kinds = (Kind.JOB_TEMPLATE, Kind.HOST, Kind.INVENTORY)
        sight = creation.Sight(*[await self._access.allows(user, "list", kind) for kind in kinds])
        include_hosts = boolean(bag, "include_hosts", True)
        sees = (await self._visible.searcher(request, LIST_JOBS)).sees
        scope = Scope(self._backend.hosts, self._backend.taxonomies, request.scope[CONTEXT], sees, sight.hosts)
        wish = await creation.parse(bag, self._jobs.cache, sight, scope, datetime.now(UTC))
        try:
            job = await self._jobs.create(wish, user)
        except Forbidden:
            raise e5(CREATE_JOB.name if wish.recurrence is None else CREATE_SERIES) from None
        return JsonBytes(self._show(job, request, False, include_hosts, sight.hosts), 201)

    async def _permissions(self, user: Identity) -> Mapping[str, bool]:
        return {
            "edit_job_templates": await self._access.allows(user, "update", Kind.JOB_TEMPLATE),
            "view_foreman_tasks": await self._access.reach(user, "list", Kind.JOB_INVOCATION) is not Reach.NONE,
            "edit_recurring_logics": await self._access.allows(user, "patch", Kind.SCHEDULE),
        }

    async def _page(self, found: Sequence[int], total: int, page: Page, bag: Bag) -> bytes:
        """A page with what is around it, which is kept as well: until anything changes, one look finds all of it."""
        first, last = page.bounds(len(found))
        ids, stamp = tuple(found[first:last]), self._search.stamp
        key = (ids, len(found), total, page.number, page.per_page, repr([bag.get(name) for name in lists.ECHOED]))
        kept = self._pages.get(key)
        if kept is not None and kept[0] == stamp:
            return kept[1]
        items = await self._backend.pace.run(encoded(ids, self._item))
        body = lists.envelope(items, total, len(found), page, bag)
        self._pages.put(key, (stamp, body), len(body) + 32 * len(ids) + 500)
        return body

    def _item(self, id_: int) -> bytes | None:
        job = self._jobs.cache.jobs.numbered(id_)
        if job is None:
            return None
        stamp = self._jobs.stamp(job)
        kept = self._items.get(job.uid)
        if kept is not None and kept[0] == stamp:
            return kept[1]
        body = compact(render.item(self._jobs.view(job)))
        self._items.put(job.uid, (stamp, body), len(body) + 200)
        return body

    def _show(self, job: Job, request: Request, host_status: bool, include_hosts: bool, may_view_hosts: bool) -> bytes:
        key = (job.uid, host_status, include_hosts, may_view_hosts)
        stamp = self._jobs.stamp(job)
        # The stamp does not tell when a host changes its organization.
        narrow = request.scope[CONTEXT].is_narrow
        kept = None if narrow else self._bodies.get(key)
        if kept is not None and kept[0] == stamp:
            return kept[1]
        view = self._jobs.view(job)
        members = self._visible.among(view.members, job, request) if include_hosts and may_view_hosts else []
        shows_query = may_view_hosts and not (narrow and self._visible.is_hidden_in(render.query(job) or "", request))
        body = compact(
            render.show(view, members if include_hosts else None, host_status=host_status, shows_query=shows_query)
        )
        if not narrow:
            self._bodies.put(key, (stamp, body), len(body) + 300)
        return body
