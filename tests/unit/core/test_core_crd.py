"""The CRDs are structural, explain every field, and are the ones that are checked in."""

import re
from collections.abc import Iterator
from copy import deepcopy
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import yaml

from rollcall.names import Kind
from rollcall.resources.crd import DEFINITIONS, Definition, custom_resource_definition, missing_fields
from rollcall.resources.jobtemplate import JobTemplate
from rollcall.resources.meta import Condition
from rollcall.resources.providers import Provider

ROOT = Path(__file__).parents[3]
KINDS = pytest.mark.parametrize("definition", DEFINITIONS, ids=lambda definition: definition.model.kind())
Schema = dict[str, Any]


@cache
def version(definition: Definition) -> Schema:
    (found,) = custom_resource_definition(definition)["spec"]["versions"]
    return found  # type: ignore[no-any-return]


def root(definition: Definition) -> Schema:
    return version(definition)["schema"]["openAPIV3Schema"]  # type: ignore[no-any-return]


def fields(schema: Schema, path: str = "") -> Iterator[tuple[str, Schema]]:
    """Every node of a schema with its path, but `metadata`, which the API server knows."""
    yield path, schema
    for name, child in schema.get("properties", {}).items():
        if f"{path}.{name}" != ".metadata":
            yield from fields(child, f"{path}.{name}")
    for key in ("items", "additionalProperties"):
        if isinstance(schema.get(key), dict):
            yield from fields(schema[key], f"{path}[]")


def at(definition: Definition, path: str) -> Schema:
    return dict(fields(root(definition)))[path]


@KINDS
def test_every_field_explains_itself(definition: Definition) -> None:
    silent = [
        path for path, node in fields(root(definition)) if not path.endswith("[]") and not node.get("description")
    ]
    assert silent == []


@KINDS
def test_descriptions_are_sentences_in_one_line(definition: Definition) -> None:
    for path, node in fields(root(definition)):
        text = node.get("description", "A.")
        assert "\n" not in text, path
        assert re.search(r"[.:`)]$|#\S+$", text), f"{path}: {text}"


@KINDS
def test_the_schema_is_structural(definition: Definition) -> None:
    """https://kubernetes.io/docs/tasks/extend-kubernetes/custom-resources/custom-resource-definitions/#specifying-a-structural-schema"""
    for path, node in fields(root(definition)):
        assert not {"$ref", "anyOf", "allOf", "oneOf", "not", "$defs", "title", "const", "nullable"} & set(node), path
        assert node.get("type") in ("object", "array", "string", "integer", "number", "boolean") or (
            node.get("x-kubernetes-int-or-string") and "type" not in node
        ), path
        assert not ("properties" in node and "additionalProperties" in node), path
        if node.get("type") == "array":
            assert "items" in node, path
        assert "exclusiveMinimum" not in node, path
        assert "prefixItems" not in node, path
        assert node.get("default", 0) is not None, path


@KINDS
def test_list_types_fit_their_lists(definition: Definition) -> None:
    for path, node in fields(root(definition)):
        match node.get("x-kubernetes-list-type"):
            case "map":
                for key in node["x-kubernetes-list-map-keys"]:
                    assert key in node["items"]["required"], f"{path}: {key} identifies the entry"
            case "set":
                assert node["items"]["type"] in ("string", "integer"), path
            case None:
                assert node.get("type") != "array", f"{path}: how lists are merged is declared"


@KINDS
def test_names_in_schemas_are_camel_case_and_those_of_people_have_no_default_that_hides_a_choice(
    definition: Definition,
) -> None:
    for path, node in fields(root(definition)):
        for name in node.get("properties", {}):
            assert re.fullmatch(r"[a-z][A-Za-z0-9]*", name), f"{path}.{name}"
        for value in node.get("enum", ()):
            assert re.fullmatch(r"[A-Z][A-Za-z]*", value), f"{path}: {value}"


@KINDS
def test_status_is_a_subresource_where_there_is_one(definition: Definition) -> None:
    has_status = "status" in root(definition)["properties"]
    assert has_status == definition.status
    assert version(definition).get("subresources") == ({"status": {}} if has_status else None)
    assert "status" not in root(definition).get("required", [])


@KINDS
def test_names_follow_from_the_kind(definition: Definition) -> None:
    crd = custom_resource_definition(definition)
    kind = definition.model.kind()
    names = crd["spec"]["names"]
    assert crd["metadata"]["name"] == f"{Kind(kind).plural}.rollcall.dev"
    assert (names["kind"], names["plural"], names["singular"]) == (kind, Kind(kind).plural, kind.lower())
    assert names["categories"] == ["rollcall"]
    assert crd["spec"]["scope"] == "Namespaced"


def test_short_names_are_those_of_the_design() -> None:
    assert {definition.model.kind(): definition.short_name for definition in DEFINITIONS} == {
        "Host": "rhost",
        "Inventory": "rinv",
        "JobTemplate": "jt",
        "JobInvocation": "ji",
        "JobSlice": "js",
        "JobOutput": "jo",
        "Schedule": "rsched",
    }


@KINDS
def test_columns_show_fields_that_exist(definition: Definition) -> None:
    known = {path for path, _ in fields(root(definition))}
    for column in version(definition)["additionalPrinterColumns"]:
        path = column["jsonPath"].removesuffix("[0]")
        if not path.startswith((".metadata", ".status.conditions[")):
            assert path in known, column
    names = [column["name"] for column in version(definition)["additionalPrinterColumns"]]
    assert names[-1] == "Age"


def test_an_invocation_s_table_shows_state_succeeded_failed_total_and_age() -> None:
    (definition,) = [entry for entry in DEFINITIONS if entry.model.kind() == "JobInvocation"]
    shown = [column["name"] for column in version(definition)["additionalPrinterColumns"] if "priority" not in column]
    assert shown == ["State", "Succeeded", "Failed", "Running", "Total", "Age"]


@KINDS
def test_conditions_have_the_six_fields_of_kep_1623(definition: Definition) -> None:
    if not definition.status or definition.model.kind() == "JobSlice":
        return
    conditions = at(definition, ".status.conditions")
    assert conditions["x-kubernetes-list-map-keys"] == ["type"]
    properties = conditions["items"]["properties"]
    assert set(properties) == {"type", "status", "observedGeneration", "lastTransitionTime", "reason", "message"}
    assert properties["lastTransitionTime"]["format"] == "date-time"
    assert len(Condition.model_fields) == 6


def test_every_rule_has_a_message_for_people() -> None:
    for definition in DEFINITIONS:
        for path, node in fields(root(definition)):
            for rule in node.get("x-kubernetes-validations", ()):
                assert rule["message"], path
                assert rule["rule"].count("(") == rule["rule"].count(")"), path


@pytest.mark.parametrize("provider", Provider)
def test_each_provider_has_a_field_of_its_own_that_it_needs_and_no_other_may_have(provider: Provider) -> None:
    (template,) = (definition for definition in DEFINITIONS if definition.model is JobTemplate)
    field = provider.lower()
    assert f".spec.{field}" in dict(fields(root(template)))
    rules = {rule["message"]: rule["rule"] for rule in at(template, ".spec")["x-kubernetes-validations"]}
    assert rules[f"provider {provider} needs spec.{field}"] == f"self.provider != '{provider}' || has(self.{field})"
    assert rules[f"spec.{field} is for provider {provider}"] == f"self.provider == '{provider}' || !has(self.{field})"


def test_every_field_of_an_invocation_is_named_in_the_rule_that_fixes_it_or_may_change() -> None:
    (definition,) = [entry for entry in DEFINITIONS if entry.model.kind() == "JobInvocation"]
    spec = at(definition, ".spec")
    rules = " ".join(rule["rule"] for rule in spec["x-kubernetes-validations"])
    free = {name for name in spec["properties"] if f"self.{name} == oldSelf.{name}" not in rules}
    assert free == {"rollout", "suspend", "cancellation", "ttlSecondsAfterFinished"}


@KINDS
def test_the_checked_in_file_is_what_the_models_say(definition: Definition) -> None:
    path = ROOT / "crds" / f"{Kind(definition.model.kind()).plural}.yaml"
    text = path.read_text()
    assert yaml.safe_load(text) == custom_resource_definition(definition), "run `make generate`"
    assert text.startswith("# Generated from core/rollcall/resources by `make generate`. Do not edit.\n")


def test_there_is_no_file_of_a_kind_that_is_gone() -> None:
    kinds = {f"{Kind(definition.model.kind()).plural}.yaml" for definition in DEFINITIONS}
    assert {path.name for path in (ROOT / "crds").glob("*.yaml")} == kinds


@KINDS
def test_no_field_is_missing_in_its_own_schema(definition: Definition) -> None:
    assert list(missing_fields(root(definition), root(definition))) == []


def test_fields_that_an_older_schema_would_drop_are_named() -> None:
    slice_ = next(definition for definition in DEFINITIONS if definition.model.kind() == "JobSlice")
    older = deepcopy(root(slice_))
    status = older["properties"]["status"]["properties"]
    del status["output"], status["hosts"]["items"]["properties"]["retry"]
    status["state"]["enum"].remove("Done")
    lacking = {".status.output", ".status.hosts[].retry", ".status.state=Done"}
    del status["pods"], status["outputs"]
    lacking |= {".status.pods", ".status.outputs"}
    assert set(missing_fields(root(slice_), older)) == lacking
    assert ".status" in set(missing_fields(root(slice_), {}))


def test_nothing_is_dropped_where_unknown_fields_are_kept() -> None:
    wanted = {"properties": {"facts": {"properties": {"os": {}}}}}
    kept = {"properties": {"facts": {"x-kubernetes-preserve-unknown-fields": True}}}
    assert list(missing_fields(wanted, kept)) == []
