"""CustomResourceDefinitions, derived from the models.

Pydantic describes a model as JSON Schema; a CRD needs the structural subset of OpenAPI v3
(https://kubernetes.io/docs/tasks/extend-kubernetes/custom-resources/custom-resource-definitions/#specifying-a-structural-schema).
What only the API server must know (list types, CEL rules) stands beside the fields, in `json_schema_extra`.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

from rollcall.names import GROUP, VERSION, Kind
from rollcall.resources.host import Host
from rollcall.resources.inventory import Inventory
from rollcall.resources.jobinvocation import MAX_NAME_LENGTH, JobInvocation
from rollcall.resources.joboutput import JobOutput
from rollcall.resources.jobslice import JobSlice
from rollcall.resources.jobtemplate import JobTemplate
from rollcall.resources.meta import Resource
from rollcall.resources.schedule import Schedule

Schema = dict[str, Any]

CATEGORY: Final = "rollcall"
TEMPLATE: Final = "invocationTemplate"
_KEPT: Final = frozenset({
    "type", "description", "enum", "format", "pattern", "minimum", "maximum", "minLength", "maxLength", "minItems",
    "maxItems", "minProperties", "maxProperties", "items", "properties", "required", "additionalProperties", "default",
})  # fmt: skip
_AGE: Final = ("Age", "date", ".metadata.creationTimestamp", 0)


@dataclass(frozen=True)
class Definition:
    """What a CRD says beside its schema; columns are (name, type, JSONPath, priority)."""

    model: type[Resource]
    short_name: str
    columns: tuple[tuple[str, str, str, int], ...]
    status: bool = True
    rules: tuple[tuple[str, str], ...] = ()


DEFINITIONS: Final = (
    Definition(
        Host,
        "rhost",
        (
            ("Address", "string", ".spec.address", 0),
            ("Port", "integer", ".spec.port", 1),
            ("User", "string", ".spec.user", 0),
            ("Unschedulable", "boolean", ".spec.unschedulable", 1),
            ("Problem", "string", '.status.conditions[?(@.status=="False")].reason', 0),
            ("Id", "string", rf".metadata.labels.{GROUP.replace('.', chr(92) + '.')}/id", 1),
            _AGE,
        ),
        rules=(
            (
                "!has(self.spec) || !has(self.spec.jumpHostRef) || self.spec.jumpHostRef.name != self.metadata.name",
                "spec.jumpHostRef: a Host cannot be its own jump host",
            ),
        ),
    ),
    Definition(
        Inventory,
        "rinv",
        (
            ("Hosts", "integer", ".status.hosts", 0),
            ("Query", "string", ".spec.query.text", 1),
            ("Problem", "string", '.status.conditions[?(@.status=="False")].reason', 0),
            _AGE,
        ),
    ),
    Definition(
        JobTemplate,
        "jt",
        (
            ("Title", "string", ".spec.displayName", 0),
            ("Category", "string", ".spec.category", 0),
            ("Provider", "string", ".spec.provider", 0),
            ("Id", "string", rf".metadata.labels.{GROUP.replace('.', chr(92) + '.')}/id", 1),
            _AGE,
        ),
        status=False,
    ),
    Definition(
        JobInvocation,
        "ji",
        (
            ("State", "string", ".status.state", 0),
            ("Succeeded", "integer", ".status.hosts.succeeded", 0),
            ("Failed", "integer", ".status.hosts.failed", 0),
            ("Running", "integer", ".status.hosts.running", 0),
            ("Total", "integer", ".status.hosts.total", 0),
            ("Waiting", "string", ".status.waitingFor", 1),
            ("Description", "string", ".status.description", 1),
            ("Id", "string", rf".metadata.labels.{GROUP.replace('.', chr(92) + '.')}/id", 1),
            _AGE,
        ),
        rules=(
            (
                f"self.metadata.name.size() <= {MAX_NAME_LENGTH}",
                f"the name may have at most {MAX_NAME_LENGTH} characters, so that its slices' names fit into labels",
            ),
        ),
    ),
    Definition(
        JobSlice,
        "js",
        (
            ("Invocation", "string", ".spec.invocationRef.name", 0),
            ("Attempt", "integer", ".spec.attempt", 1),
            ("State", "string", ".status.state", 0),
            ("Succeeded", "integer", ".status.succeeded", 0),
            ("Failed", "integer", ".status.failed", 0),
            ("Pod", "string", ".status.podName", 1),
            _AGE,
        ),
    ),
    Definition(
        JobOutput,
        "jo",
        (
            ("Slice", "string", ".spec.sliceRef.name", 0),
            ("Sequence", "integer", ".spec.sequence", 0),
            _AGE,
        ),
        status=False,
    ),
    Definition(
        Schedule,
        "rsched",
        (
            ("State", "string", ".status.state", 0),
            ("Times", "string", ".status.summary", 0),
            ("Template", "string", ".status.template", 0),
            ("Next", "string", ".status.nextTimes[0]", 0),
            ("Last", "date", ".status.lastRun.time", 0),
            ("Problem", "string", ".status.problem", 1),
            ("Error", "string", ".status.lastRun.error", 1),
            ("Iteration", "integer", ".status.iteration", 1),
            ("Missed", "integer", ".status.missed", 1),
            ("Id", "string", rf".metadata.labels.{GROUP.replace('.', chr(92) + '.')}/id", 1),
            _AGE,
        ),
    ),
)


def custom_resource_definition(definition: Definition) -> Schema:
    """The CRD object of a definition, as it is applied."""
    kind = definition.model.kind()
    plural = Kind(kind).plural
    version: Schema = {
        "name": VERSION,
        "served": True,
        "storage": True,
        "schema": {"openAPIV3Schema": schema(definition)},
        "additionalPrinterColumns": [
            {"name": name, "type": type_, "jsonPath": path} | ({"priority": priority} if priority else {})
            for name, type_, path, priority in definition.columns
        ],
    }
    if definition.status:
        version["subresources"] = {"status": {}}
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": f"{plural}.{GROUP}"},
        "spec": {
            "group": GROUP,
            "scope": "Namespaced",
            "names": {
                "kind": kind,
                "listKind": f"{kind}List",
                "plural": plural,
                "singular": kind.lower(),
                "shortNames": [definition.short_name],
                "categories": [CATEGORY],
            },
            "versions": [version],
        },
    }


def schema(definition: Definition) -> Schema:
    """The structural schema of a resource, with a description on every field."""
    document = definition.model.model_json_schema(by_alias=True)
    definitions = document.pop("$defs", {})
    properties = document["properties"]
    required = [name for name in document.get("required", ()) if name != "metadata"]
    fields = {
        name: _structural(field, definitions)
        for name, field in properties.items()
        if name not in ("metadata", "apiVersion", "kind") and (name != "status" or definition.status)
    }
    rules = [{"rule": rule, "message": message} for rule, message in definition.rules]
    return {
        "type": "object",
        "description": _sentence(document["description"]),
        **({"required": required} if required else {}),
        **({"x-kubernetes-validations": rules} if rules else {}),
        "properties": {
            "apiVersion": {
                "type": "string",
                "description": "The version of this object's schema. See https://git.k8s.io/community/contributors/devel/sig-architecture/api-conventions.md#resources",
            },
            "kind": {
                "type": "string",
                "description": "The kind of this object. See https://git.k8s.io/community/contributors/devel/sig-architecture/api-conventions.md#types-kinds",
            },
            "metadata": {"type": "object"},
            **fields,
        },
    }


def missing_fields(wanted: Schema, known: Schema, path: str = "") -> Iterator[str]:
    """What objects of one structural schema may hold and another does not know: fields, as `.status.output`, which an
    API server with the other would drop, and values of enums, as `.status.state=Done`, which it would refuse."""
    if known.get("x-kubernetes-preserve-unknown-fields"):
        return
    if "enum" in known:
        yield from (f"{path}={value}" for value in wanted.get("enum", ()) if value not in known["enum"])
    for name, field in wanted.get("properties", {}).items():
        if name not in known.get("properties", {}):
            yield f"{path}.{name}"
        elif not (path == "" and name == "metadata"):
            yield from missing_fields(field, known["properties"][name], f"{path}.{name}")
    for key in ("items", "additionalProperties"):
        if isinstance(wanted.get(key), dict) and isinstance(known.get(key), dict):
            yield from missing_fields(wanted[key], known[key], f"{path}[]")


def _structural(node: Schema, definitions: dict[str, Schema], *, may_change: bool = False) -> Schema:
    """One node of the structural schema: references inlined, `null` alternatives dropped, defaults of parts not.

    What stands in a template may change, whatever holds for the objects that are made from it.
    """
    node = _inlined(node, definitions)
    if node.get("x-rollcall-scalars"):
        # CEL cannot compare fields of unknown type, and inputs must not change: numbers and text, nothing else.
        scalar = {"x-kubernetes-int-or-string": True}
        return {
            "type": "object",
            "description": _sentence(node["description"]),
            "maxProperties": node["maxProperties"],
            "additionalProperties": scalar,
        }
    result = {key: value for key, value in node.items() if key in _KEPT or key.startswith("x-kubernetes-")}
    if "x-kubernetes-validations" in result and may_change:
        lasting = [rule for rule in result["x-kubernetes-validations"] if "oldSelf" not in rule["rule"]]
        result["x-kubernetes-validations"] = lasting
        if not lasting:
            del result["x-kubernetes-validations"]
    if "description" in result:
        result["description"] = _sentence(result["description"])
    if isinstance(result.get("default"), (dict, list)) or result.get("default") in (None, ""):
        result.pop("default", None)
    if "properties" in result:
        result["properties"] = {
            name: _structural(child, definitions, may_change=may_change or name == TEMPLATE)
            for name, child in result["properties"].items()
        }
    if "items" in result:
        result["items"] = _structural(result["items"], definitions, may_change=may_change)
    if isinstance(result.get("additionalProperties"), dict):
        extra = result["additionalProperties"]
        result["additionalProperties"] = _structural(extra, definitions, may_change=may_change)
    else:
        result.pop("additionalProperties", None)
    if result.get("type") == "integer" and "format" not in result:
        result["format"] = "int64"
    return result


def _inlined(node: Schema, definitions: dict[str, Schema]) -> Schema:
    """The node with its reference or its one non-null alternative put in its place; the field's own words win."""
    own = dict(node)
    while "$ref" in own or "anyOf" in own or "allOf" in own:
        if "$ref" in own:
            target = definitions[own.pop("$ref").rsplit("/", 1)[-1]]
        else:
            alternatives = own.pop("anyOf", None) or own.pop("allOf")
            (target,) = [entry for entry in alternatives if entry.get("type") != "null"]
        own = {**target, **own}
    return own


def _sentence(text: str) -> str:
    return " ".join(text.split())
