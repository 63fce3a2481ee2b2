"""A script runs as another user by sudo, su, doas and dzdo as it does by itself, and no password is to be seen."""

import os
import signal
from collections.abc import Awaitable, Callable
from dataclasses import replace
from pathlib import Path

import pytest

from integration.runner.machine import Machine
from integration.runner.runs import Run, RunWork, run_here
from integration.runner.sshd import Server, is_alive, wait_until
from rollcall.names import HostState, Reason
from rollcall.outputs import Stream
from rollcall.work import BecomeMethod, Credentials, EffectiveUser, StopOrder, Work
from rollcall_runner.connection import Patience

SUDO, SU, DOAS, DZDO = BecomeMethod.SUDO, BecomeMethod.SU, BecomeMethod.DOAS, BecomeMethod.DZDO
PASSWORD, ROOT_PASSWORD, WRONG = "the user's", "root's", "wrong"

BECOMES_ROOT = {
    SUDO: {"ops": "", "plain": "", "deploy": PASSWORD, "console": PASSWORD},
    DZDO: {"ops": "", "plain": "", "deploy": PASSWORD},
    SU: {"guest": ROOT_PASSWORD, "console": ROOT_PASSWORD},
    DOAS: {"ops": "", "plain": "", "deploy": PASSWORD},
}
"""Who becomes root by what, and with which password."""
AT_TERMINAL = {(SUDO, "console"), (SU, "console"), (DOAS, "deploy")}
METHODS = pytest.mark.parametrize("method", BecomeMethod)


def logins(machine: Machine, passwords: dict[str, str]) -> dict[str, Credentials]:
    values = {PASSWORD: machine.password, ROOT_PASSWORD: machine.root_password, WRONG: "hunter2hunter2", "": None}
    return {user: Credentials(become_password=values[password]) for user, password in passwords.items()}


def secrets_in(run: Run, machine: Machine) -> list[bytes]:
    lines = [event.line() for event in run.events]
    return [line for line in lines for secret in (machine.password, machine.root_password) if secret.encode() in line]


@METHODS
async def test_a_script_is_the_effective_user_s_and_its_output_is_its_own(
    machine: Machine, run: RunWork, method: BecomeMethod
) -> None:
    script = 'id -un; pwd; echo "$HOME"; echo "LC_ALL=${LC_ALL-none}"; umask; cat; echo err >&2; exit 3'
    done = await run(machine.work(script, "root", method, logins(machine, BECOMES_ROOT[method])))
    out = b"root\n/root\n/root\nLC_ALL=none\n0022\n"
    for user in BECOMES_ROOT[method]:
        exit_ = done.exit(user)
        assert (exit_.state, exit_.reason, exit_.exit_code) == (HostState.FAILED, Reason.EXIT_CODE, 3), exit_
        terminal = (method, user) in AT_TERMINAL
        assert done.text(Stream.STDOUT, user) == (out + b"err\n" if terminal else out), user
        assert done.text(Stream.STDERR, user) == (b"" if terminal else b"err\n"), user
        debug = done.text(Stream.DEBUG, user).decode()
        assert f"Becoming root by {method.value.lower()}\n" in debug
        assert ("wants a terminal" in debug) == terminal
    assert not secrets_in(done, machine)
    assert b"********" not in b"".join(event.line() for event in done.events)
    await machine.cleans_up()


@pytest.mark.parametrize("method", [SUDO, SU])
async def test_root_becomes_somebody_else_without_a_password(
    machine: Machine, run: RunWork, method: BecomeMethod
) -> None:
    done = await run(machine.work("id -un; pwd", "guest", method, {"root": machine.key}))
    assert done.text(Stream.STDOUT, "root") == b"guest\n/home/guest\n"
    assert done.exit("root").state is HostState.SUCCEEDED


async def test_the_login_password_serves_where_there_is_no_other_and_is_not_given_unasked(
    machine: Machine, run: RunWork
) -> None:
    work = machine.work("id -un; cat", "root", SUDO, {"deploy": machine.key, "ops": machine.key})
    done = await run(replace(work, credentials=(Credentials(password=machine.password),) * 2))
    for user in ("deploy", "ops"):
        assert done.text(Stream.STDOUT, user) == b"root\n", done.exit(user)


async def test_a_user_does_not_become_what_they_are(machine: Machine, run: RunWork) -> None:
    done = await run(machine.work("id -un", "guest", SUDO, {"guest": machine.key}))
    assert done.text(Stream.STDOUT, "guest") == b"guest\n"
    assert "Becoming" not in done.text(Stream.DEBUG, "guest").decode()


@METHODS
async def test_large_scripts_and_bytes_of_any_kind_pass(machine: Machine, run: RunWork, method: BecomeMethod) -> None:
    padding = "#".ljust(5_000, "x") + "\n"
    script = (
        f"#!/usr/bin/env python3\n{padding * 40}import sys\n"
        "sys.stdout.buffer.write(bytes(range(256)) * 4_000 + 'ä€😀'.encode() * 9_999)"
    )
    done = await run(machine.work(script, "root", method, logins(machine, BECOMES_ROOT[method])))
    for user in BECOMES_ROOT[method]:
        assert done.exit(user).state is HostState.SUCCEEDED, done.exit(user)
        assert done.text(Stream.STDOUT, user) == bytes(range(256)) * 4_000 + "ä€😀".encode() * 9_999, user


@METHODS
async def test_a_signal_that_ends_the_script_is_told(machine: Machine, run: RunWork, method: BecomeMethod) -> None:
    done = await run(machine.work("kill -KILL $$", "root", method, logins(machine, BECOMES_ROOT[method])))
    for user in BECOMES_ROOT[method]:
        exit_ = done.exit(user)
        expected = (Reason.SIGNAL, None) if method in (SUDO, DZDO) else (Reason.EXIT_CODE, 137)
        assert (exit_.reason, exit_.exit_code) == expected, exit_


@METHODS
async def test_no_password_is_in_an_argument_or_in_an_environment(
    machine: Machine, start: Callable[[Work], Awaitable[Run]], method: BecomeMethod
) -> None:
    users = BECOMES_ROOT[method]
    run = await start(
        machine.work("trap 'exit 0' TERM; echo $$; sleep 1000 & wait", "root", method, logins(machine, users))
    )
    pids: dict[str, str] = {}
    while len(pids) < len(users):
        event = await run.until(lambda event: event.stream is Stream.STDOUT)
        assert isinstance(event.data, bytes)
        pids[event.host] = event.data.decode().strip()
    seen = await machine.ask("cat /proc/[0-9]*/cmdline /proc/[0-9]*/environ 2>/dev/null | tr '\\0' '\\n'; true")
    assert "/bin/sh" in seen
    assert machine.password not in seen
    assert machine.root_password not in seen
    await machine.ask(f"kill {' '.join(pids.values())}")
    await run.finish()
    for user in users:
        assert run.exit(user).state is HostState.SUCCEEDED, run.exit(user)


@METHODS
async def test_what_runs_as_the_effective_user_is_stopped_with_its_children(
    machine: Machine, start: Callable[[Work], Awaitable[Run]], method: BecomeMethod
) -> None:
    users = BECOMES_ROOT[method]
    stubborn = "(trap '' TERM; exec sleep 1000) & echo $$ $!"
    script = f"#!/bin/bash\ntrap 'echo not now' TERM\n{stubborn}\nwhile :; do sleep 0.1; done"
    run = await start(machine.work(script, "root", method, logins(machine, users), stop_grace_seconds=1))
    for _ in users:
        await run.until(lambda event: event.stream is Stream.STDOUT)
    run.order(StopOrder(None))
    await run.finish()
    for user in users:
        exit_ = run.exit(user)
        assert exit_.state is HostState.CANCELLED, exit_
        assert "confirmed gone" in str(exit_.message)
        pids, *said = run.text(Stream.STDOUT, user).decode().splitlines()
        assert "not now" in said
        assert len(pids.split()) == 2
        assert await machine.alive(*pids.split()) == []
        assert run.text(Stream.DEBUG, user).count(b"wants a terminal") == ((method, user) in AT_TERMINAL)
    await machine.cleans_up()


@METHODS
async def test_a_forced_stop_reaches_what_the_login_user_could_not(
    machine: Machine, start: Callable[[Work], Awaitable[Run]], method: BecomeMethod
) -> None:
    users = BECOMES_ROOT[method]
    script = "#!/bin/bash\ntrap '' TERM\nsleep 1000 & echo $$ $!\nwhile :; do wait; done"
    run = await start(machine.work(script, "root", method, logins(machine, users), stop_grace_seconds=600))
    for _ in users:
        await run.until(lambda event: event.stream is Stream.STDOUT)
    run.order(StopOrder(None, force=True))
    await run.finish()
    for user in users:
        assert run.exit(user).state is HostState.CANCELLED, run.exit(user)
        assert "confirmed gone" in str(run.exit(user).message)
        assert await machine.alive(*run.text(Stream.STDOUT, user).decode().split()) == []


@METHODS
async def test_a_child_that_keeps_the_output_open_does_not_keep_the_host(
    machine: Machine, run: RunWork, method: BecomeMethod
) -> None:
    users = BECOMES_ROOT[method]
    done = await run(machine.work("sleep 60 & echo $!; exit 3", "root", method, logins(machine, users)))
    for user in users:
        assert done.exit(user).exit_code == 3, done.exit(user)
    children = [done.text(Stream.STDOUT, user).decode().strip() for user in users]
    assert len(await machine.alive(*children)) == len(users)
    await machine.ask(f"kill {' '.join(children)}")


INSISTS, FORBIDS, UNKNOWN = (
    "insists on a terminal",
    "the host does not allow it to guest",
    "the host has no user nosuch",
)
FAILURES: list[tuple[BecomeMethod, str, str, str, tuple[str, ...]]] = [
    (SUDO, "root", "deploy", "", ("sudo wants a password", "password is required", "`become-password`", "NOPASSWD")),
    (SUDO, "root", "deploy", WRONG, ("sudo does not accept the password", "Sorry, try again", "`become-password`")),
    (SUDO, "root", "guest", PASSWORD, (FORBIDS, "guest is not in the sudoers", "guest ALL=(root)")),
    (SUDO, "nosuch", "ops", "", (UNKNOWN, "unknown user", "name another effective user")),
    (SUDO, "root", "headless", PASSWORD, (INSISTS, "must have a tty", "Defaults:headless !requiretty")),
    (DZDO, "root", "deploy", WRONG, ("dzdo does not accept the password", "correct `become-password`")),
    (DZDO, "root", "guest", PASSWORD, (FORBIDS, "guest ALL=(root)")),
    (DOAS, "root", "deploy", "", ("doas wants a password", "Authentication required", "permit nopass deploy")),
    (DOAS, "root", "deploy", WRONG, ("doas does not accept the password", "Authentication failed")),
    (DOAS, "root", "guest", PASSWORD, (FORBIDS, "Operation not permitted", "permit guest as root")),
    (DOAS, "nosuch", "ops", "", (UNKNOWN, "unknown user")),
    (DOAS, "root", "headless", PASSWORD, (INSISTS, "PermitTTY")),
    (SU, "root", "guest", "", ("su wants a password", "the password of root")),
    (SU, "root", "guest", WRONG, ("su does not accept the password", "Authentication failure", "the password of root")),
    (SU, "root", "console", WRONG, ("su does not accept the password", "Authentication failure")),
    (SU, "nosuch", "guest", WRONG, (UNKNOWN, "does not exist")),
]


@pytest.mark.parametrize(("method", "name"), sorted({case[:2] for case in FAILURES}))
async def test_who_cannot_become_another_learns_why_and_what_to_do(
    machine: Machine, run: RunWork, method: BecomeMethod, name: str
) -> None:
    # One login user may fail in several ways, so every case is a host.
    cases = [case for case in FAILURES if case[:2] == (method, name)]
    works = [
        machine.work("echo started", name, method, logins(machine, {user: password}))
        for _, _, user, password, _ in cases
    ]
    hosts = tuple(replace(work.hosts[0], name=f"case-{n}", credentials=n) for n, work in enumerate(works))
    done = await run(replace(works[0], hosts=hosts, credentials=tuple(work.credentials[0] for work in works)))
    for host, (_, _, user, _, words) in zip(hosts, cases, strict=True):
        exit_ = done.exit(host.name)
        assert (exit_.state, exit_.reason) == (HostState.FAILED, Reason.PRIVILEGE_ESCALATION_FAILED), exit_
        assert str(exit_.message).startswith(f"user {user} could not become user {name} by {method.value.lower()}: ")
        for word in words:
            assert word in str(exit_.message)
        assert len(str(exit_.message)) < 500
        assert done.text(Stream.STDOUT, host.name) == done.text(Stream.STDERR, host.name) == b""
    assert not secrets_in(done, machine)
    assert not any(b"hunter2" in event.line() for event in done.events)


async def test_a_program_that_is_not_installed_is_told(server: Server, run: RunWork) -> None:
    done = await run(server.work("id", effective_user=EffectiveUser("nobody", DZDO)))
    assert done.exit().reason is Reason.PRIVILEGE_ESCALATION_FAILED
    assert "the host has no dzdo, or it is not in the PATH of root" in str(done.exit().message)


async def test_a_password_that_nobody_could_type_is_refused(server: Server, run: RunWork) -> None:
    key = server.user_key.read_text()
    credentials = Credentials(private_key=key, become_password="one\ntouch /tmp/two")
    done = await run(server.work("id", credentials=credentials, effective_user=EffectiveUser("nobody", SUDO)))
    assert done.exit().reason is Reason.PRIVILEGE_ESCALATION_FAILED
    assert "holds a line break" in str(done.exit().message)


@pytest.fixture
def server_with_sudo(server_with: Callable[..., Server], tmp_path: Path) -> Callable[..., Server]:
    """A server whose sudo is the test's own."""

    def start(sudo: str, **environment: str) -> Server:
        directory = tmp_path / "bin"
        directory.mkdir()
        (directory / "sudo").write_text(f"#!/bin/sh\n{sudo}\n")
        (directory / "sudo").chmod(0o755)
        return server_with(PATH=f"{directory}:/usr/bin:/bin", **environment)

    return start


@pytest.mark.parametrize(
    ("sudo", "words"),
    [
        ("exec sleep 100", "nothing came of it in 3 s;"),
        ("printf 'Verification code: '; exec sleep 100", "(sudo said: Verification code:); see whether root"),
        (
            "yes | head -c 1000000; echo oops; exit 7",
            "ended with exit code 7 before the script was started (sudo said: oops)",
        ),
        ("kill -TERM $$", "it ended with signal TERM before the script was started;"),
        (
            'printf Password: >&2; read -r answer; echo "hunter2hunter2 $answer"; exit 1',
            "(sudo said: ******** ********)",
        ),
        ("printf 'A password: '; read -r x; printf 'New password: '; read -r x", "does not accept the password"),
    ],
)
async def test_a_program_that_behaves_in_no_known_way_does_not_hold_the_run(
    server_with_sudo: Callable[..., Server], sudo: str, words: str
) -> None:
    server = server_with_sudo(sudo)
    credentials = Credentials(private_key=server.user_key.read_text(), become_password="hunter2hunter2")
    work = server.work("echo started", credentials=credentials, effective_user=EffectiveUser("nobody", SUDO))
    done = await run_here(work, Patience(elevation=3 if "sleep" in sudo else 60))
    exit_ = done.exit()
    assert exit_.reason is Reason.PRIVILEGE_ESCALATION_FAILED
    assert words in str(exit_.message)
    assert done.stdout == b""
    assert not any(b"hunter2" in event.line() for event in done.events)


@pytest.mark.parametrize("locale", [{}, {"LC_ALL": "POSIX"}])
async def test_the_script_finds_its_locale_as_it_is(
    server_with_sudo: Callable[..., Server], run: RunWork, locale: dict[str, str]
) -> None:
    server = server_with_sudo('echo "$LC_ALL" >&2; while [ "$1" != -- ]; do shift; done; shift; exec "$@"', **locale)
    done = await run(server.work("env | grep ^LC_ALL=; true", effective_user=EffectiveUser("nobody", SUDO)))
    assert done.exit().state is HostState.SUCCEEDED
    assert done.stdout.decode() == "".join(f"{name}={text}\n" for name, text in locale.items())


async def test_a_stop_that_may_not_become_the_effective_user_again_is_not_confirmed(
    server_with_sudo: Callable[..., Server], tmp_path: Path, start: Callable[[Work], Awaitable[Run]]
) -> None:
    # As sudo's, only that it does so once, and that the effective user is root too.
    server = server_with_sudo(
        f'mkdir {tmp_path}/once || exit 1; while [ "$1" != -- ]; do shift; done; shift; exec "$@"'
    )
    run = await start(server.work("echo $$; exec sleep 1000", effective_user=EffectiveUser("nobody", SUDO)))
    pid = int(str((await run.until(lambda event: event.stream is Stream.STDOUT)).data, "ascii"))  # type: ignore[arg-type]
    run.order(StopOrder(None))
    await run.finish()
    assert (run.exit().state, run.exit().reason) == (HostState.CANCEL_FAILED, Reason.CANCEL_FAILED)
    assert "did not let the login user become the effective one again; look for them there" in str(run.exit().message)
    assert is_alive(pid)
    os.kill(pid, signal.SIGKILL)


async def test_a_stop_while_the_user_changes_starts_nothing(
    server_with_sudo: Callable[..., Server], start: Callable[[Work], Awaitable[Run]]
) -> None:
    server = server_with_sudo("echo here >$TMPDIR/asked; exec sleep 100")
    run = await start(server.work("echo started", effective_user=EffectiveUser("nobody", SUDO)))
    wait_until((server.temporary / "asked").exists, "sudo is asked")
    run.order(StopOrder(None))
    await run.finish()
    assert run.exit().state is HostState.CANCELLED
    assert run.exit().message == "cancelled; the script was not started"
    assert run.stdout == b""
