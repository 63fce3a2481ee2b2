"""Reconciling: observe an invocation, ask `rollcall.plan` what to do, and carry it out.

Children first, then one status write, then events. A step that fails in the middle is taken again from the start:
everything in a plan can be done twice. Nothing else in the operator writes to invocations, slices or pods.
"""

import asyncio
import base64
import logging
from collections import defaultdict
from collections.abc import Awaitable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Final

import kopf

from rollcall.names import (
    FINALIZER_COLLECT,
    LABEL_INVOCATION,
    LABEL_MANAGED_BY,
    LABEL_SLICE,
    MANAGED_BY,
    ConditionType,
    Kind,
    Reason,
)
from rollcall.plan.invocation import reconcile
from rollcall.plan.observed import Note, Observed, Plan, Refusal
from rollcall.plan.prepare import Prepared, SecretData, credential_secrets, prepare
from rollcall.plan.resolution import needed_secrets
from rollcall.plan.results import with_failures
from rollcall.resources.jobinvocation import JobInvocation
from rollcall.resources.jobslice import JobSlice, JobSliceStatus
from rollcall.resources.meta import Resource
from rollcall_operator import manifests
from rollcall_operator.cluster import Cluster, ClusterError, ConflictError, NotFoundError, RefusedError
from rollcall_operator.collector import Collector
from rollcall_operator.settings import Settings
from rollcall_operator.store import Key, Store

logger = logging.getLogger(__name__)

RETRY_SECONDS: Final = (0.2, 0.5, 1, 2, 5, 10)
"""How long to wait after the first, second, ... failed step in a row."""
REFUSED_RETRY: Final = timedelta(seconds=5)
_SLICES: Final = Kind.JOB_SLICE.plural
_INVOCATIONS: Final = Kind.JOB_INVOCATION.plural


@dataclass
class _Memory:
    """What the operator keeps in mind of an unfinished invocation; all of it may be lost."""

    nudge: asyncio.Event = field(default_factory=asyncio.Event)
    progress_written: datetime | None = None
    refused: dict[str, Refusal] = field(default_factory=dict)
    made_pods: set[str] = field(default_factory=set)
    told: str = ""
    """The last refusal that an Event told."""


class Reconciler:
    """Carries invocations from their creation to their end."""

    def __init__(self, cluster: Cluster, store: Store, settings: Settings) -> None:
        self._cluster = cluster
        self._store = store
        self._settings = settings
        self._collector = Collector(cluster, store, settings.output_limit_bytes_per_invocation, self.nudge)
        self._memories: defaultdict[Key, _Memory] = defaultdict(_Memory)
        store.changed = self.nudge

    def nudge(self, invocation: Key) -> None:
        """Make the invocation's task look again, if it has one."""
        if invocation in self._memories:
            self._memories[invocation].nudge.set()

    async def run(self, invocation: Key, stopped: kopf.DaemonStopped) -> None:
        """Reconcile until nothing is left to do; also through the invocation's deletion."""
        memory = self._memories[invocation]
        failures = 0
        while not _exiting(stopped):
            memory.nudge.clear()
            try:
                plan = await self._step(invocation, memory)
                failures = failures if plan.discard_slices else 0
            except ClusterError as error:
                plan = Plan(again_at=datetime.now(UTC) + _delay(failures))
                failures += 1
                logger.warning("invocation %s/%s, trying again: %s", *invocation, error)
                await self._tell_refusal(invocation, error, memory)
            if plan.done:
                break
            await _wait(memory.nudge, stopped, plan.again_at)
        self._collector.forget(invocation)
        self._memories.pop(invocation, None)

    async def _tell_refusal(self, key: Key, error: ClusterError, memory: _Memory) -> None:
        """Say once on the invocation what the API server will not take: only a person can change that."""
        invocation = self._store.invocations.get(key)
        if invocation is not None and isinstance(error, RefusedError) and error.message != memory.told:
            memory.told = error.message
            await self._tell(invocation, Note(Reason.REFUSED, error.message, warning=True))

    async def release_orphans(self) -> None:
        """Let pods go that nobody looks after: their invocation, or their slice, is gone or has ended.

        kopf begins no daemon for an object that is being deleted already when the operator starts.
        """
        now = datetime.now(UTC)
        for key, pods in list(self._store.pods.items()):
            invocation = self._store.invocations.get(key)
            slices = self._store.slices.get(key, {})
            for name, pod in list(pods.items()):
                owned = name in slices and slices[name].metadata.uid == pod.owner
                if not pod.held or (owned and invocation is not None and not invocation.finished):
                    continue
                if owned and key in self._memories:
                    continue
                try:
                    if pod.over(now):
                        await self._release_pod(key, name)
                    elif pod.deleting_since is None:
                        await self._delete_pod(key, name)
                except ClusterError as error:
                    logger.warning("pod %s/%s cannot be let go yet: %s", key[0], name, error)

    async def _step(self, key: Key, memory: _Memory) -> Plan:
        """One look and what follows from it."""
        invocation = self._store.invocations.get(key)
        if invocation is None:
            return Plan(done=True)
        now = datetime.now(UTC)
        if invocation.metadata.deletion_timestamp is None:
            self._follow(key, memory)
        plan = reconcile(await self._observe(key, invocation, memory), now)
        logger.debug("invocation %s/%s: %s", *key, plan)
        await self._carry_out(key, invocation, plan, memory)
        if plan.progress:
            memory.progress_written = now
        return plan

    def _follow(self, key: Key, memory: _Memory) -> None:
        """See to it that the output of every pod at work is collected."""
        slices = self._store.slices.get(key, {})
        for name, pod in self._store.pods.get(key, {}).items():
            if name in slices and not slices[name].done and slices[name].metadata.uid == pod.owner:
                self._collector.follow(slices[name], pod, fresh=name in memory.made_pods)

    async def _observe(self, key: Key, invocation: JobInvocation, memory: _Memory) -> Observed:
        namespace, uid = key[0], invocation.metadata.uid
        # What an earlier invocation of the same name left behind is none of ours: the garbage collector takes it.
        slices = [
            slice_
            for slice_ in self._store.slices.get(key, {}).values()
            if any(owner.uid == uid for owner in slice_.metadata.owner_references)
        ]
        owners = {slice_.metadata.name: slice_.metadata.uid for slice_ in slices}
        pods = self._store.pods.get(key, {}).items()
        observed = Observed(
            invocation=invocation,
            slices=slices,
            pods={name: pod for name, pod in pods if owners.get(name, pod.owner) == pod.owner},
            collected=self._collector.collected(key),
            refused=dict(memory.refused),
            hosts=self._store.hosts[namespace],
            template=self._store.templates.get((namespace, invocation.spec.template_ref.name)),
            made=frozenset(memory.made_pods),
            timing=self._settings.timing,
            progress_written=memory.progress_written,
        )
        if invocation.condition(ConditionType.RESOLVED) is not None:
            return observed
        secrets = await self._read_secrets(namespace, needed_secrets(observed))
        keys = {name: None if data is None else frozenset(data) for name, data in secrets.items()}
        return replace(observed, secrets=keys)

    async def _read_secrets(self, namespace: str, names: Iterable[str]) -> dict[str, SecretData | None]:
        """The data of each Secret, None for one that is not there."""
        found: dict[str, SecretData | None] = {}
        for name in names:
            try:
                data = (await self._cluster.get("secrets", namespace, name)).get("data") or {}
                found[name] = {key: base64.b64decode(value) for key, value in data.items()}
            except NotFoundError:
                found[name] = None
        return found

    async def _carry_out(self, key: Key, invocation: JobInvocation, plan: Plan, memory: _Memory) -> None:
        namespace, name = key
        mine = f"{LABEL_INVOCATION}={name}"
        if plan.discard_slices:
            await self._make_sure(key)
            await self._cluster.delete_all(_SLICES, namespace, mine)
            for slice_ in list(self._store.slices.get(key, {})):
                self._store.forget(_SLICES, namespace, slice_)
        await _all(self._create_slice(slice_) for slice_ in plan.create_slices)
        await _all(self._write_slice_status(key, slice_, status) for slice_, status in plan.slice_statuses)
        await _all(self._release_pod(key, slice_) for slice_ in plan.release_pods)
        await _all(self._delete_pod(key, slice_) for slice_ in plan.delete_pods)
        await self._start_slices(key, invocation, plan.start_slices, memory)
        if plan.clean_up:
            await self._cluster.delete_all("pods", namespace, mine)
            await self._cluster.delete_all("secrets", namespace, f"{mine},{LABEL_MANAGED_BY}={MANAGED_BY}")
        if plan.status is not None:
            patch = {"status": plan.status.wire()}
            self._store.put(_INVOCATIONS, await self._cluster.merge(_INVOCATIONS, namespace, name, patch, status=True))
        for note in plan.notes:
            await self._tell(invocation, note)

    async def _make_sure(self, key: Key) -> None:
        """Read the invocation anew. Raises ConflictError when it is not as the plan took it to be.

        The answer to the write that committed its slices may have been lost, and the watch may be late.
        """
        if self._store.put(_INVOCATIONS, await self._cluster.get(_INVOCATIONS, *key)):
            raise ConflictError(409, "Conflict", f"invocation {key[0]}/{key[1]} has changed")

    async def _create_slice(self, slice_: JobSlice) -> None:
        """Create a slice. Raises ConflictError while a leftover of that name has other hosts."""
        found = await self._create_own(_SLICES, manifests.job_slice(slice_))
        self._store.put(_SLICES, found)
        if tuple(found["spec"]["hosts"]) != slice_.spec.hosts:
            raise ConflictError(409, "AlreadyExists", f"slice {slice_.metadata.name} is left over from another dealing")

    async def _write_slice_status(self, key: Key, name: str, status: JobSliceStatus) -> None:
        patch = {"status": status.wire()}
        try:
            self._store.put(_SLICES, await self._cluster.merge(_SLICES, key[0], name, patch, status=True))
        except NotFoundError:
            self._store.forget(_SLICES, key[0], name)
            raise

    async def _release_pod(self, key: Key, name: str) -> None:
        pod = self._store.pods.get(key, {}).get(name)
        if pod is None:
            return
        patch = {"metadata": {"finalizers": [entry for entry in pod.finalizers if entry != FINALIZER_COLLECT]}}
        try:
            self._store.put("pods", await self._cluster.merge("pods", key[0], name, patch))
        except NotFoundError:
            self._store.forget("pods", key[0], name)

    async def _delete_pod(self, key: Key, name: str) -> None:
        pod = self._store.pods.get(key, {}).get(name)
        if pod is not None:
            await self._cluster.delete("pods", key[0], name, uid=pod.uid)

    async def _start_slices(
        self, key: Key, invocation: JobInvocation, slices: Sequence[JobSlice], memory: _Memory
    ) -> None:
        """Start the slices. Raises RefusedError when the API server will not take one of the pods."""
        template = self._store.templates.get((key[0], invocation.spec.template_ref.name))
        hosts = self._store.hosts[key[0]]
        chosen = [hosts[name] for slice_ in slices for name in slice_.spec.hosts if name in hosts]
        names = {name for host in chosen for name in credential_secrets(invocation, host)}
        secrets = await self._read_secrets(key[0], names)
        limit = self._settings.runner.output_limit_bytes
        prepared = [(slice_, prepare(invocation, slice_, template, hosts, secrets, limit)) for slice_ in slices]
        await _all(self._start_slice(key, slice_, work, memory) for slice_, work in prepared)

    async def _start_slice(self, key: Key, slice_: JobSlice, prepared: Prepared, memory: _Memory) -> None:
        """Hand a slice's work to a pod. What hosts cannot be started is written down first."""
        name = slice_.metadata.name
        if prepared.failures:
            await self._write_slice_status(key, name, with_failures(slice_, prepared.failures, datetime.now(UTC)))
        if prepared.work is None:
            return
        try:
            await self._create_work(slice_, prepared.work)
            pod = await self._create_own("pods", manifests.runner_pod(slice_, self._settings.runner))
        except (RefusedError, ConflictError) as error:
            now = datetime.now(UTC)
            if name not in memory.refused:
                await self._tell(slice_, Note(Reason.POD_REFUSED, error.message, warning=True))
            since = memory.refused[name].since if name in memory.refused else now
            memory.refused[name] = Refusal(since, now + REFUSED_RETRY, error.message)
            await self._delete_work(slice_)  # it would be out of date when the pod is taken
            raise
        self._store.put("pods", pod)
        memory.refused.pop(name, None)
        memory.made_pods.add(name)

    async def _create_work(self, slice_: JobSlice, work: bytes) -> None:
        """Create the slice's Secret. Raises ConflictError after removing one with other work, from an earlier try."""
        manifest = manifests.work_secret(slice_, work)
        found = await self._create_own("secrets", manifest)
        if found.get("data") != manifest["data"]:
            await self._delete_work(slice_)
            raise ConflictError(409, "Conflict", f"the work of slice {slice_.metadata.name} has changed")

    async def _delete_work(self, slice_: JobSlice) -> None:
        selector = f"{LABEL_SLICE}={slice_.metadata.name},{LABEL_MANAGED_BY}={MANAGED_BY}"
        await self._cluster.delete_all("secrets", slice_.metadata.namespace, selector)

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

    async def _tell(self, about: Resource, note: Note) -> None:
        """Emit a Kubernetes Event; one that cannot be emitted is not worth doing the work again."""
        try:
            document = manifests.event(about, note, self._settings.identity, datetime.now(UTC))
            await self._cluster.create("events", document)
        except ClusterError as error:
            logger.warning("no event about %s/%s: %s", about.metadata.namespace, about.metadata.name, error)


async def _all(calls: Iterable[Awaitable[None]]) -> None:
    """Await all calls, side by side; then raise the first error of those that failed."""
    results = await asyncio.gather(*calls, return_exceptions=True)
    for result in results:
        if isinstance(result, BaseException):
            raise result


def _delay(failures: int) -> timedelta:
    return timedelta(seconds=RETRY_SECONDS[min(failures, len(RETRY_SECONDS) - 1)])


def _exiting(stopped: kopf.DaemonStopped) -> bool:
    return stopped.reason is not None and kopf.DaemonStoppingReason.OPERATOR_EXITING in stopped.reason


async def _wait(nudge: asyncio.Event, stopped: kopf.DaemonStopped, until: datetime | None) -> None:
    """Wait for a nudge, the operator's exit, or the moment. (A deletion nudges: its flag would stay set for ever.)"""
    patience = None if until is None else max(0.0, (until - datetime.now(UTC)).total_seconds())
    waits = [asyncio.create_task(_wait_for(nudge))]
    if not stopped:
        waits.append(asyncio.create_task(_wait_for(stopped)))
    try:
        await asyncio.wait(waits, timeout=patience, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for wait in waits:
            wait.cancel()


async def _wait_for(signal: asyncio.Event | kopf.DaemonStopped) -> None:
    await signal.wait()
