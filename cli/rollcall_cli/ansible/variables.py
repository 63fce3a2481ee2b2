"""Which variables of an inventory travel to manifests, and where they end up."""

import json
import re
from collections.abc import Iterator, Mapping, Set
from dataclasses import dataclass
from typing import Any, Final

from rollcall_cli.ansible.content import ALL, UNGROUPED, Content, Variables, Vaulted

_KEPT: Final = re.compile(r"ansible_(.*_interpreter|remote_tmp|shell_type|become(_user|_flags)?)")
"""Of the variables that are Ansible's own, those that a playbook run by Rollcall still goes by."""
_SECRET: Final = re.compile(r"(.*[_-])?(pass|passwd|password|passphrase|pwd|secret|token|api_?key|private_?key)", re.I)
_TEMPLATE: Final = re.compile(r"\{\{|\{%")


@dataclass(frozen=True, slots=True)
class Layers:
    """The variables that travel, in the layers in which Rollcall puts them together again."""

    shared: Variables
    groups: Mapping[str, Variables]
    hosts: Mapping[str, Variables]
    vaulted: tuple[str, ...]
    """Names of variables that are left out, because Ansible Vault keeps a value of them."""
    secret: tuple[str, ...]
    """Names of those that are left out because they look like secrets."""
    templates: tuple[str, ...]
    """Names of those that travel with a template in them."""
    ansible: tuple[str, ...]
    """Names of those that are left out because only Ansible goes by them."""
    settled: int
    """How many hosts have values of groups as their own, because Ansible's order is not that of the layers."""


def layers(content: Content, kept: Set[str], names: Mapping[str, str]) -> Layers:
    """The layers of an inventory. `kept`: variables that travel although they look like secrets; `names`: those that
    the groups get, by which Rollcall orders groups of one depth."""
    said = [(name, value) for found in _everything(content) for name, value in found.items()]
    vaulted = {name for name, value in said if _has(value, _is_vaulted)}
    secret = {name for name, value in said if not name.startswith("ansible_") and _is_secret(name, value)} - kept
    ansible = {name for name, _ in said if name.startswith("ansible_") and not _KEPT.fullmatch(name)}
    left_out = vaulted | secret | ansible

    def travelling(found: Variables) -> dict[str, Any]:
        return {name: value for name, value in found.items() if name not in left_out and _may_travel(name)}

    shared = travelling(content.groups[ALL].variables) if ALL in content.groups else {}
    groups = {
        name: travelling(group.variables) for name, group in content.groups.items() if name not in (ALL, UNGROUPED)
    }
    hosts = {}
    settled = 0
    order = _order(content, names)
    for name, member in content.members.items():
        hosts[name] = travelling(member.own)
        together = merged(shared, [groups[group] for group in order[name]], hosts[name])
        effective = travelling(member.effective)
        differing = {key for key, value in effective.items() if key not in together or not same(together[key], value)}
        settled += bool(differing)
        hosts[name] |= {key: effective[key] for key in effective if key in differing}
    templates = {name for name, value in said if name not in left_out and _has(value, _is_template)}
    return Layers(
        shared,
        groups,
        hosts,
        tuple(sorted(name for name in vaulted if not name.startswith("ansible_"))),
        tuple(sorted(secret - vaulted)),
        tuple(sorted(templates)),
        tuple(sorted(ansible)),
        settled,
    )


def merged(shared: Variables, groups: list[Variables], own: Variables) -> dict[str, Any]:
    """What a host has of all layers: a later one counts."""
    found = dict(shared)
    for variables in (*groups, own):
        found |= variables
    return found


def same(one: Any, other: Any) -> bool:
    """Whether two values are the same in JSON, where 1 is not true."""
    return json.dumps(one, sort_keys=True) == json.dumps(other, sort_keys=True)


def depths(content: Content) -> Mapping[str, int]:
    """How far each group is from `all`, by the longest way: a group counts after all that it is in."""
    found: dict[str, int] = {}

    def visit(name: str, depth: int) -> None:
        if found.get(name, -1) < depth:
            found[name] = depth
            for child in content.groups[name].children:
                visit(child, depth + 1)

    for name in content.groups:
        visit(name, 0)
    return found


def _order(content: Content, names: Mapping[str, str]) -> Mapping[str, list[str]]:
    """For each host, the groups that it is in, also by way of their children, in the order in which they count."""
    parents: dict[str, list[str]] = {name: [] for name in content.groups}
    for name, group in content.groups.items():
        for child in group.children:
            parents[child].append(name)
    inside: dict[str, set[str]] = {name: set() for name in content.members}
    for name, group in content.groups.items():
        above = _above(name, parents)
        for host in group.hosts:
            if host in inside:
                inside[host] |= above
    depth = depths(content)
    apart = {ALL, UNGROUPED}
    return {
        host: sorted(groups - apart, key=lambda group: (depth[group], names[group])) for host, groups in inside.items()
    }


def _above(name: str, parents: Mapping[str, list[str]]) -> set[str]:
    found: set[str] = set()
    waiting = [name]
    while waiting:
        group = waiting.pop()
        if group not in found:
            found.add(group)
            waiting.extend(parents[group])
    return found


def _everything(content: Content) -> Iterator[Variables]:
    yield from (group.variables for group in content.groups.values())
    yield from (member.own for member in content.members.values())


def _may_travel(name: str) -> bool:
    return not name.startswith("ansible_") or _KEPT.fullmatch(name) is not None


def _has(value: Any, wanted: Any) -> bool:
    """Whether the value, or anything in it, is wanted."""
    if isinstance(value, dict):
        return any(_has(inner, wanted) for inner in value.values())
    if isinstance(value, list):
        return any(_has(inner, wanted) for inner in value)
    return bool(wanted(value))


def _is_vaulted(value: Any) -> bool:
    return isinstance(value, Vaulted)


def _is_template(value: Any) -> bool:
    return isinstance(value, str) and _TEMPLATE.search(value) is not None


def _is_secret(name: str, value: Any) -> bool:
    """Whether the value, or anything in it, is a text by a name that secrets have; a template is none."""
    if isinstance(value, dict):
        return any(_is_secret(str(key), inner) for key, inner in value.items())
    if isinstance(value, list):
        return any(_is_secret(name, inner) for inner in value)
    return bool(_SECRET.fullmatch(name)) and isinstance(value, str) and value != "" and not _is_template(value)
