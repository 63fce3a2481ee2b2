"""A template that is changed by REST keeps all that the change does not mention."""

import copy
from typing import Any

import pytest

from rollcall_api.changes import change_template, new_script
from rollcall_api.foreman import job_templates
from rollcall_api.foreman.description import Param, Type
from rollcall_api.foreman.errors import ForemanError
from rollcall_api.parsing import parse_template

INPUTS = [
    {"name": "unit", "type": "String", "required": True, "pattern": "[a-z]+", "description": "Which one"},
    {"name": "count", "type": "Integer", "default": "3", "minimum": 1, "maximum": 9},
    {"name": "mode", "type": "Choice", "options": ["fast", "slow"], "default": "fast"},
    {"name": "token", "type": "Secret"},
    {"name": "os", "type": "String", "valueFrom": {"fact": "os.family"}},
]


def stored() -> dict[str, Any]:
    return {
        "apiVersion": "rollcall.dev/v1alpha1",
        "kind": "JobTemplate",
        "metadata": {
            "name": "restart-5",
            "uid": "u",
            "resourceVersion": "1",
            "labels": {"rollcall.dev/id": "5"},
            "annotations": {"mine": "kept", job_templates.PROVIDER: "SSH"},
            "creationTimestamp": "2024-05-04T10:00:00Z",
        },
        "spec": {
            "displayName": "Restart",
            "category": "Services",
            "descriptionFormat": "restart %{unit}",
            "features": ["restart"],
            "backoffLimit": 2,
            "provider": "SSH",
            "inputs": copy.deepcopy(INPUTS),
            "ssh": {
                "steps": [{"name": "one", "script": "true"}, {"name": "two", "script": "false"}],
                "effectiveUser": {"name": "root", "method": "Doas", "overridable": True},
            },
        },
    }


def shown(body: dict[str, Any]) -> dict[str, Any]:
    return job_templates.full(parse_template(body), body)


def put(given: dict[str, Any], body: dict[str, Any] | None = None) -> dict[str, Any]:
    """The stored template after a PUT."""
    body = stored() if body is None else body
    change_template(body, job_templates.wanted(given, shown(body)))
    return body


def input_after(name: str, given: dict[str, Any]) -> dict[str, Any]:
    body = stored()
    (old,) = (entry for entry in shown(body)["template_inputs"] if entry["name"] == name)
    put({"template_inputs_attributes": [{"id": old["id"], **given}]}, body)
    assert [e for e in body["spec"]["inputs"] if e["name"] != name] == [e for e in INPUTS if e["name"] != name] or (
        "name" in given
    )
    (found,) = (entry for entry in body["spec"]["inputs"] if entry["name"] == given.get("name", name))
    return dict(found)


def test_what_is_read_and_sent_back_changes_nothing() -> None:
    given = shown(stored())
    assert put(given) == stored()
    spelt = {**given, "template_inputs_attributes": given["template_inputs"], "locked": "false", "description": ""}
    assert put({**spelt, "effective_user_attributes": {"value": "root", "overridable": "1"}}) == stored()


@pytest.mark.parametrize(
    ("given", "path", "value"),
    [
        ({"job_category": "Other"}, ("category",), "Other"),
        ({"name": "New"}, ("displayName",), "New"),
        ({"description_format": ""}, ("descriptionFormat",), None),
        ({"effective_user_attributes": {"overridable": False}}, ("ssh", "effectiveUser", "overridable"), None),
        ({"effective_user": {"value": "web"}}, ("ssh", "effectiveUser", "name"), "web"),
    ],
)
def test_only_what_is_mentioned_changes(given: dict[str, Any], path: tuple[str, ...], value: str | None) -> None:
    expected = stored()
    target = expected["spec"]
    for key in path[:-1]:
        target = target[key]
    if value is None:
        del target[path[-1]]
    else:
        target[path[-1]] = value
    assert put(given) == expected


def test_a_new_text_takes_the_place_of_steps_and_keeps_the_rest() -> None:
    after = put({"template": "systemctl restart <%= input('unit') %>"})["spec"]
    assert after["ssh"]["script"] == "systemctl restart {{ inputs.unit | raw }}"
    assert "steps" not in after["ssh"]
    assert after["ssh"]["effectiveUser"] == stored()["spec"]["ssh"]["effectiveUser"]


@pytest.mark.parametrize(
    ("name", "given", "expected"),
    [
        ("count", {"default": "5"}, {**INPUTS[1], "default": "5"}),
        ("count", {"description": "How many"}, {**INPUTS[1], "description": "How many"}),
        ("unit", {"required": False}, {k: v for k, v in INPUTS[0].items() if k != "required"}),
        ("unit", {"name": "service"}, {**INPUTS[0], "name": "service"}),
        ("token", {"required": "true", "hidden_value": True}, {**INPUTS[3], "required": True}),
        ("mode", {"options": "fast\nslow\nsafe"}, {**INPUTS[2], "options": ["fast", "slow", "safe"]}),
        ("mode", {"options": ""}, {"name": "mode", "type": "String", "default": "fast"}),
        ("os", {"fact_name": "os::name"}, {**INPUTS[4], "valueFrom": {"fact": "os.name"}}),
        ("os", {"input_type": "user"}, {"name": "os", "type": "String"}),
        ("os", {"input_type": "variable", "variable_name": "x"}, {**INPUTS[4], "valueFrom": {"variable": "x"}}),
    ],
)
def test_an_input_keeps_its_type_and_all_that_is_not_mentioned(
    name: str, given: dict[str, Any], expected: dict[str, Any]
) -> None:
    assert input_after(name, given) == expected


def test_inputs_are_added_changed_by_name_and_taken_away() -> None:
    entries = [{"name": "count", "default": "4"}, {"name": "more"}, {"name": "token", "_destroy": "1"}]
    for given in (entries, {str(index): entry for index, entry in enumerate(entries)}):
        after = put({"template_inputs_attributes": given})["spec"]["inputs"]
        assert [entry["name"] for entry in after] == ["unit", "count", "mode", "os", "more"]
        assert after[1] == {**INPUTS[1], "default": "4"}


@pytest.mark.parametrize(
    ("given", "attribute"),
    [
        ({"template_inputs_attributes": "x"}, "template_inputs_attributes"),
        ({"template_inputs_attributes": 5}, "template_inputs_attributes"),
        ({"template_inputs_attributes": ["x"]}, "template_inputs_attributes"),
        ({"template_inputs_attributes": {"a": 1}}, "template_inputs_attributes"),
        ({"template_inputs_attributes": [{"id": 4711}]}, "template_inputs_attributes"),
        ({"template_inputs_attributes": [{"name": "count", "options": 5}]}, "options"),
        ({"template_inputs_attributes": [{"name": "count", "input_type": "puppet_parameter"}]}, "input_type"),
        ({"template_inputs_attributes": [{"name": "count", "input_type": "fact"}]}, "fact_name"),
        ({"template_inputs_attributes": [{"default": "no name"}]}, "name"),
        ({"effective_user_attributes": "root"}, "effective_user_attributes"),
        ({"name": " "}, "name"),
        ({"template": ""}, "template"),
        ({"locked": True}, "locked"),
        ({"provider_type": "Ansible"}, "provider_type"),
    ],
)
def test_what_cannot_be_is_refused_by_its_name(given: dict[str, Any], attribute: str) -> None:
    refusals = []
    with pytest.raises(ForemanError) as of_put:
        put(given)
    refusals.append(of_put.value)
    if attribute != "template_inputs_attributes" or "id" not in str(given):
        with pytest.raises(ForemanError) as of_post:
            job_templates.created({"name": "x", "template": "true", **given})
        refusals.append(of_post.value)
    for refusal in refusals:
        assert (refusal.status, attribute in refusal.body["error"]["errors"]) == (422, True)


def test_a_playbook_is_renamed_but_not_written() -> None:
    body = stored()
    body["spec"]["provider"], body["spec"]["ansible"] = "Ansible", {"playbook": "- hosts: all"}
    del body["spec"]["ssh"], body["metadata"]["annotations"][job_templates.PROVIDER]
    given = shown(body)
    assert given["provider_type"] == "Ansible"
    assert put({**given, "name": "New"}, body)["spec"]["displayName"] == "New"
    for refused in ({"template": "- hosts: none"}, {"provider_type": "script"}, {"effective_user": {"value": "x"}}):
        with pytest.raises(ForemanError):
            put(refused, body)


def test_a_new_template_has_what_was_given() -> None:
    body = new_script()
    wish = {"name": "New", "template": "true", "job_category": "C", "provider_type": "SSH"}
    entries = [{"name": "a", "required": True}, {"name": "b", "options": "x\ny", "default": "x"}]
    change_template(body, job_templates.created({**wish, "template_inputs_attributes": entries}))
    assert body["metadata"]["annotations"] == {job_templates.PROVIDER: "SSH"}
    assert body["spec"] == {
        "provider": "SSH",
        "displayName": "New",
        "category": "C",
        "ssh": {"script": "true"},
        "inputs": [
            {"name": "a", "required": True},
            {"name": "b", "default": "x", "options": ["x", "y"], "type": "Choice"},
        ],
    }


def test_a_list_of_hashes_is_described_as_one() -> None:
    schema = Param("entries", "Entries", Type.ARRAY, params=(Param("name", "Name", required=True),)).schema()
    assert schema["type"] == "array"
    assert schema["items"]["properties"]["name"]["type"] == "string"
    assert schema["items"]["required"] == ["name"]
