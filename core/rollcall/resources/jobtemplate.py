"""`JobTemplate`: what can be run, with its inputs."""

from enum import StrEnum
from typing import Annotated

from pydantic import Field

from rollcall.resources.host import Exclusive
from rollcall.resources.jobinvocation import RetryReason
from rollcall.resources.meta import Model, Resource, rule
from rollcall.resources.providers import (
    ONE_OF_SCRIPT_AND_STEPS,
    ONE_PLAYBOOK,
    AnsibleProvider,
    PodProvider,
    Provider,
    Scripted,
    SshProvider,
)
from rollcall.resources.runner import RunnerShape

MAX_PATTERN_LENGTH = 256


class InputType(StrEnum):
    """The types an input can have."""

    STRING = "String"
    INTEGER = "Integer"
    NUMBER = "Number"
    BOOLEAN = "Boolean"
    CHOICE = "Choice"
    SECRET = "Secret"


class ValueFrom(Model):
    """Says where on the Host a value is read; exactly one of `fact` and `variable`."""

    fact: Annotated[str, Field(max_length=253, pattern=r"^[^.\s]+([.][^.\s]+)*$")] | None = None
    """The path of a fact, `os.family`: names with dots between them, numbers for the entries of a list."""
    variable: Annotated[str, Field(min_length=1, max_length=253)] | None = None
    """The name of a variable of the Host."""

    @property
    def path(self) -> str:
        """Where the value is, as it stands below the Host's spec."""
        return f"variables.{self.variable}" if self.fact is None else f"facts.{self.fact}"


_NUMERIC = "self.type in ['Integer', 'Number']"
_INPUT_RULES = (
    rule("self.type != 'Choice' || (has(self.options) && self.options.size() > 0)", "a Choice needs options"),
    rule("self.type == 'Choice' || !has(self.options)", "options are for the type Choice"),
    rule(
        "self.type != 'Choice' || !has(self.default) || !has(self.options) || self.default in self.options",
        "the default must be one of the options",
    ),
    rule(
        "self.type != 'Integer' || !has(self.default) || self.default.matches('^[+-]?[0-9]{1,19}$')",
        "the default must be a whole number",
    ),
    rule(
        "self.type != 'Number' || !has(self.default)"
        " || self.default.matches('^[+-]?([0-9]+([.][0-9]*)?|[.][0-9]+)([eE][+-]?[0-9]{1,3})?$')",
        "the default must be a number",
    ),
    rule(
        "self.type != 'Boolean' || !has(self.default)"
        " || self.default.lowerAscii() in ['true', 'false', 'yes', 'no', 'on', 'off', '1', '0']",
        "the default must be true or false",
    ),
    rule(
        "self.type != 'Secret' || (!has(self.default) && !has(self.valueFrom))",
        "a Secret has neither default nor valueFrom: its value comes from a Secret of the invocation",
    ),
    rule(
        "!has(self.valueFrom) || !self.required",
        "an input with valueFrom is read from the Host, so it cannot be required of an invocation",
    ),
    rule("!has(self.pattern) || self.type in ['String', 'Secret']", "a pattern is for the types String and Secret"),
    # The matching is there for its error: a pattern that is none makes the rule fail with the reason.
    rule("!has(self.pattern) || ''.matches(self.pattern) in [true, false]", "pattern is no regular expression (RE2)"),
    rule(
        f"(!has(self.minimum) && !has(self.maximum)) || {_NUMERIC}",
        "minimum and maximum are for the types Integer and Number",
    ),
    rule("!has(self.minimum) || !has(self.maximum) || self.minimum <= self.maximum", "minimum is greater than maximum"),
)


class TemplateInput(Model):
    """A value that the script reads; an invocation gives it, or the Host has it."""

    name: Annotated[str, Field(pattern=r"^[A-Za-z_][A-Za-z0-9_]*$", max_length=63)]
    """The name under which the script reads it: `{{ inputs.NAME }}`."""
    type: InputType = InputType.STRING
    """String, Integer, Number, Boolean, Choice (one of `options`) or Secret (text that is shown nowhere, and that an
    invocation gives by `inputsFrom`)."""
    required: bool = False
    """Whether an invocation must give a value; an input with a default need not be given."""
    default: Annotated[str, Field(max_length=16384)] | None = None
    """The value when an invocation gives none, or the Host has none, written as text."""
    options: Annotated[
        tuple[Annotated[str, Field(max_length=1024)], ...],
        Field(max_length=256, json_schema_extra={"x-kubernetes-list-type": "set"}),
    ] = ()
    """The values that a Choice allows."""
    pattern: Annotated[str, Field(min_length=1, max_length=MAX_PATTERN_LENGTH)] | None = None
    """A regular expression (RE2, https://github.com/google/re2/wiki/Syntax) that all of a String or Secret must match;
    such a value has at most 4096 characters."""
    minimum: float | None = None
    """The least value of an Integer or a Number."""
    maximum: float | None = None
    """The greatest value of an Integer or a Number."""
    hidden: bool = False
    """Whether the value is kept out of descriptions, Events, messages and output. It stays readable in the spec of an
    invocation that gives it in `inputs`; with `inputsFrom`, or the type Secret, it is not even there."""
    value_from: (
        Annotated[
            ValueFrom,
            Field(
                json_schema_extra={
                    "x-kubernetes-validations": [
                        rule("has(self.fact) != has(self.variable)", "name either a fact or a variable")
                    ]
                }
            ),
        ]
        | None
    ) = None
    """Reads the value from the Host instead, when its script is made. A Host without it fails, if there is no
    default."""
    description: Annotated[str, Field(max_length=4096)] = ""
    """What the value means, for people."""

    @property
    def concealed(self) -> bool:
        """Whether the value must not be shown."""
        return self.hidden or self.type is InputType.SECRET


class ConcurrencyPolicy(StrEnum):
    """Whether several invocations of a template may run at once."""

    ALLOW = "Allow"
    FORBID = "Forbid"


class JobTemplateSpec(Model):
    """What is run, and what may be said about it."""

    display_name: Annotated[str, Field(max_length=255)] | None = None
    """The name that people and REST clients see. Defaults to the object's name."""
    category: Annotated[str, Field(min_length=1, max_length=255)] = "Miscellaneous"
    """The group in which people find the template."""
    features: Annotated[tuple[str, ...], Field(max_length=64, json_schema_extra={"x-kubernetes-list-type": "set"})] = ()
    """Labels of the features that this template serves; an invocation may ask for a feature instead of a template."""
    description_format: Annotated[str, Field(max_length=1024)] | None = None
    """The description of an invocation, with `%{INPUT}`, `%{template_name}` and `%{job_category}` replaced; a hidden
    value shows as `***`."""
    inputs: Annotated[
        tuple[Annotated[TemplateInput, Field(json_schema_extra={"x-kubernetes-validations": list(_INPUT_RULES)})], ...],
        Field(
            max_length=64, json_schema_extra={"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["name"]}
        ),
    ] = ()
    """The values that the script reads."""
    provider: Provider = Provider.SSH
    """How hosts are reached; the member of that name, and no other, says what is run."""
    ssh: (
        Annotated[SshProvider, Field(json_schema_extra={"x-kubernetes-validations": [ONE_OF_SCRIPT_AND_STEPS]})] | None
    ) = None
    """What is run over SSH: exactly one of `script` and `steps`."""
    pod: (
        Annotated[PodProvider, Field(json_schema_extra={"x-kubernetes-validations": [ONE_OF_SCRIPT_AND_STEPS]})] | None
    ) = None
    """What is run in the runner pod of each host, and in which image: exactly one of `script` and `steps`. The host's
    name, address and facts are in the environment."""
    ansible: (
        Annotated[AnsibleProvider, Field(json_schema_extra={"x-kubernetes-validations": [ONE_PLAYBOOK]})] | None
    ) = None
    """The playbook that is run."""
    runner: RunnerShape | None = None
    """What runner pods of this template ask of their nodes."""
    execution_timeout_seconds: Annotated[int, Field(ge=1, le=31536000)] = 3600
    """How long the script may run on one host before it is stopped."""
    termination_grace_period_seconds: Annotated[int, Field(ge=0, le=600)] = 5
    """How long the script may take to end by itself when it is to be stopped: between SIGTERM and SIGKILL."""
    pickup_timeout_seconds: Annotated[int, Field(ge=1, le=31536000)] | None = None
    """How long a runner pod may wait for a node, its image or the API server's consent. When absent, as long as the
    operator's settings say."""
    backoff_limit: Annotated[int, Field(ge=0, le=10)] = 0
    """How often a host that failed is tried again."""
    backoff_seconds: Annotated[int, Field(ge=0, le=86400)] = 10
    """How long before the first new attempt, each later one twice as long as the one before, at most six minutes or
    this, whichever is more."""
    retry_on: Annotated[
        tuple[RetryReason, ...], Field(max_length=32, json_schema_extra={"x-kubernetes-list-type": "set"})
    ] = (RetryReason.UNREACHABLE,)
    """The reasons of failed hosts after which they are tried again. Only Unreachable when absent."""
    retry_on_exit_codes: Annotated[
        tuple[Annotated[int, Field(ge=1, le=255)], ...],
        Field(max_length=255, json_schema_extra={"x-kubernetes-list-type": "set"}),
    ] = ()
    """Exit codes after which hosts are tried again, also when `ExitCode` is not in retryOn."""
    concurrency_policy: ConcurrencyPolicy = ConcurrencyPolicy.ALLOW
    """Whether several invocations of this template run at once: `Allow`, or `Forbid`, which makes later ones wait."""
    exclusive: Exclusive = Exclusive.NONE
    """`Slice`: while a slice of this template works on a host, no other slice does."""


class JobTemplate(Resource):
    """A script with typed inputs that can be run on hosts."""

    spec: Annotated[
        JobTemplateSpec,
        Field(
            json_schema_extra={
                "x-kubernetes-validations": [
                    rule("self.provider != 'SSH' || has(self.ssh)", "provider SSH needs spec.ssh"),
                    rule("self.provider != 'Pod' || has(self.pod)", "provider Pod needs spec.pod"),
                    rule("self.provider != 'Ansible' || has(self.ansible)", "provider Ansible needs spec.ansible"),
                    rule("self.provider == 'SSH' || !has(self.ssh)", "spec.ssh is for provider SSH"),
                    rule("self.provider == 'Pod' || !has(self.pod)", "spec.pod is for provider Pod"),
                    rule("self.provider == 'Ansible' || !has(self.ansible)", "spec.ansible is for provider Ansible"),
                ]
            }
        ),
    ]
    """What is run, and what may be said about it."""

    @property
    def scripted(self) -> Scripted | None:
        """What is run, where that is a script or steps; None where it is a playbook."""
        match self.spec.provider:
            case Provider.SSH:
                return self.spec.ssh
            case Provider.POD:
                return self.spec.pod
            case Provider.ANSIBLE:
                return None

    @property
    def in_pod(self) -> bool:
        """Whether it runs in the pod itself, so that nobody logs in anywhere."""
        return self.spec.provider is Provider.POD

    @property
    def title(self) -> str:
        """The name that people see."""
        return self.spec.display_name or self.metadata.name
