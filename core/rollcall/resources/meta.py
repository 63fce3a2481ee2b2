"""What all resources share: model settings, metadata, conditions and references."""

from datetime import UTC, datetime
from enum import StrEnum
from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, PlainSerializer
from pydantic.alias_generators import to_camel

from rollcall.names import API_VERSION, ConditionType


class Model(BaseModel):
    """A frozen piece of a resource; camelCase on the wire, unknown keys ignored as the API server prunes them."""

    model_config = ConfigDict(
        alias_generator=to_camel, populate_by_name=True, frozen=True, extra="ignore", use_attribute_docstrings=True
    )

    def wire(self) -> dict[str, Any]:
        """The JSON object that goes to the API server, without absent fields."""
        return self.model_dump(mode="json", by_alias=True, exclude_none=True)

    def patch(self, before: "Model") -> dict[str, Any]:
        """The JSON merge patch (RFC 7386) that puts this in the place of `before`: fields that are absent now go."""
        return dict.fromkeys(before.wire()) | self.wire()


def rule(rule: str, message: str) -> dict[str, str]:
    """An entry of `x-kubernetes-validations`: a CEL rule, and what a person is told who breaks it."""
    return {"rule": rule, "message": message}


def _utc(value: datetime) -> str:
    return value.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


Time = Annotated[datetime, PlainSerializer(_utc, when_used="json")]
"""A moment, RFC 3339 in UTC with whole seconds on the wire, like metav1.Time."""


def _blank_as_absent(value: Any) -> Any:
    return {} if value is None else value


Labels = Annotated[dict[str, str], BeforeValidator(_blank_as_absent)]


class OwnerReference(Model):
    """Names the object whose deletion deletes this one."""

    api_version: str
    kind: str
    name: str
    uid: str
    controller: bool = True
    block_owner_deletion: bool = False


class Metadata(Model):
    """The part of ObjectMeta that decisions are made from."""

    name: str
    namespace: str = ""
    uid: str = ""
    resource_version: str = ""
    generation: int = 0
    creation_timestamp: Time | None = None
    deletion_timestamp: Time | None = None
    labels: Labels = {}
    annotations: Labels = {}
    finalizers: tuple[str, ...] = ()
    owner_references: tuple[OwnerReference, ...] = ()


class Resource(Model):
    """A custom resource as the API server stores it."""

    metadata: Metadata

    @classmethod
    def kind(cls) -> str:
        """The kind's name, which is the class's."""
        return cls.__name__

    def owner_reference(self) -> OwnerReference:
        """The reference that makes another object go away with this one."""
        return OwnerReference(api_version=API_VERSION, kind=self.kind(), name=self.metadata.name, uid=self.metadata.uid)


class ConditionStatus(StrEnum):
    """The three values of a condition's status (KEP-1623)."""

    TRUE = "True"
    FALSE = "False"
    UNKNOWN = "Unknown"


class Condition(Model):
    """One aspect of the object's state (KEP-1623)."""

    type: ConditionType
    """The aspect, in CamelCase."""
    status: ConditionStatus
    """True, False or Unknown."""
    observed_generation: Annotated[int, Field(ge=0)] = 0
    """The metadata.generation that this condition was derived from."""
    last_transition_time: Time
    """When the status last changed."""
    reason: Annotated[str, Field(min_length=1, max_length=1024)]
    """One CamelCase word that a program can match on."""
    message: Annotated[str, Field(max_length=32768)] = ""
    """A sentence for people: what happened and what to do about it."""


class LocalReference(Model):
    """Names an object in the same namespace."""

    name: Annotated[str, Field(min_length=1, max_length=253)]
    """The object's metadata.name."""


class ConfigMapKeyReference(Model):
    """Names a key of a ConfigMap in the same namespace."""

    name: Annotated[str, Field(min_length=1, max_length=253)]
    """The ConfigMap's metadata.name."""
    key: Annotated[str, Field(min_length=1, max_length=253)]
    """The key whose text counts."""


USER_NAME = r"^[A-Za-z0-9_]([A-Za-z0-9_.@\\-]*[A-Za-z0-9_.@-])?[$]?$"
"""A user of a host, also of a domain. None begins with `-`: it becomes an argument of sudo and the like."""
UserName = Annotated[str, Field(max_length=256, pattern=USER_NAME)]


class LabelOperator(StrEnum):
    """How a label selector requirement compares."""

    IN = "In"
    NOT_IN = "NotIn"
    EXISTS = "Exists"
    DOES_NOT_EXIST = "DoesNotExist"


class LabelRequirement(Model):
    """One condition on a label."""

    key: Annotated[str, Field(min_length=1)]
    """The label's key."""
    operator: LabelOperator
    """In, NotIn, Exists or DoesNotExist."""
    values: Annotated[tuple[str, ...], Field(json_schema_extra={"x-kubernetes-list-type": "set"})] = ()
    """The values to compare with; empty for Exists and DoesNotExist."""


class LabelSelector(Model):
    """Selects objects by their labels, as in every Kubernetes API; all conditions must hold."""

    match_labels: dict[str, str] = {}
    """Labels that must have exactly these values."""
    match_expressions: Annotated[
        tuple[LabelRequirement, ...], Field(json_schema_extra={"x-kubernetes-list-type": "atomic"})
    ] = ()
    """Further conditions on labels."""
