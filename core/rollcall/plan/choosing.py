"""Which hosts an invocation runs on: those that its targeting selects, or those of an earlier invocation."""

from collections.abc import Mapping
from datetime import datetime
from typing import Final

from rollcall.inventory import InventoryError, InventoryView
from rollcall.names import HostState, Reason
from rollcall.plan.observed import Observed, Origin
from rollcall.plan.rollout import ordered
from rollcall.resources.inventory import Inventory
from rollcall.resources.jobinvocation import RerunHosts, RerunOf
from rollcall.targeting import TargetingError, no_inventory, resolve

_ENDED: Final = frozenset(state for state in HostState if state.ended)
_WANTED: Final = {
    RerunHosts.FAILED: frozenset({HostState.FAILED, HostState.CANCEL_FAILED}),
    RerunHosts.NOT_STARTED: frozenset({HostState.NOT_STARTED}),
    RerunHosts.CANCELLED: frozenset({HostState.CANCELLED, HostState.CANCEL_FAILED}),
    RerunHosts.SUCCEEDED: frozenset({HostState.SUCCEEDED}),
    RerunHosts.UNSUCCESSFUL: _ENDED - {HostState.SUCCEEDED},
}


class RerunError(ValueError):
    """The hosts of the earlier invocation cannot be told; `may_heal` when they may be known a little later."""

    def __init__(self, message: str, *, may_heal: bool = False) -> None:
        super().__init__(message)
        self.may_heal = may_heal


def choose_hosts(observed: Observed, now: datetime) -> tuple[str, ...]:
    """The names of the hosts in the order in which they are dealt. Raises TargetingError and RerunError.

    A host of an earlier invocation may be gone: it is chosen all the same, and fails when its turn comes.
    """
    spec = observed.invocation.spec
    order = spec.targeting.order if spec.targeting else None
    if spec.rerun_of is not None:
        listed = spec.targeting.hosts or () if spec.targeting else ()
        return tuple(ordered(observed.invocation, hosts_again(spec.rerun_of, listed, observed.origin), order))
    assert spec.targeting is not None, "admission demands a targeting where there is no rerunOf"
    return tuple(ordered(observed.invocation, resolve(spec.targeting, observed.fleet, now), order))


def inventory_name(observed: Observed) -> str | None:
    """The Inventory that the hosts have variables from: the one that they are chosen by, or were in the earlier run."""
    targeting = observed.invocation.spec.targeting
    if targeting is not None and targeting.inventory_ref is not None:
        return targeting.inventory_ref.name
    return observed.origin.invocation.status.inventory if observed.origin else None


def inventory_of(name: str | None, inventories: Mapping[str, Inventory | str]) -> InventoryView | None:
    """What that inventory gives to hosts; None without a name. Raises TargetingError when it cannot be used."""
    if name is None:
        return None
    found = inventories.get(name)
    if not isinstance(found, Inventory):
        raise no_inventory(name, found)
    try:
        return InventoryView(found)
    except InventoryError as error:
        raise TargetingError(Reason.INVALID_SPEC, f"the Inventory {name}: {error}", may_heal=True) from None


def hosts_again(rerun_of: RerunOf, listed: tuple[str, ...], origin: Origin | None) -> tuple[str, ...]:
    """The hosts of an earlier invocation that are run again, in its order. Raises RerunError.

    An invocation that still runs gives the hosts as they are now (contracts/foreman.md §4.8).
    """
    if origin is None:
        raise RerunError(f"there is no JobInvocation {rerun_of.name} in this namespace to run again", may_heal=True)
    if rerun_of.uid is not None and rerun_of.uid != origin.invocation.metadata.uid:
        raise RerunError(f"the JobInvocation {rerun_of.name} is another one: its uid is not {rerun_of.uid}")
    if origin.invocation.status.slices is None:
        if origin.invocation.finished:
            raise RerunError(f"the JobInvocation {rerun_of.name} never chose its hosts, so it cannot be run again")
        raise RerunError(f"the JobInvocation {rerun_of.name} has not chosen its hosts yet", may_heal=True)
    first = sorted((s for s in origin.slices if s.spec.attempt == 0), key=lambda slice_: slice_.spec.index)
    names = [name for slice_ in first for name in slice_.spec.hosts]
    if rerun_of.hosts == RerunHosts.LISTED:
        if foreign := set(listed) - set(names):
            raise RerunError(f"the JobInvocation {rerun_of.name} did not run on {', '.join(sorted(foreign)[:5])}")
        return listed
    if rerun_of.hosts == RerunHosts.ALL:
        return tuple(names)
    ends = origin.slices.ends()
    wanted = _WANTED[rerun_of.hosts]
    return tuple(name for name in names if name in ends and ends[name].state in wanted and not ends[name].retry)
