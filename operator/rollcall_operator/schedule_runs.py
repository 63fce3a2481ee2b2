"""Carrying out what is planned for one schedule: its runs first, then one status write, then what is to be deleted.

Everything can be stopped at any point and done again: the name of a run follows from the schedule's uid and the moment
that it is planned for, and a run that is there already has been made.
"""

import asyncio
import logging
from collections import defaultdict
from collections.abc import Callable, Sequence
from datetime import datetime

from pydantic import ValidationError

from rollcall.names import (
    ANNOTATION_MADE_AHEAD,
    ANNOTATION_RUN_NOW,
    API_VERSION,
    FINALIZER_INVOCATION,
    LABEL_ID,
    LABEL_SCHEDULE,
    Kind,
    Reason,
)
from rollcall.plan.ahead import passed_over
from rollcall.plan.observed import Note
from rollcall.plan.scheduling import (
    Outcome,
    Run,
    SchedulePlan,
    child_annotations,
    conclude,
    mark,
    marked_at,
    plan,
    to_cancel,
    unfit,
    without_details,
)
from rollcall.resources.jobinvocation import JobInvocation
from rollcall.resources.meta import Metadata, Resource
from rollcall.resources.schedule import Schedule, ScheduleState, ScheduleStatus
from rollcall_operator import manifests
from rollcall_operator.cluster import Cluster, ClusterError, ConflictError, Document, NotFoundError, RefusedError
from rollcall_operator.permissions import Permissions
from rollcall_operator.schedule_book import ScheduleBook, UnreadableError
from rollcall_operator.schedule_ids import RunIds
from rollcall_operator.store import Key, Store

logger = logging.getLogger(__name__)

_SCHEDULES = Kind.SCHEDULE.plural
_INVOCATIONS = Kind.JOB_INVOCATION.plural


class _Named(Resource):
    """A schedule of which nothing but its metadata has to be readable."""

    @classmethod
    def kind(cls) -> str:
        return Kind.SCHEDULE.value


class ScheduleRuns:
    """Does what there is to do for a schedule."""

    def __init__(
        self,
        cluster: Cluster,
        store: Store,
        book: ScheduleBook,
        identity: str,
        ids: RunIds,
        told: Callable[[Key], object],
        clock: Callable[[], datetime],
    ) -> None:
        self._cluster = cluster
        self._ids = ids
        self._store = store
        self._book = book
        self._identity = identity
        self._told = told
        self._clock = clock
        self._permissions = Permissions(cluster)
        self._untold: defaultdict[str, dict[str, JobInvocation]] = defaultdict(dict)
        """Runs that no status tells of yet, by their schedule's uid: they were made, even if they have gone since."""
        self._emissions: set[asyncio.Task[None]] = set()

    async def make(self, key: Key, children: Sequence[JobInvocation]) -> None:
        """Make the runs that are due, and no more: `look` finds them there, and does and says the rest.

        Raises ClusterError.
        """
        try:
            found = self._book.read(key)
        except UnreadableError:
            return
        if found is None or found[0].metadata.deletion_timestamp is not None:
            return
        schedule, document = found
        known = self._with_untold(schedule, children)
        for run in plan(schedule, known, self._book.holder(key), self._clock()).runs:
            child = self._made(key, await self._make(schedule, document, run))
            if child is not None:
                self.remember(schedule.metadata.uid, child)

    def remember(self, uid: str, child: JobInvocation) -> None:
        """Take in a run that is there, and that its schedule's status does not tell of."""
        self._untold[uid][child.metadata.name] = child

    def untold(self, uid: str, name: str) -> bool:
        """Whether the status of a schedule has yet to tell of a run."""
        return name in self._untold.get(uid, ())

    def forget(self, uid: str) -> None:
        """Forget the runs of a schedule that is gone, or that nothing will be told of."""
        self._untold.pop(uid, None)

    def _with_untold(self, schedule: Schedule, children: Sequence[JobInvocation]) -> list[JobInvocation]:
        """All invocations of a schedule that it has to know of, also those that went before its status told of them."""
        untold = self._untold.get(schedule.metadata.uid, {})
        return list({**untold, **{child.metadata.name: child for child in children}}.values())

    async def look(self, key: Key, children: Sequence[JobInvocation]) -> datetime | None:
        """Look at a schedule, do what is to be done, and say when to look again. Raises ClusterError."""
        try:
            found = self._book.read(key)
        except UnreadableError as error:
            note = Note(Reason.INVALID_SPEC, f"the schedule cannot be read: {error}", warning=True)
            await self._refuse(key, error.document, note)
            return None
        if found is None:
            return None
        if found[0].metadata.deletion_timestamp is not None:
            self.forget(found[0].metadata.uid)
            return None
        schedule, document = found
        if await self._mark_request(schedule):
            return self._clock()
        now = self._clock()
        planned = plan(schedule, self._with_untold(schedule, children), self._book.holder(key), now)
        await self._delete(planned.withdraw)
        outcomes = [await self._make(schedule, document, run) for run in planned.runs]
        for name in to_cancel(planned, outcomes):
            await self._cancel(key[0], name)
        made = [child for outcome in outcomes if (child := self._made(key, outcome)) is not None]
        known = {child.metadata.name: child for child in (*children, *made)}
        status = await self._write(schedule, planned, outcomes, list(known.values()), now)
        self.forget(schedule.metadata.uid)
        for name in passed_over(schedule, status, known.values()):
            await self._cancel(key[0], name)
        await self._delete(planned.delete)
        return status.next_times[0] if status.next_times else None

    def _made(self, key: Key, outcome: Outcome) -> JobInvocation | None:
        return self._store.invocations.get((key[0], outcome.run.name)) if outcome.problem is None else None

    async def _mark_request(self, schedule: Schedule) -> bool:
        """Give a request to run now a mark of its own, from which its run's name follows. True when one was given."""
        value, now = _request(schedule), self._clock()
        if value is None or marked_at(schedule, value, now) is not None:
            return False
        await self._annotate(schedule, mark(now))
        return True

    async def _annotate(self, schedule: Schedule, value: str | None) -> None:
        """Write the request's annotation, unless the schedule was changed since."""
        metadata = schedule.metadata
        patch = {"metadata": {"resourceVersion": metadata.resource_version, "annotations": {ANNOTATION_RUN_NOW: value}}}
        await self._keep((metadata.namespace, metadata.name), patch, status=False)

    async def give_up(self, key: Key, error: Exception) -> None:
        """Say on a schedule that it met a fault of the operator, and let its runs go. Raises ClusterError."""
        document = self._book.document(key)
        if document is None:
            return
        said = f"a fault of the operator ({type(error).__name__}, explained in its log): no run is made until the"
        said += " schedule is changed, or the operator started anew"
        await self._refuse(key, document, Note(Reason.INTERNAL_ERROR, said, warning=True))

    async def _refuse(self, key: Key, document: Document, problem: Note) -> None:
        """Say on a schedule why it cannot be carried out, and let its runs go: nothing else will be told of them."""
        before, metadata = last_status(document), document["metadata"]
        status = unfit(before or ScheduleStatus(), metadata["generation"], problem, self._clock())
        if status != before:
            await self._keep(key, status_patch(metadata["resourceVersion"], status), status=True)
        if before is None or before.state is not ScheduleState.INVALID:
            self._tell(_Named(metadata=Metadata.model_validate(metadata)), problem)
        self.forget(metadata["uid"])

    async def _keep(self, key: Key, patch: Document, *, status: bool) -> None:
        """Write to a schedule, and take in what it is then. Raises ConflictError when it was changed since."""
        namespace, name = key
        try:
            self._book.put(await self._cluster.merge(_SCHEDULES, namespace, name, patch, status=status))
        except NotFoundError:
            self._book.forget((namespace, name))
        except ConflictError:
            self._book.put(await self._cluster.get(_SCHEDULES, namespace, name))
            raise

    async def _delete(self, children: Sequence[JobInvocation]) -> None:
        for child in children:
            metadata = child.metadata
            await self._cluster.delete(_INVOCATIONS, metadata.namespace, metadata.name, uid=metadata.uid)

    async def _cancel(self, namespace: str, name: str) -> None:
        patch: Document = {"spec": {"cancellation": {"policy": "Graceful"}}}
        try:
            self._store.put(_INVOCATIONS, await self._cluster.merge(_INVOCATIONS, namespace, name, patch))
        except NotFoundError:
            self._store.forget(_INVOCATIONS, namespace, name)
        except RefusedError:
            return  # it is being cancelled with force

    async def _make(self, schedule: Schedule, document: Document, run: Run) -> Outcome:
        """Make a run, or find that it is there. Raises ClusterError when it is not known what became of it."""
        if run.exists:
            return Outcome(run)
        namespace, requester = schedule.metadata.namespace, schedule.spec.requested_by
        if not await self._permissions.may_create_invocations(requester, namespace):
            said = f"{run.name} was not made: {requester.username} may not create jobinvocations in {namespace}"
            return Outcome(run, Note(Reason.PERMISSION_DENIED, said, warning=True))
        if run.ahead:
            return await self._let_go(run, namespace)
        invocation = invocation_of(schedule, document, run)
        if LABEL_ID not in invocation["metadata"]["labels"] and (number := await self._ids.next()) is not None:
            invocation["metadata"]["labels"][LABEL_ID] = str(number)
        try:
            made = await self._cluster.create(_INVOCATIONS, invocation, urgent=True)
        except RefusedError as error:
            return Outcome(run, Note(Reason.RUN_REFUSED, f"{run.name} was not made: {error.message}", warning=True))
        except ConflictError:
            made = await self._cluster.get(_INVOCATIONS, namespace, run.name)
            owners = {owner["uid"] for owner in made["metadata"].get("ownerReferences", ())}
            if schedule.metadata.uid not in owners:
                said = f"{run.name} was not made: another JobInvocation has that name"
                return Outcome(run, Note(Reason.NAME_TAKEN, said, warning=True))
            if ANNOTATION_MADE_AHEAD in made["metadata"].get("annotations", {}):
                self._store.put(_INVOCATIONS, made)
                self._told((namespace, run.name))
                raise  # it was made ahead a moment ago, or is being taken back: the next look tells
        self._store.put(_INVOCATIONS, made)
        self._told((namespace, run.name))
        return Outcome(run)

    async def _let_go(self, run: Run, namespace: str) -> Outcome:
        """Let a run begin that was made ahead. Raises NotFoundError when it has gone."""
        patch: Document = {"metadata": {"annotations": {ANNOTATION_MADE_AHEAD: None}}}
        try:
            made = await self._cluster.merge(_INVOCATIONS, namespace, run.name, patch)
        except NotFoundError:
            self._store.forget(_INVOCATIONS, namespace, run.name)
            raise
        self._store.put(_INVOCATIONS, made)
        self._told((namespace, run.name))
        return Outcome(run)

    async def _write(
        self,
        schedule: Schedule,
        planned: SchedulePlan,
        outcomes: Sequence[Outcome],
        children: Sequence[JobInvocation],
        now: datetime,
    ) -> ScheduleStatus:
        """Write the status if it says something new, take the request away that was met, and tell of it."""
        key, version = (schedule.metadata.namespace, schedule.metadata.name), schedule.metadata.resource_version
        status, notes = conclude(schedule, planned, outcomes, children, now)
        if status != schedule.status:
            try:
                await self._keep(key, status_patch(version, status), status=True)
            except RefusedError as error:
                status, notes = without_details(schedule, status, error.message, now), ()
                if status != schedule.status:
                    await self._keep(key, status_patch(version, status), status=True)
        by_hand = any(outcome.run.manual for outcome in (*outcomes, *planned.skipped))
        read = self._book.read(key) if by_hand else None
        # Another request that somebody has made since is to be met, too.
        if read is not None and _request(read[0]) == _request(schedule):
            await self._annotate(read[0], None)
        for note in notes:
            self._tell(schedule, note)
        return status

    def _tell(self, schedule: Resource, note: Note) -> None:
        """Emit an Event; nothing waits for it."""
        emission = asyncio.create_task(self._emit(manifests.event(schedule, note, self._identity, self._clock())))
        self._emissions.add(emission)
        emission.add_done_callback(self._emissions.discard)

    async def _emit(self, event: Document) -> None:
        try:
            await self._cluster.create("events", event)
        except ClusterError as error:
            regarding = event["regarding"]
            logger.warning("no event about %s/%s: %s", regarding["namespace"], regarding["name"], error)


def _request(schedule: Schedule) -> str | None:
    """The request to run now, with the mark that it was given."""
    return schedule.metadata.annotations.get(ANNOTATION_RUN_NOW)


_MAY_VANISH = (
    "lastRun",
    "nextTimes",
    "active",
    "decidedUntil",
    "madeUntil",
    "summary",
    "template",
    "problem",
    "timing",
)
_MAY_VANISH_OF_LAST_RUN = ("name", "error", "reason")


def status_patch(version: str, status: ScheduleStatus) -> Document:
    """A status as a merge patch of the schedule of that version, which takes away what it does not say."""
    written = {**dict.fromkeys(_MAY_VANISH), **status.wire()}
    if status.last_run is not None:
        written["lastRun"] = {**dict.fromkeys(_MAY_VANISH_OF_LAST_RUN), **written["lastRun"]}
    return {"metadata": {"resourceVersion": version}, "status": written}


def last_status(document: Document) -> ScheduleStatus | None:
    """The status of a schedule that cannot be read as a whole; None when it cannot be read, either."""
    try:
        return ScheduleStatus.model_validate(document.get("status") or {})
    except ValidationError:
        return None


def invocation_of(schedule: Schedule, document: Document, run: Run) -> Document:
    """The JobInvocation of a run, with the template's spec as it was written."""
    template: Document = document["spec"]["invocationTemplate"]
    metadata = template.get("metadata") or {}
    return {
        "apiVersion": API_VERSION,
        "kind": Kind.JOB_INVOCATION.value,
        "metadata": {
            "name": run.name,
            "namespace": schedule.metadata.namespace,
            "labels": {
                **(metadata.get("labels") or {}),
                LABEL_SCHEDULE: schedule.metadata.name[:63].rstrip("-."),
            },
            "annotations": child_annotations(run, metadata.get("annotations") or {}),
            # As the framework would put it there, with a write of its own.
            "finalizers": [FINALIZER_INVOCATION],
            "ownerReferences": [schedule.owner_reference().wire()],
        },
        "spec": {**template["spec"], "requestedBy": {"username": schedule.spec.requested_by.username}},
    }
