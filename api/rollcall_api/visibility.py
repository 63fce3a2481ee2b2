"""What people see of jobs, and may do to them: what they may not see is not there, never forbidden (docs/adr/0023)."""

from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

from rollcall.names import Kind
from rollcall_api.access import Access, Reach, Right
from rollcall_api.jobs import Jobs, Member
from rollcall_api.problems import NotFound
from rollcall_api.records import Job
from rollcall_api.users import Identity


class Searcher(NamedTuple):
    """Who searches, and what they may see."""

    username: str
    may_view_hosts: bool
    reach: Reach = Reach.ALL
    """Which jobs they see."""

    def sees(self, job: Job) -> bool:
        """Whether they may see the job."""
        return self.reach is Reach.ALL or (self.reach is Reach.OWN and job.requested_by == self.username)


class Visibility:
    """Jobs and their hosts, as people may see them."""

    def __init__(self, jobs: Jobs, access: Access) -> None:
        self._jobs = jobs
        self._access = access

    async def hosts(self, user: Identity) -> bool:
        """Whether the user may see hosts."""
        return await self._access.allows(user, "list", Kind.HOST)

    async def searcher(self, user: Identity, rights: Iterable[Right]) -> Searcher:
        """Who searches, and to which jobs they may do all of this."""
        return await self.within(user, await self._access.narrowest(user, rights))

    async def within(self, user: Identity, reach: Reach) -> Searcher:
        """Who searches, as far as is known already."""
        return Searcher(user.username, await self.hosts(user), reach)

    def job(self, id_: int | None, searcher: Searcher) -> Job:
        """The job of that id, if the searcher sees it. Raises NotFound."""
        job = None if id_ is None else self._jobs.cache.jobs.numbered(id_)
        if job is None or not searcher.sees(job):
            raise NotFound("there is no such job")
        return job

    async def members(self, job: Job, user: Identity) -> list[Member]:
        """The job's hosts that the user may see: those that there are."""
        return existing(self._jobs.view(job).members) if await self.hosts(user) else []

    async def cancel(
        self,
        job: Job,
        user: Identity,
        *,
        force: bool = False,
        hosts: Sequence[str] | None = None,
        echo: Mapping[str, str | None] | None = None,
    ) -> None:
        """Asks for the job to be stopped, or only for these of its hosts, as far as the user may; with what the dialect
        wants to hear of it again.

        Who may cancel their own jobs only has no right to write them: there the facade does it in its own name. Raises
        NotFound, Conflict, Forbidden, Rejected or Unavailable.
        """
        reach = await self._access.reach(user, "patch", Kind.JOB_INVOCATION)
        in_own_name = reach is Reach.OWN and job.requested_by == user.username
        await self._jobs.cancel(job, None if in_own_name else user, force=force, hosts=hosts, echo=echo)


def existing(members: Iterable[Member]) -> list[Member]:
    """The hosts that exist, and have an id."""
    return [member for member in members if member.host is not None and member.host.id is not None]
