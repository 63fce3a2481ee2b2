"""The work of a slice that runs a playbook: variables, groups, options; and how its hosts are dealt."""

from typing import Any

import pytest
from pydantic import ValidationError

from rollcall.names import Reason
from rollcall.plan.observed import Observed
from rollcall.plan.playbooks import with_text
from rollcall.plan.prepare import Prepared, prepare, template_secrets
from rollcall.plan.resolution import Problem, Resolution, examine, needed_secrets
from rollcall.plan.rollout import slice_size
from rollcall.playbook import HostVariables, PlaybookWork
from rollcall.resources.host import Host
from rollcall.resources.jobtemplate import JobTemplate
from rollcall.work import BecomeMethod, EffectiveUser, Work
from unit.core.objects import NOW, host, hosts, invocation, slice_, template

TEXT = "- hosts: all\n  tasks: [{debug: {msg: '{{ color }}'}}]\n"
SECRETS = {"ops-key": {"ssh-privatekey": b"key"}, "tokens": {"token": b"canary-4711"}}


def play(*inputs: dict[str, Any], **ansible: Any) -> JobTemplate:
    source = {} if {"playbookFrom", "git"} & set(ansible) else {"playbook": TEXT}
    return template(inputs=inputs, provider="Ansible", ssh=None, ansible={**source, **ansible})


def prepared(declared: JobTemplate, known: dict[str, Host] | None = None, **spec: Any) -> Prepared:
    known = hosts("a", "b") if known is None else known
    return prepare(invocation(*known, **spec), slice_(0, *known), declared, known, SECRETS, 1_000)


def work(found: Prepared) -> tuple[Work, PlaybookWork]:
    assert found.work is not None
    made = Work.load(found.work)
    assert made.playbook is not None
    return made, made.playbook


def test_the_text_is_passed_on_as_it_is_and_options_with_it() -> None:
    options = {"forks": 3, "verbosity": 2, "tags": ["x"], "skipTags": ["y"], "check": True, "diff": True}
    made, playbook = work(prepared(play(**options, becomeMethod="Su")))
    assert made.scripts == (TEXT,)
    assert playbook == PlaybookWork(
        hosts={name: HostVariables() for name in ("a", "b")},
        forks=2, verbosity=2, tags=("x",), skip_tags=("y",), check=True, diff=True, become_method="su",
    )  # fmt: skip


def test_inputs_are_typed_extra_vars_and_those_that_nobody_gives_are_left_to_the_playbook() -> None:
    inputs = (
        {"name": "port", "type": "Integer"},
        {"name": "on", "type": "Boolean", "default": "yes"},
        {"name": "empty"},
        {"name": "unasked"},
        {"name": "token", "type": "Secret"},
    )
    given = {"inputs": {"port": "80", "empty": ""}, "inputsFrom": [{"secretRef": {"name": "tokens"}}]}
    made, playbook = work(prepared(play(*inputs), **given))
    assert playbook.extra_vars == {"port": 80, "on": True, "empty": "", "token": "canary-4711"}
    assert made.masked == ("canary-4711",)


def test_what_hosts_say_is_their_variables_groups_and_facts() -> None:
    known = {
        "a": host("a", groups=["web"], variables={"color": "red", "shape": "round"}, facts={"os": {"family": "Debian"}})
    }
    inputs = ({"name": "family", "valueFrom": {"fact": "os.family"}}, {"name": "shape", "default": "flat"})
    _, playbook = work(prepared(play(*inputs), known))
    variables = {"color": "red", "shape": "round", "family": "Debian"}
    assert playbook.hosts == {"a": HostVariables(("web",), variables, {"os": {"family": "Debian"}})}
    assert playbook.extra_vars == {"shape": "flat"}


def test_a_host_without_what_an_input_is_read_from_fails_by_itself() -> None:
    known = {"a": host("a", facts={"os": "x"}), "b": host("b")}
    found = prepared(play({"name": "os", "valueFrom": {"fact": "os"}}), known)
    assert [entry.name for entry in work(found)[0].hosts] == ["a"]
    assert found.failures["b"].reason is Reason.INVALID_INPUT


def test_facts_that_are_too_many_fail_their_host() -> None:
    found = prepared(play(), {"a": host("a", facts={"much": "x" * 40_000})})
    assert found.work is None
    assert "more than 32768" in found.failures["a"].message


@pytest.mark.parametrize(
    ("policy", "wanted", "user"),
    [
        ({"name": "app"}, {}, "app"),
        ({"overridable": True}, {"effectiveUser": {"name": "web"}}, "web"),
        ({"overridable": True}, {}, None),
    ],
)
def test_all_tasks_can_run_as_another_user(policy: dict[str, Any], wanted: dict[str, Any], user: str | None) -> None:
    made, _ = work(prepared(play(effectiveUser=policy, becomeMethod="Su"), **wanted))
    assert made.effective_user == (None if user is None else EffectiveUser(user, BecomeMethod.SU))


def test_a_playbook_of_a_config_map_is_its_text_or_a_problem() -> None:
    declared = play(playbookFrom={"configMapKeyRef": {"name": "plays", "key": "site.yml"}})
    made, _ = work(prepared(with_text(declared, TEXT)))
    assert made.scripts == (TEXT,)
    found = prepared(declared)
    assert {trouble.reason for trouble in found.failures.values()} == {Reason.TEMPLATE_ERROR}
    problem = examine(
        Observed(invocation("a"), hosts=hosts("a"), template=declared, secrets={"ops-key": frozenset()}), NOW
    )
    assert isinstance(problem, Problem)
    assert problem.may_heal
    assert "the key site.yml of the ConfigMap plays" in problem.message


def test_a_repository_is_a_path_and_its_secret_must_be_there() -> None:
    git = {"url": "https://git.example/plays.git", "path": "plays/site.yml", "credentialsRef": {"name": "deploy"}}
    declared = play(git=git)
    made, playbook = work(prepared(declared))
    assert (made.scripts, playbook.path) == (("",), "plays/site.yml")
    assert template_secrets(declared) == ("deploy",)
    known = Observed(invocation("a"), hosts=hosts("a"), template=declared)
    assert needed_secrets(known, NOW) == {"deploy", "ops-key"}
    problem = examine(
        Observed(known.invocation, hosts=known.hosts, template=declared, secrets={"ops-key": frozenset()}), NOW
    )
    assert isinstance(problem, Problem)
    assert (problem.reason, problem.may_heal) == (Reason.SECRET_NOT_FOUND, True)


def test_template_expressions_of_the_playbook_are_not_ours() -> None:
    known = Observed(
        invocation("a"), hosts=hosts("a"), template=play(), secrets={"ops-key": frozenset({"ssh-privatekey"})}
    )
    assert isinstance(examine(known, NOW), Resolution)


@pytest.mark.parametrize(
    ("total", "asked", "size"),
    [(1, "auto", 1), (100, "auto", 100), (250, "auto", 250), (251, "auto", 126), (1_000, "auto", 250), (100, 7, 7)],
)
def test_hosts_of_a_playbook_share_as_few_runs_as_they_can(total: int, asked: Any, size: int) -> None:
    assert slice_size(total, asked, together=True) == size


@pytest.mark.parametrize(
    "url", ["https://user:canary@git.example/x", "https://canary@git.example/x", "file:///etc", "ext::sh", "-u x", "ssh://a:b@c/d"]
)  # fmt: skip
def test_an_address_with_a_password_or_another_scheme_is_none(url: str) -> None:
    with pytest.raises(ValidationError):
        play(git={"url": url})


def test_the_work_file_holds_all_of_it_and_its_text_form_nothing() -> None:
    made, playbook = work(
        prepared(play({"name": "token", "type": "Secret"}), inputsFrom=[{"secretRef": {"name": "tokens"}}])
    )
    assert Work.load(made.dump()) == made
    assert "canary" not in f"{made!r} {playbook!r}"
