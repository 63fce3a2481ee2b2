"""The shape of a template's runner pods, as far as it is the author's: resources and nodes."""

from enum import StrEnum
from typing import Annotated

from pydantic import Field

from rollcall.resources.meta import Model

_Quantities = Annotated[dict[str, int | str], Field(max_length=16, json_schema_extra={"x-rollcall-scalars": True})]


class Resources(Model):
    """What a container asks for and may use, as in a pod (core/v1 ResourceRequirements)."""

    requests: _Quantities = {}
    """What the node must have free for it, by resource: `{cpu: 100m, memory: 64Mi}`."""
    limits: _Quantities = {}
    """What it may use at most, by resource."""


class TolerationOperator(StrEnum):
    """How a toleration compares."""

    EXISTS = "Exists"
    EQUAL = "Equal"


class TaintEffect(StrEnum):
    """What a taint does to pods that do not tolerate it."""

    NO_SCHEDULE = "NoSchedule"
    PREFER_NO_SCHEDULE = "PreferNoSchedule"
    NO_EXECUTE = "NoExecute"


class Toleration(Model):
    """A taint of nodes that the pods tolerate (core/v1 Toleration)."""

    key: Annotated[str, Field(max_length=316)] | None = None
    """The taint's key; all keys when absent."""
    operator: TolerationOperator | None = None
    """`Equal` (when absent) or `Exists`, which does not look at the value."""
    value: Annotated[str, Field(max_length=63)] | None = None
    """The taint's value."""
    effect: TaintEffect | None = None
    """The taint's effect; all effects when absent."""
    toleration_seconds: Annotated[int, Field(ge=0)] | None = None
    """How long a pod stays on a node that gets such a taint with the effect NoExecute; for ever when absent."""


class RunnerShape(Model):
    """What runner pods of a template ask of their nodes."""

    resources: Resources | None = None
    """Resources of the container that the script runs in for the provider Pod, else of the runner. Requests, or
    limits, that are not given are what the operator's settings say."""
    node_selector: Annotated[dict[str, Annotated[str, Field(max_length=63)]], Field(max_length=32)] = {}
    """Labels of the nodes that the pods may run on."""
    tolerations: Annotated[
        tuple[Toleration, ...], Field(max_length=32, json_schema_extra={"x-kubernetes-list-type": "atomic"})
    ] = ()
    """Taints of nodes that the pods tolerate."""
    priority_class_name: Annotated[str, Field(min_length=1, max_length=253)] | None = None
    """The PriorityClass of the pods."""
