"""Runs of a job once more: which of its hosts, and all that the new job takes over from it."""

from collections.abc import Mapping, Sequence
from enum import Enum, auto

from rollcall.names import HostState
from rollcall.resources.targeting import Targeting
from rollcall_api.job_manifests import JobRequest
from rollcall_api.jobs import Member
from rollcall_api.records import Job, Template


class Again(Enum):
    """Which hosts of a job are run again."""

    ALL = auto()
    """All; those that are found anew, where the job's were found when it started."""
    SUCCEEDED = auto()
    UNSUCCESSFUL = auto()
    """All that did not succeed; of a job that goes on, those that have ended so."""


def hosts_again(which: Again, job: Job, members: Sequence[Member]) -> list[str] | None:
    """The names of those members that are run again; None where they are found anew.

    `members` are those of the job's hosts that the requester may see, after `Jobs.outcomes` where their ends matter.
    """
    match which:
        case Again.SUCCEEDED:
            return [member.name for member in members if member.state is HostState.SUCCEEDED]
        case Again.UNSUCCESSFUL:
            return [member.name for member in members if _unsuccessful(member, job)]
        case Again.ALL:
            return None if job.hosts is None and job.late else [member.name for member in members]


def rerun(job: Job, template: Template, hosts: Sequence[str] | None, echo: Mapping[str, str]) -> JobRequest:
    """The job that runs another again on these hosts, or for None on those that its targeting finds anew.

    `template` is that of the job. Credentials are never copied.
    """
    targeting = Targeting.model_validate(job.targeting) if hosts is None else Targeting(hosts=(*hosts,))
    return JobRequest(
        template=template,
        inputs={name: value for name, value in job.inputs.items() if isinstance(value, (str, int))},
        input_secrets=job.input_secrets,
        targeting=targeting,
        # A job on no hosts runs nothing again.
        rerun_of=job if hosts else None,
        user=job.user,
        effective_user=job.effective_user,
        concurrency=job.concurrency,
        time_span=job.time_span,
        execution_timeout=job.execution_timeout,
        echo=echo,
    )


def _unsuccessful(member: Member, job: Job) -> bool:
    if job.finished:
        return member.state is not HostState.SUCCEEDED
    return member.state is not None and member.state.ended and member.state is not HostState.SUCCEEDED
