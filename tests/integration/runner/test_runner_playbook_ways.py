"""A playbook's hosts are reached as those of scripts are: over jump hosts, by the host keys that their policy wants."""

import asyncio
import signal
import subprocess
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from integration.runner.runs import Run, RunWork
from integration.runner.sshd import PASSWORD, Server, free_port, keygen, public_key, wait_until
from integration.runner.test_runner_host_keys import certify
from integration.runner.test_runner_jumps import jump, logins
from integration.runner.test_runner_playbook import PLAYBOOK, SLEEP, Start, encrypted, exits, play, strays, text
from rollcall.names import HostState, Reason
from rollcall.outputs import AcceptedKey, Stream
from rollcall.work import Credentials, HostKeyPolicy, JumpHost, Work

NEW, IGNORE = HostKeyPolicy.ACCEPT_NEW, HostKeyPolicy.IGNORE


def over(target: Server, *jumps: JumpHost, names: tuple[str, ...] = ("web-1",), **changes: object) -> Work:
    """The playbook on the target, behind the last of the jump hosts."""
    hosts = [target.host(name, via=len(jumps) - 1) for name in names]
    return play(target, str(changes.pop("playbook_text", PLAYBOOK)), *hosts, jump_hosts=jumps, **changes)


def and_login(work: Work, *credentials: Credentials) -> Work:
    return replace(work, credentials=(*work.credentials, *credentials))


def certified(server: Server, user: str) -> Credentials:
    """The server's user key with a certificate for a user, for whom the server's file of keys is not readable."""
    command = ["ssh-keygen", "-q", "-s", server.directory / "ca", "-I", "test", "-n", user, f"{server.user_key}.pub"]
    subprocess.run(command, check=True)
    certificate = server.user_key.with_name("user-cert.pub").read_text()
    return Credentials(private_key=server.user_key.read_text(), certificate=certificate)


def reasons(run: Run) -> dict[str, Reason | None]:
    return {name: exit_.reason for name, exit_ in exits(run).items()}


async def test_a_jump_host_has_a_key_and_a_user_of_its_own(
    server_with: Callable[..., Server], run: RunWork, user: str, tmp_path: Path
) -> None:
    target, gate = server_with(), server_with()
    key = replace(certified(gate, user), private_key=encrypted(gate, tmp_path, "a phrase"), passphrase="a phrase")
    names = ("web-1", "web-2", "web-3")
    ended = await run(and_login(over(target, jump(gate, user=user), names=names), key))
    assert reasons(ended) == dict.fromkeys(names), exits(ended)
    assert "I am root with nothing" in text(ended, "web-3")
    assert all(f"Accepted publickey for {user} " in line for line in logins(gate))
    assert all("Accepted publickey for root " in line for line in logins(target))
    assert strays(ended) == []


async def test_a_chain_over_a_jump_host_with_a_password(
    server_with: Callable[..., Server], run: RunWork, user: str
) -> None:
    target, outer, inner = server_with(), server_with(), server_with()
    jumps = (jump(outer, "outer", user=user), jump(inner, "inner", user=user, credentials=2, via=0))
    ended = await run(and_login(over(target, *jumps), Credentials(password=PASSWORD), certified(inner, user)))
    assert reasons(ended) == {"web-1": None}, exits(ended)
    assert f"Accepted password for {user}" in logins(outer)[0]
    assert f"Accepted publickey for {user}" in logins(inner)[0]
    assert not any(PASSWORD.encode() in event.line() for event in ended.events)
    assert strays(ended) == []


async def test_a_host_and_its_jump_host_each_get_their_own_password(
    server_with: Callable[..., Server], run: RunWork, user: str
) -> None:
    target, gate = server_with(), server_with()
    host = target.host(user=user, via=0, credentials=0)
    work = play(target, PLAYBOOK, host, credentials=Credentials(password="wrong"), jump_hosts=(jump(gate, user=user),))
    ended = await run(and_login(work, Credentials(password=PASSWORD)))
    assert reasons(ended) == {"web-1": Reason.AUTHENTICATION_FAILED}
    assert "jump host" not in str(exits(ended)["web-1"].message)
    assert logins(gate)
    assert logins(gate, "Failed") == []  # it was not given the password of the host
    ended = await run(replace(work, credentials=(Credentials(password=PASSWORD),) * 2))
    assert f"I am {user}" in text(ended, "web-1"), exits(ended)


async def test_what_is_wrong_with_a_jump_host_is_told_with_its_name(
    server_with: Callable[..., Server], run: RunWork, user: str, tmp_path: Path
) -> None:
    target, gate, closed = server_with(), server_with(), server_with("AllowTcpForwarding no")
    other = public_key(keygen(tmp_path / "other", "-t", "ed25519"))
    refused = free_port()
    at = "on the way, at the jump host {}: "
    cases: dict[str, tuple[JumpHost, Reason, str]] = {
        "wrong-host-key": (jump(gate, "j1", host_keys=(other,)), Reason.HOST_KEY_MISMATCH, at.format("j1")),
        "no-host-key": (jump(gate, "j2", host_keys=()), Reason.HOST_KEY_MISMATCH, at.format("j2") + "no host key"),
        "password": (jump(gate, "j3", user=user, credentials=2), Reason.AUTHENTICATION_FAILED, at.format("j3")),
        "no-login": (jump(gate, "j4", user="nobody-here"), Reason.AUTHENTICATION_FAILED, at.format("j4")),
        "unreadable": (jump(gate, "j5", credentials=3), Reason.AUTHENTICATION_FAILED, at.format("j5") + "the private"),
        "down": (jump(gate, "j6", port=refused), Reason.UNREACHABLE, at.format("j6")),
        "forwards": (jump(closed, "j7", credentials=4), Reason.UNREACHABLE, "the jump host j7 opens no connection"),
    }
    hosts = [target.host(name, via=place) for place, name in enumerate(cases)]
    hosts.append(target.host("stranger", via=len(cases), host_keys=(other,)))
    hangs_up = await asyncio.start_server(lambda _, writer: writer.close(), "127.0.0.1", 0)
    port = hangs_up.sockets[0].getsockname()[1]
    hosts.append(target.host("hangs-up", via=len(cases), port=port))
    jumps = (*(case[0] for case in cases.values()), jump(gate, "j8"))
    work = and_login(
        play(target, PLAYBOOK, *hosts, jump_hosts=jumps),
        *(Credentials(private_key=key) for key in (gate.user_key.read_text(),)),
        Credentials(password="hunter2"),
        Credentials(private_key="hunter2"),
        Credentials(private_key=closed.user_key.read_text()),
    )
    async with hangs_up:
        ended = await run(work)
    for name, (_, reason, words) in cases.items():
        exit_ = exits(ended)[name]
        assert (exit_.state, exit_.reason) == (HostState.FAILED, reason), exit_
        assert str(exit_.message).startswith(words), exit_
    for name, reason in (("stranger", Reason.HOST_KEY_MISMATCH), ("hangs-up", Reason.UNREACHABLE)):
        assert exits(ended)[name].reason is reason
        assert "jump host" not in str(exits(ended)[name].message), name
    assert not any(b"hunter2" in event.line() for event in ended.events)


async def test_the_first_key_is_accepted_and_recorded(server_with: Callable[..., Server], run: RunWork) -> None:
    target, gate = server_with(), server_with()
    hosts = (
        target.host("new", host_keys=(), policy=NEW, via=0),
        target.host("known", policy=NEW),
        target.host("changed", host_keys=gate.host_keys, policy=NEW),
    )
    work = play(target, PLAYBOOK, *hosts, jump_hosts=(jump(gate, host_keys=(), policy=NEW),))
    ended = await run(and_login(work, Credentials(private_key=gate.user_key.read_text())))
    found = exits(ended)
    assert reasons(ended) == {"new": None, "known": None, "changed": Reason.HOST_KEY_MISMATCH}, found
    assert found["new"].accepted_keys == (
        AcceptedKey("gate", "127.0.0.1", gate.port, gate.host_keys[0]),
        AcceptedKey("new", "127.0.0.1", target.port, target.host_keys[0]),
    )
    assert found["known"].accepted_keys == found["changed"].accepted_keys == ()
    assert f"No host key was known for new: accepted {target.host_keys[0]}" in ended.text(Stream.DEBUG, "new").decode()


async def test_any_key_is_believed_where_none_is_checked(server: Server, run: RunWork, tmp_path: Path) -> None:
    other = public_key(keygen(tmp_path / "other", "-t", "ed25519"))
    hosts = (server.host("any", host_keys=(other,), policy=IGNORE), server.host("strict", host_keys=()))
    ended = await run(play(server, PLAYBOOK, *hosts))
    assert reasons(ended) == {"any": None, "strict": Reason.HOST_KEY_MISMATCH}
    assert "The host key of any is not checked (hostKeyPolicy: Ignore)" in ended.text(Stream.DEBUG, "any").decode()
    assert exits(ended)["any"].accepted_keys == ()


async def test_known_hosts_with_authorities_and_revoked_keys(
    server_with: Callable[..., Server], server: Server, run: RunWork, tmp_path: Path
) -> None:
    authority, certified = (keygen(tmp_path / name, "-t", "ed25519") for name in ("authority", "certified"))
    certify(authority, certified)
    other = server_with(f"HostKey {certified}", f"HostCertificate {certified}-cert.pub")
    texts = (
        f"@cert-authority 127.0.0.* {public_key(authority)}\n",
        f"@cert-authority 127.0.0.* {public_key(certified)}\n",
        "".join(f"@revoked * {key}\n" for key in server.host_keys),
    )
    hosts = (
        other.host("certified", host_keys=(), known_hosts=0),
        other.host("stranger", host_keys=(), known_hosts=1),
        server.host("revoked", host_keys=(), known_hosts=2, policy=NEW),
    )
    work = play(server, PLAYBOOK, *(replace(host, credentials=number // 2) for number, host in enumerate(hosts)))
    logins = (Credentials(private_key=other.user_key.read_text()), *work.credentials)
    ended = await run(replace(work, credentials=logins, known_hosts=texts))
    wrong = Reason.HOST_KEY_MISMATCH
    assert reasons(ended) == {"certified": None, "stranger": wrong, "revoked": wrong}, exits(ended)
    assert exits(ended)["revoked"].accepted_keys == ()


async def test_a_run_over_a_jump_host_that_is_stopped_leaves_nothing_behind(
    server_with: Callable[..., Server], start: Start, user: str, tmp_path: Path
) -> None:
    target, gate = server_with(), server_with()
    mark = tmp_path / "pid"
    work = over(target, jump(gate, user=user), names=("web-1", "web-2"), playbook_text=SLEEP, extra={"file": str(mark)})
    run = await start(and_login(work, Credentials(password=PASSWORD)))
    wait_until(lambda: mark.exists() and mark.read_text().strip() != "", "the task is at work")
    assert not any(PASSWORD in line for line in processes())
    run.process.send_signal(signal.SIGTERM)
    await run.finish()
    assert exits(run)["web-1"].state is HostState.CANCEL_FAILED
    assert strays(run) == []


def processes() -> list[str]:
    """The arguments and the environment of all processes."""
    return subprocess.run(["ps", "axeww"], capture_output=True, text=True, check=True).stdout.splitlines()
