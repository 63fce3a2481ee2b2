"""A script that asks for a terminal has one, and its output arrives as it said it."""

from collections.abc import Awaitable, Callable

import pytest

from integration.runner.machine import Machine
from integration.runner.runs import Run, RunWork
from integration.runner.sshd import Server, wait_until
from integration.runner.test_runner_elevation import BECOMES_ROOT, METHODS, logins, secrets_in
from rollcall.names import HostState, Reason
from rollcall.outputs import Stream
from rollcall.work import BecomeMethod, StopOrder, Work

LOOK = '[ -t 1 ] && [ -t 2 ] && echo terminal; cat; printf "a\\r\\nb\\tc\\n"; echo err >&2; exit 3'
"""Says whether there is a terminal, and what a terminal could change."""
SEEN = b"terminal\na\r\nb\tc\nerr\n"


async def test_a_script_has_a_terminal_and_one_stream(server: Server, run: RunWork) -> None:
    done = await run(server.work(f": </dev/tty || exit 9; {LOOK}", tty=True))
    assert done.exit().exit_code == 3, done.exit()
    assert done.stdout == SEEN
    assert done.text(Stream.STDERR) == b""
    wait_until(lambda: not server.leftovers(), "the directory is removed")


async def test_without_being_asked_there_is_none(server: Server, run: RunWork) -> None:
    done = await run(server.work(LOOK))
    assert done.stdout == b"a\r\nb\tc\n"
    assert done.text(Stream.STDERR).endswith(b"err\n")


async def test_large_scripts_and_bytes_of_any_kind_pass_a_terminal(server: Server, run: RunWork) -> None:
    padding = "#".ljust(5_000, "x") + "\n"
    script = (
        f"#!/usr/bin/env python3\n{padding * 40}import sys\n# \x03\x04\x11\x13\x1a\x1c\x7f\r\n"
        "sys.stdout.buffer.write(bytes(range(256)) * 4_000 + 'ä€😀'.encode() * 9_999)"
    )
    done = await run(server.work(script, tty=True, output_limit_bytes=10_000_000))
    assert done.exit().state is HostState.SUCCEEDED, (done.exit(), done.stdout[:1_000])
    assert done.stdout == bytes(range(256)) * 4_000 + "ä€😀".encode() * 9_999


async def test_a_signal_that_ends_the_script_is_told(server: Server, run: RunWork) -> None:
    done = await run(server.work("kill -KILL $$", tty=True))
    assert done.exit().reason is Reason.SIGNAL


@pytest.mark.parametrize("force", [False, True])
async def test_a_script_at_a_terminal_is_stopped_with_its_children(
    server: Server, start: Callable[[Work], Awaitable[Run]], force: bool
) -> None:
    run = await start(server.work("trap 'echo bye; exit 0' TERM; echo hello; sleep 1000 & wait", tty=True))
    await run.until(lambda event: event.data == b"hello\n")
    run.order(StopOrder(hosts=None, force=force))
    await run.finish()
    assert run.exit().state is HostState.CANCELLED, run.exit()
    assert run.stdout == (b"hello\n" if force else b"hello\nbye\n")
    wait_until(lambda: not server.leftovers(), "the directory is removed")


async def test_a_host_that_gives_no_terminal_says_so(server_with: Callable[..., Server], run: RunWork) -> None:
    done = await run(server_with("PermitTTY no").work("echo hello", tty=True))
    assert done.exit().reason is Reason.UNREACHABLE
    assert "gives root no terminal, which the template wants (ssh.tty)" in str(done.exit().message)


@METHODS
async def test_the_effective_user_has_a_terminal(machine: Machine, run: RunWork, method: BecomeMethod) -> None:
    work = machine.work(f"id -un; {LOOK}", "root", method, logins(machine, BECOMES_ROOT[method]), tty=True)
    done = await run(work)
    for user in BECOMES_ROOT[method]:
        assert done.exit(user).exit_code == 3, done.exit(user)
        assert done.text(Stream.STDOUT, user) == b"root\n" + SEEN, user
        assert done.text(Stream.STDERR, user) == b"", user
        # Nobody has to find out that the program wants one.
        assert "wants a terminal" not in done.text(Stream.DEBUG, user).decode()
    assert not secrets_in(done, machine)
    await machine.cleans_up()


@METHODS
async def test_the_effective_user_is_stopped_at_a_terminal(
    machine: Machine, start: Callable[[Work], Awaitable[Run]], method: BecomeMethod
) -> None:
    users = BECOMES_ROOT[method]
    run = await start(machine.work("echo $$; sleep 1000 & wait", "root", method, logins(machine, users), tty=True))
    pids: list[str] = []
    while len(pids) < len(users):
        event = await run.until(lambda event: event.stream is Stream.STDOUT)
        assert isinstance(event.data, bytes)
        pids.append(event.data.decode().strip())
    run.order(StopOrder(hosts=None))
    await run.finish()
    for user in users:
        assert run.exit(user).state is HostState.CANCELLED, (user, run.exit(user))
    assert await machine.alive(*pids) == []
