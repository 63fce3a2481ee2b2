"""What an invocation uses stays in use while it works, and while the pods of one that is gone still stop."""

from datetime import UTC, datetime
from typing import Any

import pytest

from rollcall.plan.locks import Claimant, Lock, LockKind
from rollcall.plan.observed import Observed, Plan
from rollcall_operator.claims import Claims
from rollcall_operator.store import Key, Store

Document = dict[str, Any]
KEY = ("fleet", "job")
WEB0 = Lock(LockKind.HOST, "fleet", "web0")
OTHER = Claimant(datetime(2026, 3, 2, tzinfo=UTC), "fleet", "other", "uid-of-other")


class World:
    """A store with an exclusive Host, and an invocation that works there."""

    def __init__(self) -> None:
        self.nudged: list[Key] = []
        self.store = Store()
        self.claims = Claims(self.store, self.nudged.append)
        self.store.changed = self.claims.settle
        self._version = 0
        self.put("hosts", "web0", {"exclusive": "Slice"})
        self.make("first")
        self.pod("Running")
        self.work()
        self.claims.locks.update(OTHER, frozenset(), lambda _: {}, {WEB0: True})
        assert not self.free

    def put(self, plural: str, name: str, spec: Document, status: Document | None = None, **more: Any) -> None:
        self._version += 1
        metadata = {"name": name, "namespace": "fleet", "uid": f"uid-of-{name}", "resourceVersion": str(self._version)}
        metadata |= {"creationTimestamp": "2026-03-01T12:00:00Z"} | more
        self.store.put(plural, {"metadata": metadata, "spec": spec, "status": status or {}})

    def make(self, life: str) -> None:
        """The invocation and its slice, in one life or the next."""
        owner = {"apiVersion": "rollcall.dev/v1alpha1", "kind": "JobInvocation", "name": "job", "uid": life}
        target = {"templateRef": {"name": "run"}, "targeting": {"hosts": ["web0"]}}
        self.put("jobinvocations", "job", target, uid=life)
        spec = {"invocationRef": {"name": "job"}, "index": 0, "hosts": ["web0"]}
        self.put("jobslices", "job-0", spec, uid=f"slice-of-{life}", ownerReferences=[owner])

    def pod(self, phase: str, life: str = "first", **more: Any) -> None:
        labels = {"rollcall.dev/invocation": "job", "rollcall.dev/slice": "job-0"}
        owner = {"apiVersion": "rollcall.dev/v1alpha1", "kind": "JobSlice", "name": "job-0", "uid": f"slice-of-{life}"}
        self.put(
            "pods", "job-0", {}, {"phase": phase}, uid=f"pod-{life}", labels=labels, ownerReferences=[owner], **more
        )

    def work(self) -> None:
        """What a reconcile says while the slice is at work."""
        invocation = self.store.invocations[KEY]
        slices = self.store.dealt[invocation.metadata.uid]
        observed = Observed(invocation, slices=slices, hosts=self.store.hosts["fleet"].hosts, locks=self.claims.locks)
        self.claims.take(observed, Plan(held=frozenset({"job-0"})))

    def vanish(self) -> None:
        """The invocation is gone, and its slices with it; the garbage collector has told its pod to end."""
        self.store.forget("jobslices", "fleet", "job-0")
        self.store.forget("jobinvocations", "fleet", "job")
        self.claims.leave(KEY)

    @property
    def free(self) -> bool:
        return self.claims.locks.obstacle(OTHER, {WEB0: True}) is None


@pytest.fixture
def world() -> World:
    return World()


def test_one_that_has_ended_frees_all_at_once(world: World) -> None:
    world.claims.leave(KEY)
    assert world.free
    assert world.nudged == [(OTHER.namespace, OTHER.name)]


@pytest.mark.parametrize("end", ["ends", "goes", "is lost"])
def test_the_pod_of_one_that_is_gone_keeps_its_hosts_until_it_ends(world: World, end: str) -> None:
    world.vanish()
    assert not world.free
    match end:
        case "ends":
            world.pod("Failed")
        case "goes":
            world.store.forget("pods", "fleet", "job-0")
        case "is lost":
            world.pod("Running", deletionTimestamp="2026-03-01T12:00:30Z", deletionGracePeriodSeconds=30)
            world.claims.settle_all()
    assert world.free
    assert world.nudged == [(OTHER.namespace, OTHER.name)]


def test_one_made_again_under_the_same_name_keeps_nothing_of_the_first(world: World) -> None:
    """The first one's pod still stops; it ends, and the second one waits for its turn like everybody."""
    world.vanish()
    world.make("second")
    world.claims.take(Observed(world.store.invocations[KEY], locks=world.claims.locks), Plan())
    assert not world.free
    world.pod("Failed")
    assert world.free
    world.claims.leave(KEY)
    assert world.free
