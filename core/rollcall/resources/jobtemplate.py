"""`JobTemplate`: what can be run, with its inputs."""

from enum import StrEnum
from typing import Annotated

from pydantic import Field

from rollcall.resources.meta import Model, Resource


class InputType(StrEnum):
    """The types an input can have."""

    STRING = "String"
    INTEGER = "Integer"
    NUMBER = "Number"
    BOOLEAN = "Boolean"
    CHOICE = "Choice"


class TemplateInput(Model):
    """A value that an invocation gives to the script."""

    name: Annotated[str, Field(pattern=r"^[A-Za-z_][A-Za-z0-9_]*$", max_length=63)]
    """The name under which the script reads it: `{{ inputs.NAME }}`."""
    type: InputType = InputType.STRING
    """String, Integer, Number, Boolean or Choice (one of `options`)."""
    required: bool = False
    """Whether an invocation must give a value; an input with a default need not be given."""
    default: Annotated[str, Field(max_length=16384)] | None = None
    """The value when an invocation gives none, written as text."""
    options: Annotated[tuple[str, ...], Field(max_length=256, json_schema_extra={"x-kubernetes-list-type": "set"})] = ()
    """The values that a Choice allows."""
    description: Annotated[str, Field(max_length=4096)] = ""
    """What the value means, for people."""


class Provider(StrEnum):
    """The ways of reaching a host."""

    SSH = "SSH"


class SshProvider(Model):
    """Runs a script on each host over SSH."""

    script: Annotated[str, Field(min_length=1, max_length=131072)]
    """The script, run by the interpreter of its `#!` line (without one: /bin/sh). `{{ inputs.NAME }}` inserts an
    input quoted for the shell, `{{ inputs.NAME | raw }}` unquoted; `{{ host.name }}` and `{{ host.address }}` name
    the host."""


class JobTemplateSpec(Model):
    """What is run, and what may be said about it."""

    display_name: Annotated[str, Field(max_length=255)] | None = None
    """The name that people and REST clients see. Defaults to the object's name."""
    category: Annotated[str, Field(min_length=1, max_length=255)] = "Miscellaneous"
    """The group in which people find the template."""
    features: Annotated[tuple[str, ...], Field(max_length=64, json_schema_extra={"x-kubernetes-list-type": "set"})] = ()
    """Labels of the features that this template serves; a REST client may ask for a feature instead of a template."""
    description_format: Annotated[str, Field(max_length=1024)] | None = None
    """The description of an invocation, with `%{INPUT}`, `%{template_name}` and `%{job_category}` replaced."""
    inputs: Annotated[
        tuple[TemplateInput, ...],
        Field(
            max_length=64, json_schema_extra={"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["name"]}
        ),
    ] = ()
    """The values that an invocation gives."""
    provider: Provider = Provider.SSH
    """How hosts are reached; the member of that name says what is run."""
    ssh: SshProvider | None = None
    """What is run over SSH."""
    execution_timeout_seconds: Annotated[int, Field(ge=1, le=31536000)] = 3600
    """How long the script may run on one host before it is stopped."""


class JobTemplate(Resource):
    """A script with typed inputs that can be run on hosts."""

    spec: Annotated[
        JobTemplateSpec,
        Field(
            json_schema_extra={
                "x-kubernetes-validations": [
                    {"rule": "self.provider != 'SSH' || has(self.ssh)", "message": "provider SSH needs spec.ssh"}
                ]
            }
        ),
    ]
    """What is run, and what may be said about it."""

    @property
    def title(self) -> str:
        """The name that people see."""
        return self.spec.display_name or self.metadata.name
