"""What searches find in a job, and in its task, by the paths of the tables of fields (contract §6.4, §6.7)."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any, Final

from rollcall.query import foreman
from rollcall.query.ast import EACH, Path
from rollcall.query.foreman import Subject
from rollcall_api.foreman import echo, task_render
from rollcall_api.foreman.errors import e4
from rollcall_api.foreman.numbers import number_of
from rollcall_api.foreman.search import read
from rollcall_api.foreman.status import has_planned, status_label, task_result, task_state
from rollcall_api.job_search import Order, Searched
from rollcall_api.jobs import Jobs
from rollcall_api.records import Job

_HOSTS: Final[Path] = ("hosts", EACH)
_HOST_IDS: Final[Path] = ("hostIds", EACH)
_OF_TIME: Final[frozenset[Path]] = frozenset({("started",), ("startAt",), ("ended",)})
_USER: Final[Path] = ("user",)
_CURRENT_USER: Final = "current_user"


@dataclass(frozen=True, slots=True, kw_only=True)
class Rows(Searched):
    """What is searched: jobs, or their tasks."""

    subject: Subject

    def order(self, text: str) -> Order:
        """The order that a parameter asks for; the newest first without one. Raises E4 for an unknown field."""
        by, *rest = text.split() or [""]
        if not by:
            return Order(None, True)
        field = self.subject.fields.get(by)
        if field is None:
            raise e4(f"the field '{by}' in the order statement is not valid field for search")
        return Order(None if field.path == self.id else field.path, rest[:1] != [] and rest[0].lower() == "desc")


def _present(value: Any) -> Iterable[Any]:
    return () if value is None else (value,)


def _statuses(job: Job) -> Iterable[str]:
    """The words that a job's status answers to: what is queued is not stopped, and so runs (§6.4)."""
    label = status_label(job)
    return ("queued", "running") if label == "queued" else (label,)


def _hosts(jobs: Jobs, job: Job) -> Iterable[str]:
    """Those with a planned run (§6.4)."""
    slices = jobs.cache.slices.of(job) if has_planned(job) else ()
    return (name for slice_ in slices for name in slice_.hosts)


def _host_ids(jobs: Jobs, job: Job) -> Iterable[int]:
    hosts = jobs.cache.hosts
    return (host.id for name in jobs.host_names(job) if (host := hosts.named(name)) and host.id is not None)


def _purpose(jobs: Jobs, job: Job) -> Iterable[str]:
    schedule = jobs.cache.schedules.named(job.schedule) if job.schedule else None
    return _present(schedule.resource.spec.purpose) if schedule else ()


def _category(jobs: Jobs, job: Job) -> Iterable[str]:
    return (echo.category(job, jobs.cache.templates.named(job.template)),)


def _template(jobs: Jobs, job: Job) -> Iterable[str]:
    template = jobs.cache.templates.named(job.template)
    return (job.template if template is None else template.resource.title,)


def _series(jobs: Jobs, job: Job) -> Iterable[int]:
    schedule = jobs.cache.schedules.named(job.schedule) if job.schedule else None
    return _present(schedule.id) if schedule else ()


def _started(_: Jobs, job: Job) -> Iterable[float]:
    return () if job.scheduled else (job.created.timestamp(),)


def _start_at(_: Jobs, job: Job) -> Iterable[float]:
    return ((job.start_at or job.created).timestamp(),)


def _ended(_: Jobs, job: Job) -> Iterable[float]:
    return () if job.completed is None else (job.completed.timestamp(),)


_OF_JOBS: Final[Mapping[Path, Callable[[Jobs, Job], Iterable[Any]]]] = {
    ("id",): lambda _, job: (job.id,),
    ("category",): _category,
    ("description",): lambda jobs, job: _present(jobs.description(job)),
    ("user",): lambda _, job: (job.requested_by,),
    ("started",): _started,
    ("startAt",): _start_at,
    ("ended",): _ended,
    ("template",): _template,
    ("recurring",): lambda _, job: (job.schedule is not None,),
    ("statuses", EACH): lambda _, job: _statuses(job),
    _HOSTS: _hosts,
    _HOST_IDS: _host_ids,
    ("schedule", "id"): _series,
    ("schedule", "purpose"): _purpose,
}
_OF_TASKS: Final[Mapping[Path, Callable[[Jobs, Job], Iterable[Any]]]] = {
    ("id",): lambda _, job: (job.uid,),
    ("label",): lambda *_: (task_render.JOB_LABEL,),
    ("action",): lambda *_: (task_render.JOB_ACTION,),
    ("state",): lambda _, job: (task_state(job),),
    ("result",): lambda _, job: (task_result(job),),
    ("resource_type",): lambda *_: ("JobInvocation",),
    ("resourceId",): lambda _, job: (job.id,),
    ("started",): _started,
    ("startAt",): _start_at,
    ("ended",): _ended,
    ("duration",): lambda _, job: _present(task_render.duration(job)),
    ("userId",): lambda _, job: (number_of(job.requested_by),),
    ("user",): lambda _, job: (job.requested_by,),
    ("parent",): lambda *_: (),
    ("groupId",): lambda *_: (),
}
JOBS: Final = Rows(
    subject=foreman.JOBS,
    parse=partial(read, subject=foreman.JOBS),
    values=_OF_JOBS,
    id=("id",),
    series=("schedule", "id"),
    user=_USER,
    searcher=_CURRENT_USER,
    of_hosts=frozenset({_HOSTS, _HOST_IDS}),
    of_time=_OF_TIME,
)
TASKS: Final = Rows(
    subject=foreman.TASKS,
    parse=partial(read, subject=foreman.TASKS),
    values=_OF_TASKS,
    id=("resourceId",),
    uid=("id",),
    user=_USER,
    searcher=_CURRENT_USER,
    of_time=_OF_TIME,
)
