"""The ways of reaching a host: what a template says of each."""

from enum import StrEnum
from typing import Annotated

from pydantic import Field

from rollcall.resources.meta import Model, UserName, rule
from rollcall.work import BecomeMethod


class Provider(StrEnum):
    """The ways of reaching a host."""

    SSH = "SSH"


class EffectiveUserPolicy(Model):
    """Says which user the script runs as, and whether invocations may say otherwise."""

    name: UserName | None = None
    """The user. When absent the script runs as the user who logs in, unless an invocation names one."""
    method: BecomeMethod = BecomeMethod.SUDO
    """The program by which the login user becomes the other: Sudo, Su, Doas or Dzdo."""
    overridable: bool = False
    """Whether an invocation may name another user."""


class SshProvider(Model):
    """Runs a script on each host over SSH."""

    script: Annotated[str, Field(min_length=1, max_length=131072)]
    """The script, run by the interpreter of its `#!` line (without one: /bin/sh). `{{ inputs.NAME }}` inserts an
    input quoted for the shell, `{{ inputs.NAME | raw }}` unquoted; `{{ host.name }}`, `{{ host.address }}`,
    `{{ host.facts.NAME }}` and `{{ host.variables.NAME }}` say what is known about the host."""
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
