"""The ways of reaching a host: what a template says of each."""

from enum import StrEnum
from typing import Annotated, Final, Literal

from pydantic import Field

from rollcall.resources.meta import ConfigMapKeyReference, LocalReference, Model, UserName, rule
from rollcall.resources.steps import MAX_STEPS, Step
from rollcall.work import BecomeMethod


class Provider(StrEnum):
    """The ways of reaching a host."""

    SSH = "SSH"
    POD = "Pod"
    ANSIBLE = "Ansible"


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


class PlaybookSource(Model):
    """Says where the text of a playbook is."""

    config_map_key_ref: ConfigMapKeyReference
    """The entry of a ConfigMap that holds it. It is read when a slice starts."""


class GitSource(Model):
    """Says where a playbook, and the roles and files that it uses, are in a Git repository."""

    url: Annotated[
        str, Field(min_length=1, max_length=2048, pattern=r"^((https?|git)://|ssh://([A-Za-z0-9_.-]+@)?)[^\s@]+$")
    ]
    """The repository: `https://...`, `ssh://git@...` or `git://...`. It holds no password: credentialsRef does."""
    revision: Annotated[str, Field(min_length=1, max_length=255, pattern=r"^[A-Za-z0-9_][A-Za-z0-9_./+-]*$")] = "HEAD"
    """A branch, a tag, or a commit in full. The head of the default branch when absent."""
    path: Annotated[str, Field(min_length=1, max_length=1024, pattern=r"^[^/\s-][^\s]*$")] = "site.yml"
    """The playbook's file in the repository."""
    credentials_ref: LocalReference | None = None
    """The Secret to fetch with. Its keys: `ssh-privatekey` and `known_hosts` for ssh, `username` and `password` (or a
    token) for https, and `ca.crt` for a server with a certificate of its own authority."""


class PlaybookUserPolicy(Model):
    """Says which user all tasks run as, and whether invocations may say otherwise."""

    name: UserName | None = None
    """The user: `become: true` and `become_user` for the whole playbook."""
    overridable: bool = False
    """Whether an invocation may name another user."""


_TAG = Annotated[str, Field(min_length=1, max_length=255, pattern=r"^[^,\s-][^,\s]*$")]


class AnsibleProvider(Model):
    """Runs a playbook on the hosts, all hosts of a slice in one run of ansible-playbook."""

    playbook: Annotated[str, Field(min_length=1, max_length=131072)] | None = None
    """The playbook. Inputs are extra vars (`{{ NAME }}`), variables of a Host its host variables, `spec.facts` the host
    variable `rollcall_facts`, and the names in `spec.groups` inventory groups."""
    playbook_from: PlaybookSource | None = None
    """Where the playbook's text is, when it is not here."""
    git: GitSource | None = None
    """The Git repository that the playbook is in, when it is in one."""
    forks: Annotated[int, Field(ge=1, le=200)] = 5
    """On how many hosts a task runs at once, at most as many as the invocation's `rollout.concurrency`."""
    verbosity: Annotated[int, Field(ge=0, le=5)] = 0
    """How much ansible-playbook says: the number of its `-v`."""
    tags: Annotated[tuple[_TAG, ...], Field(max_length=64, json_schema_extra={"x-kubernetes-list-type": "set"})] = ()
    """Run only what has one of these tags."""
    skip_tags: Annotated[
        tuple[_TAG, ...], Field(max_length=64, json_schema_extra={"x-kubernetes-list-type": "set"})
    ] = ()
    """Leave out what has one of these tags."""
    check: bool = False
    """Change nothing: say what would be changed."""
    diff: bool = False
    """Show what is changed in files."""
    become_method: Literal[BecomeMethod.SUDO, BecomeMethod.SU] = BecomeMethod.SUDO
    """The program by which tasks become another user: Sudo or Su."""
    effective_user: (
        Annotated[
            PlaybookUserPolicy,
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
    """The user that all tasks run as, when the playbook is not to say so itself."""


ONE_PLAYBOOK = rule(
    "[has(self.playbook), has(self.playbookFrom), has(self.git)].filter(given, given).size() == 1",
    "give exactly one of playbook, playbookFrom and git",
)
