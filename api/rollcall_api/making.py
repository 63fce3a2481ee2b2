"""Stores an object with the Secrets that it uses: the whole of it, or nothing.

What owns the Secrets has to be there first, because its uid makes them go away with it. Until they are there it is
suspended, and carries a label by which every facade leaves it out of its picture. If a Secret cannot be stored, the
object is taken back, and its Secrets go with it; what a facade left that was killed, the next look of any facade takes
back (`Janitor`).
"""

import asyncio
import logging
from collections.abc import Callable, Coroutine, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from rollcall.names import API_VERSION, LABEL_ID, LABEL_MANAGED_BY, LABEL_UNFINISHED, MANAGED_BY_FACADE, Kind
from rollcall.resources.meta import OwnerReference
from rollcall_api.access import impersonate
from rollcall_api.cluster import Cluster, Object, core, custom
from rollcall_api.problems import Conflict, Forbidden, NotFound, Problem, Rejected, Unavailable
from rollcall_api.sequences import Sequences
from rollcall_api.users import Identity

logger = logging.getLogger(__name__)

ABANDONED_AFTER: Final = timedelta(seconds=60)
"""No facade works on one object for so long: its requests to the API server end after ten seconds each."""
LOOK_SECONDS: Final = 20.0
_NAME_ATTEMPTS: Final = 100
_RETRACT_SECONDS: Final = (0.0, 1.0, 4.0, 15.0, 40.0)
"""When to look for what an unanswered create has stored after all: the API server may be away, or still at it. While
it is away, the rest waits until it answers again."""
_PATIENCE_SECONDS: Final = 5.0
_SETTLE_SECONDS: Final = 60.0
_KINDS: Final = (Kind.JOB_INVOCATION, Kind.SCHEDULE)
_MANAGED_BY: Final = f"/metadata/labels/{LABEL_MANAGED_BY.replace('/', '~1')}"


class Making:
    """Makes JobInvocations and Schedules in one namespace."""

    def __init__(self, cluster: Cluster, sequences: Sequences, namespace: str) -> None:
        self._cluster = cluster
        self._sequences = sequences
        self._namespace = namespace
        self._chores: set[asyncio.Task[None]] = set()

    async def make(
        self,
        kind: Kind,
        compose: Callable[[int], Object],
        user: Identity,
        secrets: Callable[[Object], Sequence[Object]] | None = None,
        shared: Sequence[str] = (),
    ) -> Object:
        """The stored object that `compose` makes of an id, with the Secrets that `secrets` makes of it.

        It becomes a further owner of the Secrets that it shares, by their names.

        Raises Forbidden, Rejected or Unavailable; then there is nothing new, or soon nothing any more.
        """
        if secrets is None and not shared:
            return await self._store(kind, compose, user)
        stored = await self._store(kind, lambda id_: _held(compose(id_)), user)
        try:
            found = await asyncio.gather(
                *(self._store_secret(secret) for secret in (secrets(stored) if secrets else ())),
                *(self._share(name, stored) for name in shared),
                return_exceptions=True,
            )
            for problem in found:
                if isinstance(problem, BaseException):
                    raise problem
            return await self._release(kind, stored)
        except BaseException:  # a cancelled request leaves nothing either
            await self.take_back(kind, stored)
            raise

    async def take_back(self, kind: Kind, stored: Object) -> None:
        """Deletes what could not be finished, also when the request that waits for it is cancelled.

        While the API server is away it returns before that is done.
        """
        await asyncio.wait({self._chore(self._delete(kind, stored))}, timeout=_PATIENCE_SECONDS)

    async def settled(self) -> None:
        """Returns when nothing is being taken back any more, or after a minute."""
        if self._chores:
            await asyncio.wait(self._chores, timeout=_SETTLE_SECONDS)

    async def _store(self, kind: Kind, compose: Callable[[int], Object], user: Identity) -> Object:
        headers = impersonate(user)
        for _ in range(_NAME_ATTEMPTS):
            body = compose(await self._sequences.next(kind))
            try:
                return await self._cluster.create(custom(kind, self._namespace), body, headers)
            except Conflict:
                continue  # somebody took the name by hand: the id is lost, the next one will do
            except Forbidden as problem:
                logger.info("the API server refuses %s a job: %s", user.username, problem)
                raise
            except (Unavailable, asyncio.CancelledError):
                self._chore(self._retract(kind, body))
                raise
        raise Unavailable("no free name for a job was found")

    async def _store_secret(self, secret: Object) -> None:
        try:
            await self._cluster.create(core("secrets", self._namespace), secret)
        except (Conflict, Forbidden, Rejected) as problem:
            # A quota, or a right that the facade lacks: nothing that the requester could change.
            raise Unavailable(f"the job's Secrets cannot be stored: {problem}") from problem

    async def _share(self, name: str, stored: Object) -> None:
        """Lets a Secret that a facade made live as long as this object, too; one that people made lives as they say."""
        owner = OwnerReference(
            api_version=API_VERSION,
            kind=stored["kind"],
            name=stored["metadata"]["name"],
            uid=stored["metadata"]["uid"],
            controller=False,
        )
        steps: list[Object] = [
            {"op": "test", "path": _MANAGED_BY, "value": MANAGED_BY_FACADE},
            {"op": "add", "path": "/metadata/ownerReferences/-", "value": owner.wire()},
        ]
        try:
            await self._cluster.amend(core("secrets", self._namespace, name), steps)
        except NotFound:
            raise Rejected(f"the Secret {name} with hidden inputs of the earlier job is gone: make a new job") from None
        except Rejected:
            logger.debug("%s is no Secret of a facade", name)
        except (Conflict, Forbidden) as problem:
            raise Rejected(f"the Secret {name} of the earlier job cannot be used again: {problem}") from problem

    async def _release(self, kind: Kind, stored: Object) -> Object:
        """Lets the object begin, which nobody but facades could see so far."""
        metadata = {"uid": stored["metadata"]["uid"], "labels": {LABEL_UNFINISHED: None}}
        path = custom(kind, self._namespace, stored["metadata"]["name"])
        try:
            released = await self._cluster.merge(path, {"metadata": metadata, "spec": {"suspend": False}})
        except (NotFound, Conflict) as problem:
            raise Unavailable("the job was deleted before it was finished") from problem
        except (Forbidden, Rejected) as problem:
            raise Unavailable(f"the job cannot be finished: {problem}") from problem
        if released["metadata"].get("deletionTimestamp"):
            raise Unavailable("the job was deleted before it was finished")
        return released

    async def _retract(self, kind: Kind, body: Object) -> None:
        """After a create without an answer: deletes the object if it was stored after all.

        It is ours when it carries the id that nobody else was given.
        """
        name, id_ = body["metadata"]["name"], body["metadata"]["labels"][LABEL_ID]
        for seconds in _RETRACT_SECONDS:
            await asyncio.sleep(seconds)
            await self._cluster.pulse.answering()
            try:
                stored = await self._cluster.get(custom(kind, self._namespace, name))
            except NotFound:
                continue
            except Problem as problem:
                logger.warning("cannot tell yet whether %s was made: %s", name, type(problem).__name__)
                continue
            if (stored["metadata"].get("labels") or {}).get(LABEL_ID) == id_:
                await self._delete(kind, stored)
            return

    async def _delete(self, kind: Kind, stored: Object) -> None:
        name, uid = stored["metadata"]["name"], stored["metadata"]["uid"]
        for seconds in _RETRACT_SECONDS:
            await asyncio.sleep(seconds)
            await self._cluster.pulse.answering()
            try:
                return await self._cluster.delete(custom(kind, self._namespace, name), uid)
            except (NotFound, Conflict):
                return None
            except Problem as problem:
                logger.error("cannot take back %s now: %s", name, problem)
        return None

    def _chore(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        task = asyncio.create_task(work)
        self._chores.add(task)
        task.add_done_callback(self._chores.discard)
        return task


class Janitor:
    """Takes back what facades that were killed left half made."""

    def __init__(self, cluster: Cluster, namespace: str) -> None:
        self._cluster = cluster
        self._namespace = namespace

    async def run(self) -> None:
        """Looks for it again and again, for ever."""
        while True:
            for kind in _KINDS:
                try:
                    await self._look(kind)
                except Problem as problem:
                    logger.warning("cannot look for half-made %s: %s", kind.plural, problem)
            await asyncio.sleep(LOOK_SECONDS)

    async def _look(self, kind: Kind) -> None:
        async for page in self._cluster.list_pages(custom(kind, self._namespace), labelSelector=LABEL_UNFINISHED):
            for found in page["items"]:
                if _abandoned(found, datetime.now(UTC)):
                    await self._take_back(kind, found["metadata"])

    async def _take_back(self, kind: Kind, metadata: Object) -> None:
        """Deletes the object unless it has been finished, or anything else has happened to it since."""
        path = custom(kind, self._namespace, metadata["name"])
        try:
            await self._cluster.delete(path, metadata["uid"], version=metadata["resourceVersion"])
        except (NotFound, Conflict):
            return
        logger.warning("took back %s, which was half made", metadata["name"])


def _held(body: Object) -> Object:
    """The object, to be stored as one that begins nothing and is shown to nobody."""
    labels = {**body["metadata"]["labels"], LABEL_UNFINISHED: "true"}
    return {**body, "metadata": {**body["metadata"], "labels": labels}, "spec": {**body["spec"], "suspend": True}}


def _abandoned(found: Object, now: datetime) -> bool:
    """Whether nobody is at it any more. What runs was not made by a facade that stopped half-way, whatever it says."""
    metadata, status = found["metadata"], found.get("status") or {}
    if metadata.get("deletionTimestamp") or not found["spec"].get("suspend") or status.get("startTime"):
        return False
    return now - datetime.fromisoformat(metadata["creationTimestamp"]) > ABANDONED_AFTER
