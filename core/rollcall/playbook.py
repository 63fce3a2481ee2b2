"""What a runner needs for a playbook beside what it needs for a script: variables, groups and options.

A playbook is one run of `ansible-playbook` on all hosts of a slice, and the slice's only script. Values that others
than the template's author give (inputs, and what the Hosts say) are data: no template expression in them is evaluated.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Final

PROJECT_DIRECTORY: Final = "/run/rollcall-project"
"""Where a runner pod has the files of a Git repository, when its playbook comes from one."""
CHECKOUT: Final = "checkout"
"""The folder in it with the files."""
REVISION_FILE: Final = "revision"
"""The file in it that says which commit they are of."""
GIT_CREDENTIALS_DIRECTORY: Final = "/run/rollcall-git"
"""Where the init container that fetches it finds what to log in with."""
SCRATCH_DIRECTORY: Final = "/run/rollcall-scratch"
"""Where a runner pod may write: in memory, and gone with the pod."""
NOTHING_FOR_IT: Final = "no play of the playbook is for this host or one of its groups: nothing was done"
"""What is said of a host that a playbook passes by, which is no failure: nobody has connected to it."""


@dataclass(frozen=True, slots=True)
class HostVariables:
    """What a playbook knows of one host."""

    groups: tuple[str, ...] = ()
    variables: Mapping[str, Any] = field(default_factory=dict)
    facts: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class PlaybookWork:
    """How a slice's playbook is run; its text is the work's only script, unless `path` names a file."""

    path: str = ""
    """The playbook's file in the Git repository."""
    extra_vars: Mapping[str, Any] = field(default_factory=dict)
    hosts: Mapping[str, HostVariables] = field(default_factory=dict)
    forks: int = 5
    verbosity: int = 0
    tags: tuple[str, ...] = ()
    skip_tags: tuple[str, ...] = ()
    check: bool = False
    diff: bool = False
    become_method: str = "sudo"
    """Ansible's name of the program by which tasks become another user."""

    def __repr__(self) -> str:
        return f"PlaybookWork({len(self.hosts)} hosts)"

    def document(self) -> dict[str, Any]:
        """The JSON object in the work file."""
        return asdict(self)

    @classmethod
    def load(cls, document: Mapping[str, Any]) -> "PlaybookWork":
        """The inverse of `document`. Raises TypeError or ValueError for anything else."""
        hosts = {
            name: HostVariables(**{**entry, "groups": tuple(entry["groups"])})
            for name, entry in document["hosts"].items()
        }
        return cls(
            **{
                **document,
                "hosts": hosts,
                "tags": tuple(document["tags"]),
                "skip_tags": tuple(document["skip_tags"]),
            }
        )
