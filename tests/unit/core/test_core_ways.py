"""The work says over which jump hosts a host is reached and what key it may show; who has no way fails alone."""

from typing import Any

import pytest

from rollcall.names import ConditionType, Reason
from rollcall.outputs import AcceptedKey, Exit
from rollcall.plan.acceptance import keys_to_record
from rollcall.plan.invocation import reconcile
from rollcall.plan.observed import Collected, Observed
from rollcall.plan.prepare import Prepared, SecretData, prepare, work_secrets
from rollcall.plan.resolution import needed_secrets
from rollcall.plan.ways import MAX_JUMPS, ConfigMapData, all_jump_hosts, known_hosts_maps
from rollcall.resources.host import Host, HostStatus
from rollcall.work import Credentials, HostKeyPolicy, Work
from unit.core.objects import NOW, SUCCEEDED, after, host, invocation, progress, slice_, template

KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIOMqqnkVzrm0SdG6UOoqKLsabgH5C9okWi0dh2l9GKJl"
OTHER = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIAABAgMEBQYHCAkKCwwNDg8QERITFBUWFxgZGhscHR4f"
SECRETS: dict[str, SecretData | None] = {
    "ops-key": {"ssh-privatekey": b"key-of-the-host"},
    "gate-key": {"password": b"word-of-the-gate"},
    "empty": {"passphrase": b"x"},
}
CONFIG_MAPS: dict[str, ConfigMapData | None] = {
    "known": {"known_hosts": f"192.0.2.1 {KEY}\n192.0.2.2 {KEY}\n*.dev {OTHER}\n", "bad": f"web {KEY}\nweb\n"}
}


def jump(name: str, **spec: Any) -> Host:
    return host(name, **({"credentialsRef": {"name": "gate-key"}} | spec))


def over(name: str | None) -> dict[str, Any]:
    return {} if name is None else {"jumpHostRef": {"name": name}}


def source(key: str = "known_hosts", name: str = "known") -> dict[str, Any]:
    return {"knownHostsFrom": {"configMapKeyRef": {"name": name, "key": key}}}


def prepared(*targets: Host, others: tuple[Host, ...] = (), **spec: Any) -> Prepared:
    names = [target.metadata.name for target in targets]
    known = {found.metadata.name: found for found in (*targets, *others)}
    return prepare(
        invocation(*names, **spec), slice_(0, *names), template("uptime"), known, SECRETS, 1_000, CONFIG_MAPS
    )


def work(found: Prepared) -> Work:
    assert found.work is not None, found.failures
    return Work.load(found.work)


def test_each_jump_host_has_its_own_way_in_and_is_there_once() -> None:
    outer = jump("outer", address="192.0.2.254", port=2222, user="gate", hostKeys=[KEY])
    inner = jump("inner", hostKeyPolicy="AcceptNew", **over("outer"))
    made = work(
        prepared(host("a", **over("inner")), host("b", **over("inner")), host("c", **over("outer")), host("d"),
                 others=(outer, inner))
    )  # fmt: skip
    first, second = made.jump_hosts
    assert (first.name, first.address, first.port, first.user) == ("outer", "192.0.2.254", 2222, "gate")
    assert (first.host_keys, first.policy, first.via) == ((KEY,), HostKeyPolicy.STRICT, None)
    assert (second.name, second.address, second.policy, second.via) == ("inner", "inner", HostKeyPolicy.ACCEPT_NEW, 0)
    assert [entry.via for entry in made.hosts] == [1, 1, 0, None]
    assert made.credentials[first.credentials] == Credentials(password="word-of-the-gate")
    assert made.credentials[made.hosts[0].credentials] == Credentials(private_key="key-of-the-host")
    assert [entry.name for entry in made.way(made.hosts[0])] == ["outer", "inner"]
    assert made.way(made.hosts[3]) == ()


def test_what_the_invocation_says_of_users_and_credentials_is_not_for_jump_hosts() -> None:
    made = work(
        prepared(host("a", **over("gate")), others=(jump("gate"),), user="me", credentialsRef={"name": "ops-key"})
    )
    assert (made.hosts[0].user, made.jump_hosts[0].user) == ("me", "root")
    assert made.credentials[made.jump_hosts[0].credentials] == Credentials(password="word-of-the-gate")


def chain(length: int) -> tuple[Host, ...]:
    """Jump hosts of which each but the last is behind the next."""
    return tuple(jump(f"j{n}", **over(f"j{n + 1}" if n < length else None)) for n in range(1, length + 1))


def test_as_many_jump_hosts_as_are_allowed_are_fine() -> None:
    assert len(work(prepared(host("a", **over("j1")), others=chain(MAX_JUMPS))).jump_hosts) == MAX_JUMPS


@pytest.mark.parametrize(
    ("others", "reason", "words"),
    [
        ((), Reason.HOST_NOT_FOUND, "there is no Host j1, which spec.jumpHostRef of Host a names"),
        ((jump("j1", **over("j2")),), Reason.HOST_NOT_FOUND, "there is no Host j2, which spec.jumpHostRef of Host j1"),
        ((jump("j1", **over("a")),), Reason.INVALID_SPEC, "Host j1 leads in a circle: a -> j1 -> a"),
        (
            (jump("j1", **over("j2")), jump("j2", **over("j1"))),
            Reason.INVALID_SPEC,
            "spec.jumpHostRef of Host j2 leads in a circle: a -> j1 -> j2 -> j1",
        ),
        (chain(MAX_JUMPS + 1), Reason.INVALID_SPEC, "a host is reached over 5 jump hosts at most"),
        (
            (host("j1", credentialsRef=None),),
            Reason.INVALID_CREDENTIALS,
            "nothing to log in with on the jump host j1: its Host has no spec.credentialsRef",
        ),
        (
            (jump("j1", credentialsRef={"name": "gone"}),),
            Reason.SECRET_NOT_FOUND,
            "there is no Secret gone, which the jump host j1 is to be logged in to with",
        ),
        (
            (jump("j1", credentialsRef={"name": "empty"}),),
            Reason.INVALID_CREDENTIALS,
            "the Secret empty holds neither ssh-privatekey nor password for the jump host j1",
        ),
        ((jump("j1", **source(name="gone")),), Reason.CONFIG_MAP_NOT_FOUND, "there is no ConfigMap gone"),
    ],
)
def test_a_host_that_there_is_no_way_to_fails_and_the_others_run(
    others: tuple[Host, ...], reason: Reason, words: str
) -> None:
    found = prepared(host("a", **over("j1")), host("b"), others=others)
    assert [entry.name for entry in work(found).hosts] == ["b"]
    assert found.failures["a"].reason == reason
    assert words in found.failures["a"].message


def test_the_secrets_and_config_maps_of_jump_hosts_are_read() -> None:
    known = {found.metadata.name: found for found in (*chain(2), jump("lost", **over("gone")))}
    targets = (host("a", **over("j1"), **source()), host("b", **over("lost")), host("c"))
    jumps = all_jump_hosts(targets, known)
    assert [found.metadata.name for found in jumps] == ["j1", "j2"]
    assert work_secrets(invocation(), targets, jumps) == {"ops-key", "gate-key"}
    assert known_hosts_maps((*targets, jump("j3", **source(name="more")))) == {"known", "more"}


def test_known_hosts_are_given_as_far_as_they_may_be_for_the_hosts_of_the_work() -> None:
    made = work(
        prepared(host("a", address="192.0.2.1", **source()), host("b", **source()), host("c", **over("j")),
                 others=(jump("j", address="192.0.2.2", **source()),))
    )  # fmt: skip
    assert [entry.known_hosts for entry in (*made.hosts, *made.jump_hosts)] == [0, 0, None, 0]
    assert made.known_hosts == (f"192.0.2.1 {KEY}\n192.0.2.2 {KEY}\n*.dev {OTHER}\n",)


@pytest.mark.parametrize(
    ("spec", "reason", "words"),
    [
        (
            source(name="gone"),
            Reason.CONFIG_MAP_NOT_FOUND,
            "there is no ConfigMap gone, from which",
        ),
        (source("gone"), Reason.CONFIG_MAP_NOT_FOUND, "the ConfigMap known has no key gone, from which"),
        (source("bad"), Reason.INVALID_SPEC, "the known hosts in ConfigMap known, key bad: line 2 has no"),
    ],
)
def test_known_hosts_that_cannot_be_used_fail_the_host(spec: dict[str, Any], reason: Reason, words: str) -> None:
    found = prepared(host("a", **spec), host("b"))
    assert [entry.name for entry in work(found).hosts] == ["b"]
    assert (found.failures["a"].reason, words in found.failures["a"].message) == (reason, True)


def recorded(found: Host, *keys: str) -> Host:
    return found.model_copy(update={"status": HostStatus(host_keys=keys)})


def test_a_recorded_key_counts_until_somebody_writes_one() -> None:
    made = work(prepared(recorded(host("a"), KEY), recorded(host("b", hostKeys=[OTHER]), KEY)))
    assert [entry.host_keys for entry in made.hosts] == [(KEY,), (OTHER,)]


def test_the_brackets_of_an_ipv6_address_are_not_part_of_it() -> None:
    assert [host("a", address=text).address for text in ("[2001:db8::1]", "fe80::1%eth0", "[::1", "a")] == [
        "2001:db8::1", "fe80::1%eth0", "[::1", "a",
    ]  # fmt: skip
    made = work(prepared(host("a", address="[2001:db8::1]", port=2222), host("b")))
    assert [entry.where for entry in made.hosts] == ["[2001:db8::1]:2222", "b:22"]


def test_a_template_may_ask_for_a_terminal() -> None:
    asked = template("uptime", ssh={"script": "uptime", "tty": True})
    made = prepare(invocation("a"), slice_(0, "a"), asked, {"a": host("a")}, SECRETS, 1_000)
    assert work(made).tty
    assert not work(prepared(host("a"))).tty


def observed(*hosts: Host, keys: frozenset[str] | None = frozenset({"password"})) -> Observed:
    return Observed(
        invocation=invocation("a"),
        hosts={found.metadata.name: found for found in hosts},
        template=template("uptime"),
        secrets={"ops-key": frozenset({"ssh-privatekey"}), "gate-key": keys},
    )


@pytest.mark.parametrize(
    ("seen", "words"),
    [
        (observed(host("a", **over("j"))), "there is no Host j, which spec.jumpHostRef of Host a names"),
        (observed(host("a", **over("j")), jump("j"), keys=None), "there is no Secret gate-key, which the jump host j"),
    ],
)
def test_what_is_missing_on_the_way_is_waited_for_and_then_fails_only_its_hosts(seen: Observed, words: str) -> None:
    waiting = reconcile(seen, after(1))
    assert waiting.create_slices == ()
    assert waiting.status is not None
    valid = next(entry for entry in waiting.status.conditions if entry.type == ConditionType.VALID)
    assert (valid.status, words in valid.message) == ("False", True)
    assert len(reconcile(seen, after(31)).create_slices) == 1


def test_a_circle_of_jump_hosts_is_not_waited_for() -> None:
    assert len(reconcile(observed(host("a", **over("j")), jump("j", **over("a"))), after(1)).create_slices) == 1


def test_the_keys_of_a_jump_host_s_secret_are_asked_for() -> None:
    assert needed_secrets(observed(host("a", **over("j")), jump("j")), NOW) == {"ops-key", "gate-key"}


def test_an_exit_tells_which_keys_were_accepted() -> None:
    accepted = AcceptedKey("web1", "192.0.2.1", 22, KEY)
    told = Exit(SUCCEEDED.state, 0, accepted_keys=(accepted,))
    assert Exit.parse(told.document()) == told
    assert "acceptedKeys" not in SUCCEEDED.document()


@pytest.mark.parametrize("said", [[{}], [{"host": "web1"}], [1], 7])
def test_an_exit_with_anything_else_for_accepted_keys_is_none(said: Any) -> None:
    with pytest.raises((ValueError, TypeError)):
        Exit.parse(SUCCEEDED.document() | {"acceptedKeys": said})


def accepted_by(*keys: AcceptedKey) -> Collected:
    return Collected({"x": progress(Exit(SUCCEEDED.state, 0, accepted_keys=keys))}, complete=True)


NEW = {"address": "192.0.2.1", "hostKeyPolicy": "AcceptNew"}


@pytest.mark.parametrize(
    ("found", "wanted"),
    [
        (host("web1", **NEW), True),
        (host("web1", **NEW, hostKeys=[OTHER]), False),
        (recorded(host("web1", **NEW), OTHER), False),
        (host("web1", **NEW, port=2222), False),
        (host("web1", **NEW | {"address": "192.0.2.9"}), False),
        (host("web1", **NEW | {"hostKeyPolicy": "Strict"}), False),
        (None, False),
    ],
)
def test_a_key_is_recorded_only_where_none_is_and_the_host_is_as_it_was(found: Host | None, wanted: bool) -> None:
    accepted = AcceptedKey("web1", "192.0.2.1", 22, KEY)
    hosts = {} if found is None else {"web1": found}
    assert keys_to_record([accepted_by(accepted)], hosts) == ({"web1": accepted} if wanted else {})


def test_of_two_keys_that_were_accepted_of_a_host_the_first_is_recorded() -> None:
    first, second = (AcceptedKey("web1", "192.0.2.1", 22, key) for key in (KEY, OTHER))
    hosts = {"web1": host("web1", **NEW)}
    assert keys_to_record([accepted_by(first), accepted_by(second)], hosts) == {"web1": first}
    assert keys_to_record([Collected({"x": progress(None)}, complete=False)], hosts) == {}
