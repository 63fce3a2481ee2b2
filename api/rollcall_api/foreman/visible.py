"""What a requester finds and sees of jobs: what they may not see is not there, never forbidden (contract §1.4)."""

from collections.abc import Callable, Sequence

from rollcall.names import Kind
from rollcall_api.foreman.errors import ForemanError, e1, e2
from rollcall_api.foreman.job_search import Searcher
from rollcall_api.foreman.requests import identifier
from rollcall_api.foreman.routing import Backend
from rollcall_api.jobs import Member
from rollcall_api.records import Job
from rollcall_api.users import Identity


class Visible:
    """Jobs and their hosts, as a requester may see them."""

    def __init__(self, backend: Backend) -> None:
        self._jobs = backend.jobs
        self._access = backend.access

    def job(self, given: str, refuse: Callable[[str], ForemanError] | None = None) -> Job:
        """The job of that id. Raises 404, E1 unless another error is given for it."""
        id_ = identifier(given)
        job = None if id_ is None else self._jobs.cache.jobs.numbered(id_)
        if job is None:
            raise (refuse or no_job)(given)
        return job

    async def hosts(self, user: Identity) -> bool:
        """Whether the requester may see hosts."""
        return await self._access.allows(user, "list", Kind.HOST)

    async def searcher(self, user: Identity) -> Searcher:
        """Who searches."""
        return Searcher(user.username, await self.hosts(user))

    async def members(self, job: Job, user: Identity) -> list[Member]:
        """The job's hosts that exist and that the requester may see."""
        if not await self.hosts(user):
            return []
        return [m for m in self._jobs.view(job).members if m.host is not None and m.host.id is not None]


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
