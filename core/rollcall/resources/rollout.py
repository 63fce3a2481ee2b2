"""How fast an invocation spreads over its hosts."""

from enum import StrEnum
from typing import Annotated, Literal

from pydantic import Field, WithJsonSchema

from rollcall.resources.meta import Model


class PauseFor(StrEnum):
    """What a pause between two batches waits for."""

    TIME = "Time"
    APPROVAL = "Approval"


# The API server applies each bound to the type that it is for: numbers or text.
CountOrPercent = Annotated[
    Annotated[int, Field(ge=0, le=10000)] | Annotated[str, Field(pattern=r"^(100|[1-9]?[0-9])%$")],
    WithJsonSchema(
        {
            "x-kubernetes-int-or-string": True,
            "minimum": 0,
            "maximum": 10000,
            "pattern": "^(100|[1-9]?[0-9])%$",
            "maxLength": 4,
        }
    ),
]
HostsPerSlice = Annotated[
    Annotated[int, Field(ge=1, le=250)] | Literal["auto"],
    WithJsonSchema(
        {
            "x-kubernetes-int-or-string": True,
            "x-kubernetes-validations": [
                {
                    "rule": "type(self) == int ? int(self) >= 1 && int(self) <= 250 : string(self) == 'auto'",
                    "message": "must be a number from 1 to 250, or auto",
                }
            ],
        }
    ),
]


class Rollout(Model):
    """Says how fast the job spreads over its hosts, and when it stops spreading."""

    concurrency: Annotated[int, Field(ge=1)] | None = None
    """How many hosts may be at work at once. No limit when absent."""
    time_span_seconds: Annotated[int, Field(ge=0, le=2592000)] = 0
    """Over how many seconds the starts of the hosts are spread, evenly; none is dropped when they take longer."""
    batches: Annotated[
        tuple[CountOrPercent, ...], Field(max_length=20, json_schema_extra={"x-kubernetes-list-type": "atomic"})
    ] = ()
    """The sizes of batches, as numbers of hosts or percentages of all, such as `[1, "10%", "100%"]`. A batch starts
    when every host of the one before has ended; the last size is repeated until all hosts have been in a batch."""
    pause_for: PauseFor = PauseFor.TIME
    """What is waited for between two batches: `Time`, which is pauseSeconds, or `Approval` by approvedBatches."""
    pause_seconds: Annotated[int, Field(ge=0, le=2592000)] = 0
    """How many seconds lie between the end of a batch and the start of the next."""
    approved_batches: Annotated[int, Field(ge=1, le=10000)] = 1
    """How many batches may start, for `pauseFor: Approval`. Raise it by one to let the next batch start."""
    max_failed: CountOrPercent | None = None
    """How many hosts may fail, as a number or a percentage of all. When more have, no further hosts are started;
    those at work go on. No limit when absent."""
    hosts_per_slice: HostsPerSlice = "auto"
    """How many hosts share one runner pod, 1 to 250. `auto` gives each host its own pod up to 100 hosts
    and packs them into at most a hundred pods above that; hosts of a playbook go together, at most 250 in a pod. With
    provider Pod it is always 1."""
