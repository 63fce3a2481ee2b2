"""Before anything runs, each mistake is found and said in a sentence that tells what to do."""

from typing import Any

import pytest

from rollcall.names import Reason
from rollcall.plan.observed import Observed
from rollcall.plan.resolution import Problem, Resolution, examine, needed_secrets
from unit.core.objects import KEY_SECRET, host, hosts, invocation, template

KEYS = frozenset({"ssh-privatekey"})
FINE: dict[str, Any] = {
    "invocation": invocation("a", "b"),
    "hosts": hosts("a", "b"),
    "template": template(),
    "secrets": {KEY_SECRET: KEYS},
}
NEEDS_INPUT = template(inputs=[{"name": "command", "required": True}])


def examined(**changes: Any) -> Resolution | Problem:
    return examine(Observed(**FINE | changes))


def test_an_invocation_without_a_mistake_is_resolved() -> None:
    found = examined(invocation=invocation("b", "a", descriptionFormat="on all of %{job_category}"))
    assert isinstance(found, Resolution)
    assert [entry.metadata.name for entry in found.hosts] == ["b", "a"]
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
        (invocation(), {}, set()),
    ],
)
def test_only_the_secrets_of_the_chosen_hosts_are_read(job: Any, known: Any, expected: set[str]) -> None:
    assert needed_secrets(Observed(invocation=job, hosts=known)) == expected
