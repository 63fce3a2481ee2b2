"""`JobOutput`: one chunk of a slice's output."""

from enum import StrEnum
from typing import Annotated

from pydantic import Field

from rollcall.resources.meta import LocalReference, Model, Resource


class OutputEncoding(StrEnum):
    """How the events of a chunk are packed."""

    GZIP = "Gzip"


class HostRange(Model):
    """Which events of one host a chunk holds."""

    first_seq: int
    """The sequence number of the first event."""
    last_seq: int
    """The sequence number of the last event."""
    first_time: float
    """When the first event happened, in seconds since 1970."""
    last_time: float
    """When the last event happened, in seconds since 1970."""


class JobOutputSpec(Model):
    """What the chunk holds."""

    slice_ref: LocalReference
    """The slice whose output this is."""
    sequence: Annotated[int, Field(ge=0)]
    """The chunk's place in the slice's output, from 0."""
    encoding: OutputEncoding = OutputEncoding.GZIP
    """`Gzip`: JSON lines, one event each, compressed with gzip."""
    hosts: dict[str, HostRange] = {}
    """Which events the chunk holds, by host."""


class JobOutput(Resource):
    """One chunk of a slice's output, at most 256 KiB, never changed. Made by Rollcall, not by people.
    Read one with `kubectl get jo NAME -o jsonpath={.data} | base64 -d | gunzip`."""

    spec: Annotated[
        JobOutputSpec,
        Field(
            json_schema_extra={
                "x-kubernetes-validations": [{"rule": "self == oldSelf", "message": "output never changes"}]
            }
        ),
    ]
    """What the chunk holds."""
    # Without `format: byte`: the API server would check each chunk with a regular expression, half of its work.
    data: str = ""
    """The packed events, in base64."""
