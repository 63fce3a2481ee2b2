"""Manifests as `kubectl apply` takes them."""

import re
import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import yaml
from pydantic import ValidationError

from rollcall.inventory import InventoryError, check
from rollcall.names import API_VERSION, GROUP
from rollcall.resources.host import DEFAULT_PORT, Host, variables_problem
from rollcall.resources.inventory import Inventory
from rollcall.work import HostKeyPolicy
from rollcall_cli.errors import CommandError
from rollcall_cli.objects import first_problem

LABEL_INVENTORY: Final = f"{GROUP}/inventory"
"""On what was imported together: the name of the Inventory, which selects its hosts by this."""
ANNOTATION_NAME: Final = f"{GROUP}/imported-name"
"""On a Host whose name Kubernetes does not take: the name that it was imported by."""

Document = dict[str, Any]
_FILES: Final = (".yaml", ".yml")
# Anything that some reader of YAML could take for a number, a time or a truth is quoted.
_PLAIN: Final = re.compile(r"[A-Za-z_/][A-Za-z0-9_./-]*(?: [A-Za-z0-9_./-]+)*")
_WORDS: Final = frozenset({"y", "n", "yes", "no", "on", "off", "true", "false", "null", "nan", "inf"})


@dataclass(frozen=True, slots=True)
class HostManifest:
    """A Host to be."""

    name: str
    address: str | None = None
    port: int = DEFAULT_PORT
    user: str | None = None
    credentials: str | None = None
    jump_host: str | None = None
    host_keys: Sequence[str] = ()
    known_hosts: str | None = None
    """The ConfigMap whose key `known_hosts` counts."""
    policy: HostKeyPolicy = HostKeyPolicy.STRICT
    groups: Sequence[str] = ()
    variables: Mapping[str, Any] = field(default_factory=dict)
    labels: Mapping[str, str] = field(default_factory=dict)
    original: str | None = None
    """What it was called where it comes from, if that is not its name."""

    def document(self, namespace: str | None) -> Document:
        """The manifest. Raises CommandError for what no Host can have."""
        spec = {
            "address": self.address,
            "port": None if self.port == DEFAULT_PORT else self.port,
            "user": self.user,
            "credentialsRef": self.credentials and {"name": self.credentials},
            "jumpHostRef": self.jump_host and {"name": self.jump_host},
            "hostKeys": list(self.host_keys),
            "knownHostsFrom": self.known_hosts
            and {"configMapKeyRef": {"name": self.known_hosts, "key": KNOWN_HOSTS_KEY}},
            "hostKeyPolicy": None if self.policy is HostKeyPolicy.STRICT else self.policy.value,
            "groups": list(self.groups),
            "variables": dict(self.variables),
        }
        annotations = {ANNOTATION_NAME: self.original} if self.original else {}
        made = _object("Host", self.name, namespace, self.labels, _present(spec), annotations)
        called = f"host {self.original or self.name}"
        try:
            problem = variables_problem(Host.model_validate(made))
        except ValidationError as error:
            raise CommandError(f"{called}: {first_problem(error)}") from None
        if problem:
            raise CommandError(f"{called}: {problem}")
        return made


KNOWN_HOSTS_KEY: Final = "known_hosts"


@dataclass(frozen=True, slots=True)
class InventoryManifest:
    """An Inventory to be, of the Hosts with its label."""

    name: str
    variables: Mapping[str, Any]
    groups: Mapping[str, "GroupManifest"]

    def document(self, namespace: str | None) -> Document:
        """The manifest. Raises CommandError for what no Inventory can have."""
        groups = {
            name: _present({"children": list(group.children), "variables": dict(group.variables)})
            for name, group in self.groups.items()
        }
        spec = {
            "selector": {"matchLabels": {LABEL_INVENTORY: self.name}},
            "variables": dict(self.variables),
            "groups": groups,
        }
        # The label lets `kubectl apply --prune` take Hosts away that are gone.
        made = _object("Inventory", self.name, namespace, {LABEL_INVENTORY: self.name}, _present(spec), {})
        try:
            check(Inventory.model_validate(made))
        except ValidationError as error:
            raise CommandError(f"the Inventory {self.name}: {first_problem(error)}") from None
        except InventoryError as error:
            raise CommandError(f"the Inventory {self.name}: {error}") from None
        return made


@dataclass(frozen=True, slots=True)
class GroupManifest:
    """A group of an Inventory."""

    children: Sequence[str]
    variables: Mapping[str, Any]


def known_hosts_map(name: str, namespace: str | None, text: str) -> Document:
    """A ConfigMap with known hosts."""
    metadata = _present({"name": name, "namespace": namespace})
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": {KNOWN_HOSTS_KEY: text}}


def write(documents: Iterable[Document], output: Path | None) -> None:
    """Write a stream to stdout or a file; or a file for each object to a folder, which is made if it is not there.

    `output` is a file if it is called so (`.yaml`, `.yml`), or is one already. Raises CommandError.
    """
    try:
        if output is None:
            sys.stdout.writelines(map(text_of, documents))
        elif output.is_dir() or not (output.suffix in _FILES or output.exists()):
            output.mkdir(parents=True, exist_ok=True)
            for document in documents:
                name = f"{document['kind'].lower()}-{document['metadata']['name']}"
                (output / f"{name}.yaml").write_text(text_of(document), encoding="utf-8")
        else:
            output.write_text("".join(map(text_of, documents)), encoding="utf-8")
    except OSError as error:
        raise CommandError(f"cannot write {error.filename or 'the manifests'}: {error.strerror}") from None


def text_of(document: Document) -> str:
    """A document of a YAML stream."""
    return "---\n" + yaml.dump(
        document, Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=2**20, default_flow_style=False
    )


class _Dumper(yaml.SafeDumper):
    def ignore_aliases(self, _: Any) -> bool:
        return True


def _text(dumper: yaml.SafeDumper, value: str) -> yaml.Node:
    plain = _PLAIN.fullmatch(value) and value.lower() not in _WORDS
    return dumper.represent_scalar("tag:yaml.org,2002:str", value, style=None if plain else '"')


_Dumper.add_representer(str, _text)


def _object(
    kind: str,
    name: str,
    namespace: str | None,
    labels: Mapping[str, str],
    spec: Document,
    annotations: Mapping[str, str],
) -> Document:
    metadata = {"name": name, "namespace": namespace, "labels": dict(labels), "annotations": dict(annotations)}
    return {"apiVersion": API_VERSION, "kind": kind, "metadata": _present(metadata), "spec": spec}


def _present(fields: Mapping[str, Any]) -> Document:
    return {name: value for name, value in fields.items() if value not in (None, [], {}, "")}
