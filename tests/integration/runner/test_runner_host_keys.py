"""A host is believed by known keys, by a line of known hosts, by an authority, or by its policy."""

import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from integration.runner.runs import RunWork
from integration.runner.sshd import Server, keygen, public_key
from rollcall.knownhosts import KnownHosts, names_of
from rollcall.lastwords import whole_output
from rollcall.names import HostState, Reason
from rollcall.outputs import Exit, parse_line
from rollcall.work import HostKeyPolicy, Work

NEW, IGNORE = HostKeyPolicy.ACCEPT_NEW, HostKeyPolicy.IGNORE


async def test_the_first_key_is_accepted_and_told_also_in_the_last_words(server: Server, run: RunWork) -> None:
    done = await run(server.work("echo hello", hosts=(server.host(host_keys=(), policy=NEW),)))
    assert done.exit().state is HostState.SUCCEEDED
    (accepted,) = done.exit().accepted_keys
    assert (accepted.host, accepted.address, accepted.port) == ("web-1", "127.0.0.1", server.port)
    assert accepted.key in server.host_keys
    assert f"No host key was known for web-1: accepted {accepted.key}\n" in done.debug
    last = parse_line(whole_output(done.last_words, ["web-1"])[-1]).data
    assert isinstance(last, Exit)
    assert last.accepted_keys == (accepted,)


async def test_after_it_was_accepted_a_key_is_the_only_one(
    server: Server, server_with: Callable[..., Server], run: RunWork
) -> None:
    first = await run(server.work("echo hello", hosts=(server.host(host_keys=(), policy=NEW),)))
    recorded = tuple(accepted.key for accepted in first.exit().accepted_keys)
    other = server_with()
    hosts = (
        server.host("same", host_keys=recorded, policy=NEW),
        server.host("changed", host_keys=recorded, policy=NEW, port=other.port),
    )
    done = await run(server.work("echo hello", hosts=hosts))
    assert (done.exit("same").state, done.exit("same").accepted_keys) == (HostState.SUCCEEDED, ())
    assert done.exit("changed").reason is Reason.HOST_KEY_MISMATCH
    assert done.exit("changed").accepted_keys == ()
    assert "put its new key into spec.hostKeys" in str(done.exit("changed").message)


async def test_an_accepted_key_is_told_also_when_the_login_fails(server: Server, run: RunWork) -> None:
    done = await run(server.work("echo hello", hosts=(server.host(host_keys=(), policy=NEW, user="nobody"),)))
    assert done.exit().reason is Reason.AUTHENTICATION_FAILED
    assert [accepted.host for accepted in done.exit().accepted_keys] == ["web-1"]


async def test_whoever_is_not_checked_is_believed_and_that_is_said(
    server: Server, run: RunWork, tmp_path: Path
) -> None:
    other = public_key(keygen(tmp_path / "other", "-t", "ed25519"))
    hosts = (server.host("none", host_keys=(), policy=IGNORE), server.host("other", host_keys=(other,), policy=IGNORE))
    done = await run(server.work("echo hello", hosts=hosts))
    for host in hosts:
        assert done.exit(host.name).state is HostState.SUCCEEDED
        assert done.exit(host.name).accepted_keys == ()
    assert "The host key of none is not checked (hostKeyPolicy: Ignore)\n" in "".join(
        event.data.decode() for event in done.events if isinstance(event.data, bytes)
    )


def known(server: Server, text: str, policy: HostKeyPolicy = HostKeyPolicy.STRICT) -> Work:
    """A work whose host is known by this text alone, as the operator gives it."""
    lines = KnownHosts.parse(text).text(names_of("127.0.0.1", server.port))
    host = server.host(host_keys=(), known_hosts=0, policy=policy)
    return server.work("echo hello", hosts=(host,), known_hosts=(lines,))


def hashed(text: str, directory: Path) -> str:
    file = directory / "known_hosts"
    file.write_text(text)
    subprocess.run(["ssh-keygen", "-q", "-H", "-f", file], check=True, capture_output=True)
    assert "127.0.0.1" not in file.read_text()
    return file.read_text()


def scanned(server: Server) -> str:
    scan = ["ssh-keyscan", "-p", str(server.port), "127.0.0.1"]
    return subprocess.run(scan, check=True, capture_output=True, text=True).stdout


async def test_what_ssh_keyscan_prints_is_known(server: Server, run: RunWork, tmp_path: Path) -> None:
    text = scanned(server)
    assert f"[127.0.0.1]:{server.port} " in text
    for found in (text, hashed(text, tmp_path)):
        done = await run(known(server, found))
        assert done.exit().state is HostState.SUCCEEDED, done.exit()


@pytest.mark.parametrize("policy", [HostKeyPolicy.STRICT, HostKeyPolicy.ACCEPT_NEW])
async def test_another_key_than_in_the_known_hosts_is_refused(
    server: Server, run: RunWork, tmp_path: Path, policy: HostKeyPolicy
) -> None:
    other = public_key(keygen(tmp_path / "other", "-t", "ed25519"))
    done = await run(known(server, f"127.0.0.* {other}\n", policy))
    assert done.exit().reason is Reason.HOST_KEY_MISMATCH
    assert done.exit().accepted_keys == ()


async def test_a_revoked_key_is_refused_whatever_else_says(server: Server, run: RunWork) -> None:
    revoked = "".join(f"@revoked * {key}\n" for key in server.host_keys)
    keys = "".join(f"127.0.0.1 {key}\n" for key in server.host_keys)
    done = await run(known(server, keys + revoked))
    assert done.exit().reason is Reason.HOST_KEY_MISMATCH
    assert "revoked" in str(done.exit().message)
    done = await run(known(server, revoked, NEW))
    assert done.exit().reason is Reason.HOST_KEY_MISMATCH


def certify(authority: Path, key: Path) -> None:
    sign = ["ssh-keygen", "-q", "-s", authority, "-I", "host", "-h", "-n", "127.0.0.1", f"{key}.pub"]
    subprocess.run(sign, check=True)


async def test_a_certificate_of_an_authority_is_believed(
    server_with: Callable[..., Server], run: RunWork, tmp_path: Path
) -> None:
    authority = keygen(tmp_path / "authority", "-t", "ed25519")
    certified = keygen(tmp_path / "certified", "-t", "ed25519")
    certify(authority, certified)
    server = server_with(f"HostKey {certified}", f"HostCertificate {certified}-cert.pub")
    done = await run(known(server, f"@cert-authority 127.0.0.* {public_key(authority)}\n"))
    assert done.exit().state is HostState.SUCCEEDED, done.exit()
    done = await run(known(server, f"@cert-authority 127.0.0.* {public_key(certified)}\n"))
    assert done.exit().reason is Reason.HOST_KEY_MISMATCH
    done = await run(known(server, "", NEW))
    assert [accepted.key for accepted in done.exit().accepted_keys] != []
