"""The schedules that there are, as bytes: thousands of them, of which few are looked at in any one minute."""

import math
from collections import defaultdict
from collections.abc import Callable, Container, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from sys import intern
from typing import Any

from pydantic import ValidationError

from rollcall.names import ANNOTATION_PLANNED, ANNOTATION_RUN_NOW, Reason
from rollcall.plan.scheduling import MANUAL, beyond_history
from rollcall.resources.jobinvocation import JobInvocation
from rollcall.resources.schedule import Schedule, ScheduleState
from rollcall_operator.packed import Document, Packer
from rollcall_operator.store import MAX_GONE, Key, first_problem


@dataclass(frozen=True, slots=True)
class Entry:
    """One schedule: what has to be known of it at any time, and all of it, packed."""

    version: int
    uid: str
    created: str
    purpose: str
    state: str
    broken: bool
    """Whether it cannot be carried out for a fault of its own: it holds its purpose no longer then."""
    packed: bytes


class UnreadableError(ValueError):
    """A schedule that the API server took cannot be read here."""

    def __init__(self, document: Document, problem: str) -> None:
        super().__init__(problem)
        self.document = document


class ScheduleBook:
    """The newest known schedules, by namespace and name."""

    def __init__(self, concerned: Callable[[Key], object] = lambda _: None) -> None:
        """`concerned` is called with each schedule whose right to its purpose another one's change may change."""
        self._concerned = concerned
        self._entries: dict[Key, Entry] = {}
        self._packer = Packer()
        self._by_uid: dict[str, Key] = {}
        self._by_purpose: defaultdict[tuple[str, str], set[Key]] = defaultdict(set)
        self._gone: dict[Key, int] = {}
        """The versions at which schedules went: the answer to an own write may come after the watch told of that."""

    def __len__(self) -> int:
        return len(self._entries)

    def put(self, document: Document) -> bool:
        """Take in a schedule; False when that or something newer is known."""
        metadata, spec = document["metadata"], document["spec"]
        # What thousands of schedules have in common is kept once.
        key, version = (intern(metadata["namespace"]), metadata["name"]), int(metadata["resourceVersion"])
        known = self._entries.get(key)
        if version <= max(known.version if known is not None else 0, self._gone.get(key, 0)):
            return False
        rivals = self.rivals(key)
        self._remove(key)
        purpose, status = spec.get("purpose") or "", document.get("status") or {}
        self._entries[key] = Entry(
            version=version,
            uid=metadata["uid"],
            created=metadata["creationTimestamp"],
            purpose=purpose,
            state=intern(status.get("state") or ""),
            broken=_is_broken(status),
            packed=self._packer.pack({**document, "metadata": {**metadata, "managedFields": None}}),
        )
        self._by_uid[metadata["uid"]] = key
        if purpose:
            self._by_purpose[key[0], purpose].add(key)
        if known is None or _claim(known) != _claim(self._entries[key]):
            self._tell({*rivals, *self.rivals(key)})
        return True

    def drop(self, document: Document) -> bool:
        """Forget a schedule that was deleted; False when another of its name has been made since."""
        metadata = document["metadata"]
        key, version = (metadata["namespace"], metadata["name"]), int(metadata["resourceVersion"])
        known = self._entries.get(key)
        if known is not None and known.version > version:
            return False
        self.forget(key, version)
        return True

    def forget(self, key: Key, as_of: int = 0) -> None:
        """Forget a schedule that is known to be gone as of a version, at least as of the last one of it."""
        known, rivals = self._entries.get(key), self.rivals(key)
        self._gone[key] = max(as_of, known.version if known is not None else 0, self._gone.pop(key, 0))
        while len(self._gone) > MAX_GONE:
            del self._gone[next(iter(self._gone))]
        self._remove(key)
        self._tell(rivals)

    def _tell(self, keys: Iterable[Key]) -> None:
        for key in keys:
            self._concerned(key)

    def _remove(self, key: Key) -> None:
        entry = self._entries.pop(key, None)
        if entry is None:
            return
        self._by_uid.pop(entry.uid, None)
        if entry.purpose:
            same = self._by_purpose[key[0], entry.purpose]
            same.discard(key)
            if not same:
                del self._by_purpose[key[0], entry.purpose]

    def read(self, key: Key) -> tuple[Schedule, Document] | None:
        """A schedule, and its JSON; None when there is none. Raises UnreadableError when it cannot be read."""
        document = self.document(key)
        if document is None:
            return None
        try:
            return Schedule.model_validate(document), document
        except ValidationError as error:
            raise UnreadableError(document, first_problem(error)) from error

    def document(self, key: Key) -> Document | None:
        """The JSON of a schedule; None when there is none."""
        entry = self._entries.get(key)
        return self._packer.unpack(entry.packed) if entry is not None else None

    def uid(self, key: Key) -> Sequence[str]:
        """The uid of a schedule, if it is there."""
        entry = self._entries.get(key)
        return (entry.uid,) if entry is not None else ()

    def of_uid(self, uid: str) -> Key | None:
        """The schedule with a uid."""
        return self._by_uid.get(uid)

    def rivals(self, key: Key) -> Sequence[Key]:
        """All other schedules of the namespace with the same purpose."""
        entry = self._entries.get(key)
        same = self._by_purpose.get((key[0], entry.purpose), set()) if entry and entry.purpose else set()
        return [other for other in same if other != key]

    def holder(self, key: Key) -> str | None:
        """The name of another unfinished schedule with the same purpose that comes before this one.

        Who is at it keeps it; of others the oldest comes first.
        """
        entry = self._entries[key]
        if entry.state == ScheduleState.FINISHED:
            return None  # it needs its purpose no more
        rivals = ((other, self._entries[other]) for other in self.rivals(key))
        before = [
            (_rank(found), other[1])
            for other, found in rivals
            if found.state != ScheduleState.FINISHED and not found.broken and _rank(found) < _rank(entry)
        ]
        return min(before)[1] if before else None

    def vanished(self, namespace: str | None, listed: Container[Key], as_of: float = math.inf) -> set[Key]:
        """Those that are known but not in a full list."""
        return {
            key
            for key, entry in self._entries.items()
            if key not in listed and entry.version <= as_of and namespace in (None, key[0])
        }

    def untold(self, versions: Mapping[Key, int]) -> dict[Key, int]:
        """Those of a full list, as resource versions, that are newer than what is known."""
        return {
            key: version
            for key, version in versions.items()
            if version > max(self._gone.get(key, 0), self._entries[key].version if key in self._entries else 0)
        }


def _claim(entry: Entry) -> tuple[str, str, bool, str]:
    """What a schedule's right to its purpose, and so that of others, follows from."""
    return entry.purpose, entry.state, entry.broken, entry.uid


def _is_broken(status: Mapping[str, Any]) -> bool:
    conditions = status.get("conditions") or ()
    rivalled = any(condition.get("reason") == Reason.PURPOSE_TAKEN for condition in conditions)
    return status.get("state") == ScheduleState.INVALID and not rivalled


def _rank(entry: Entry) -> tuple[bool, str, str]:
    return entry.state not in (ScheduleState.ACTIVE, ScheduleState.SUSPENDED), entry.created, entry.uid


def may_be_untold(document: Document, planned: str) -> bool:
    """Whether there may be a run, with that annotation of what it was planned for, that a schedule's status does not
    tell of."""
    metadata = document["metadata"]
    if planned == MANUAL:
        # The request is taken away only after the status that tells of it was written.
        return ANNOTATION_RUN_NOW in (metadata.get("annotations") or {})
    moment = _moment(planned)
    until = _moment((document.get("status") or {}).get("decidedUntil")) or _moment(metadata["creationTimestamp"])
    return moment is not None and (until is None or moment > until)


def _moment(text: str | None) -> datetime | None:
    """A time, if it is one: annotations say anything, and the API server takes the year 0."""
    try:
        found = datetime.fromisoformat(text or "")
    except ValueError:
        return None
    return found if found.tzinfo else None


def settled_until(document: Document, children: Sequence[JobInvocation]) -> datetime | None:
    """When to look at a schedule first after a start, if its status says so, and nothing has happened to it since.

    None also when its status does not tell of one of its invocations, or an old one is left to be deleted.
    """
    metadata, spec, status = document["metadata"], document["spec"], document.get("status") or {}
    untouched = (
        status.get("state") == ScheduleState.ACTIVE
        and status.get("observedGeneration") == metadata.get("generation")
        and not status.get("active")
        and not spec.get("purpose")
        and ANNOTATION_RUN_NOW not in (metadata.get("annotations") or {})
    )
    times = status.get("nextTimes") or ()
    if not untouched or not times:
        return None
    if any(child.waits_for_schedule for child in children):
        return None  # it may have to be taken back
    if any(may_be_untold(document, child.metadata.annotations.get(ANNOTATION_PLANNED, "")) for child in children):
        return None  # the clock was set back since it was made
    old = beyond_history(children, spec.get("successfulJobsHistoryLimit", 0), spec.get("failedJobsHistoryLimit", 0))
    return None if old else _moment(times[0])
