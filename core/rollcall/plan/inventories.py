"""What an Inventory's status says: how many hosts it has, and what is wrong."""

from datetime import datetime

from rollcall.names import ConditionType, Reason
from rollcall.plan.conditions import with_condition
from rollcall.resources.inventory import Inventory, InventoryStatus
from rollcall.resources.meta import Condition, ConditionStatus
from rollcall.targeting import Fleet, TargetingError, members


def status_of(inventory: Inventory, fleet: Fleet, now: datetime) -> InventoryStatus:
    """The status that the inventory should have."""
    hosts: int | None = None
    reason, message = Reason.ACCEPTED, "nothing is wrong with it"
    try:
        hosts = len(members(inventory, fleet, now))
    except TargetingError as error:
        reason, message = error.reason, str(error)
    condition = Condition(
        type=ConditionType.VALID,
        status=ConditionStatus.TRUE if reason is Reason.ACCEPTED else ConditionStatus.FALSE,
        observed_generation=inventory.metadata.generation,
        last_transition_time=now.replace(microsecond=0),
        reason=reason.value,
        message=message,
    )
    return InventoryStatus(
        hosts=hosts,
        conditions=with_condition(inventory.status.conditions, condition),
        observed_generation=inventory.metadata.generation,
    )
