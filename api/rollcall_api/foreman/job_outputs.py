"""The routes of what a job's hosts said (§2.4, §2.5, §2.8)."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from typing import Final

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response

from rollcall_api.bounded import WeightedCache
from rollcall_api.foreman import output
from rollcall_api.foreman.errors import JsonBytes
from rollcall_api.foreman.permissions import LIST_JOBS, VIEW_OUTPUT
from rollcall_api.foreman.requests import boolean, read_bag, since
from rollcall_api.foreman.routing import Backend, begun, compact
from rollcall_api.foreman.visible import Visible, member_of, no_job_of_host
from rollcall_api.jobs import Member
from rollcall_api.records import Job

_BODIES_BYTES: Final = 8 * 1024 * 1024
_OUTPUTS_AT_ONCE: Final = 8
_SHORT_BYTES: Final = 64 * 1024
"""What is read of a host ahead of its turn."""


def add_routes(routes: APIRouter, backend: Backend) -> None:
    """Adds the routes."""
    endpoints = Endpoints(backend)
    add = routes.add_api_route
    add("/{id}/hosts/{host_id}", endpoints.output, methods=["GET"], summary="Output of a host")
    add("/{id}/hosts/{host_id}/raw", endpoints.raw, methods=["GET"], summary="Raw output of a host")
    for method in ("GET", "POST"):
        add(
            "/{id}/outputs",
            endpoints.outputs,
            methods=[method],
            summary="Outputs of hosts in a job",
            operation_id=f"{method.lower()}_outputs",
        )


class Endpoints:
    """The handlers, and the encoded bodies of hosts that have ended."""

    def __init__(self, backend: Backend) -> None:
        self._backend = backend
        self._outputs = backend.outputs
        self._visible = Visible(backend)
        self._bodies: WeightedCache[tuple[str, str, output.Cancelled], bytes] = WeightedCache(_BODIES_BYTES)

    async def output(self, request: Request) -> Response:
        """`GET /api/job_invocations/:id/hosts/:host_id` (§2.4)."""
        job, member, moment = await self._asked(request)
        if job.scheduled:
            return JsonBytes(output.delayed(job, []))
        cancelled = output.cancelled(job)
        key = (member.slice.uid if member.slice else "", member.name, cancelled)
        kept = self._bodies.get(key) if moment is None else None
        if kept is not None:
            return JsonBytes(kept)
        whole = await self._outputs.whole(member, job.finished, moment)
        if whole is None:
            return await begun(output.in_parts(self._outputs.long(member, job.finished, moment), moment, cancelled))
        body = output.host_output(whole, moment, cancelled)
        if moment is None and member.slice is not None and member.slice.done:
            # What a finished host said never changes.
            body = compact(body)
            self._bodies.put(key, body, len(body) + 300)
        return JsonBytes(body)

    async def raw(self, request: Request) -> Response:
        """`GET /api/job_invocations/:id/hosts/:host_id/raw` (§2.5)."""
        job, member, _ = await self._asked(request)
        if job.scheduled:
            return JsonBytes(output.delayed(job, None))
        whole = await self._outputs.whole(member, job.finished)
        if whole is None:
            parts = self._outputs.long(member, job.finished)
            return await begun(output.in_parts(parts, None, output.cancelled(job), raw=True))
        body = output.raw_output(whole, begun=member.slice is not None, cancelled=output.cancelled(job))
        return JsonBytes(body)

    async def _asked(self, request: Request) -> tuple[Job, Member, float | None]:
        """The job, its host, and since when (§2.4)."""
        searcher = await self._visible.permit(request, VIEW_OUTPUT)
        bag = await read_bag(request)
        job = self._visible.job(request.path_params["id"], searcher, no_job_of_host)
        member = member_of(await self._visible.members(job, request), request.path_params["host_id"])
        return job, member, since(bag)

    async def outputs(self, request: Request) -> Response:
        """`GET|POST /api/job_invocations/:id/outputs` (§2.8)."""
        searcher = await self._visible.permit(request, VIEW_OUTPUT)
        bag = await read_bag(request)
        job = self._visible.job(request.path_params["id"], searcher)
        members = await self._visible.members(job, request)
        sees = (await self._visible.searcher(request, LIST_JOBS)).sees
        found = await self._backend.hosts.of_members(str(bag.get("search_query") or ""), members, sees)
        return await begun(self._output_parts(found, job, since(bag), boolean(bag, "raw")))

    async def _output_parts(
        self, members: Sequence[Member], job: Job, moment: float | None, raw: bool
    ) -> AsyncIterator[bytes]:
        """The body, a few hosts at a time: however many there are, little of what they said is held in memory."""
        separator, cancelled = b'{"outputs":[', output.cancelled(job)
        for start in range(0, len(members), _OUTPUTS_AT_ONCE):
            some = [member for member in members[start : start + _OUTPUTS_AT_ONCE] if member.host is not None]
            found = await asyncio.gather(
                *(self._outputs.whole(member, job.finished, moment, _SHORT_BYTES) for member in some)
            )
            for member, whole in zip(some, found, strict=True):
                yield separator
                separator = b","
                id_ = member.host.id or 0 if member.host else 0
                if whole is not None:
                    yield output.outputs_item(whole, id_, moment, raw, cancelled)
                    continue
                long = self._outputs.long(member, job.finished, moment)
                async for part in output.in_parts(long, moment, cancelled, raw=raw, host_id=id_):
                    yield part
        yield (separator if separator != b"," else b"") + b"]}"
