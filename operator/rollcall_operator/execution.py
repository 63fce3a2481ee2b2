"""Carrying a plan out: children first, then one status write, then events; after the last status the pods go.

Everything in a plan can be done twice: a plan that was cut short is made and carried out again.
"""

import asyncio
import base64
import logging
from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import partial
from hashlib import sha256
from secrets import token_hex
from typing import Final

from rollcall.names import (
    ANNOTATION_STOP,
    FINALIZER_COLLECT,
    LABEL_INVOCATION,
    LABEL_MANAGED_BY,
    MANAGED_BY,
    Kind,
    Reason,
)
from rollcall.plan.contacts import contacts
from rollcall.plan.observed import Note, Observed, Plan, Refusal
from rollcall.plan.playbooks import provider_of, with_text
from rollcall.plan.pods import HURRIED_GRACE_SECONDS, Pod
from rollcall.plan.prepare import Prepared, SecretData, prepare, work_secrets
from rollcall.plan.results import with_failures
from rollcall.plan.ways import all_jump_hosts, known_hosts_maps
from rollcall.resources.jobinvocation import JobInvocation
from rollcall.resources.jobslice import JobSlice, JobSliceSpec, JobSliceStatus
from rollcall.resources.jobtemplate import JobTemplate
from rollcall.resources.meta import Resource
from rollcall.work import MAX_WORK_BYTES, StopOrder
from rollcall_operator import manifests
from rollcall_operator.cluster import Cluster, ClusterError, ConflictError, NotFoundError, RefusedError
from rollcall_operator.config_maps import read_config_maps
from rollcall_operator.contacts import Contacts
from rollcall_operator.host_keys import HostKeys
from rollcall_operator.runner_pods import pod_of_template
from rollcall_operator.settings import Settings
from rollcall_operator.side_by_side import side_by_side
from rollcall_operator.statuses import Statuses
from rollcall_operator.store import Key, Store

logger = logging.getLogger(__name__)

REFUSED_RETRY: Final = timedelta(seconds=5)
CREATE_RETRY_SECONDS: Final = (0.2, 1.0)
"""How long to wait before an object that the API server failed to create is created again."""
SERVER_ERROR: Final = 500
_SLICES: Final = Kind.JOB_SLICE.plural
_INVOCATIONS: Final = Kind.JOB_INVOCATION.plural


@dataclass
class Memory:
    """What the operator keeps in mind of an unfinished invocation; all of it may be lost."""

    nudge: asyncio.Event = field(default_factory=asyncio.Event)
    progress_written: datetime | None = None
    refused: dict[str, Refusal] = field(default_factory=dict)
    made_pods: set[str] = field(default_factory=set)
    told: str = ""
    """The last refusal that an Event told."""
    work_suffixes: dict[bytes, str] = field(default_factory=dict)
    """What the names of the Secrets that were made end with, by a digest of their content."""
    thought_seconds: float = 0.0
    """How long the last decision took."""


class Execution:
    """Does what plans say."""

    def __init__(self, cluster: Cluster, store: Store, settings: Settings) -> None:
        self._cluster = cluster
        self._store = store
        self._settings = settings
        self._statuses = Statuses(cluster, store)
        self._host_keys = HostKeys(cluster, store)
        self.contacts = Contacts(cluster, store)
        self._emissions: set[asyncio.Task[None]] = set()

    async def carry_out(self, observed: Observed, plan: Plan, memory: Memory) -> None:
        """Do what the plan says, in its order. Raises ClusterError at what cannot be done."""
        invocation = observed.invocation
        namespace, name = key = invocation.metadata.namespace, invocation.metadata.name
        mine = f"{LABEL_INVOCATION}={name}"
        # As they are now, and as the plan took them to be.
        seen = {slice_: observed.slices.get(slice_) for slice_, _ in plan.slice_statuses}
        # Secrets go once all results are safe, so that nothing needs them any more; pods are let go beside that.
        safe = frozenset() if plan.clean_up else frozenset(plan.release_pods)
        if plan.discard_slices:
            await self._make_sure(key)
            await self._cluster.delete_all(_SLICES, namespace, mine)
            for object_name in {slice_.object_name for slice_ in self._store.slices.get(key, {}).values()}:
                self._store.forget(_SLICES, namespace, object_name)
        await side_by_side(self._create_slice(slice_) for slice_ in plan.create_slices)
        await self._host_keys.record(namespace, observed, (slice_ for slice_, _ in plan.slice_statuses))
        statuses = [(found, status) for slice_, status in plan.slice_statuses if (found := seen[slice_]) is not None]
        await self._write_slices(statuses, safe)
        self.contacts.notice(namespace, contacts(observed.template, (status for _, status in plan.slice_statuses)))
        left = (slice_ for slice_ in plan.release_pods if slice_ not in seen or plan.clean_up)
        releases = [self.release_pod(key, slice_) for slice_ in left]
        if plan.clean_up:
            selector = f"{mine},{LABEL_MANAGED_BY}={MANAGED_BY}"
            releases.append(self._cluster.delete_all("secrets", namespace, selector))
        await side_by_side(releases)
        await side_by_side(self._give_order(key, slice_, order) for slice_, order in plan.orders)
        patient = (slice_ for slice_ in plan.delete_pods if slice_ not in plan.hasten_pods)
        await side_by_side(self.delete_pod(key, slice_) for slice_ in patient)
        await side_by_side(self.delete_pod(key, slice_, HURRIED_GRACE_SECONDS) for slice_ in plan.hasten_pods)
        await self._start_slices(observed, plan.start_slices, memory)
        if plan.status is not None:
            await self._statuses.write_invocation(invocation, plan.status)
        for note in plan.notes:
            self.tell(invocation, note)

    async def remove_pods(self, key: Key) -> None:
        """Delete the pods of an invocation that is over. It takes long: the API server deletes one after the other."""
        await self._cluster.delete_all("pods", key[0], f"{LABEL_INVOCATION}={key[1]}")

    async def _make_sure(self, key: Key) -> None:
        """Read the invocation anew. Raises ConflictError when it is not as the plan took it to be.

        The answer to the write that committed its slices may have been lost, and the watch may be late.
        """
        if self._store.put(_INVOCATIONS, await self._cluster.get(_INVOCATIONS, *key)):
            raise ConflictError(409, "Conflict", f"invocation {key[0]}/{key[1]} has changed")

    async def _create_slice(self, slice_: JobSlice) -> None:
        """Create a slice. Raises ConflictError while a leftover of that name has other hosts."""
        found = await self._insist(lambda: self._create_own(_SLICES, manifests.job_slice(slice_)))
        self._store.put(_SLICES, found)
        if JobSliceSpec.model_validate(found["spec"]) != slice_.spec:
            raise ConflictError(409, "AlreadyExists", f"slice {slice_.metadata.name} is left over from another dealing")

    async def _insist(self, create: Callable[[], Awaitable[manifests.Manifest]]) -> manifests.Manifest:
        """Create one of many objects, again if the API server fails at it: all of them are discarded for one that is
        missing (docs/adr/0002)."""
        for seconds in CREATE_RETRY_SECONDS:
            try:
                return await create()
            except ClusterError as error:
                if error.status < SERVER_ERROR:
                    raise
            await asyncio.sleep(seconds)
        return await create()

    async def _write_slices(
        self, statuses: Iterable[tuple[JobSlice, JobSliceStatus]], safe: frozenset[str] = frozenset()
    ) -> None:
        """Write the statuses of slices, and let the pods go whose results are safe with that."""
        await self._statuses.write_slices(statuses, partial(self._release, safe))

    async def _release(self, safe: frozenset[str], invocation: Key, slices: Iterable[str]) -> None:
        await side_by_side(self.release_pod(invocation, name) for name in slices if name in safe)

    async def _give_order(self, key: Key, name: str, order: StopOrder) -> None:
        """Tell a runner at work what to stop: it reads the annotation as a file."""
        patch = {"metadata": {"annotations": {ANNOTATION_STOP: order.dump()}}}
        try:
            self._store.put("pods", await self._cluster.merge("pods", key[0], name, patch))
        except NotFoundError:
            self._store.forget("pods", key[0], name)

    async def release_pod(self, key: Key, name: str) -> None:
        """Take the finalizer off that keeps the pod until its results are safe; those of others stay."""
        pod = self._store.pods.get(key, {}).get(name)
        finalizers = () if pod is None else pod.finalizers
        while pod is not None and FINALIZER_COLLECT in finalizers:
            place = f"/metadata/finalizers/{finalizers.index(FINALIZER_COLLECT)}"
            patch = [
                {"op": "test", "path": "/metadata/uid", "value": pod.uid},  # another pod of that name keeps its own
                {"op": "test", "path": place, "value": FINALIZER_COLLECT},
                {"op": "remove", "path": place},
            ]
            try:
                self._store.put("pods", await self._cluster.amend("pods", key[0], name, patch))
                return
            except NotFoundError:
                self._store.forget("pods", key[0], name)
                return
            except RefusedError:
                # Somebody has set or taken off another one, which the watch has not told yet.
                now = await self._find_finalizers(pod)
                if now == finalizers:
                    raise
                finalizers = now

    async def _find_finalizers(self, pod: Pod) -> tuple[str, ...]:
        """The finalizers of a pod at this moment; none when it is gone."""
        try:
            found = await self._cluster.get("pods", pod.namespace, pod.name)
        except NotFoundError:
            self._store.forget("pods", pod.namespace, pod.name)
            return ()
        self._store.put("pods", found)
        metadata = found["metadata"]
        return tuple(metadata.get("finalizers", ())) if metadata["uid"] == pod.uid else ()

    async def delete_pod(self, key: Key, name: str, grace_seconds: int | None = None) -> None:
        """Ask for the pod's end, with its own grace period or another."""
        pod = self._store.pods.get(key, {}).get(name)
        if pod is not None:
            await self._cluster.delete("pods", key[0], name, uid=pod.uid, grace_seconds=grace_seconds)

    async def _start_slices(self, observed: Observed, slices: Sequence[JobSlice], memory: Memory) -> None:
        """Start the slices. Raises RefusedError when the API server will not take one of the pods."""
        if not slices:
            return
        invocation, hosts = observed.invocation, observed.hosts
        namespace = invocation.metadata.namespace
        template = await self.with_playbook(observed.template)
        known = template if isinstance(template, JobTemplate) else None
        chosen = [hosts[name] for slice_ in slices for name in slice_.spec.hosts if name in hosts]
        logged_in_to = () if known is not None and known.in_pod else chosen
        jumps = all_jump_hosts(logged_in_to, hosts)
        secrets = await self.read_secrets(namespace, work_secrets(invocation, logged_in_to, jumps))
        config_maps = await read_config_maps(self._cluster, namespace, known_hosts_maps((*logged_in_to, *jumps)))
        limit, inventories = self._settings.runner.output_limit_bytes, observed.inventories

        def prepare_all() -> dict[str, Prepared]:
            return {
                slice_.metadata.name: prepare(
                    invocation, slice_, template, hosts, secrets, limit, config_maps, inventories
                )
                for slice_ in slices
            }

        # With large facts it takes a second a slice, in which the Lease would not be renewed.
        prepared = await asyncio.to_thread(prepare_all)
        now = datetime.now(UTC)
        await self._write_slices(
            (slice_, with_failures(slice_, found.failures, now))
            for slice_ in slices
            if (found := prepared[slice_.metadata.name]).failures
        )
        works = {name: found.work for name, found in prepared.items() if found.work is not None}
        if known is None:
            return  # it is gone, and all hosts have failed for that
        start = partial(self._start_together, invocation, known, memory)
        startable = {slice_.metadata.name: slice_ for slice_ in slices}
        await side_by_side(start([startable[name] for name in group], group) for group in _grouped(works))

    async def _start_together(
        self,
        invocation: JobInvocation,
        template: JobTemplate,
        memory: Memory,
        slices: Sequence[JobSlice],
        works: Mapping[str, bytes],
    ) -> None:
        """Hand the works of some slices to a pod each, by one Secret of which each pod sees its own part."""
        # Work that could not be handed over is offered again in the same Secret.
        suffix = memory.work_suffixes.setdefault(_digest(works), token_hex(8))
        secret = manifests.work_secret(invocation, works, suffix)
        try:
            await self._create_own("secrets", secret)
        except (RefusedError, ConflictError) as error:
            for slice_ in slices:
                self._note_refusal(slice_, error, memory)
            raise
        name = secret["metadata"]["name"]
        await side_by_side(self._start_slice(slice_, name, template, memory) for slice_ in slices)

    async def _start_slice(self, slice_: JobSlice, secret: str, template: JobTemplate, memory: Memory) -> None:
        name, settings = slice_.metadata.name, self._settings.runner
        grace = template.spec.termination_grace_period_seconds + settings.grace_period_seconds
        try:
            manifest = pod_of_template(slice_, secret, settings, grace, template)
            pod = await self._create_own("pods", manifest)
        except (RefusedError, ConflictError) as error:
            self._note_refusal(slice_, error, memory)
            raise
        self._store.put("pods", pod)
        memory.refused.pop(name, None)
        memory.made_pods.add(name)

    def _note_refusal(self, slice_: JobSlice, error: ClusterError, memory: Memory) -> None:
        """Remember that the API server does not take the slice's pod, and say so once."""
        name, now = slice_.metadata.name, datetime.now(UTC)
        if name not in memory.refused:
            self.tell(slice_, Note(Reason.POD_REFUSED, error.message, warning=True))
        since = memory.refused[name].since if name in memory.refused else now
        memory.refused[name] = Refusal(since, now + REFUSED_RETRY, error.message)

    async def _create_own(self, plural: str, manifest: manifests.Manifest) -> manifests.Manifest:
        """Create an object, or find that it was created before. Raises ConflictError when the name is another's."""
        try:
            return await self._cluster.create(plural, manifest)
        except ConflictError:
            metadata = manifest["metadata"]
            found = await self._cluster.get(plural, metadata["namespace"], metadata["name"])
            owners = {owner["uid"] for owner in found["metadata"].get("ownerReferences", ())}
            if metadata["ownerReferences"][0]["uid"] in owners:
                return found
            raise

    def tell(self, about: Resource, note: Note) -> None:
        """Emit a Kubernetes Event. Nothing waits for it: one that cannot be emitted is not worth doing work again."""
        document = manifests.event(about, note, self._settings.identity, datetime.now(UTC))
        emission = asyncio.create_task(self._emit(document))
        self._emissions.add(emission)
        emission.add_done_callback(self._emissions.discard)

    async def _emit(self, event: manifests.Manifest) -> None:
        try:
            await self._cluster.create("events", event)
        except ClusterError as error:
            regarding = event["regarding"]
            logger.warning("no event about %s/%s: %s", regarding["namespace"], regarding["name"], error)

    async def with_playbook(self, template: JobTemplate | str | None) -> JobTemplate | str | None:
        """The template with the playbook that a ConfigMap holds for it, if it is there."""
        ansible = provider_of(template) if isinstance(template, JobTemplate) else None
        if not isinstance(template, JobTemplate) or ansible is None or ansible.playbook_from is None:
            return template
        source = ansible.playbook_from.config_map_key_ref
        found = await read_config_maps(self._cluster, template.metadata.namespace, [source.name])
        return with_text(template, (found[source.name] or {}).get(source.key))

    async def read_secrets(self, namespace: str, names: Iterable[str]) -> dict[str, SecretData | None]:
        """The data of each Secret, None for one that is not there."""
        found: dict[str, SecretData | None] = {}
        for name in names:
            try:
                data = (await self._cluster.get("secrets", namespace, name)).get("data") or {}
                found[name] = {key: base64.b64decode(value) for key, value in data.items()}
            except NotFoundError:
                found[name] = None
        return found


def _digest(works: Mapping[str, bytes]) -> bytes:
    """The same for the same works."""
    digest = sha256()
    for name, work in works.items():
        digest.update(name.encode() + b"/" + sha256(work).digest())
    return digest.digest()


def _grouped(works: Mapping[str, bytes]) -> Iterator[dict[str, bytes]]:
    """The works in groups that each fit into a Secret."""
    group: dict[str, bytes] = {}
    size = 0
    for name, work in works.items():
        if group and size + len(work) > MAX_WORK_BYTES:
            yield group
            group, size = {}, 0
        group[name] = work
        size += len(work)
    if group:
        yield group
