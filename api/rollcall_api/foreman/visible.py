"""What a requester finds and sees of jobs, in the contract's words (§1.4)."""

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Final

from starlette.requests import Request

from rollcall_api.foreman.errors import ForemanError, e1, e2
from rollcall_api.foreman.requests import identifier
from rollcall_api.foreman.routing import Backend, Permission
from rollcall_api.foreman.status import has_planned
from rollcall_api.foreman.taxonomies import CONTEXT, Context
from rollcall_api.jobs import Member
from rollcall_api.problems import NotFound
from rollcall_api.records import Job
from rollcall_api.users import Identity
from rollcall_api.visibility import Searcher, Visibility, existing

_NAME: Final = re.compile(r"[a-z0-9.-]+")
"""What can be the name of a host."""


class Visible:
    """Jobs and their hosts, as whoever sent a request may see them."""

    def __init__(self, backend: Backend) -> None:
        self._backend = backend
        self._visibility = Visibility(backend.jobs, backend.access)

    async def permit(self, request: Request, permission: Permission) -> Searcher:
        """The requester, who has the permission, and sees the jobs for which they have it. Raises E5 and 503."""
        user: Identity = request.scope["user"]
        return await self._visibility.within(user, await self._backend.permit(user, permission))

    async def searcher(self, request: Request, permission: Permission) -> Searcher:
        """The requester, who sees the jobs for which they have the permission; no jobs without it."""
        return await self._visibility.searcher(request.scope["user"], permission.rights)

    def job(self, given: str, searcher: Searcher, refuse: Callable[[str], ForemanError] | None = None) -> Job:
        """The job of that id, if the searcher sees it. Raises 404, E1 unless another error is given."""
        try:
            return self._visibility.job(identifier(given), searcher)
        except NotFound:
            raise (refuse or no_job)(given) from None

    async def hosts(self, user: Identity) -> bool:
        """Whether the requester may see hosts."""
        return await self._visibility.hosts(user)

    async def cancel(
        self,
        job: Job,
        request: Request,
        *,
        force: bool = False,
        hosts: Sequence[str] | None = None,
        echo: Mapping[str, str | None] | None = None,
    ) -> None:
        """Asks for the job to be stopped, or only for these of its hosts. Raises as `Visibility.cancel` does."""
        await self._visibility.cancel(job, request.scope["user"], force=force, hosts=hosts, echo=echo)

    async def members(self, job: Job, request: Request) -> list[Member]:
        """The job's hosts that exist, that the requester may see, and that are in the request's organization and
        location; without slices where nothing is planned on them."""
        return self._placed(await self._visibility.members(job, request.scope["user"]), job, request)

    def among(self, members: Iterable[Member], job: Job, request: Request) -> list[Member]:
        """Those of these hosts of the job that `members` would have, if the requester saw all hosts."""
        return self._placed(existing(members), job, request)

    def _placed(self, found: list[Member], job: Job, request: Request) -> list[Member]:
        if not has_planned(job):
            found = [replace(member, slice=None) for member in found]
        context: Context = request.scope[CONTEXT]
        if not context.is_narrow:
            return found
        belongs = self._backend.taxonomies.belongs
        return [m for m in found if m.host is not None and belongs(m.host, context.organization, context.location)]

    def is_hidden_in(self, query: str, request: Request) -> bool:
        """Whether a query names a host that is not in the request's organization and location."""
        context: Context = request.scope[CONTEXT]
        hosts, belongs = self._backend.jobs.cache.hosts, self._backend.taxonomies.belongs
        named = (hosts.named(word) for word in set(_NAME.findall(query.lower())))
        return any(h is not None and not belongs(h, context.organization, context.location) for h in named)


def member_of(members: Sequence[Member], given: str) -> Member:
    """The host of that id. Raises 404 E1."""
    id_ = identifier(given)
    for member in members:
        if member.host is not None and member.host.id == id_:
            return member
    raise e1(404, f"Host with id '{given}' was not found")


def no_job(given: str) -> ForemanError:
    """The answer where there is no such job."""
    return e1(404, f"Resource job_invocation not found by id '{given}'")


def no_job_of_host(given: str) -> ForemanError:
    """The same where a host in it is asked for (§2.4)."""
    return e2(404, f"Job invocation not found by id '{given}'")
