"""Reconciling: observe an invocation, ask `rollcall.plan` what to do, and carry it out.

Children first, then one status write, then events. A step that fails in the middle is taken again from the start:
everything in a plan can be done twice. Nothing else in the operator writes to invocations, slices or pods.
"""

import asyncio
import logging
import time
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Final

import kopf

from rollcall.names import ConditionType, Reason
from rollcall.plan.holding import secrets_to_read
from rollcall.plan.invocation import reconcile
from rollcall.plan.observed import Note, Observed, Origin, Plan
from rollcall.plan.pods import Pod
from rollcall.plan.resolution import chosen_template
from rollcall.plan.slices import Slices
from rollcall.resources.jobinvocation import JobInvocation
from rollcall_operator import metrics
from rollcall_operator.claims import Claims
from rollcall_operator.cluster import Cluster, ClusterError, RefusedError
from rollcall_operator.collector import Collector
from rollcall_operator.execution import Execution, Memory
from rollcall_operator.settings import Settings
from rollcall_operator.store import Key, Store
from rollcall_operator.turns import Turns

logger = logging.getLogger(__name__)

RETRY_SECONDS: Final = (0.2, 0.5, 1, 2, 5, 10)
"""How long to wait after the first, second, ... failed step in a row."""
REST: Final = 4
"""How many times as long as it took to decide an invocation rests: a large one then leaves most time to the others."""
MAX_REST_SECONDS: Final = 1.0


class Reconciler:
    """Carries invocations from their creation to their end."""

    def __init__(self, cluster: Cluster, store: Store, settings: Settings) -> None:
        self._cluster = cluster
        self._store = store
        self._settings = settings
        self._collector = Collector(cluster, store, settings, self.nudge)
        self._execution = Execution(cluster, store, settings)
        self.contacts = self._execution.contacts
        self._memories: dict[Key, Memory] = {}
        self._claims = Claims(store, self.nudge)
        self._turns = Turns(settings.concurrent_reconciles)
        store.changed = self.nudge

    def nudge(self, invocation: Key) -> None:
        """Make the invocation's task look again, if it has one; what one that is gone used is free."""
        if invocation in self._memories:
            self._memories[invocation].nudge.set()
        if invocation not in self._store.invocations:
            self._claims.leave(invocation)
        else:
            self._claims.settle(invocation)

    def restore_locks(self) -> None:
        """Learn what invocations use and wait for, before any of them goes on."""
        unfinished = ((key, found) for key, found in self._store.invocations.items() if not found.finished)
        self._claims.restore((self._look(key, found, Memory()) for key, found in unfinished), datetime.now(UTC))

    async def run(self, invocation: Key, uid: str, stopped: kopf.DaemonStopped) -> None:
        """Reconcile until nothing is left to do; also through the invocation's deletion.

        An invocation that is over may be gone, and another one have its name, before its pods are deleted.
        """
        self._collector.forget(invocation)
        memory = self._memories[invocation] = Memory()
        try:
            await self._go_on(invocation, uid, memory, stopped)
            if self._memories.get(invocation) is memory and not exiting(stopped):
                self._claims.leave(invocation)
        finally:
            if self._memories.get(invocation) is memory:
                self._collector.forget(invocation)
                del self._memories[invocation]

    async def _go_on(self, invocation: Key, uid: str, memory: Memory, stopped: kopf.DaemonStopped) -> None:
        failures = 0
        while not exiting(stopped) and self._is_there(invocation, uid):
            try:
                asked = time.perf_counter()
                async with self._turns.turn():
                    metrics.RECONCILE_WAIT_SECONDS.observe(time.perf_counter() - asked)
                    memory.nudge.clear()
                    plan = await self._step(invocation, memory)
                failures = failures if plan.discard_slices else 0
                if plan.clean_up and self._is_there(invocation, uid):
                    await self._execution.remove_pods(invocation)
            except ClusterError as error:
                plan = Plan(again_at=datetime.now(UTC) + _delay(failures))
                failures += 1
                logger.warning("invocation %s/%s, trying again: %s", *invocation, error)
                self._tell_refusal(invocation, error, memory)
            if plan.done:
                break
            await asyncio.sleep(min(REST * memory.thought_seconds, MAX_REST_SECONDS))
            await _wait(memory.nudge, stopped, plan.again_at)

    def _is_there(self, key: Key, uid: str) -> bool:
        """Whether it is this invocation that is known by its name."""
        invocation = self._store.invocations.get(key)
        return invocation is not None and invocation.metadata.uid == uid

    def _tell_refusal(self, key: Key, error: ClusterError, memory: Memory) -> None:
        """Say once on the invocation what the API server will not take: only a person can change that."""
        invocation = self._store.invocations.get(key)
        if invocation is not None and isinstance(error, RefusedError) and error.message != memory.told:
            memory.told = error.message
            self._execution.tell(invocation, Note(Reason.REFUSED, error.message, warning=True))

    async def release_orphans(self) -> None:
        """Let pods go that nobody looks after: their invocation, or their slice, is gone or has ended.

        kopf begins no daemon for an object that is being deleted, or that has ended, when the operator starts.
        """
        now = datetime.now(UTC)
        self._claims.settle_all()
        for key, pods in list(self._store.pods.items()):
            invocation = self._store.invocations.get(key)
            try:
                for name, pod in list(pods.items()):
                    if not self._orphaned(key, pod):
                        continue
                    if pod.over(now):
                        await self._execution.release_pod(key, name)
                    elif pod.deleting_since is None:
                        await self._execution.delete_pod(key, name)
                left = any(pod.deleting_since is None for pod in pods.values())
                if left and key not in self._memories and invocation is not None and invocation.finished:
                    await self._execution.remove_pods(key)  # its last step was that, and was cut short
            except ClusterError as error:
                logger.warning("the pods of %s/%s cannot be let go yet: %s", *key, error)

    def _orphaned(self, key: Key, pod: Pod) -> bool:
        """Whether the pod waits for its results to be collected, and nobody does so."""
        invocation = self._store.invocations.get(key)
        if not pod.held:
            return False
        if (pod.slice, pod.owner) not in self._store.slices.get(key, {}):
            return True
        return key not in self._memories and (invocation is None or invocation.finished)

    @metrics.timed
    async def _step(self, key: Key, memory: Memory) -> Plan:
        """One look and what follows from it."""
        invocation = self._store.invocations.get(key)
        if invocation is None:
            return Plan(done=True)
        if invocation.metadata.deletion_timestamp is None:
            self._follow(key, memory)
        observed, now = await self._observe(key, invocation, memory)
        begun = time.perf_counter()
        plan = reconcile(observed, now)
        self._claims.take(observed, plan)
        memory.thought_seconds = time.perf_counter() - begun
        logger.debug("invocation %s/%s: %s", *key, plan)
        await self._execution.carry_out(observed, plan, memory)
        if plan.progress:
            memory.progress_written = now
        return plan

    def _follow(self, key: Key, memory: Memory) -> None:
        """See to it that the output of every pod at work is collected."""
        slices = self._store.slices.get(key, {})
        for name, pod in self._store.pods.get(key, {}).items():
            slice_ = slices.get((name, pod.owner))
            if slice_ is not None and not slice_.done:
                self._collector.follow(slice_, pod, fresh=name in memory.made_pods)

    async def _observe(self, key: Key, invocation: JobInvocation, memory: Memory) -> tuple[Observed, datetime]:
        """What is known of an invocation, and the moment for which that is all that a plan wants to know."""
        observed = self._look(key, invocation, memory)
        if invocation.condition(ConditionType.RESOLVED) is not None:
            return observed, datetime.now(UTC)
        template = await self._execution.with_playbook(observed.template)
        keys: dict[str, frozenset[str] | None] = {}
        while True:
            # Hosts and locks may have changed, and the start may have come, while Secrets were read.
            observed, now = self._look(key, invocation, memory), datetime.now(UTC)
            unread = secrets_to_read(observed, now) - keys.keys()
            if not unread:
                return replace(observed, secrets=keys, template=template), now
            found = await self._execution.read_secrets(key[0], unread)
            keys |= {name: None if data is None else frozenset(data) for name, data in found.items()}

    def _look(self, key: Key, invocation: JobInvocation, memory: Memory) -> Observed:
        """What is known of an invocation without asking the API server."""
        namespace, uid = key[0], invocation.metadata.uid
        # What an earlier invocation of the same name left behind is none of ours: the garbage collector takes it.
        slices = self._store.dealt.get(uid) or Slices()
        pods = {
            name: pod
            for name, pod in self._store.pods.get(key, {}).items()
            if (slice_ := slices.get(name)) is None or slice_.metadata.uid == pod.owner
        }
        return Observed(
            invocation=invocation,
            slices=slices,
            pods=pods,
            collected=self._collector.collected(key, slices.open),
            refused=memory.refused,
            hosts=self._store.hosts[namespace].hosts,
            index=self._store.hosts[namespace].index,
            inventories=self._store.inventories[namespace],
            template=chosen_template(invocation, self._store.templates[namespace]),
            made=memory.made_pods,
            output_exceeded=self._collector.exceeded(key),
            locks=self._claims.locks,
            origin=self._origin(namespace, invocation),
            timing=self._settings.timing,
            pods_per_slice=self._settings.pods_per_slice,
            progress_written=memory.progress_written,
        )

    def _origin(self, namespace: str, invocation: JobInvocation) -> Origin | None:
        """The invocation that this one runs again, if it is there."""
        rerun_of = invocation.spec.rerun_of
        found = self._store.invocations.get((namespace, rerun_of.name)) if rerun_of else None
        return Origin(found, self._store.dealt.get(found.metadata.uid) or Slices()) if found else None


def _delay(failures: int) -> timedelta:
    return timedelta(seconds=RETRY_SECONDS[min(failures, len(RETRY_SECONDS) - 1)])


def exiting(stopped: kopf.DaemonStopped) -> bool:
    """Whether a daemon is to end because the operator does."""
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
