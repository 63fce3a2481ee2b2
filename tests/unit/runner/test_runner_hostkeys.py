"""A machine is believed by what its Host and the known hosts say, or by what its policy allows, and by nothing else."""

from dataclasses import replace

import asyncssh
import pytest

from rollcall.knownhosts import KnownHosts, names_of
from rollcall.outputs import AcceptedKey
from rollcall.work import HostKeyPolicy, HostWork, Work
from rollcall_runner.hostkeys import HostKeys, HostKeysError, refused, unchecked

KEY, OTHER_KEY, AUTHORITY = (asyncssh.generate_private_key("ssh-ed25519").convert_to_public() for _ in range(3))
PUBLIC, OTHER, CA = (key.export_public_key().decode().strip() for key in (KEY, OTHER_KEY, AUTHORITY))


def host(*host_keys: str, **changes: object) -> HostWork:
    made = HostWork("web-1", "10.0.0.5", 22, "root", host_keys, 0, 0)
    return replace(made, **changes)  # type: ignore[arg-type]


def keys(*known_hosts: str) -> HostKeys:
    return HostKeys(Work((), (), (), 1, 1, 1, known_hosts=known_hosts))


def test_a_host_without_host_keys_is_refused() -> None:
    with pytest.raises(HostKeysError, match=r"add its public keys to spec\.hostKeys"):
        keys().expected(host())


def test_a_host_that_the_known_hosts_do_not_name_is_refused() -> None:
    with pytest.raises(HostKeysError, match=r"neither spec\.hostKeys nor its known hosts have one"):
        keys(f"10.0.0.6 {PUBLIC}\n").expected(host(known_hosts=0))


@pytest.mark.parametrize("policy", [HostKeyPolicy.STRICT, HostKeyPolicy.ACCEPT_NEW])
def test_a_host_whose_host_keys_cannot_be_read_is_refused(policy: HostKeyPolicy) -> None:
    with pytest.raises(HostKeysError, match="none of the 2 host keys of web-1 can be read"):
        keys().expected(host("ssh-ed25519 AAAA", "ssh-future BBBB", policy=policy))


def test_one_readable_host_key_is_enough() -> None:
    expected = keys().expected(host("ssh-future BBBB", PUBLIC))
    assert expected.known == ([KEY], [], [])
    assert not expected.accepts


@pytest.mark.parametrize(
    ("line", "changes", "found"),
    [
        (f"10.0.0.5 {PUBLIC}", {}, ([KEY], [], [])),
        (f"10.0.0.6,10.0.0.5 {PUBLIC}", {}, ([KEY], [], [])),
        (f"[10.0.0.5]:2222 {PUBLIC}", {"port": 2222}, ([KEY], [], [])),
        (f"10.0.0.5 {PUBLIC}", {"port": 2222}, ([KEY], [], [])),
        (f"WEB1.Example.com {PUBLIC}", {"address": "web1.example.COM"}, ([KEY], [], [])),
        (f"*.example.com {PUBLIC}", {"address": "web1.example.com"}, ([KEY], [], [])),
        (f"2001:db8::1 {PUBLIC}", {"address": "2001:db8::1"}, ([KEY], [], [])),
        (f"10.0.0.* {PUBLIC}\n@revoked * {OTHER}", {}, ([KEY], [], [OTHER_KEY])),
        (f"@cert-authority *.example.com {CA}", {"address": "web1.example.com"}, ([], [AUTHORITY], [])),
    ],
    ids=["address", "addresses", "port", "any port", "name", "pattern", "IPv6", "revoked", "authority"],
)  # fmt: skip
def test_the_lines_for_a_host_count_as_for_ssh(line: str, changes: dict[str, object], found: object) -> None:
    target = host(known_hosts=0, **changes)
    text = KnownHosts.parse(f"# a comment\n\n{line}\n").text(names_of(target.address, target.port))
    assert keys(text).expected(target).known == found


def test_a_negated_pattern_excludes_a_host() -> None:
    with pytest.raises(HostKeysError, match="no host key is known"):
        keys(f"*.example.com,!web1.example.com {PUBLIC}\n").expected(host(address="web1.example.com", known_hosts=0))


def test_host_keys_and_known_hosts_count_both() -> None:
    expected = keys(f"10.0.0.5 {OTHER}\n").expected(host(PUBLIC, known_hosts=0))
    assert expected.known == ([KEY, OTHER_KEY], [], [])
    assert expected.count == 2


def test_the_first_key_is_accepted_only_where_none_is_known() -> None:
    new, known = host(policy=HostKeyPolicy.ACCEPT_NEW), host(PUBLIC, policy=HostKeyPolicy.ACCEPT_NEW)
    assert keys().expected(new).accepts
    assert not keys().expected(known).accepts
    assert not keys(f"* {PUBLIC}\n").expected(replace(new, known_hosts=0)).accepts
    assert not keys(f"@cert-authority * {CA}\n").expected(replace(new, known_hosts=0)).accepts
    assert keys(f"@revoked * {OTHER}\n").expected(replace(new, known_hosts=0)).accepts


def test_what_was_accepted_is_the_only_key_from_then_on() -> None:
    known, new = keys(), host(policy=HostKeyPolicy.ACCEPT_NEW)
    assert known.accept(new, KEY)
    assert known.accept(new, KEY)
    assert not known.accept(new, OTHER_KEY)
    assert known.expected(new).known == ([KEY], [], [])
    assert not known.expected(new).accepts
    assert known.accepted((new, host(name="other"))) == (AcceptedKey("web-1", "10.0.0.5", 22, PUBLIC),)


def test_whoever_is_not_checked_may_show_anything() -> None:
    ignored = host(PUBLIC, policy=HostKeyPolicy.IGNORE)
    assert keys().expected(ignored).known is None
    assert unchecked((ignored, host(name="other"))) == ("web-1",)


@pytest.mark.parametrize(
    ("changes", "advice"),
    [
        ({}, "update spec.hostKeys"),
        ({"known_hosts": 0}, "update spec.hostKeys or its known hosts"),
        ({"policy": HostKeyPolicy.ACCEPT_NEW}, "put its new key into spec.hostKeys, which counts before"),
    ],
)
def test_a_refusal_says_what_to_do(changes: dict[str, object], advice: str) -> None:
    target = host(PUBLIC, **changes)
    error = refused(target, keys("").expected(target), "SHA256:abc")
    assert "shows the key SHA256:abc, which is none of the 1 known for web-1" in str(error)
    assert advice in str(error)


def test_known_hosts_make_up_for_host_keys_that_cannot_be_read() -> None:
    expected = keys(f"10.0.0.5 {PUBLIC}\n").expected(host("ssh-future BBBB", known_hosts=0))
    assert expected.known == ([KEY], [], [])
