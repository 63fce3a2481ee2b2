"""The ways of reaching a host: what a template says of each."""

from enum import StrEnum
from typing import Annotated, Final

from pydantic import Field

from rollcall.resources.meta import Model, UserName, rule
from rollcall.resources.steps import MAX_STEPS, Step
from rollcall.work import BecomeMethod


class Provider(StrEnum):
    """The ways of reaching a host."""

    SSH = "SSH"
    POD = "Pod"


class EffectiveUserPolicy(Model):
    """Says which user the script runs as, and whether invocations may say otherwise."""

    name: UserName | None = None
    """The user. When absent the script runs as the user who logs in, unless an invocation names one."""
    method: BecomeMethod = BecomeMethod.SUDO
    """The program by which the login user becomes the other: Sudo, Su, Doas or Dzdo."""
    overridable: bool = False
    """Whether an invocation may name another user."""


class Scripted(Model):
    """What is run: exactly one of `script` and `steps`."""

    script: Annotated[str, Field(min_length=1, max_length=131072)] | None = None
    """The script, run by the interpreter of its `#!` line (without one: /bin/sh). `{{ inputs.NAME }}` inserts an
    input quoted for the shell, `{{ inputs.NAME | raw }}` unquoted; `{{ host.name }}`, `{{ host.address }}`,
    `{{ host.facts.NAME }}` and `{{ host.variables.NAME }}` say what is known about the host."""
    steps: Annotated[
        tuple[Step, ...],
        Field(
            min_length=1,
            max_length=MAX_STEPS,
            json_schema_extra={"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["name"]},
        ),
    ] = ()
    """Several scripts with names instead of one, run one after the other."""


ONE_OF_SCRIPT_AND_STEPS: Final = rule("has(self.script) != has(self.steps)", "give either a script or steps")


class SshProvider(Scripted):
    """Runs a script, or steps, on each host over SSH."""

    effective_user: (
        Annotated[
            EffectiveUserPolicy,
            Field(
                json_schema_extra={
                    "x-kubernetes-validations": [
                        rule("has(self.name) || self.overridable", "name a user, or let invocations do (overridable)")
                    ]
                }
            ),
        ]
        | None
    ) = None
    """The user that the script runs as, when that is not the one who logs in."""
    tty: bool = False
    """Whether the script gets a terminal. Its stdout and stderr are then one stream, shown as stdout."""


class PodProvider(Scripted):
    """Runs a script, or steps, in a pod for each host, in an image of the template's."""

    image: Annotated[str, Field(max_length=1024, pattern=r"^[^\s]+$")]
    """The image that the script runs in. It needs /bin/sh, and runs as the user 65532 whatever user it names."""
