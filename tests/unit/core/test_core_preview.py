"""What a template would do can be seen before it is done, without any secret."""

from pathlib import Path
from typing import Any

import pytest
import yaml

from rollcall.inputs import bind_inputs
from rollcall.preview import preview
from rollcall.resources.jobtemplate import JobTemplate
from rollcall.work import BecomeMethod, EffectiveUser
from unit.core.objects import host, script_for, template

INPUTS = [
    {"name": "path", "required": True},
    {"name": "token", "type": "Secret", "required": True},
    {"name": "pin", "type": "Integer", "hidden": True},
    {"name": "os", "valueFrom": {"fact": "os.family"}},
]
SCRIPT = "login {{ inputs.token }} {{ inputs.pin }}\nls {{ inputs.path }} on {{ host.name }} {{ inputs.os }}\n"
DEBIAN = host("web1", facts={"os": {"family": "Debian"}})


def declared(script: str = SCRIPT, **ssh: Any) -> Any:
    return template(inputs=INPUTS, displayName="List", ssh={"script": script, **ssh})


def test_a_preview_shows_the_script_and_stands_in_for_what_is_hidden() -> None:
    root = {"name": "root", "method": "Su"}
    found = preview(declared(effectiveUser=root), {"path": "a b", "token": "canary-1", "pin": "4711"}, DEBIAN)
    assert found.script == "login '*****' 1\nls 'a b' on web1 Debian\n"
    assert found.description == 'List with inputs path="a b" token="***" pin="***"'
    assert found.effective_user == EffectiveUser("root", BecomeMethod.SU)
    assert found.problems == ()
    assert "canary" not in repr(found)
    assert "4711" not in repr(found)


def test_secrets_need_not_be_given() -> None:
    found = preview(declared(), {"path": "/"}, DEBIAN)
    assert found.problems == ()
    assert found.script is not None
    assert "'*****'" in found.script


def test_wrong_inputs_are_a_problem() -> None:
    found = preview(declared(), {"pin": "canary"}, DEBIAN)
    assert (found.script, found.description) == (None, None)
    assert found.problems == ("template run needs a value for: path",)


def test_what_the_host_lacks_is_a_problem_of_the_script() -> None:
    found = preview(declared(), {"path": "/"}, host("web2"))
    assert found.script is None
    assert found.description == 'List with inputs path="/" token="***" pin="\'\'"'
    assert found.problems[0].startswith("Host web2 has no spec.facts.os.family, which input os is read from")


def test_a_script_that_cannot_be_rendered_is_a_problem() -> None:
    found = preview(declared("{{ inputs.nope }}"), {"path": "/"}, DEBIAN)
    assert found.problems == (
        "the script of template run cannot be rendered: inputs has no 'nope'; it has: os, path, pin, token",
    )


def test_the_template_of_the_user_guide_does_what_the_guide_says() -> None:
    guide = (Path(__file__).parents[3] / "docs" / "templates.md").read_text()
    shown = JobTemplate.model_validate(yaml.safe_load(guide.split("```yaml\n")[1].split("```")[0]))
    found = preview(shown, {"account": "backup"}, host("web1", facts={"os": {"family": "RedHat"}}))
    assert found.problems == ()
    assert found.description == "New password for backup"
    assert found.effective_user == EffectiveUser("root", BecomeMethod.SUDO)
    assert found.script is not None
    assert found.script.splitlines()[2:4] == [
        "printf '%s:%s\\n' backup '*****' | chpasswd",
        "chage --maxdays 90 backup",
    ]
    assert "restorecon" in found.script


@pytest.mark.parametrize("script", ["{{ inputs.path | raw }}", "echo {{ 'to ' ~ inputs.path }} {{ host.name }}"])
def test_without_hidden_values_a_preview_is_what_the_host_gets(script: str) -> None:
    declared_ = template(script, [{"name": "path"}])
    shown = preview(declared_, {"path": "a b"}, host()).script
    assert shown == script_for(declared_, bind_inputs(declared_, {"path": "a b"}), host())


def test_a_playbook_is_shown_as_it_is() -> None:
    text = "- hosts: all\n  tasks: [{debug: {msg: '{{ nothing }}'}}]\n"
    declared = template(provider="Ansible", ssh=None, ansible={"playbook": text})
    assert preview(declared, {}, host()).script == text
