"""A slice's work: each host with its address, login and script; a host that cannot be started fails by itself."""

import random
from typing import Any

import pytest

from rollcall.names import Reason
from rollcall.plan.prepare import Prepared, SecretData, credential_secrets, prepare, usable, work_secrets
from rollcall.resources.jobinvocation import JobInvocation
from rollcall.work import MAX_WORK_BYTES, BecomeMethod, Credentials, EffectiveUser, OnExcess, Work
from unit.core.objects import host, hosts, invocation, slice_, template

CANARY = b"canary-4711"
OWN: SecretData = {"ssh-privatekey": b"key-of-the-host", "passphrase": b"phrase-of-the-host"}
SECRETS: dict[str, SecretData | None] = {"ops-key": OWN}


def prepared(
    *names: str,
    job: JobInvocation | None = None,
    known: Any = None,
    secrets: dict[str, SecretData | None] | None = None,
    declared: Any = None,
) -> Prepared:
    return prepare(
        job or invocation(*names),
        slice_(0, *names),
        declared or template("echo {{ host.name }}"),
        hosts(*names) if known is None else known,
        SECRETS if secrets is None else secrets,
        1_000,
    )


def work(found: Prepared) -> Work:
    assert found.work is not None
    return Work.load(found.work)


def test_each_host_has_its_way_in_and_its_script() -> None:
    known = {
        "a": host("a", address="192.0.2.1", port=2222, user="ops", hostKeys=["ssh-ed25519 AAAA"]),
        "b": host("b"),
    }
    found = prepared("a", "b", known=known)
    made = work(found)
    first, second = made.hosts
    assert found.failures == {}
    assert (first.name, first.address, first.port, first.user) == ("a", "192.0.2.1", 2222, "ops")
    assert first.host_keys == ("ssh-ed25519 AAAA",)
    assert (second.address, second.port, second.user, second.host_keys) == ("b", 22, "root", ())
    assert [made.scripts[entry.script] for entry in made.hosts] == ["echo a", "echo b"]
    assert made.credentials == (Credentials("key-of-the-host", None, "phrase-of-the-host", None),)
    assert (made.parallelism, made.execution_timeout_seconds, made.output_limit_bytes) == (2, 3_600, 1_000)


def test_what_the_invocation_says_comes_before_what_host_and_template_say() -> None:
    job = invocation("a", "b", user="deploy", executionTimeoutSeconds=5, rollout={"concurrency": 1})
    made = work(prepared("a", "b", job=job))
    assert {entry.user for entry in made.hosts} == {"deploy"}
    assert (made.execution_timeout_seconds, made.parallelism) == (5, 1)


def test_hosts_with_the_same_script_and_login_share_them() -> None:
    made = work(prepared(*"abc", declared=template("uptime")))
    assert (len(made.hosts), made.scripts, len(made.credentials)) == (3, ("uptime",), 1)


def test_the_invocation_s_credentials_come_before_the_host_s_own_value_by_value() -> None:
    job = invocation("a", credentialsRef={"name": "mine"})
    mine: SecretData = {"ssh-privatekey": b"key-of-mine", "password": b"word-of-mine", "other": b"ignored"}
    made = work(prepared("a", job=job, secrets={"ops-key": OWN, "mine": mine}))
    assert made.credentials == (Credentials("key-of-mine", None, "phrase-of-the-host", "word-of-mine"),)
    assert credential_secrets(job, host("a")) == ("ops-key", "mine")
    assert credential_secrets(job, host("a", credentialsRef=None)) == ("mine",)
    assert credential_secrets(invocation("a"), host("a", credentialsRef=None)) == ()


GONE_HOST = "the Host b was deleted before its turn came"
GONE_SECRET = "the Secret ops-key with the credentials was deleted before the host's turn came"
NO_LOGIN = "nothing to log in with on Host b: give spec.credentialsRef, on the Host or the invocation, a Secret"


@pytest.mark.parametrize(
    ("known", "secrets", "reason", "words"),
    [
        ({}, SECRETS, Reason.HOST_NOT_FOUND, GONE_HOST),
        ({"b": host("b")}, {}, Reason.SECRET_NOT_FOUND, GONE_SECRET),
        ({"b": host("b")}, {"ops-key": None}, Reason.SECRET_NOT_FOUND, GONE_SECRET),
        ({"b": host("b")}, {"ops-key": {}}, Reason.INVALID_CREDENTIALS, NO_LOGIN),
        ({"b": host("b")}, {"ops-key": {"passphrase": b"x"}}, Reason.INVALID_CREDENTIALS, NO_LOGIN),
        ({"b": host("b", credentialsRef=None)}, {}, Reason.INVALID_CREDENTIALS, NO_LOGIN),
        (
            {"b": host("b")},
            {"ops-key": {"password": CANARY + b"\xff"}},
            Reason.INVALID_CREDENTIALS,
            "the Secret ops-key holds a value that is not text",
        ),
    ],
)
def test_a_host_that_cannot_be_started_fails_with_the_reason_and_the_others_run(
    known: dict[str, Any], secrets: dict[str, SecretData | None], reason: Reason, words: str
) -> None:
    fine = {"a": host("a", credentialsRef={"name": "good"})}
    found = prepared("a", "b", known=known | fine, secrets={**secrets, "good": OWN})
    assert [entry.name for entry in work(found).hosts] == ["a"]
    assert set(found.failures) == {"b"}
    assert found.failures["b"].reason == reason
    assert found.failures["b"].message.startswith(words)
    assert CANARY.decode() not in found.failures["b"].message


def test_an_error_about_credentials_does_not_carry_them_in_its_chain() -> None:
    found = prepared("b", secrets={"ops-key": {"password": CANARY + b"\xff"}})
    assert CANARY.decode() not in repr(found)


@pytest.mark.parametrize("gone", [None, "it became unreadable"])
def test_without_a_template_no_host_of_the_slice_is_started(gone: str | None) -> None:
    found = prepare(invocation("a", "b"), slice_(0, "a", "b"), gone, hosts("a", "b"), SECRETS, 1_000)
    assert found.work is None
    assert {name: trouble.reason for name, trouble in found.failures.items()} == {
        "a": Reason.TEMPLATE_NOT_FOUND,
        "b": Reason.TEMPLATE_NOT_FOUND,
    }


def test_when_no_host_can_be_started_there_is_no_work() -> None:
    found = prepared("a", "b", known={})
    assert found.work is None
    assert set(found.failures) == {"a", "b"}


@pytest.mark.parametrize(
    ("script", "reason"),
    [("{{ 1 / 0 }}", Reason.TEMPLATE_ERROR), ("{{ inputs.command }}", Reason.INVALID_INPUT)],
)
def test_a_template_that_was_spoilt_meanwhile_fails_the_hosts_with_its_reason(script: str, reason: Reason) -> None:
    inputs = [{"name": "command", "required": True}] if reason == Reason.INVALID_INPUT else []
    found = prepared("a", declared=template(script, inputs))
    assert found.work is None
    assert found.failures["a"].reason == reason


def test_a_script_that_cannot_be_rendered_for_one_host_fails_only_that_one() -> None:
    found = prepared("a", "b", declared=template("{{ 1 / (0 if host.name == 'a' else 1) }}"))
    assert [entry.name for entry in work(found).hosts] == ["b"]
    assert found.failures["a"].reason == Reason.TEMPLATE_ERROR


def test_scripts_too_large_for_one_pod_are_refused_with_the_reason() -> None:
    noise = random.Random(1).randbytes(60_000).hex()
    names = [f"h{number}" for number in range(20)]
    found = prepared(*names, declared=template("{{ host.name }}" + noise))
    assert found.work is None
    assert {trouble.message for trouble in found.failures.values()} == {
        "the scripts of 20 hosts are too large for one runner pod: set spec.rollout.hostsPerSlice to a lower number"
    }
    fitting = prepared(*names[:10], declared=template("{{ host.name }}" + noise))
    assert fitting.work is not None
    assert len(fitting.work) <= MAX_WORK_BYTES


def test_a_slice_that_was_dealt_for_another_template_is_not_started_with_more_hosts_than_it_may_have() -> None:
    steps = [{"name": f"s{number}", "script": "true"} for number in range(32)]
    names = [f"h{number}" for number in range(8)]
    changed = template(ssh={"steps": steps})
    found = prepared(*names, declared=changed)
    assert found.work is None
    assert {trouble.reason for trouble in found.failures.values()} == {Reason.TEMPLATE_ERROR}
    assert "a pod may have 7 of them now, and this one has 8; run it again" in found.failures["h0"].message
    assert prepared(*names[:7], declared=changed).work is not None


@pytest.mark.parametrize(
    ("keys", "expected"),
    [
        (["ssh-privatekey"], True), (["password"], True), (["password", "x"], True), ([], False),
        (["passphrase", "ssh-certificate"], False),
    ],
)  # fmt: skip
def test_a_key_or_a_password_is_something_to_log_in_with(keys: list[str], expected: bool) -> None:
    assert usable(keys) is expected


def secret_inputs(*names: str) -> list[dict[str, Any]]:
    return [{"secretRef": {"name": name}} for name in names]


INPUTS: dict[str, SecretData | None] = {
    "ops-key": OWN,
    "one": {"token": b"first", "x": b"ignored"},
    "two": {"token": b"second"},
}
TOKEN = [
    {"name": "token", "type": "Secret"},
    {"name": "os", "valueFrom": {"fact": "os"}, "hidden": True},
    {"name": "who"},
]


def with_os(*names: str) -> dict[str, Any]:
    return {name: host(name, facts={"os": f"os-of-{name}"}) for name in names}


def test_secret_inputs_reach_the_script_and_the_mask_and_a_later_secret_comes_first() -> None:
    job = invocation("a", "b", inputsFrom=secret_inputs("one", "two"), inputs={"who": "me"})
    declared = template("login {{ inputs.token }} {{ inputs.os }} {{ inputs.who }}", TOKEN)
    made = work(prepared("a", "b", job=job, known=with_os("a", "b"), secrets=INPUTS, declared=declared))
    assert made.scripts == ("login second os-of-a me", "login second os-of-b me")
    assert made.masked == ("os-of-a", "os-of-b", "second")


def test_without_hidden_inputs_nothing_is_masked() -> None:
    assert work(prepared("a")).masked == ()


def test_a_hidden_truth_value_is_not_masked() -> None:
    hidden = [{"name": "force", "type": "Boolean", "hidden": True}, {"name": "pin", "type": "Integer", "hidden": True}]
    job = invocation("a", inputs={"force": "true", "pin": 4711})
    assert work(prepared("a", job=job, declared=template("id", hidden))).masked == ("4711",)


@pytest.mark.parametrize(
    ("secrets", "reason", "message"),
    [
        ({}, Reason.SECRET_NOT_FOUND, "the Secret one that spec.inputsFrom names was deleted before the host's turn"),
        ({"one": {"token": CANARY + b"\xff"}}, Reason.INVALID_INPUT, "the Secret one holds a value that is not text"),
        ({"one": {"token": CANARY + b"\0"}}, Reason.INVALID_INPUT, "input token has a NUL character"),
        ({"one": {"token": CANARY, "who": CANARY}}, Reason.INVALID_INPUT, "input who must be of type Integer"),
        ({"one": {}}, Reason.INVALID_INPUT, "template run needs a value for: token"),
    ],
)
def test_secret_inputs_that_are_wrong_fail_all_hosts_without_being_told(
    secrets: dict[str, SecretData | None], reason: Reason, message: str
) -> None:
    declared = template(
        "id", [{"name": "token", "type": "Secret", "required": True}, {"name": "who", "type": "Integer"}]
    )
    job = invocation("a", "b", inputsFrom=secret_inputs("one"))
    found = prepared("a", "b", job=job, secrets={"ops-key": OWN, **secrets}, declared=declared)
    assert found.work is None
    assert set(found.failures) == {"a", "b"}
    assert found.failures["a"].reason == reason
    assert found.failures["a"].message.startswith(message)
    assert CANARY.decode() not in repr(found)


def test_a_host_without_a_fact_fails_by_itself_and_names_its_path() -> None:
    known = {**with_os("a"), "b": host("b")}
    found = prepared("a", "b", known=known, declared=template("{{ inputs.os }}", TOKEN))
    assert [entry.name for entry in work(found).hosts] == ["a"]
    assert found.failures["b"].reason == Reason.INVALID_INPUT
    assert found.failures["b"].message.startswith("Host b has no spec.facts.os, which input os is read from")


ROOT = {"script": "id", "effectiveUser": {"name": "root", "method": "Doas"}}


@pytest.mark.parametrize(
    ("ssh", "override", "expected"),
    [
        ({"script": "id"}, None, None),
        (ROOT, None, EffectiveUser("root", BecomeMethod.DOAS)),
        ({"script": "id", "effectiveUser": {"overridable": True}}, None, None),
        (
            {"script": "id", "effectiveUser": {"overridable": True}},
            {"name": "deploy"},
            EffectiveUser("deploy", BecomeMethod.SUDO),
        ),
        (ROOT, {"name": "root"}, EffectiveUser("root", BecomeMethod.DOAS)),
    ],
)
def test_the_script_runs_as_the_effective_user(ssh: Any, override: Any, expected: EffectiveUser | None) -> None:
    job = invocation("a", **({"effectiveUser": override} if override else {}))
    assert work(prepared("a", job=job, declared=template(ssh=ssh))).effective_user == expected


def test_an_effective_user_that_the_template_no_longer_allows_fails_the_hosts() -> None:
    found = prepared("a", job=invocation("a", effectiveUser={"name": "deploy"}), declared=template(ssh=ROOT))
    assert found.work is None
    assert found.failures["a"].reason == Reason.INVALID_INPUT
    assert "does not let an invocation name the effective user" in found.failures["a"].message


def test_a_password_for_becoming_another_user_comes_from_the_credentials_or_by_itself() -> None:
    own = {"ops-key": {**OWN, "become-password": b"word-of-the-host"}}
    assert work(prepared("a", secrets=own)).credentials[0].become_password == "word-of-the-host"
    job = invocation("a", effectiveUser={"passwordRef": {"name": "become"}})
    secrets = {**own, "become": {"become-password": b"word-of-mine", "password": b"no login"}}
    (found,) = work(prepared("a", job=job, secrets=secrets)).credentials
    assert (found.become_password, found.password) == ("word-of-mine", None)
    assert work_secrets(job, [host("a")]) == {"ops-key", "become"}
    missing = prepared("a", job=job, secrets={**own, "become": {"password": CANARY}})
    assert missing.failures["a"].reason == Reason.INVALID_CREDENTIALS
    assert missing.failures["a"].message == (
        "the Secret become, which spec.effectiveUser.passwordRef names, has no key become-password"
    )


def test_what_template_and_invocation_say_about_the_run_is_in_the_work() -> None:
    job = invocation("a", rollout={"timeSpanSeconds": 60}, output={"onExcess": "Fail"}, status={"slices": 4})
    made = work(prepared("a", job=job, declared=template(terminationGracePeriodSeconds=17)))
    assert (made.stop_grace_seconds, made.on_excess, made.spread_seconds) == (17, OnExcess.FAIL, 15)
    plain = work(prepared("a"))
    assert (plain.stop_grace_seconds, plain.on_excess, plain.spread_seconds) == (5, OnExcess.CUT, 0)
