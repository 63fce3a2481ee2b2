"""`Host`: one machine that jobs run on."""

import json
from enum import StrEnum
from typing import Annotated, Any, Final

from pydantic import BeforeValidator, Field

from rollcall.resources.meta import Condition, ConfigMapKeyReference, LocalReference, Model, Resource, Time
from rollcall.work import HostKeyPolicy

DEFAULT_PORT = 22
MAX_FACTS_BYTES: Final = 32_768
MAX_VARIABLES_BYTES: Final = 32_768
MAX_JSON_DEPTH: Final = 64
"""How deep facts and variables may be nested: what reads and compares them calls itself for each level."""
GROUP_NAME: Final = r"^[A-Za-z_][A-Za-z0-9_.-]*$"
GroupName = Annotated[str, Field(min_length=1, max_length=253, pattern=GROUP_NAME)]


def check_depth(value: Any) -> Any:
    """The JSON value as it is. Raises ValueError for one that is nested deeper than facts and variables may be."""
    level = [value]
    for _ in range(MAX_JSON_DEPTH):
        level = [
            part
            for inner in level
            if isinstance(inner, dict | list)
            for part in (inner.values() if isinstance(inner, dict) else inner)
        ]
        if not level:
            return value
    if any(isinstance(inner, dict | list) for inner in level):
        raise ValueError(f"is nested more than {MAX_JSON_DEPTH} levels deep")
    return value


JsonObject = Annotated[
    dict[str, Any],
    BeforeValidator(check_depth),
    Field(json_schema_extra={"x-kubernetes-preserve-unknown-fields": True}),
]
"""Any JSON object that is not nested too deep to be worked with."""


class Exclusive(StrEnum):
    """What has a host for itself."""

    NONE = "None"
    SLICE = "Slice"


HostKeys = Annotated[
    tuple[Annotated[str, Field(min_length=1, max_length=4096, pattern=r"^[a-z0-9@.-]+ [A-Za-z0-9+/=]+( .*)?$")], ...],
    Field(max_length=16, json_schema_extra={"x-kubernetes-list-type": "set"}),
]


class KnownHostsSource(Model):
    """Where known hosts are written down."""

    config_map_key_ref: ConfigMapKeyReference
    """The key of a ConfigMap with a text in the format of OpenSSH's `known_hosts`."""


class FactsSource(Model):
    """Where facts are written down."""

    config_map_key_ref: ConfigMapKeyReference
    """The key of a ConfigMap with a JSON object. The ConfigMap must have the label `rollcall.dev/facts`, whatever its
    value: only such ConfigMaps are watched."""


class HostSpec(Model):
    """How a machine is reached and recognised, and what scripts can read about it."""

    address: Annotated[str, Field(min_length=1, max_length=253)] | None = None
    """The IP address or DNS name to connect to, from the last jump host if there are any. Defaults to the object's
    name."""
    port: Annotated[int, Field(ge=1, le=65535)] = DEFAULT_PORT
    """The TCP port of the SSH server."""
    user: Annotated[str, Field(min_length=1, max_length=256)] = "root"
    """The user to log in as, unless the invocation names another."""
    credentials_ref: LocalReference | None = None
    """The Secret to log in with. Its keys: `ssh-privatekey`, `ssh-certificate`, `passphrase`, `password`, and
    `become-password` for becoming another user. An invocation may name one whose values come first."""
    jump_host_ref: LocalReference | None = None
    """The Host over which this one is reached, as by `ssh -J`. It may have a jump host itself, up to five in a row.
    Each is logged in to with its own user and credentials."""
    host_keys: HostKeys = ()
    """The public keys that the machine may show, each as in a `known_hosts` line without the host part:
    `ssh-ed25519 AAAA...`. A machine that shows another key is refused."""
    known_hosts_from: KnownHostsSource | None = None
    """Known hosts. Their lines for the address and port count beside `hostKeys`, also those with `@cert-authority` and
    `@revoked`."""
    host_key_policy: HostKeyPolicy = HostKeyPolicy.STRICT
    """What becomes of a machine of which no key is known. Strict: it is refused. AcceptNew: the first key that it shows
    is accepted and recorded in the status, and any other is refused from then on. Ignore: no key is ever compared, so
    that anybody in between can read and change everything."""
    exclusive: Exclusive = Exclusive.NONE
    """`Slice`: one slice at a time works on this host, whatever invocation it belongs to; others wait for it."""
    unschedulable: bool = False
    """Whether the machine takes no new work, as on a Node. Selectors, queries and inventories leave it out; where a job
    names it, or has chosen it before, it fails with the reason `HostUnschedulable`. What is at work goes on."""
    organization: Annotated[str, Field(max_length=253)] | None = None
    """The organization that the machine belongs to, for queries."""
    location: Annotated[str, Field(max_length=253)] | None = None
    """The place where the machine is, for queries."""
    facts: JsonObject = {}
    """What is known about the machine: any JSON object, at most 32 KiB. A script reads `{{ host.facts.os.family }}`."""
    facts_from: FactsSource | None = None
    """More facts. Where one has the name of one in `facts`, the latter counts. All together have at most 32 KiB."""
    variables: JsonObject = {}
    """Settings of the machine, by name: any JSON values, at most 32 KiB. A script reads
    `{{ host.variables.http_port }}`."""
    groups: Annotated[
        tuple[GroupName, ...], Field(max_length=256, json_schema_extra={"x-kubernetes-list-type": "set"})
    ] = ()
    """The groups that the machine belongs to: queries ask for them, and a playbook's inventory has them. An Inventory
    can put them under other groups."""


class HostStatus(Model):
    """What Rollcall knows about the machine."""

    conditions: Annotated[
        tuple[Condition, ...],
        Field(json_schema_extra={"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["type"]}),
    ] = ()
    """`Valid` is False, with the reason, while jobs cannot be sent to this host as it is written."""
    observed_generation: int | None = None
    """The metadata.generation that this status describes."""
    host_keys: HostKeys = ()
    """The key that was accepted because none was known (`AcceptNew`). It counts while `spec.hostKeys` is empty."""
    last_contact_time: Time | None = None
    """When a job last ran something on the machine, to within a day: it is written some time after a job, and not again
    for a day."""


class Host(Resource):
    """A machine that jobs run on, reached over SSH."""

    spec: HostSpec = HostSpec()
    """How the machine is reached and recognised, and what scripts can read about it."""
    status: HostStatus = HostStatus()
    """What Rollcall knows about the machine."""

    @property
    def address(self) -> str:
        """Where to connect to: the address, else the object's name; an IPv6 address without brackets around it."""
        address = self.spec.address or self.metadata.name
        return address[1:-1] if address.startswith("[") and address.endswith("]") else address


def facts_problem(host: Host) -> str | None:
    """The sentence about facts that are too many to be read; CEL cannot measure what has no schema."""
    return _too_large("spec.factsFrom and spec.facts have" if host.spec.facts_from else "spec.facts has",
                      host.spec.facts, MAX_FACTS_BYTES)  # fmt: skip


def variables_problem(host: Host) -> str | None:
    """The sentence about a Host's own variables that are too many; its inventory's are not counted."""
    return _too_large("spec.variables has", host.spec.variables, MAX_VARIABLES_BYTES)


def json_size(value: Any) -> int:
    """How many bytes the value takes as JSON."""
    text = json.dumps(value, ensure_ascii=False, separators=(",", ":"))
    return len(text.encode(errors="surrogatepass"))


def _too_large(subject: str, value: Any, most: int) -> str | None:
    size = json_size(value)
    return f"{subject} {size} bytes as JSON, more than {most}" if size > most else None
