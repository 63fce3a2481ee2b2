"""`Host`: one machine that jobs run on."""

from typing import Annotated

from pydantic import Field

from rollcall.resources.meta import Condition, LocalReference, Model, Resource

DEFAULT_PORT = 22


class HostSpec(Model):
    """How a machine is reached and recognised."""

    address: Annotated[str, Field(min_length=1, max_length=253)] | None = None
    """The IP address or DNS name to connect to. Defaults to the object's name."""
    port: Annotated[int, Field(ge=1, le=65535)] = DEFAULT_PORT
    """The TCP port of the SSH server."""
    user: Annotated[str, Field(min_length=1, max_length=256)] = "root"
    """The user to log in as, unless the invocation names another."""
    credentials_ref: LocalReference | None = None
    """The Secret to log in with. Its keys: `ssh-privatekey`, `ssh-certificate`, `passphrase`, `password`.
    An invocation may name one whose values come first."""
    host_keys: Annotated[
        tuple[
            Annotated[str, Field(min_length=1, max_length=4096, pattern=r"^[a-z0-9@.-]+ [A-Za-z0-9+/=]+( .*)?$")], ...
        ],
        Field(max_length=16, json_schema_extra={"x-kubernetes-list-type": "set"}),
    ] = ()
    """The public keys that the machine may show, each as in a `known_hosts` line without the host part:
    `ssh-ed25519 AAAA...`. A machine that shows another key, or that has none here, is refused."""


class HostStatus(Model):
    """What Rollcall knows about the machine."""

    conditions: Annotated[
        tuple[Condition, ...],
        Field(json_schema_extra={"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["type"]}),
    ] = ()
    """`Valid` is False, with the reason, while jobs cannot be sent to this host as it is written."""
    observed_generation: int | None = None
    """The metadata.generation that this status describes."""


class Host(Resource):
    """A machine that jobs run on, reached over SSH."""

    spec: HostSpec = HostSpec()
    """How the machine is reached and recognised."""
    status: HostStatus = HostStatus()
    """What Rollcall knows about the machine."""

    @property
    def address(self) -> str:
        """Where to connect to: the address, else the object's name."""
        return self.spec.address or self.metadata.name
