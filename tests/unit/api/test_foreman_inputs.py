"""Inputs and effective users of a job that is created through Foreman's API (contract §4.2, §4.3, §4.7)."""

import asyncio
from datetime import UTC, datetime
from typing import Any

import pytest

from rollcall_api.cache import Cache
from rollcall_api.cluster import Cluster
from rollcall_api.foreman import creation, render
from rollcall_api.foreman.errors import ForemanError
from rollcall_api.foreman.search import HostSearch
from rollcall_api.foreman.targeting import Scope
from rollcall_api.foreman.taxonomies import Context, Taxonomies
from rollcall_api.job_manifests import JobRequest, invocation
from rollcall_api.jobs import Jobs, View
from rollcall_api.pace import Pace
from rollcall_api.sequences import Sequences
from rollcall_api.users import Identity

INPUTS: list[dict[str, Any]] = [
    {"name": "command", "required": True},
    {"name": "token", "type": "Secret"},
    {"name": "pin", "type": "Integer", "hidden": True, "default": "1"},
    {"name": "os", "valueFrom": {"fact": "os.family"}},
]
POLICY = {"name": "root", "overridable": True}

NOW = datetime(2024, 5, 4, 10, tzinfo=UTC)


def a_cache(effective_user: dict[str, Any] | None = None, **more: Any) -> Cache:
    cache = Cache(Cluster(), "ns")
    metadata = {"name": "run", "uid": "t", "resourceVersion": "1", "labels": {"rollcall.dev/id": "190"}}
    ssh = {"script": "id", **({"effectiveUser": effective_user} if effective_user else {})}
    spec = {"displayName": "Run it", "inputs": INPUTS, "ssh": ssh, **more}
    cache.templates.put({"metadata": metadata, "spec": spec})
    cache.hosts.put({"metadata": {"name": "web1", "uid": "h", "resourceVersion": "1"}})
    return cache


def parsed(cache: Cache, inputs: dict[str, Any], **more: Any) -> JobRequest:
    bag = {"job_template_id": 190, "targeting_type": "static_query", "search_query": "name = web1", "inputs": inputs}
    taxonomies = Taxonomies(cache.hosts)
    search = HostSearch(cache, taxonomies, Pace())
    scope = Scope(search, taxonomies, Context(taxonomies), lambda _: True, may_view_hosts=True)
    sight = creation.Sight(True, True, True)
    return asyncio.run(creation.parse({"job_invocation": {**bag, **more}}, cache, sight, scope, NOW))


def a_view(cache: Cache, request: JobRequest) -> View:
    stored = invocation(request, 7, Identity("alice"))
    made = {"uid": "u", "resourceVersion": "9", "creationTimestamp": "2024-05-04T10:00:00Z"}
    job = cache.jobs.put({**stored, "metadata": {**stored["metadata"], **made}})
    assert job is not None
    return Jobs(Cluster(), cache, Sequences(Cluster(), "ns"), "ns").view(job)


def test_hidden_inputs_are_kept_apart_and_shown_as_asterisks() -> None:
    cache = a_cache()
    request = parsed(cache, {"command": "id", "token": "canary-1", "pin": 4711})
    assert request.inputs == {"command": "id"}
    assert request.secret_inputs == {"token": "canary-1", "pin": "4711"}
    view = a_view(cache, request)
    assert view.inputs == {"command": "id", "token": "*****", "pin": "*****"}
    assert view.description == 'Run it with inputs command="id" token="***" pin="***"'
    shown = render.show(view, view.members, host_status=False, shows_query=True)
    assert b"canary" not in shown
    assert b"4711" not in shown


def test_a_hidden_input_that_is_not_given_is_stored_nowhere() -> None:
    request = parsed(a_cache(), {"command": "id"})
    assert (request.inputs, request.secret_inputs) == ({"command": "id"}, {})
    assert "inputsFrom" not in invocation(request, 7, Identity("alice"))["spec"]


@pytest.mark.parametrize(
    ("inputs", "words"),
    [
        ({"command": "id", "pin": "canary-2"}, "Template Run it: input pin must be of type Integer"),
        ({"command": "id", "token": ["canary-2"]}, "Template Run it: Input token: Value must be a single value"),
        ({"token": "canary-2"}, "Template Run it: Not all required inputs have values. Missing inputs: command"),
        (
            {"command": "id", "os": "canary-2"},
            "Template Run it: input os is read from each Host's spec.facts.os.family",
        ),
    ],
)
def test_wrong_inputs_are_refused_without_what_is_hidden(inputs: dict[str, Any], words: str) -> None:
    with pytest.raises(ForemanError) as refusal:
        parsed(a_cache(), inputs)
    assert words in str(refusal.value.body)
    assert "canary" not in str(refusal.value.body)


@pytest.mark.parametrize("way", ["ssh", "top"])
@pytest.mark.parametrize(
    ("policy", "wanted", "expected", "shown"),
    [
        (POLICY, "deploy", "deploy", "deploy"),
        (POLICY, "", None, "root"),
        ({"name": "root"}, "deploy", None, "root"),
        (None, "deploy", None, None),
        (None, "-x; id", None, None),
    ],
)
def test_an_effective_user_counts_where_the_template_lets_it(
    way: str, policy: dict[str, Any] | None, wanted: str, expected: str | None, shown: str | None
) -> None:
    cache = a_cache(policy)
    given = {"effective_user": wanted, "effective_user_password": "canary-3"}
    request = parsed(cache, {"command": "id"}, **({"ssh": given} if way == "ssh" else given))
    assert request.effective_user == expected
    assert request.credentials == {"become-password": "canary-3"}
    assert render.base(a_view(cache, request))["effective_user"] == shown
    assert "canary" not in repr(request)


PLAYBOOK = {"playbook": "x"}


@pytest.mark.parametrize(
    ("of_ssh", "spec", "expected", "shown"),
    [
        (None, {"provider": "Ansible", "ansible": {**PLAYBOOK, "effectiveUser": POLICY}}, "deploy", "deploy"),
        (POLICY, {"provider": "Ansible", "ansible": {**PLAYBOOK, "effectiveUser": {"name": "ops"}}}, None, "ops"),
        (POLICY, {"provider": "Ansible", "ansible": PLAYBOOK}, None, None),
        (POLICY, {"provider": "Pod", "pod": {"image": "x", "script": "id"}}, None, None),
    ],
)
def test_the_provider_says_whose_effective_user_counts(
    of_ssh: dict[str, Any] | None, spec: dict[str, Any], expected: str | None, shown: str | None
) -> None:
    cache = a_cache(of_ssh, **spec)
    request = parsed(cache, {"command": "id"}, ssh={"effective_user": "deploy"})
    assert request.effective_user == expected
    assert render.base(a_view(cache, request))["effective_user"] == shown


def test_an_effective_user_that_is_no_user_is_refused() -> None:
    with pytest.raises(ForemanError) as refusal:
        parsed(a_cache(POLICY), {"command": "id"}, ssh={"effective_user": "-x; id"})
    assert "Effective user: is invalid" in str(refusal.value.body)


def test_of_the_ssh_hash_only_what_belongs_there_counts() -> None:
    request = parsed(a_cache(), {"command": "id"}, ssh={"inputs": {"command": "rm"}, "password": "x", "ssh_user": "y"})
    assert (request.inputs, request.credentials, request.user) == ({"command": "id"}, {}, None)


def test_a_job_that_asks_for_a_feature_shows_the_template_once_it_is_chosen() -> None:
    cache = a_cache()
    made = {"uid": "u", "resourceVersion": "9", "creationTimestamp": "2024-05-04T10:00:00Z"}
    raw: dict[str, Any] = {
        "metadata": {"name": "by-feature", "labels": {"rollcall.dev/id": "8"}, **made},
        "spec": {"feature": "run_script", "inputs": {"command": "id"}, "targeting": {"hosts": ["web1"]}},
    }
    jobs = Jobs(Cluster(), cache, Sequences(Cluster(), "ns"), "ns")
    job = cache.jobs.put(raw)
    assert job is not None
    assert render.base(jobs.view(job))["template_name"] == ""
    raw["metadata"]["resourceVersion"] = "10"
    job = cache.jobs.put({**raw, "status": {"template": {"name": "run"}}})
    assert job is not None
    assert render.base(jobs.view(job))["template_name"] == "Run it"
