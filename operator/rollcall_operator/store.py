"""What the operator has seen of the cluster: the newest known state of every object that decisions need.

It is fed by a full list at start, by every watch event, and by the answers to the operator's own writes, so that a
decision never works with less than what the operator itself has done. Whatever is older than what it holds is ignored.
Watches lose deletions when they are interrupted: `vanished` finds them in a full list.
"""

import logging
import math
from collections import defaultdict
from collections.abc import Callable, Container, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from pydantic import ValidationError

from rollcall.names import Kind
from rollcall.plan.pods import Pod, read_pod
from rollcall.plan.slices import Slices
from rollcall.plan.units import units
from rollcall.resources.host import Host
from rollcall.resources.inventory import Inventory
from rollcall.resources.jobinvocation import JobInvocation
from rollcall.resources.jobslice import JobSlice
from rollcall.resources.jobtemplate import JobTemplate
from rollcall.resources.meta import Resource
from rollcall.targeting import Fleet
from rollcall_operator.host_cache import HostCache

logger = logging.getLogger(__name__)

Document = dict[str, Any]
Key = tuple[str, str]
"""Namespace and name."""
Identity = tuple[str, str, str]
"""Plural, namespace and name."""
Part = tuple[str, str]
"""A slice's name, and its object's uid."""
Entry = JobInvocation | JobSlice | Pod
MAX_GONE: Final = 10_000

_MODELS: dict[str, type[Resource]] = {
    Kind.HOST.plural: Host,
    Kind.INVENTORY.plural: Inventory,
    Kind.JOB_TEMPLATE.plural: JobTemplate,
    Kind.JOB_INVOCATION.plural: JobInvocation,
    Kind.JOB_SLICE.plural: JobSlice,
}
WATCHED = (*_MODELS, "configmaps", "pods")


@dataclass
class Store:
    """The newest known objects, by namespace and name. `changed` is called with the invocation that a change is of."""

    changed: Callable[[Key], None] = lambda _: None
    replaced: Callable[[Entry | None, Entry | None], None] = lambda _, __: None
    """Called with what an invocation, a slice or a pod was and what it is now; None while it is not there."""
    fleet_changed: Callable[[str, Iterable[str]], None] = lambda _, __: None
    """Called with a namespace of which a Host or an Inventory has changed, and the names of those Hosts that take facts
    from elsewhere which have changed."""
    invocations: dict[Key, JobInvocation] = field(default_factory=dict)
    templates: defaultdict[str, dict[str, JobTemplate | str]] = field(default_factory=lambda: defaultdict(dict))
    """A template that cannot be read is a sentence that says why."""
    hosts: defaultdict[str, HostCache] = field(default_factory=lambda: defaultdict(HostCache))
    inventories: defaultdict[str, dict[str, Inventory | str]] = field(default_factory=lambda: defaultdict(dict))
    """An inventory that cannot be read is a sentence that says why."""
    slice_objects: dict[Key, JobSlice] = field(default_factory=dict)
    """The JobSlice objects as they are; what they are to decisions is in `slices`."""
    slices: defaultdict[Key, dict[Part, JobSlice]] = field(default_factory=lambda: defaultdict(dict))
    """By invocation, then by name and uid: an object and what another life of the invocation has left may both have a
    slice of one name."""
    dealt: dict[str, Slices] = field(default_factory=dict)
    """By the uid of the invocation that owns them: one of another life of it may have had the same name."""
    pods: defaultdict[Key, dict[str, Pod]] = field(default_factory=lambda: defaultdict(dict))
    """By invocation, then by name, which is their slice's."""
    with_output: set[Key] = field(default_factory=set)
    """The slice objects whose status holds output, by namespace and name. The output is not kept here: nothing is
    decided by it, and that of thousands of slices would be most of what there is."""
    _versions: dict[Identity, int] = field(default_factory=dict)
    _owners: dict[Identity, Key] = field(default_factory=dict)
    """The invocation of each pod."""
    _gone: dict[Identity, int] = field(default_factory=dict)
    """The versions at which objects went: the answer to an own write may come after the watch told of that."""

    def put(self, plural: str, document: Document) -> bool:
        """Take in an object; False when something newer is known already."""
        metadata = document["metadata"]
        identity = (plural, metadata["namespace"], metadata["name"])
        # Resource versions of one kind can be compared as numbers (KEP-5504).
        version = int(metadata["resourceVersion"])
        if version <= max(self._versions.get(identity, 0), self._gone.get(identity, 0)):
            return False
        self._versions[identity] = version
        self._keep(plural, document)
        return True

    def drop(self, plural: str, document: Document) -> None:
        """Forget an object that is gone."""
        metadata = document["metadata"]
        namespace, name = metadata["namespace"], metadata["name"]
        identity, version = (plural, namespace, name), int(metadata["resourceVersion"])
        if self._versions.get(identity, 0) > version:
            return  # another object of that name has been made since
        self._gone[identity] = version
        while len(self._gone) > MAX_GONE:
            del self._gone[next(iter(self._gone))]
        self.forget(*identity)

    def forget(self, plural: str, namespace: str, name: str) -> None:
        """Forget an object that is known to be gone."""
        identity = (plural, namespace, name)
        self._versions.pop(identity, None)
        match plural:
            case Kind.JOB_INVOCATION.plural:
                self.replaced(self.invocations.pop((namespace, name), None), None)
                self.changed((namespace, name))
            case Kind.JOB_TEMPLATE.plural:
                self.templates[namespace].pop(name, None)
            case Kind.HOST.plural:
                self.hosts[namespace].remove(name)
                self.fleet_changed(namespace, ())
            case Kind.INVENTORY.plural:
                self.inventories[namespace].pop(name, None)
            case "configmaps":
                self.fleet_changed(namespace, self.hosts[namespace].put_facts(name, None))
            case Kind.JOB_SLICE.plural:
                self.with_output.discard((namespace, name))
                self._keep_slice((namespace, name), None)
            case "pods":
                self._forget_pod(identity)

    def _forget_pod(self, identity: Identity) -> None:
        """Forget a pod, whatever its labels said in the end."""
        owner = self._owners.pop(identity, None)
        if owner is not None:
            self.replaced(self.pods[owner].pop(identity[2], None), None)
            if not self.pods[owner]:
                del self.pods[owner]
            self.changed(owner)

    def untold(self, plural: str, listed: Mapping[Key, int]) -> dict[Key, int]:
        """Those of a full list's resource versions that are newer than what is known."""
        return {key: version for key, version in listed.items() if version > self._versions.get((plural, *key), 0)}

    def vanished(self, plural: str, listed: Container[Key], as_of: float = math.inf) -> list[Key]:
        """What is known, by namespace and name, but is not in a full list; what is newer than the list aside."""
        return [
            identity[1:]
            for identity, version in self._versions.items()
            if identity[0] == plural and version <= as_of and identity[1:] not in listed
        ]

    def fleet(self, namespace: str) -> Fleet:
        """What hosts are chosen from in a namespace."""
        known = self.hosts[namespace]
        return Fleet(known.hosts, known.index, self.inventories[namespace])

    def _keep(self, plural: str, document: Document) -> None:
        metadata = document["metadata"]
        namespace, name = metadata["namespace"], metadata["name"]
        if plural == "configmaps":
            self.fleet_changed(namespace, self.hosts[namespace].put_facts(name, document.get("data") or {}))
            return
        try:
            parsed = read_pod(document) if plural == "pods" else parse(plural, document)
        except (ValidationError, ValueError) as error:
            self._keep_broken(plural, namespace, name, error)
            return
        match parsed:
            case JobInvocation():
                self.replaced(self.invocations.get((namespace, name)), parsed)
                self.invocations[namespace, name] = parsed
                self.changed((namespace, name))
            case JobTemplate():
                self.templates[namespace][name] = parsed
            case Host():
                self.hosts[namespace].put(parsed)
                self.fleet_changed(namespace, ())
            case Inventory():
                self.inventories[namespace][name] = parsed
                self.fleet_changed(namespace, ())
            case JobSlice():
                status = document.get("status") or {}
                holds_output = bool(status.get("output") or status.get("outputs"))
                (self.with_output.add if holds_output else self.with_output.discard)((namespace, name))
                self._keep_slice((namespace, name), parsed)
            case Pod():
                self._keep_pod((plural, namespace, name), parsed)

    def _keep_pod(self, identity: Identity, pod: Pod) -> None:
        owner = self._owners[identity] = (pod.namespace, pod.invocation)
        before = self.pods[owner].get(pod.name)
        self.replaced(before, pod)
        self.pods[owner][pod.name] = pod
        self.changed(owner)

    def _keep_slice(self, key: Key, whole: JobSlice | None) -> None:
        """Take in what a slice object is now; None when it is gone. Most of those that share one do not change."""
        before = self.slice_objects.pop(key, None)
        if whole is not None:
            self.slice_objects[key] = whole
        parts = {} if whole is None else {_part(slice_): slice_ for slice_ in units(whole)}
        known = {} if before is None else {_part(slice_): slice_ for slice_ in units(before)}
        for part in known.keys() - parts.keys():
            self._replace_slice(known[part], None)
        for part, slice_ in parts.items():
            if slice_ is whole or not _alike(known.get(part), slice_):
                self._replace_slice(known.get(part), slice_)
        for invocation in {_invocation(found) for found in (before, whole) if found is not None}:
            self.changed(invocation)

    def _replace_slice(self, old: JobSlice | None, new: JobSlice | None) -> None:
        self.replaced(old, new)
        if old is not None:
            self._undeal(old)
        if new is not None:
            self.slices[_invocation(new)][_part(new)] = new
            self.dealt.setdefault(_owner(new), Slices()).put(new)

    def _undeal(self, slice_: JobSlice) -> None:
        """Take a slice that is gone out of its invocation's."""
        invocation = _invocation(slice_)
        self.slices[invocation].pop(_part(slice_), None)
        if not self.slices[invocation]:
            del self.slices[invocation]
        owner = _owner(slice_)
        slices = self.dealt.get(owner)
        known = None if slices is None else slices.get(slice_.metadata.name)
        if slices is not None and known is not None and known.metadata.uid == slice_.metadata.uid:
            slices.remove(slice_.metadata.name)
            if not slices:
                del self.dealt[owner]

    def _keep_broken(self, plural: str, namespace: str, name: str, error: ValueError) -> None:
        """Live on with an object that cannot be read: only those who need it are told."""
        said = first_problem(error)
        logger.warning("cannot read %s %s/%s: %s", plural, namespace, name, said)
        if plural == Kind.JOB_TEMPLATE.plural:
            self.templates[namespace][name] = said
        elif plural == Kind.INVENTORY.plural:
            self.inventories[namespace][name] = said
        elif plural == Kind.HOST.plural:
            self.hosts[namespace].remove(name)
            self.fleet_changed(namespace, ())


def parse(plural: str, document: Document) -> Resource:
    """A resource as it is kept here. Raises ValidationError for one that cannot be read."""
    parsed = _MODELS[plural].model_validate(document)
    return parsed.without_output() if isinstance(parsed, JobSlice) else parsed


def _alike(old: JobSlice | None, new: JobSlice) -> bool:
    """Whether a slice of several in an object is still as it was."""
    deleted = new.metadata.deletion_timestamp
    return old is not None and old.status == new.status and old.metadata.deletion_timestamp == deleted


def _part(slice_: JobSlice) -> Part:
    return slice_.metadata.name, slice_.metadata.uid


def _invocation(slice_: JobSlice) -> Key:
    return slice_.metadata.namespace, slice_.spec.invocation_ref.name


def _owner(slice_: JobSlice) -> str:
    """The uid of the invocation that the slice was made for."""
    return next((reference.uid for reference in slice_.metadata.owner_references), "")


def first_problem(error: ValueError) -> str:
    """What is wrong with an object that cannot be read, without its values."""
    if isinstance(error, ValidationError):
        problem = error.errors(include_input=False, include_url=False)[0]
        return f"{'.'.join(str(part) for part in problem['loc'])}: {problem['msg']}"
    return str(error)
