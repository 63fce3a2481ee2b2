"""What a requester finds and sees of jobs: what they may not see is not there, never forbidden (contract §1.4)."""

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Final

from starlette.requests import Request

from rollcall.names import Kind
from rollcall_api.access import Reach
from rollcall_api.foreman.errors import ForemanError, e1, e2
from rollcall_api.foreman.job_search import Searcher
from rollcall_api.foreman.requests import identifier
from rollcall_api.foreman.routing import Backend
from rollcall_api.foreman.taxonomies import CONTEXT, Context
from rollcall_api.jobs import Member
from rollcall_api.records import Job
from rollcall_api.users import Identity

_NAME: Final = re.compile(r"[a-z0-9.-]+")
"""What can be the name of a host."""


class Visible:
    """Jobs and their hosts, as whoever sent a request may see them."""

    def __init__(self, backend: Backend) -> None:
        self._jobs = backend.jobs
        self._access = backend.access
        self._taxonomies = backend.taxonomies

    async def job(
        self, given: str, request: Request, verb: str = "get", refuse: Callable[[str], ForemanError] | None = None
    ) -> Job:
        """The job of that id, if the requester may do this to it. Raises 404, E1 unless another error is given."""
        return self.job_of(given, await self.searcher(request, verb), refuse)

    def job_of(self, given: str, searcher: Searcher, refuse: Callable[[str], ForemanError] | None = None) -> Job:
        """The job of that id, if the searcher sees it. Raises 404, E1 unless another error is given."""
        id_ = identifier(given)
        job = None if id_ is None else self._jobs.cache.jobs.numbered(id_)
        if job is None or not searcher.sees(job):
            raise (refuse or no_job)(given)
        return job

    async def hosts(self, user: Identity) -> bool:
        """Whether the requester may see hosts."""
        return await self._access.allows(user, "list", Kind.HOST)

    async def searcher(self, request: Request, verb: str = "list") -> Searcher:
        """Who searches, and which jobs they may do this to."""
        user: Identity = request.scope["user"]
        reach = await self._access.reach(user, verb, Kind.JOB_INVOCATION)
        return Searcher(user.username, await self.hosts(user), reach)

    async def cancel(
        self,
        job: Job,
        request: Request,
        *,
        force: bool = False,
        hosts: Sequence[str] | None = None,
        echo: Mapping[str, str | None] | None = None,
    ) -> None:
        """Asks for the job to be stopped, or only for these of its hosts, as far as the requester may.

        Who may cancel their own jobs only has no right to write them: there the facade does it in its own name. Raises
        NotFound, Conflict, Forbidden, Rejected or Unavailable.
        """
        user: Identity = request.scope["user"]
        reach = await self._access.reach(user, "patch", Kind.JOB_INVOCATION)
        in_own_name = reach is Reach.OWN and job.requested_by == user.username
        await self._jobs.cancel(job, None if in_own_name else user, force=force, hosts=hosts, echo=echo)

    async def members(self, job: Job, request: Request) -> list[Member]:
        """The job's hosts that exist, that the requester may see, and that are in the request's organization and
        location."""
        if not await self.hosts(request.scope["user"]):
            return []
        return self.among(self._jobs.view(job).members, request)

    def among(self, members: Iterable[Member], request: Request) -> list[Member]:
        """The hosts among these that exist and are in the request's organization and location."""
        context: Context = request.scope[CONTEXT]
        found = [m for m in members if m.host is not None and m.host.id is not None]
        if not context.is_narrow:
            return found
        belongs = self._taxonomies.belongs
        return [m for m in found if m.host is not None and belongs(m.host, context.organization, context.location)]

    def is_hidden_in(self, query: str, request: Request) -> bool:
        """Whether a query names a host that is not in the request's organization and location."""
        context: Context = request.scope[CONTEXT]
        hosts, belongs = self._jobs.cache.hosts, self._taxonomies.belongs
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
