"""A host behind jump hosts is reached over them, and whatever is wrong with one of these is told by its name."""

import re
from collections.abc import Awaitable, Callable
from dataclasses import replace
from pathlib import Path

import pytest

from integration.runner.relay import Relay
from integration.runner.runs import Run, RunWork, run_here
from integration.runner.sshd import PASSWORD, Server, free_port, keygen, public_key, wait_until
from rollcall.names import HostState, Reason
from rollcall.outputs import Stream
from rollcall.work import Credentials, HostKeyPolicy, JumpHost, StopOrder, Work
from rollcall_runner.connection import Patience


def jump(server: Server, name: str = "gate", **changes: object) -> JumpHost:
    """The server as a jump host, with the second credentials of a work."""
    made = JumpHost(name, "127.0.0.1", server.port, "root", server.host_keys, 1)
    return replace(made, **changes)  # type: ignore[arg-type]


def behind(target: Server, *jumps: JumpHost, script: str = "echo hello", names: tuple[str, ...] = ("web-1",)) -> Work:
    """A script on the target, behind the last of the jump hosts."""
    hosts = tuple(target.host(name, via=len(jumps) - 1) for name in names)
    return replace(target.work(script), hosts=hosts, jump_hosts=jumps)


def with_key(work: Work, *servers: Server) -> Work:
    """The work with the keys of these servers as its further credentials."""
    keys = (Credentials(private_key=server.user_key.read_text()) for server in servers)
    return replace(work, credentials=(*work.credentials, *keys))


def logins(server: Server, outcome: str = "Accepted") -> list[str]:
    """The lines about logins in a server's log."""
    return re.findall(rf"^{outcome} \w+ for .*", (server.directory / "log").read_text(), re.MULTILINE)


async def test_a_chain_has_a_user_and_a_key_for_each_jump_host_and_one_connection_to_it(
    server_with: Callable[..., Server], run: RunWork, user: str
) -> None:
    target, outer, inner = server_with(), server_with("MaxSessions 0"), server_with("MaxSessions 1")
    first = jump(outer, "outer")
    second = jump(inner, "inner", user=user, credentials=2, via=0)
    names = tuple(f"web-{number}" for number in range(20))
    work = with_key(behind(target, first, second, script="cat; id -un", names=names), outer)
    done = await run(replace(work, credentials=(*work.credentials, Credentials(password=PASSWORD))))
    for name in names:
        assert done.text(Stream.STDOUT, name) == b"root\n", done.exit(name)
        debug = done.text(Stream.DEBUG, name).decode()
        assert debug == f"Connecting to 127.0.0.1:{target.port} as root over the jump hosts outer and inner\n"
    assert [len(logins(server)) for server in (outer, inner, target)] == [1, 1, 20]
    assert f"Accepted password for {user}" in logins(inner)[0]


async def test_other_hosts_of_the_work_are_reached_directly(
    server_with: Callable[..., Server], server: Server, run: RunWork
) -> None:
    gate = server_with()
    work = with_key(behind(server, jump(gate)), gate)
    done = await run(replace(work, hosts=(*work.hosts, server.host("web-2"))))
    assert done.text(Stream.STDOUT, "web-1") == done.text(Stream.STDOUT, "web-2") == b"hello\n"
    assert "over" not in done.text(Stream.DEBUG, "web-2").decode()


async def test_much_output_of_any_bytes_passes_a_chain(server_with: Callable[..., Server], run: RunWork) -> None:
    target, outer, inner = server_with(), server_with(), server_with()
    script = "#!/usr/bin/env python3\nimport sys\nsys.stdout.buffer.write(bytes(range(256)) * 20_000)"
    work = behind(target, jump(outer, "outer"), jump(inner, "inner", credentials=2, via=0), script=script)
    done = await run(replace(with_key(work, outer, inner), output_limit_bytes=10_000_000))
    assert done.exit().state is HostState.SUCCEEDED, done.exit()
    assert done.stdout == bytes(range(256)) * 20_000


async def test_what_is_wrong_with_a_jump_host_is_told_with_its_name(
    server_with: Callable[..., Server], run: RunWork, tmp_path: Path, user: str
) -> None:
    gate, closed, target = server_with(), server_with("AllowTcpForwarding no"), server_with()
    other = public_key(keygen(tmp_path / "other", "-t", "ed25519"))
    refused = free_port()
    cases: dict[str, tuple[JumpHost, dict[str, object], Reason, str]] = {
        "wrong-host-key": (
            jump(gate, "j1", host_keys=(other,)),
            {},
            Reason.HOST_KEY_MISMATCH,
            f"on the way, at the jump host j1: the host at 127.0.0.1:{gate.port} shows the key SHA256:",
        ),
        "no-host-key": (
            jump(gate, "j2", host_keys=()),
            {},
            Reason.HOST_KEY_MISMATCH,
            "on the way, at the jump host j2: no host key is known for j2",
        ),
        "wrong-password": (
            jump(gate, "j3", user=user, credentials=2),
            {},
            Reason.AUTHENTICATION_FAILED,
            f"on the way, at the jump host j3: the host at 127.0.0.1:{gate.port} does not accept user {user}",
        ),
        "unreadable-key": (
            jump(gate, "j4", credentials=3),
            {},
            Reason.AUTHENTICATION_FAILED,
            "on the way, at the jump host j4: the private key in the credentials cannot be read",
        ),
        "down": (
            jump(gate, "j5", port=refused),
            {},
            Reason.UNREACHABLE,
            f"on the way, at the jump host j5: no connection to 127.0.0.1:{refused}: Connection refused",
        ),
        "target-down": (
            jump(gate, "j6"),
            {"port": refused},
            Reason.UNREACHABLE,
            f"the jump host j6 opens no connection to 127.0.0.1:{refused}: ",
        ),
        "forwards-nothing": (
            jump(closed, "j7", credentials=4),
            {},
            Reason.UNREACHABLE,
            f"the jump host j7 opens no connection to 127.0.0.1:{target.port}: ",
        ),
        "target-wrong-key": (
            jump(gate, "j8"),
            {"host_keys": (other,)},
            Reason.HOST_KEY_MISMATCH,
            f"the host at 127.0.0.1:{target.port} shows the key SHA256:",
        ),
    }
    hosts = tuple(target.host(name, via=place, **case[1]) for place, (name, case) in enumerate(cases.items()))
    credentials = (
        Credentials(private_key=target.user_key.read_text()),
        Credentials(private_key=gate.user_key.read_text()),
        Credentials(password="hunter2"),
        Credentials(private_key="hunter2"),
        Credentials(private_key=closed.user_key.read_text()),
    )
    jumps = tuple(case[0] for case in cases.values())
    done = await run(replace(target.work("echo hello"), hosts=hosts, credentials=credentials, jump_hosts=jumps))
    for name, (_, _, reason, words) in cases.items():
        exit_ = done.exit(name)
        assert (exit_.state, exit_.reason) == (HostState.FAILED, reason), exit_
        assert words in str(exit_.message), name
        assert done.text(Stream.STDOUT, name) == b""
    assert "AllowTcpForwarding" in str(done.exit("forwards-nothing").message)
    assert not any(b"hunter2" in event.line() for event in done.events)


async def test_a_chain_names_the_jump_host_at_which_it_ends(server_with: Callable[..., Server], run: RunWork) -> None:
    target, outer = server_with(), server_with()
    refused = free_port()
    inner = jump(outer, "inner", port=refused, via=0)
    done = await run(with_key(behind(target, jump(outer, "outer"), inner), outer))
    message = str(done.exit().message)
    expected = f"on the way, at the jump host inner: the jump host outer opens no connection to 127.0.0.1:{refused}: "
    assert message.startswith(expected)


async def test_a_wrong_password_is_tried_once_for_all_hosts_behind_a_jump_host(
    server_with: Callable[..., Server], run: RunWork, user: str
) -> None:
    gate, target = server_with(), server_with()
    names = tuple(f"web-{number}" for number in range(10))
    work = behind(target, jump(gate, user=user), names=names)
    done = await run(replace(work, parallelism=2, credentials=(*work.credentials, Credentials(password="hunter2"))))
    assert {done.exit(name).reason for name in names} == {Reason.AUTHENTICATION_FAILED}
    assert len(logins(gate, "Failed")) == 1


async def test_the_password_of_a_jump_host_is_masked_in_what_hosts_behind_it_say(
    server_with: Callable[..., Server], run: RunWork, user: str
) -> None:
    gate, target = server_with(), server_with()
    work = behind(target, jump(gate, user=user), script=f"echo {PASSWORD}")
    done = await run(replace(work, credentials=(*work.credentials, Credentials(password=PASSWORD))))
    assert done.stdout == b"********\n"


async def test_a_jump_host_that_dies_makes_the_hosts_behind_it_unreachable(
    server_with: Callable[..., Server], start: Callable[[Work], Awaitable[Run]]
) -> None:
    gate, target = server_with(), server_with()
    run = await start(with_key(behind(target, jump(gate), script="echo hello; sleep 3", names=("a", "b")), gate))
    said = 0
    while said < 2:
        said += (await run.until(lambda event: event.data == b"hello\n")).data == b"hello\n"
    gate.kill_sessions()
    await run.finish()
    for name in ("a", "b"):
        assert run.exit(name).reason is Reason.UNREACHABLE
        message = str(run.exit(name).message)
        assert "whether it goes on there is not known" in message
        assert message.endswith(f"(the connection to the jump host gate at 127.0.0.1:{gate.port} broke)")
    assert run.process.returncode == 0


async def test_a_jump_host_that_vanishes_makes_the_hosts_behind_it_unreachable(
    server_with: Callable[..., Server],
) -> None:
    gate, target = server_with(), server_with()
    async with Relay(gate.port) as relay:
        work = with_key(behind(target, jump(gate, port=relay.port), script="echo hello; sleep 3"), gate)
        done = await run_here(work, Patience(keepalive=0.2), on_hello=relay.fall_silent)
    assert done.exit().reason is Reason.UNREACHABLE
    assert "jump host gate" in str(done.exit().message)


async def test_scripts_behind_a_jump_host_are_stopped_with_proof(
    server_with: Callable[..., Server], start: Callable[[Work], Awaitable[Run]]
) -> None:
    gate, target = server_with(), server_with()
    run = await start(with_key(behind(target, jump(gate), script="echo hello; sleep 1000"), gate))
    await run.until(lambda event: event.data == b"hello\n")
    run.order(StopOrder(hosts=None))
    await run.finish()
    assert run.exit().state is HostState.CANCELLED, run.exit()
    wait_until(lambda: not target.leftovers(), "the directory is removed")


async def test_a_stop_ends_the_waiting_for_a_jump_host(
    server_with: Callable[..., Server], start: Callable[[Work], Awaitable[Run]]
) -> None:
    gate, target = server_with(), server_with()
    async with Relay(gate.port) as relay:
        relay.fall_silent()
        run = await start(with_key(behind(target, jump(gate, port=relay.port)), gate))
        await run.until(lambda event: event.stream is Stream.DEBUG)
        run.order(StopOrder(hosts=None))
        await run.finish()
    assert (run.exit().state, run.exit().message) == (HostState.CANCELLED, "cancelled; the script was not started")


async def test_the_policy_of_a_jump_host_is_its_own(server_with: Callable[..., Server], run: RunWork) -> None:
    gate, target = server_with(), server_with()
    new = jump(gate, host_keys=(), policy=HostKeyPolicy.ACCEPT_NEW)
    names = tuple(f"web-{number}" for number in range(5))
    done = await run(with_key(behind(target, new, names=names), gate))
    for name in names:
        (accepted,) = done.exit(name).accepted_keys
        assert (accepted.host, accepted.port, accepted.key in gate.host_keys) == ("gate", gate.port, True)
    ignored = jump(gate, host_keys=(), policy=HostKeyPolicy.IGNORE)
    done = await run(with_key(behind(target, ignored), gate))
    assert "The host key of gate is not checked (hostKeyPolicy: Ignore)\n" in done.debug
    assert done.exit().accepted_keys == ()


@pytest.mark.parametrize("limit", [1, 3])
async def test_hosts_take_turns_behind_a_jump_host(
    server_with: Callable[..., Server], run: RunWork, limit: int
) -> None:
    gate, target = server_with(), server_with()
    names = tuple(f"web-{number}" for number in range(6))
    done = await run(replace(with_key(behind(target, jump(gate), names=names), gate), parallelism=limit))
    assert {done.exit(name).state for name in names} == {HostState.SUCCEEDED}
    assert len(logins(gate)) == 1
