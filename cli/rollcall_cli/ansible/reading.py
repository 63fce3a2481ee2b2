"""Reads inventories with ansible-core's own inventory manager and variable manager.

So everything that Ansible finds counts, also plugins and scripts that make inventories, and `ansible.cfg`. Nothing is
decrypted: there is no password to do it with.
"""

import datetime
import json
import math
from collections.abc import Iterable, Sequence
from functools import cache
from pathlib import Path
from typing import Any, Final

from rollcall_cli.ansible.content import Content, Group, Member, Unanswered, Vaulted
from rollcall_cli.errors import CommandError

OLDEST: Final = (2, 19)
WAY: Final = (
    "ansible_host", "ansible_ssh_host", "ansible_port", "ansible_ssh_port", "ansible_user", "ansible_ssh_user",
    "ansible_connection", "ansible_ssh_args", "ansible_ssh_common_args", "ansible_ssh_extra_args",
    "ansible_private_key_file", "ansible_ssh_private_key_file",
)  # fmt: skip
"""Variables that say how a host is reached."""
_VAULT_HEADER: Final = b"$ANSIBLE_VAULT"


def read(paths: Sequence[Path], limit: str | None = None, playbooks: Path | None = None) -> Content:
    """What the inventories at these paths hold together, as after several `-i`. Raises CommandError.

    `playbooks`: a folder whose `group_vars` and `host_vars` count too, as `--playbook-dir` of ansible-inventory.
    """
    for path in paths:
        if not path.exists():
            raise CommandError(f"there is no inventory {path}")
    _need_ansible()
    from ansible.errors import AnsibleError  # noqa: PLC0415 - it is there only when somebody imports inventories

    try:
        return _Reader(paths, playbooks).content(limit)
    except AnsibleError as error:
        raise CommandError(f"Ansible cannot read the inventory: {error}") from None


def _need_ansible() -> None:
    try:
        from ansible.release import __version__  # noqa: PLC0415
    except ModuleNotFoundError:
        message = "inventories are read by ansible-core, which is not installed here: pip install ansible-core"
        raise CommandError(message) from None
    if tuple(map(int, __version__.split(".")[:2])) < OLDEST:
        oldest = ".".join(map(str, OLDEST))
        raise CommandError(f"ansible-core {__version__} is too old: {oldest} or newer is needed")


class _Reader:
    def __init__(self, paths: Sequence[Path], playbooks: Path | None) -> None:
        from ansible.vars.manager import VariableManager  # noqa: PLC0415

        _start_ansible()
        self._playbooks = playbooks
        self._loader = _loader()
        first = paths[0].resolve()
        self._loader.set_basedir(str(playbooks or (first if first.is_dir() else first.parent)))
        self._inventory = _inventory(self._loader, [str(path) for path in paths])
        self._manager = VariableManager(loader=self._loader, inventory=self._inventory)

    def content(self, limit: str | None) -> Content:
        self._inventory.subset(limit)
        selected = [str(host.name) for host in self._hosts()]
        self._inventory.subset(None)
        members = {str(host.name): self._member(host) for host in self._hosts()}
        groups = {str(group.name): self._group(group) for group in self._inventory.groups.values()}
        return Content(members, groups, selected, tuple(sorted(self._loader.locked)))

    def _hosts(self) -> list[Any]:
        """The hosts as they come in the files: Ansible goes through sets, whose order is another in each process."""
        places = {name: place for place, name in enumerate(self._inventory.hosts)}
        return sorted(self._inventory.get_hosts(), key=lambda host: places[host.name])

    def _group(self, group: Any) -> Group:
        children = [str(child.name) for child in group.child_groups]
        return Group(str(group.name), children, [str(host.name) for host in group.hosts], self._said_of(group))

    def _member(self, host: Any) -> Member:
        from ansible.template import Templar  # noqa: PLC0415

        found = self._manager.get_vars(host=host, include_hostvars=False, stage="all")
        templar = Templar(loader=self._loader, variables=found)
        way = {name: _evaluated(templar, found[name]) for name in WAY if name in found}
        return Member(str(host.name), self._said_of(host), _json_variables(found), way)

    def _said_of(self, entity: Any) -> dict[str, Any]:
        """What is said of a group or host itself, as `ansible-inventory --export` finds it."""
        from ansible.utils.vars import combine_vars  # noqa: PLC0415
        from ansible.vars.plugins import get_vars_from_inventory_sources, get_vars_from_path  # noqa: PLC0415

        sources = self._inventory._sources  # as Ansible's own command for inventories does
        found = combine_vars(entity.get_vars(), get_vars_from_inventory_sources(self._loader, sources, [entity], "all"))
        if self._playbooks is not None:
            found = combine_vars(found, get_vars_from_path(self._loader, str(self._playbooks), [entity], "all"))
        return _json_variables(found)


@cache
def _start_ansible() -> None:
    """Tell Ansible once where its plugins are."""
    from ansible.plugins.loader import init_plugin_loader  # noqa: PLC0415

    init_plugin_loader()


def _inventory(loader: Any, sources: list[str]) -> Any:
    from ansible import constants  # noqa: PLC0415
    from ansible.inventory.manager import InventoryManager  # noqa: PLC0415

    before = constants.INVENTORY_ANY_UNPARSED_IS_FAILED
    # A file that no plugin can read would be left out with a warning, and its hosts with it.
    constants.INVENTORY_ANY_UNPARSED_IS_FAILED = True
    try:
        return InventoryManager(loader=loader, sources=sources)
    finally:
        constants.INVENTORY_ANY_UNPARSED_IS_FAILED = before


def _loader() -> Any:
    from ansible.parsing.dataloader import DataLoader  # noqa: PLC0415

    class Loader(DataLoader):  # type: ignore[misc]
        """Takes a file that is encrypted as a whole for one that says nothing, and remembers it."""

        def __init__(self) -> None:
            super().__init__()
            self.locked: set[str] = set()

        def load_from_file(self, file_name: str, *arguments: Any, **named: Any) -> Any:
            path = Path(self.path_dwim(file_name))
            with path.open("rb") as file:
                locked = file.read(len(_VAULT_HEADER)) == _VAULT_HEADER
            if locked:
                self.locked.add(str(path))
                return {}
            return super().load_from_file(file_name, *arguments, **named)

    return Loader()


def _evaluated(templar: Any, value: Any) -> Any:
    from ansible.errors import AnsibleError  # noqa: PLC0415

    try:
        return _json(templar.template(value))
    except AnsibleError as error:
        return Unanswered(str(error).splitlines()[0])


def _json_variables(found: dict[str, Any]) -> dict[str, Any]:
    """Without those that Ansible makes itself."""
    from ansible.constants import INTERNAL_STATIC_VARS  # noqa: PLC0415

    return {str(name): _json(value) for name, value in found.items() if name not in INTERNAL_STATIC_VARS}


def _json(value: Any) -> Any:
    """The value as JSON has it, with plain types instead of those with which Ansible tags values."""
    from ansible.parsing.vault import EncryptedString  # noqa: PLC0415

    if isinstance(value, EncryptedString):
        return Vaulted(str(value._ciphertext))
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, str):
        return str.__str__(value)
    if isinstance(value, int):
        return int(value)
    if isinstance(value, float):
        return float(value) if math.isfinite(value) else str(value)
    if isinstance(value, datetime.date):
        return value.isoformat()
    if isinstance(value, dict):
        return {_json_key(name): _json(inner) for name, inner in value.items()}
    if isinstance(value, Iterable) and not isinstance(value, bytes):
        return [_json(inner) for inner in value]
    return str(value)


def _json_key(name: Any) -> str:
    """What JSON makes of a name that is no text: `true` for one that YAML reads as a truth."""
    return str.__str__(name) if isinstance(name, str) else json.dumps(_json(name), default=str)
