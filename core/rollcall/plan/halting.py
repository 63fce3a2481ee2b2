"""How runner pods are stopped: by an order that the runner reads while it works, and by deletion.

An order comes first, because it can say more than a signal: which hosts, and whether there is no time to lose. The
kubelet renews the file that it is in only while the pod is not being deleted. A pod that has not ended in time after
an order to stop all is deleted, and so is one whose runner has not begun, or that nobody waits for.
"""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final

from rollcall.plan.pods import HURRIED_GRACE_SECONDS, Phase, Pod
from rollcall.plan.stopping import Stop
from rollcall.resources.jobslice import JobSlice
from rollcall.work import StopOrder

RUNNER_SECONDS: Final = 25
"""How long a runner that stops all its hosts may take beside the grace period of their scripts."""
FORCED_SECONDS: Final = 5
"""How long it may take to stop them by force; the kubelet needs a second or two to hand an order over."""


@dataclass(frozen=True, slots=True)
class Halt:
    """What to do about a pod whose hosts are to stop; `again_at`: when more may have to be done."""

    order: StopOrder | None = None
    delete: bool = False
    hasten: bool = False
    again_at: datetime | None = None


NONE: Final = Halt()


def halt_all(pod: Pod, stop: Stop, grace_seconds: int, now: datetime) -> Halt:
    """What to do about a pod all of whose remaining hosts are stopped; `grace_seconds` is that of their scripts."""
    if pod.phase == Phase.ENDED:
        return NONE
    if pod.deleting_since is not None:
        hurried = pod.grace_seconds is not None and pod.grace_seconds <= HURRIED_GRACE_SECONDS
        return Halt(hasten=stop.force and not hurried)
    if pod.phase == Phase.WAITING:
        return Halt(delete=not stop.force, hasten=stop.force)
    given = _given(pod)
    if given is None or given.hosts is not None or (stop.force and not given.force):
        return Halt(order=StopOrder(None, force=stop.force, time=int(now.timestamp())))
    patience = FORCED_SECONDS if given.force else grace_seconds + RUNNER_SECONDS
    late = datetime.fromtimestamp(given.time, UTC) + timedelta(seconds=patience)
    if now < late:
        return Halt(again_at=late)
    return Halt(delete=not given.force, hasten=given.force)


def halt_some(pod: Pod, slice_: JobSlice, stop: Stop, now: datetime) -> Halt:
    """What to do about a pod that goes on with other hosts; one that does not obey is let be."""
    before = ordered(pod)
    chosen = tuple(name for name in slice_.spec.hosts if stop.covers(name) or name in before)
    if not chosen or pod.phase == Phase.ENDED or pod.deleting_since is not None:
        return NONE
    given = _given(pod)
    known = given is not None and (given.hosts is None or set(chosen) <= set(given.hosts))
    if known and given is not None and (given.force or not stop.force):
        return NONE
    return Halt(order=StopOrder(chosen, force=stop.force, time=int(now.timestamp())))


def ordered(pod: Pod) -> frozenset[str]:
    """The hosts that the pod was told to stop, of several: that holds, also if other hosts are chosen since."""
    given = _given(pod)
    return frozenset(() if given is None or given.hosts is None else given.hosts)


def _given(pod: Pod) -> StopOrder | None:
    """The order that the pod bears; one that cannot be read was not ours."""
    try:
        return StopOrder.load(pod.stop_order)
    except ValueError:
        return None
