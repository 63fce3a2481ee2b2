"""Before anything runs, each mistake is found and said in a sentence that tells what to do."""

from typing import Any

import pytest

from rollcall.names import Reason
from rollcall.plan.observed import Observed
from rollcall.plan.resolution import Problem, Resolution, chosen_template, examine, needed_secrets
from rollcall.resources.jobinvocation import JobInvocation, TemplateRecord
from rollcall.resources.jobtemplate import JobTemplate
from unit.core.objects import KEY_SECRET, NOW, host, hosts, invocation, template

KEYS = frozenset({"ssh-privatekey"})
FINE: dict[str, Any] = {
    "invocation": invocation("a", "b"),
    "hosts": hosts("a", "b"),
    "template": template(),
    "secrets": {KEY_SECRET: KEYS},
}
NEEDS_INPUT = template(inputs=[{"name": "command", "required": True}])


def examined(**changes: Any) -> Resolution | Problem:
    return examine(Observed(**FINE | changes), NOW)


def test_an_invocation_without_a_mistake_is_resolved() -> None:
    found = examined(invocation=invocation("b", "a", descriptionFormat="on all of %{job_category}"))
    assert isinstance(found, Resolution)
    assert found.hosts == ("b", "a")
    assert found.description == "on all of Miscellaneous"


@pytest.mark.parametrize(
    ("changes", "reason", "may_heal", "words"),
    [
        ({"template": None}, Reason.TEMPLATE_NOT_FOUND, True, "there is no JobTemplate run in this namespace"),
        (
            {"template": "spec.ssh: Field required"},
            Reason.INVALID_SPEC,
            False,
            "the JobTemplate run cannot be read: spec.ssh: Field required",
        ),
        ({"template": NEEDS_INPUT}, Reason.INVALID_INPUT, False, "template run needs a value for: command"),
        (
            {"invocation": invocation("a", inputs={"x": "1"})},
            Reason.INVALID_INPUT,
            False,
            "template run has no input x, only: none",
        ),
        ({"hosts": hosts("a")}, Reason.HOST_NOT_FOUND, True, "no Host named b in this namespace"),
        (
            {"template": template("{% if %}")},
            Reason.TEMPLATE_ERROR,
            False,
            "the script of template run cannot be rendered in line 1",
        ),
        (
            {"secrets": {KEY_SECRET: None}},
            Reason.SECRET_NOT_FOUND,
            True,
            f"there is no Secret {KEY_SECRET}, which Host a is to be logged in to with",
        ),
        ({"secrets": {}}, Reason.SECRET_NOT_FOUND, True, f"there is no Secret {KEY_SECRET}"),
        (
            {"secrets": {KEY_SECRET: frozenset({"passphrase"})}},
            Reason.INVALID_CREDENTIALS,
            True,
            "nothing to log in with on Host a: give spec.credentialsRef",
        ),
        (
            {"hosts": {"a": host("a"), "b": host("b", credentialsRef=None)}},
            Reason.INVALID_CREDENTIALS,
            True,
            "nothing to log in with on Host b: give spec.credentialsRef",
        ),
        (
            {"invocation": invocation("a", credentialsRef={"name": "mine"})},
            Reason.SECRET_NOT_FOUND,
            True,
            "there is no Secret mine, which Host a is to be logged in to with",
        ),
    ],
)
def test_a_mistake_is_said_with_what_it_is_about(
    changes: dict[str, Any], reason: Reason, may_heal: bool, words: str
) -> None:
    found = examined(**changes)
    assert isinstance(found, Problem)
    assert (found.reason, found.may_heal) == (reason, may_heal)
    assert found.message.startswith(words)


@pytest.mark.parametrize("script", ["{{ '\\ud800' }}", "{{ 1 / 0 }}", "{{ inputs.nope }}", "{{ x }}", "{% for %}"])
def test_whatever_an_author_writes_is_a_problem_of_the_template_and_not_of_the_operator(script: str) -> None:
    found = examined(template=template(script))
    assert isinstance(found, Problem)
    assert found.reason == Reason.TEMPLATE_ERROR


def test_no_host_is_no_mistake_here() -> None:
    found = examined(invocation=invocation(), hosts={})
    assert isinstance(found, Resolution)
    assert found.hosts == ()


def test_an_own_key_is_enough_where_the_host_has_none() -> None:
    found = examined(
        invocation=invocation("a", credentialsRef={"name": "mine"}),
        hosts={"a": host("a", credentialsRef=None)},
        secrets={"mine": frozenset({"password"})},
    )
    assert isinstance(found, Resolution)


def test_keys_of_both_secrets_count_together() -> None:
    secrets = {KEY_SECRET: frozenset({"passphrase"}), "mine": KEYS}
    assert isinstance(
        examined(invocation=invocation("a", credentialsRef={"name": "mine"}), secrets=secrets), Resolution
    )


@pytest.mark.parametrize(
    ("job", "known", "expected"),
    [
        (invocation("a", "b"), hosts("a", "b"), {KEY_SECRET}),
        (invocation(), {"a": host("a", credentialsRef={"name": "x"}), "b": host("b")}, {"x", KEY_SECRET}),
        (invocation("a", credentialsRef={"name": "mine"}), hosts("a"), {KEY_SECRET, "mine"}),
        (invocation("gone"), hosts("a"), set()),
        (invocation("gone", inputsFrom=[{"secretRef": {"name": "inputs"}}]), hosts("a"), {"inputs"}),
        (invocation("a", effectiveUser={"passwordRef": {"name": "become"}}), hosts("a"), {KEY_SECRET, "become"}),
        (invocation(), {}, set()),
    ],
)
def test_only_the_secrets_of_the_chosen_hosts_are_read(job: Any, known: Any, expected: set[str]) -> None:
    assert needed_secrets(Observed(invocation=job, hosts=known), NOW) == expected


TOKEN = {"name": "token", "type": "Secret", "required": True}
FROM_SECRETS = invocation("a", inputsFrom=[{"secretRef": {"name": "inputs"}}, {"secretRef": {"name": "more"}}])
INPUT_KEYS = {"inputs": frozenset({"token"}), "more": frozenset({"other"})}


def test_inputs_from_secrets_are_there_by_their_keys() -> None:
    chosen = template("login {{ inputs.token }}", [TOKEN, {"name": "who"}], descriptionFormat="%{token} %{who}")
    found = examined(invocation=FROM_SECRETS, template=chosen, secrets={KEY_SECRET: KEYS, **INPUT_KEYS})
    assert isinstance(found, Resolution)
    assert found.description == "*** ''"


@pytest.mark.parametrize(
    ("changes", "reason", "may_heal", "words"),
    [
        (
            {"secrets": {KEY_SECRET: KEYS, "inputs": frozenset({"token"})}},
            Reason.SECRET_NOT_FOUND,
            True,
            "there is no Secret more, which spec.inputsFrom or spec.effectiveUser names",
        ),
        (
            {"secrets": {KEY_SECRET: KEYS, **dict.fromkeys(INPUT_KEYS, frozenset())}},
            Reason.INVALID_INPUT,
            False,
            "template run needs a value for: token; a Secret named in spec.inputsFrom must have: token",
        ),
        (
            {"invocation": invocation("a", inputs={"token": "x"})},
            Reason.INVALID_INPUT,
            False,
            "input token is a Secret and cannot be given in spec.inputs",
        ),
    ],
)
def test_inputs_from_secrets_that_are_not_there_are_asked_for(
    changes: dict[str, Any], reason: Reason, may_heal: bool, words: str
) -> None:
    found = examined(**{"invocation": FROM_SECRETS, "template": template(inputs=[TOKEN])} | changes)
    assert isinstance(found, Problem)
    assert (found.reason, found.may_heal) == (reason, may_heal)
    assert found.message.startswith(words)


@pytest.mark.parametrize(
    ("script", "inputs", "rejected"),
    [
        ("{{ 10 // (inputs.count - 1) }}", [{"name": "count", "type": "Integer"}], False),
        ("{% if inputs.count > 5 %}{{ nope }}{% endif %}", [{"name": "count", "type": "Integer"}], False),
        ("{{ inputs.nope }}", [{"name": "count"}], True),
        ("{% if %}", [{"name": "count"}], True),
    ],
)
def test_a_script_is_not_judged_by_values_that_were_not_looked_at(script: str, inputs: Any, rejected: bool) -> None:
    job = invocation("a", inputsFrom=[{"secretRef": {"name": "inputs"}}])
    secrets = {KEY_SECRET: KEYS, "inputs": frozenset({"count"})}
    assert isinstance(examined(invocation=job, template=template(script, inputs), secrets=secrets), Problem) is rejected


@pytest.mark.parametrize(
    ("script", "inputs", "rejected"),
    [
        ("{{ host.facts.os.family }}", [], False),
        ("{{ inputs.os }}", [{"name": "os", "valueFrom": {"fact": "os.family"}}], False),
        ("{{ 1 // (0 if host.name == 'a' else 1) }}", [], False),
        ("{{ host.facts.os.family }}{{ host.ip }}", [], False),
        ("{{ host.ip }}", [], True),
        ("{{ inputs.os }}{{ inputs.nope }}", [{"name": "os", "valueFrom": {"fact": "os.family"}}], True),
    ],
)
def test_what_one_host_lacks_does_not_keep_the_others_from_running(script: str, inputs: Any, rejected: bool) -> None:
    """The first host stands for all in what is the same for all, and for itself in what is not."""
    assert isinstance(examined(template=template(script, inputs)), Problem) is rejected


OVERRIDABLE = {"script": "id", "effectiveUser": {"name": "root", "overridable": True}}
AS_DEPLOY = invocation("a", effectiveUser={"name": "deploy"})


@pytest.mark.parametrize(
    ("job", "ssh", "secrets", "reason"),
    [
        (AS_DEPLOY, OVERRIDABLE, {}, None),
        (
            invocation("a", effectiveUser={"name": "root"}),
            {"script": "id", "effectiveUser": {"name": "root"}},
            {},
            None,
        ),
        (AS_DEPLOY, {"script": "id", "effectiveUser": {"name": "root"}}, {}, Reason.INVALID_INPUT),
        (AS_DEPLOY, {"script": "id"}, {}, Reason.INVALID_INPUT),
        (invocation("a", effectiveUser={"passwordRef": {"name": "p"}}), {"script": "id"}, {}, Reason.SECRET_NOT_FOUND),
        (
            invocation("a", effectiveUser={"passwordRef": {"name": "p"}}),
            {"script": "id"},
            {"p": frozenset({"password"})},
            Reason.INVALID_CREDENTIALS,
        ),
        (
            invocation("a", effectiveUser={"passwordRef": {"name": "p"}}),
            {"script": "id"},
            {"p": frozenset({"become-password"})},
            None,
        ),
    ],
)
def test_an_effective_user_is_named_where_the_template_lets_it(
    job: JobInvocation, ssh: dict[str, Any], secrets: dict[str, Any], reason: Reason | None
) -> None:
    found = examined(invocation=job, template=template(ssh=ssh), secrets={KEY_SECRET: KEYS, **secrets})
    assert (found.reason if isinstance(found, Problem) else None) == reason


def named(name: str, *features: str) -> JobTemplate:
    made = template(features=list(features))
    return made.model_copy(
        update={"metadata": made.metadata.model_copy(update={"name": name, "uid": f"uid-of-{name}"})}
    )


TEMPLATES: dict[str, JobTemplate | str] = {
    "run": named("run", "run_script"),
    "patch": named("patch", "patch", "both"),
    "other": named("other", "both"),
    "broken": "spec.ssh: Field required",
}


def asked(**spec: Any) -> JobInvocation:
    status = spec.pop("status", None)
    return invocation("a", status=status, **{"templateRef": None, **spec})


@pytest.mark.parametrize(
    ("job", "expected"),
    [
        (asked(templateRef={"name": "run"}), TEMPLATES["run"]),
        (asked(templateRef={"name": "broken"}), TEMPLATES["broken"]),
        (asked(templateRef={"name": "gone"}), None),
        (asked(feature="patch"), TEMPLATES["patch"]),
        (asked(feature="nothing"), None),
        (
            asked(feature="both"),
            "several JobTemplates list the feature both: other, patch; name one in spec.templateRef",
        ),
        (asked(feature="both", status={"template": {"name": "patch"}}), TEMPLATES["patch"]),
        (asked(feature="patch", status={"template": {"name": "gone"}}), None),
    ],
)
def test_a_template_is_found_by_name_or_by_its_feature_and_kept_to(job: JobInvocation, expected: Any) -> None:
    assert chosen_template(job, TEMPLATES) == expected


@pytest.mark.parametrize(
    ("feature", "may_heal", "message"),
    [
        ("nothing", True, "there is no JobTemplate with the feature nothing in this namespace"),
        ("both", False, "several JobTemplates list the feature both: other, patch; name one in spec.templateRef"),
    ],
)
def test_a_feature_without_its_one_template_is_said(feature: str, may_heal: bool, message: str) -> None:
    job = asked(feature=feature)
    found = examined(invocation=job, template=chosen_template(job, TEMPLATES))
    assert found == Problem(Reason.TEMPLATE_NOT_FOUND, message, may_heal)


def test_the_template_that_was_chosen_is_told() -> None:
    found = examined(template=named("patch"))
    assert isinstance(found, Resolution)
    assert found.template == TemplateRecord(name="patch", uid="uid-of-patch", generation=0)
