"""Named steps: what a template says of each, and which of them an invocation runs."""

from typing import Annotated, Final

from pydantic import Field

from rollcall.resources.meta import Model
from rollcall.work import OnFailure

MAX_STEPS: Final = 32
"""How many steps a template may have: each host's slice keeps a result of each."""

StepName = Annotated[str, Field(max_length=63, pattern=r"^[A-Za-z0-9]([A-Za-z0-9_.-]*[A-Za-z0-9])?$")]


class Step(Model):
    """One of several scripts that a host runs one after the other."""

    name: StepName
    """The name, by which invocations choose and results tell: letters, digits, `-`, `_` and `.`, at most 63."""
    script: Annotated[str, Field(min_length=1, max_length=131072)]
    """The script, as in a template without steps; all steps have the same inputs."""
    timeout_seconds: Annotated[int, Field(ge=1, le=31536000)] | None = None
    """How long the step may run on one host before it is stopped. All steps together also keep to
    executionTimeoutSeconds."""
    on_failure: OnFailure = OnFailure.STOP
    """What follows when the step fails: `Stop`, no further step, or `Continue`, the next one. In either case the host
    ends as failed."""


class StepSelection(Model):
    """Says which steps of the template are run; all in their order when nothing is said."""

    from_: Annotated[StepName | None, Field(alias="from")] = None
    """The first step that is run. The template's first when absent."""
    to: StepName | None = None
    """The last step that is run. The template's last when absent."""
    skip: Annotated[
        tuple[StepName, ...], Field(max_length=MAX_STEPS, json_schema_extra={"x-kubernetes-list-type": "set"})
    ] = ()
    """Steps between them that are not run."""
