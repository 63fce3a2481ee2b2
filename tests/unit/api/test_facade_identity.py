"""Who may log in, and whom the facade acts for."""

import json
from pathlib import Path

import pytest
from argon2 import PasswordHasher

from rollcall.resources.targeting import Targeting
from rollcall_api.access import impersonate
from rollcall_api.job_manifests import JobRequest, invocation, secrets
from rollcall_api.parsing import parse_template
from rollcall_api.problems import Forbidden
from rollcall_api.records import Template
from rollcall_api.users import Identity, Users

HASHER = PasswordHasher(time_cost=1, memory_cost=64, parallelism=1)


def write(folder: Path, name: str, **document: object) -> None:
    content = {"passwordHash": HASHER.hash("secret"), "username": name, **document}
    (folder / f"{name}.json").write_text(json.dumps(content))


async def test_a_user_logs_in_with_the_right_password(tmp_path: Path) -> None:
    write(tmp_path, "ops", username="ops@example.com", groups=["ops", "system:masters"])
    users = Users(tmp_path)
    account = users.account("ops")
    assert account is not None
    assert account.identity == Identity("ops@example.com", ("ops", "system:authenticated"))
    assert await users.verify(account, "secret")
    assert not await users.verify(account, "wrong")
    assert not await users.verify(None, "secret")
    assert "argon2" not in repr(account)


@pytest.mark.parametrize(
    "document",
    [
        {"username": "system:admin"},
        {"username": ""},
        {"passwordHash": "plain text"},
        {"passwordHash": None},
        {"groups": 5},
    ],
)
def test_a_file_that_is_wrong_admits_nobody(tmp_path: Path, document: dict[str, object]) -> None:
    write(tmp_path, "odd", **document)
    write(tmp_path, "fine")
    (tmp_path / "notes.txt").write_text("not JSON")
    users = Users(tmp_path)
    assert users.account("odd") is None
    assert users.account("fine") is not None


def test_a_login_that_a_file_name_cannot_spell(tmp_path: Path) -> None:
    write(tmp_path, "first", login="ops@example.com")
    assert Users(tmp_path).account("ops@example.com") is not None


def test_changed_files_are_read_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    now = [0.0]
    monkeypatch.setattr("rollcall_api.users.time.monotonic", lambda: now[0])
    users = Users(tmp_path)
    assert users.account("late") is None
    write(tmp_path, "late")
    now[0] += 2
    assert users.account("late") is not None


@pytest.mark.parametrize(
    ("user", "headers"),
    [
        (
            Identity("alice", ("dev", "system:authenticated", "system:masters")),
            [("Impersonate-User", "alice"), ("Impersonate-Group", "dev")],
        ),
        (
            Identity("system:serviceaccount:ns:bot", ("system:serviceaccounts", "system:serviceaccounts:ns")),
            [("Impersonate-User", "system:serviceaccount:ns:bot")],
        ),
    ],
)
def test_a_write_is_done_in_the_users_name(user: Identity, headers: list[tuple[str, str]]) -> None:
    assert list(impersonate(user).items()) == headers


@pytest.mark.parametrize("username", ["", "system:admin", "system:kube-controller-manager", "system:node:n1"])
def test_the_clusters_own_users_are_never_impersonated(username: str) -> None:
    with pytest.raises(Forbidden):
        impersonate(Identity(username, ("system:masters",)))


def a_template(name: str = "run") -> Template:
    return parse_template(
        {"metadata": {"name": name, "uid": "t", "resourceVersion": "1"}, "spec": {"ssh": {"script": "x"}}}
    )


def test_credentials_and_hidden_inputs_are_in_secrets_and_nowhere_else() -> None:
    request = JobRequest(
        template=a_template(),
        inputs={},
        targeting=Targeting(hosts=("a",)),
        credentials={"password": "canary"},
        secret_inputs={"token": "canary"},
    )
    assert "canary" not in repr(request)
    body = invocation(request, 5, Identity("alice"))
    assert "canary" not in repr(body)
    stored = {**body, "metadata": {**body["metadata"], "uid": "u5"}}
    credentials, inputs = secrets(stored, request)
    assert body["spec"]["credentialsRef"] == {"name": credentials["metadata"]["name"]} == {"name": "job-5-credentials"}
    assert body["spec"]["inputsFrom"] == [{"secretRef": {"name": inputs["metadata"]["name"]}}]
    assert inputs["metadata"]["name"] == "job-5-inputs"
    assert (credentials["data"], inputs["data"]) == ({"password": "Y2FuYXJ5"}, {"token": "Y2FuYXJ5"})
    for secret in (credentials, inputs):
        assert secret["metadata"]["ownerReferences"][0]["uid"] == "u5"


def test_a_template_name_too_long_for_a_label_is_left_to_the_reference() -> None:
    request = JobRequest(template=a_template("t" * 80), inputs={"n": 3, "b": True}, targeting=Targeting(hosts=()))
    body = invocation(request, 5, Identity("alice"))
    assert body["metadata"]["labels"] == {"rollcall.dev/id": "5"}
    assert body["spec"]["inputs"] == {"n": "3", "b": "true"}
