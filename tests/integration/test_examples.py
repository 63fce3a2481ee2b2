"""The manifests in examples/ do what their comments say, on real hosts.

Each test looks at what would be otherwise without the capability that its example is about.
"""

import base64
import subprocess
from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import yaml

from integration.test_rollout import most_at_once
from integration.test_waiting import moment, overlap
from support.gitserver import USER, GitServer
from support.jobs import end_of, events, output, results, slices
from support.kube import Kube, Object, condition
from support.operator import Operator
from support.schedules import runs, status
from support.sshhosts import HOSTS_NAMESPACE, IMAGE, PASSWORD, KeyPair, SshHost, generate_key, start_hosts

EXAMPLES = Path(__file__).parents[2] / "examples"
ORDINARY = [
    "03-uptime", "06-canary", "08-spread", "09-retry", "10-maintenance-window", "13-exclusive", "15-effective-user",
    "16-secret-input", "17-facts", "21-playbook", "22-playbook-configmap", "23-steps", "24-pod", "25-query",
    "26-inventory", "28-playbook-git", "29-terminal", "40-doas", "42-feature", "43-hidden-input", "44-dry-run", "46-su",
    "47-rerun-listed",
]  # fmt: skip
"""Those that complete by themselves; the others have a story of their own below."""
STORIES = [
    "30-schedule-nightly", "31-schedule-every", "32-schedule-once", "33-schedule-patching", "34-schedule-rrule",
    "35-schedule-window", "36-schedule-replace",
    "05-disk-usage-web", "07-approval", "11-suspended", "12-cancelled", "14-rerun", "18-output-limit", "19-jump-host",
    "20-host-keys", "27-at-start", "41-cancelled-by-force", "45-logins",
]  # fmt: skip
FURNITURE = ["01-hosts", "02-run-command", "04-disk-usage"]
NAMES = ("web1", "web2", "db1")


def documents(name: str) -> list[Object]:
    return [document for document in yaml.safe_load_all((EXAMPLES / f"{name}.yaml").read_text()) if document]


def invocations(name: str) -> list[str]:
    """The names of an example's invocations."""
    return [document["metadata"]["name"] for document in documents(name) if document["kind"] == "JobInvocation"]


def apply(kube: Kube, namespace: str, name: str, changes: dict[str, Object] | None = None) -> None:
    """Apply an example, with other contents of the objects of these names."""
    for document in documents(name):
        document["metadata"]["namespace"] = namespace
        if "pod" in document.get("spec", {}):
            document["spec"]["pod"]["image"] = IMAGE  # has python3 too, and is in the cluster
        for part, content in (changes or {}).get(document["metadata"]["name"], {}).items():
            document[part] = document[part] | content
        kube.apply(document)


def variant(kube: Kube, namespace: str, example: str, name: str, **spec: Any) -> None:
    """Apply the invocation of an example by another name, and with these fields in its spec."""
    (document,) = [document for document in documents(example) if document["kind"] == "JobInvocation"]
    kube.apply(document | {"metadata": {"name": name, "namespace": namespace}, "spec": document["spec"] | spec})


def secret(kube: Kube, namespace: str, name: str, **values: str) -> None:
    metadata = {"name": name, "namespace": namespace}
    kube.apply({"apiVersion": "v1", "kind": "Secret", "metadata": metadata, "stringData": values})


@pytest.fixture(scope="module")
def example_hosts(kube: Kube, namespace: str, operator: Operator, hosts: list[SshHost]) -> None:
    """The Hosts of the examples, with the addresses and keys of real ones; the only Hosts in the namespace."""
    for number in range(10):
        kube.delete("hosts", namespace, f"host-{number}")
    for document, real in zip(documents("01-hosts"), hosts, strict=False):
        document["metadata"]["namespace"] = namespace
        document["spec"] |= {"address": real.address, "hostKeys": [real.host_key]}
        kube.apply(document)
    for name in FURNITURE[1:]:
        apply(kube, namespace, name)


@pytest.fixture(scope="module")
def everyday(
    kube: Kube, namespace: str, example_hosts: None, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[None]:
    """The ordinary examples, and some of them as they are when something goes wrong."""
    with GitServer(tmp_path_factory.mktemp("git"), "example-token") as repository:
        greeting = "{name: Greet, ansible.builtin.debug: {msg: from the repository}}"
        repository.commit({"site.yml": f"- hosts: all\n  gather_facts: false\n  tasks: [{greeting}]\n"})
        source = {"url": repository.url, "revision": "main", "path": "site.yml", "credentialsRef": {"name": "git"}}
        changes: dict[str, Object] = {
            "git": {"stringData": {"username": USER, "password": "example-token"}},
            "site-from-git": {"spec": {"ansible": {"git": source}}},
            "deploy-password": {"stringData": {"become-password": PASSWORD}},
        }
        for name in ORDINARY:  # one after the other: logins must not wait for forty pods that start
            apply(kube, namespace, name, changes)
            for invocation in invocations(name):
                end_of(kube, namespace, invocation, 120)
        variant(kube, namespace, "06-canary", "canary-dies", inputs={"command": "false"})
        variant(kube, namespace, "10-maintenance-window", "window-ahead", startAt=moment(10))
        variant(kube, namespace, "10-maintenance-window", "window-missed", startBefore="2026-01-01T05:00:00Z")
        variant(kube, namespace, "05-disk-usage-web", "no-number", inputs={"limit": "much"})
        variant(kube, namespace, "42-feature", "no-feature", feature="nobody_has_it")
        variant(kube, namespace, "43-hidden-input", "too-small", inputs={"load": "0.25", "phone": "+49 30 5550123"})
        secret(kube, namespace, "wrong-password", **{"become-password": f"not {PASSWORD}"})
        variant(kube, namespace, "46-su", "su-refused", effectiveUser={"passwordRef": {"name": "wrong-password"}})
        variant(kube, namespace, "47-rerun-listed", "stranger", targeting={"hosts": ["db1", "elsewhere"]})
        yield


def test_every_example_is_run() -> None:
    assert sorted(path.stem for path in EXAMPLES.glob("*.yaml")) == sorted([*FURNITURE, *ORDINARY, *STORIES])


@pytest.mark.parametrize("name", ORDINARY)
def test_an_example_completes(kube: Kube, namespace: str, everyday: None, name: str) -> None:
    for invocation in invocations(name):
        ended = end_of(kube, namespace, invocation, 120)
        assert condition(ended, "Complete"), ended["status"]


def said(kube: Kube, namespace: str, name: str) -> dict[str, bytes]:
    """What each host has said in the end."""
    end_of(kube, namespace, name, 180)
    return {host: output(found) for host, found in events(kube, namespace, name).items()}


def test_each_host_named_has_a_pod_of_its_own(kube: Kube, namespace: str, everyday: None) -> None:
    assert all(b" runs Linux " in text for text in said(kube, namespace, "uptime").values())
    made = slices(kube, namespace, "uptime")
    assert [(slice_["spec"]["hosts"], slice_["status"]["podName"]) for slice_ in made] == [
        ([name], f"uptime-{number}") for number, name in enumerate(NAMES)
    ]


def test_batches_have_pauses_between_them_and_failures_stop_them(kube: Kube, namespace: str, everyday: None) -> None:
    end_of(kube, namespace, "canary", 180)
    found = events(kube, namespace, "canary")
    for before, after in (("db1", "web1"), ("web1", "web2")):
        assert found[after][0].time - found[before][-1].time > 4  # slices tell whole seconds
    ended = end_of(kube, namespace, "canary-dies", 180)
    assert (condition(ended, "Failed") or {})["reason"] == "TooManyFailed"
    assert (ended["status"]["hosts"]["failed"], ended["status"]["hosts"]["cancelled"]) == (2, 1)
    assert [fate["host"] for fate in ended["status"]["stopped"]] == ["web2"]


def test_starts_are_spread(kube: Kube, namespace: str, everyday: None) -> None:
    ended = end_of(kube, namespace, "spread", 180)
    begun = datetime.fromisoformat(ended["status"]["startTime"])
    for place, slice_ in enumerate(slices(kube, namespace, "spread")):
        waited = datetime.fromisoformat(slice_["status"]["startTime"]) - begun
        assert waited >= timedelta(seconds=3 * place - 1), slice_  # pods tell whole seconds


def test_nothing_starts_outside_of_the_window(kube: Kube, namespace: str, everyday: None) -> None:
    ahead = end_of(kube, namespace, "window-ahead", 180)
    assert condition(ahead, "Complete")
    assert condition(ahead, "Waiting"), "it has waited"
    assert ahead["status"]["startTime"] >= ahead["spec"]["startAt"]
    missed = end_of(kube, namespace, "window-missed")
    assert (condition(missed, "Failed") or {})["reason"] == "StartWindowMissed"


def test_a_value_of_the_wrong_type_is_refused(kube: Kube, namespace: str, everyday: None) -> None:
    failed = condition(end_of(kube, namespace, "no-number"), "Failed") or {}
    assert (failed["reason"], "limit" in failed["message"]) == ("InvalidInput", True)
    assert not slices(kube, namespace, "no-number")


def test_whoever_wants_hosts_alone_waits_for_them(kube: Kube, namespace: str, everyday: None) -> None:
    ends = [end_of(kube, namespace, name, 180)["status"] for name in ("upgrade-first", "upgrade-second")]
    first, second = sorted(ends, key=lambda end: str(end["startTime"]))
    assert first["completionTime"] <= second["startTime"]
    for other in ("uptime", "canary", "spread"):
        end_of(kube, namespace, other)
        assert not overlap(kube, namespace, "upgrade-first", other, "web2")


def test_the_effective_user_is_root(kube: Kube, namespace: str, everyday: None) -> None:
    assert said(kube, namespace, "whoami")["web1"] == b"root\n"
    assert said(kube, namespace, "whoami-by-doas")["web2"] == b"root, by ops\n"


def test_su_asks_for_the_password_of_the_user_that_it_is_to_be(kube: Kube, namespace: str, everyday: None) -> None:
    assert said(kube, namespace, "whoami-by-su")["web1"] == b"deploy\n"
    end_of(kube, namespace, "su-refused", 180)
    refused = results(kube, namespace, "su-refused")["web1"]
    assert (refused["state"], refused["reason"]) == ("Failed", "PrivilegeEscalationFailed")


def test_the_feature_leads_to_the_template_that_has_it(kube: Kube, namespace: str, everyday: None) -> None:
    assert end_of(kube, namespace, "by-feature")["status"]["template"]["name"] == "run-command"
    failed = condition(end_of(kube, namespace, "no-feature"), "Failed") or {}
    assert (failed["reason"], "nobody_has_it" in failed["message"]) == ("TemplateNotFound", True)


def test_the_script_is_at_a_terminal(kube: Kube, namespace: str, everyday: None) -> None:
    assert said(kube, namespace, "at-a-terminal")["web1"] == b"at a terminal\n"


def test_the_retry_has_two_attempts(kube: Kube, namespace: str, everyday: None) -> None:
    assert said(kube, namespace, "retry")["web1"] == b"try 1\ntry 2\n"
    first, second = slices(kube, namespace, "retry")
    assert (first["status"]["retrySlice"], second["spec"]["attempt"]) == ("retry-0-r1", 1)
    assert second["status"]["startTime"] >= first["status"]["retryTime"]


def test_the_secret_is_masked(kube: Kube, namespace: str, everyday: None) -> None:
    assert said(kube, namespace, "registry-login")["web1"] == b"robot logs in with ********\n"
    status = kube.get("jobinvocations", namespace, "registry-login")["status"]
    assert "s3cret" not in str(status)
    assert status["description"] == "Log in as robot with ***"


def test_the_hidden_value_is_masked_and_the_number_has_bounds(kube: Kube, namespace: str, everyday: None) -> None:
    assert said(kube, namespace, "load-alarm")["web1"] == b"calls ******** above a load of 2.5\n"
    ended = kube.get("jobinvocations", namespace, "load-alarm")
    assert ended["status"]["description"] == "Call *** above a load of 2.5"
    assert "5550123" not in str(ended["status"])
    assert "5550123" in ended["spec"]["inputs"]["phone"]
    failed = condition(end_of(kube, namespace, "too-small"), "Failed") or {}
    assert (failed["reason"], "at least 0.5" in failed["message"]) == ("InvalidInput", True)
    assert not slices(kube, namespace, "too-small")


def test_facts_and_variables_have_defaults(kube: Kube, namespace: str, everyday: None) -> None:
    assert said(kube, namespace, "greet") == {
        "web1": b"Good morning web1, which runs Debian and serves on port 8080\n",
        "db1": b"Good morning db1, which runs some system and serves on port 80\n",
    }


def test_playbooks_come_from_three_places(kube: Kube, namespace: str, everyday: None) -> None:
    message = said(kube, namespace, "message-of-the-day")
    assert message.keys() == {"web1", "web2"}
    assert all(b"Patched on Sunday" in text for text in message.values())
    assert b"TASK [Tell the version]" in said(kube, namespace, "debian-version")["web1"]
    assert b'"msg": "from the repository"' in said(kube, namespace, "site")["web2"]


def test_the_dry_run_shows_what_the_chosen_tasks_would_change(kube: Kube, namespace: str, everyday: None) -> None:
    text = said(kube, namespace, "dry-run")["web1"].decode()
    assert "TASK [Write the settings]" in text
    assert "+port = 8080" in text
    assert '"changed": true' in text, "as with -v"
    assert "Tell who is at it" not in text
    assert "Restart the shop" not in text
    variant(kube, namespace, "42-feature", "look", inputs={"command": "test ! -e /tmp/shop.conf"})
    assert condition(end_of(kube, namespace, "look"), "Complete"), "nothing was written"


def test_the_listed_hosts_of_an_earlier_run_are_run_again(kube: Kube, namespace: str, everyday: None) -> None:
    assert said(kube, namespace, "uptime-again").keys() == {"db1"}
    failed = condition(end_of(kube, namespace, "stranger"), "Failed") or {}
    assert (failed["reason"], "did not run on elsewhere" in failed["message"]) == ("InvalidRerun", True)


def test_the_steps_that_are_chosen_are_run(kube: Kube, namespace: str, everyday: None) -> None:
    end_of(kube, namespace, "release", 180)
    states = {step["name"]: step["state"] for step in results(kube, namespace, "release")["web1"]["steps"]}
    assert states == {"drain": "Skipped", "install": "Succeeded", "smoke-test": "Skipped", "undrain": "Succeeded"}


def test_the_script_in_the_pod_knows_its_host(kube: Kube, namespace: str, everyday: None) -> None:
    assert said(kube, namespace, "port-check") == {name: f"{name} answers at port 22\n".encode() for name in NAMES}


def test_three_languages_mean_the_same_host(kube: Kube, namespace: str, everyday: None) -> None:
    for name in ("query-foreman", "query-ansible", "query-pql"):
        assert said(kube, namespace, name).keys() == {"web1"}


def test_the_limit_takes_some_hosts_and_the_deeper_group_says_the_port(
    kube: Kube, namespace: str, everyday: None
) -> None:
    found = said(kube, namespace, "show-settings")
    assert found == {"web1": b"production 8080 192.0.2.53\n", "db1": b"production 80 192.0.2.53\n"}


def patch(kube: Kube, namespace: str, name: str, **spec: Any) -> None:
    kube.patch("jobinvocations", namespace, name, {"spec": spec})


def shown(kube: Kube, namespace: str, name: str) -> Object:
    """The row of `kubectl get ji -o wide`."""
    accept = {"Accept": "application/json;as=Table;v=v1;g=meta.k8s.io"}
    table = kube.request("GET", kube.path("jobinvocations", namespace, name), headers=accept).json()
    columns = [column["name"] for column in table["columnDefinitions"]]
    return dict(zip(columns, table["rows"][0]["cells"], strict=True))


def test_the_approval_waits_for_a_person(kube: Kube, namespace: str, example_hosts: None) -> None:
    apply(kube, namespace, "07-approval")

    kube.wait("question", lambda: shown(kube, namespace, "approval")["Waiting"] == "ApprovalNeeded")
    assert kube.get("jobinvocations", namespace, "approval")["status"]["hosts"]["succeeded"] == 1
    patch(kube, namespace, "approval", rollout={"approvedBatches": 2})
    assert condition(end_of(kube, namespace, "approval"), "Complete")
    assert shown(kube, namespace, "approval")["Waiting"] is None


def test_the_suspended_one_is_let_go(kube: Kube, namespace: str, example_hosts: None) -> None:
    apply(kube, namespace, "11-suspended")
    kube.wait("suspension", lambda: condition(kube.get("jobinvocations", namespace, "suspended"), "Suspended"))
    assert not kube.list("pods", namespace, labelSelector="rollcall.dev/invocation=suspended")
    patch(kube, namespace, "suspended", suspend=False)
    assert condition(end_of(kube, namespace, "suspended"), "Complete")


def test_the_one_at_start_chooses_when_it_is_let_go(kube: Kube, namespace: str, example_hosts: None) -> None:
    apply(kube, namespace, "27-at-start")
    kube.wait("suspension", lambda: condition(kube.get("jobinvocations", namespace, "at-start"), "Suspended"))
    assert not slices(kube, namespace, "at-start")
    kube.patch("hosts", namespace, "web2", {"spec": {"groups": ["leaving"]}})
    patch(kube, namespace, "at-start", suspend=False)
    assert condition(end_of(kube, namespace, "at-start"), "Complete")
    kube.patch("hosts", namespace, "web2", {"spec": {"groups": ["web"]}})
    assert set(results(kube, namespace, "at-start")) == {"web1"}


def test_what_is_cancelled_stops_host_by_host_and_by_force_at_once(
    kube: Kube, namespace: str, example_hosts: None
) -> None:
    def at_work(name: str, count: int) -> None:
        def running() -> bool:
            found = kube.get("jobinvocations", namespace, name).get("status", {})
            return bool(found.get("hosts", {}).get("running") == count)

        kube.wait(f"{count} hosts of {name} at work", running)

    apply(kube, namespace, "12-cancelled")
    apply(kube, namespace, "41-cancelled-by-force")
    at_work("cancelled", 3)
    at_work("cancelled-by-force", 1)
    (stubborn,) = slices(kube, namespace, "cancelled-by-force")
    log = f"{kube.path('pods', namespace, stubborn['metadata']['name'])}/log"
    # Before that it would listen.
    kube.wait("the script's first word", lambda: "here to stay" in kube.request("GET", log).text)
    patch(kube, namespace, "cancelled-by-force", cancellation={"policy": "Graceful"})
    patch(kube, namespace, "cancelled", cancellation={"hosts": ["web1"]})
    kube.wait(
        "the first end", lambda: results(kube, namespace, "cancelled").get("web1", {}).get("state") == "Cancelled"
    )
    forced = results(kube, namespace, "cancelled-by-force")["db1"]
    assert forced["state"] == "Running", forced
    patch(kube, namespace, "cancelled-by-force", cancellation={"policy": "Force"})
    patch(kube, namespace, "cancelled", cancellation={"hosts": None})
    for name, count in (("cancelled", 3), ("cancelled-by-force", 1)):
        ended = end_of(kube, namespace, name)
        assert (ended["status"]["state"], ended["status"]["hosts"]["cancelled"]) == ("Cancelled", count)
    assert "confirmed gone" in results(kube, namespace, "cancelled-by-force")["db1"]["message"]


def test_the_rerun_takes_who_did_not_succeed(kube: Kube, namespace: str, example_hosts: None) -> None:
    """A third web server is down at first, and up when the job is run again."""
    (web1, *_), metadata = documents("01-hosts"), {"name": "web3", "namespace": namespace, "labels": {"role": "web"}}
    known = kube.get("hosts", namespace, "web1")["spec"]
    kube.apply(web1 | {"metadata": metadata, "spec": known | {"port": 9}})
    apply(kube, namespace, "05-disk-usage-web")
    ended = end_of(kube, namespace, "disk-usage-web", 120)
    assert (condition(ended, "Failed") or {})["reason"] == "HostsFailed"
    made = slices(kube, namespace, "disk-usage-web")
    assert [slice_["spec"]["hosts"] for slice_ in made] == [["web1", "web2"], ["web3"]]
    assert most_at_once(events(kube, namespace, "disk-usage-web")) == 1
    kube.patch("hosts", namespace, "web3", {"spec": {"port": 22}})
    apply(kube, namespace, "14-rerun")
    ended = end_of(kube, namespace, "disk-usage-again")
    kube.delete("hosts", namespace, "web3")
    assert condition(ended, "Complete")
    ends = {name: result["state"] for name, result in results(kube, namespace, "disk-usage-again").items()}
    assert ends == {"web3": "Succeeded"}
    patch(kube, namespace, "disk-usage-web", ttlSecondsAfterFinished=0)
    kube.wait("the record to go", lambda: kube.find("jobinvocations", namespace, "disk-usage-web") is None)


def test_too_much_output_fails_the_host(kube: Kube, namespace: str, example_hosts: None) -> None:
    apply(kube, namespace, "18-output-limit")
    end_of(kube, namespace, "output-limit")
    result = results(kube, namespace, "output-limit")["web1"]
    assert (result["state"], result["reason"]) == ("Failed", "OutputLimit")
    assert 0 < result["output"]["bytes"] <= 10_000


def test_the_host_inside_is_reached_over_the_bastion(
    kube: Kube, namespace: str, example_hosts: None, hosts: list[SshHost]
) -> None:
    bastion, inside = hosts[-2:]
    changes = {
        "bastion": {"spec": {"address": bastion.address, "hostKeys": [bastion.host_key]}},
        "inside": {"spec": {"address": inside.address, "hostKeys": [inside.host_key]}},
        "uptime-inside": {"spec": {"inputs": {"command": "uptime; echo from ${SSH_CLIENT%% *}"}}},
    }
    apply(kube, namespace, "19-jump-host", changes)
    assert condition(end_of(kube, namespace, "uptime-inside"), "Complete"), results(kube, namespace, "uptime-inside")
    assert said(kube, namespace, "uptime-inside")["inside"].endswith(f"from {bastion.address}\n".encode())


def test_host_keys_are_listed_or_accepted(
    kube: Kube, namespace: str, example_hosts: None, hosts: list[SshHost]
) -> None:
    listed, new = hosts[-2:]
    changes = {
        "known-hosts": {"data": {"known_hosts": f"{listed.address} {listed.host_key}\n"}},
        "listed": {"spec": {"address": listed.address}},
        "new": {"spec": {"address": new.address}},
    }
    apply(kube, namespace, "20-host-keys", changes)
    assert condition(end_of(kube, namespace, "uptime-known"), "Complete"), results(kube, namespace, "uptime-known")
    assert kube.get("hosts", namespace, "new")["status"]["hostKeys"] == [new.host_key]


@pytest.fixture(scope="module")
def believer(kube: Kube, client_key: KeyPair) -> SshHost:
    """A host that lets nobody in by the key of the tests, but by what that key has certified."""
    authority = KeyPair(client_key.private, f"cert-authority {client_key.public}")
    (started,) = start_hosts(kube, HOSTS_NAMESPACE, ["believer"], authority, PASSWORD)
    return started


def encrypted(key: KeyPair, folder: Path, passphrase: str) -> str:
    """The private key, as `ssh-keygen` encrypts it."""
    path = folder / "locked"
    path.write_text(key.private)
    path.chmod(0o600)
    subprocess.run(["ssh-keygen", "-q", "-p", "-P", "", "-N", passphrase, "-f", path], check=True)
    return path.read_text()


def certificate(key: KeyPair, authority: KeyPair, folder: Path) -> str:
    """What the authority says of the key: that it is good for the user ops."""
    path = folder / "authority"
    path.write_text(authority.private)
    path.chmod(0o600)
    (folder / "certified.pub").write_text(key.public)
    command = ["ssh-keygen", "-q", "-s", str(path), "-I", "rollcall", "-n", "ops", "-V", "-5m:+1h"]
    subprocess.run([*command, str(folder / "certified.pub")], check=True)
    return (folder / "certified-cert.pub").read_text()


def test_each_host_is_logged_in_to_in_its_own_way_and_in_no_other(
    kube: Kube, namespace: str, example_hosts: None, hosts: list[SshHost], believer: SshHost, client_key: KeyPair,
    tmp_path: Path,
) -> None:  # fmt: skip
    phrase, key = "open sesame", generate_key()
    locked = encrypted(client_key, tmp_path, phrase)
    secret(kube, namespace, "locked-key", **{"ssh-privatekey": locked, "passphrase": phrase})
    certified = {"ssh-privatekey": key.private, "ssh-certificate": certificate(key, client_key, tmp_path)}
    secret(kube, namespace, "certified-key", **certified)
    real = {"by-password": hosts[-2], "by-locked-key": hosts[-1], "by-certificate": believer}
    spec = {name: {"spec": {"address": host.address, "hostKeys": [host.host_key]}} for name, host in real.items()}
    apply(kube, namespace, "45-logins", spec | {"ops-password": {"stringData": {"password": PASSWORD}}})
    assert said(kube, namespace, "logins") == dict.fromkeys(real, b"ops\n"), results(kube, namespace, "logins")

    wrong = base64.b64encode(b"another").decode()
    for name, change in (("ops-password", {"password": wrong}), ("locked-key", {"passphrase": None}),
                         ("certified-key", {"ssh-certificate": None})):  # fmt: skip
        kube.patch("secrets", namespace, name, {"data": change})
    variant(kube, namespace, "45-logins", "locked-out")
    end_of(kube, namespace, "locked-out", 120)
    reasons = {name: result["reason"] for name, result in results(kube, namespace, "locked-out").items()}
    for name in real:
        kube.delete("hosts", namespace, name)
    assert reasons == dict.fromkeys(real, "AuthenticationFailed")


def apply_schedule(kube: Kube, namespace: str, name: str) -> None:
    """Apply an example with the ServiceAccount of this namespace."""
    for document in documents(name):
        document["metadata"]["namespace"] = namespace
        if document["kind"] == "RoleBinding":
            document["subjects"][0]["namespace"] = namespace
        if document["kind"] == "Schedule":
            document["spec"]["requestedBy"]["username"] = f"system:serviceaccount:{namespace}:scheduler"
        kube.apply(document)


def test_schedules_tell_what_they_will_do_and_do_it(kube: Kube, namespace: str, example_hosts: None) -> None:
    for name in ("30-schedule-nightly", "31-schedule-every", "32-schedule-once", "33-schedule-patching",
                 "34-schedule-rrule", "35-schedule-window"):  # fmt: skip
        apply_schedule(kube, namespace, name)
    for name, times in (("nightly", 5), ("far-away", 1), ("patching", 5), ("workdays", 5),
                        ("three-mornings", 3)):  # fmt: skip
        kube.wait(f"next times of {name}", lambda name=name, times=times: (
            len(status(kube, namespace, name).get("nextTimes", ())) == times))  # fmt: skip
    assert status(kube, namespace, "far-away")["nextTimes"] == ["2099-12-31T23:00:00Z"]
    workdays = [f"2099-01-{day:02}T06:10:00Z" for day in (1, 2, 5, 6, 8)]
    assert status(kube, namespace, "workdays")["nextTimes"] == workdays
    mornings = [f"2099-01-{day:02}T06:00:00Z" for day in (1, 2, 3)]
    assert status(kube, namespace, "three-mornings")["nextTimes"] == mornings
    kube.wait("both runs", lambda: status(kube, namespace, "twice").get("state") == "Finished")
    for run in runs(kube, namespace, "twice"):
        assert run["metadata"]["labels"]["team"] == "web"
        assert condition(end_of(kube, namespace, run["metadata"]["name"], 120), "Complete")
    kube.patch("schedules", namespace, "nightly", {"metadata": {"annotations": {"rollcall.dev/run-now": "please"}}})
    (run,) = kube.wait("the run by hand", lambda: runs(kube, namespace, "nightly"))
    assert condition(end_of(kube, namespace, run["metadata"]["name"], 120), "Complete")


def test_the_second_run_takes_the_place_of_the_first(kube: Kube, namespace: str, example_hosts: None) -> None:
    for name in ("30-schedule-nightly", "36-schedule-replace"):  # the former has the ServiceAccount
        apply_schedule(kube, namespace, name)
    kube.wait("both runs", lambda: status(kube, namespace, "replace").get("state") == "Finished")
    ends = [end_of(kube, namespace, run["metadata"]["name"], 120) for run in runs(kube, namespace, "replace")]
    assert [end["status"]["state"] for end in ends] == ["Cancelled", "Complete"]
