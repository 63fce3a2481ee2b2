"""How a host ends is told by one exit event with a reason, and shown in its output."""

import shutil
import socket
import subprocess
from collections.abc import Awaitable, Callable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path

import asyncssh
import pytest

from integration.runner.relay import Relay
from integration.runner.runs import RUNNER, Run, RunWork, run_here
from integration.runner.sshd import PASSWORD, Server, free_port, keygen, public_key
from rollcall.names import HostState, Reason
from rollcall.outputs import Stream
from rollcall.work import Credentials, HostWork, Work
from rollcall_runner.connection import Patience

CASES = {
    "succeeds": ("echo hello", HostState.SUCCEEDED, 0, None),
    "exit-code": ("echo hello; exit 3", HostState.FAILED, 3, Reason.EXIT_CODE),
    "exit-143": ("echo hello; exit 143", HostState.FAILED, 143, Reason.EXIT_CODE),
    "signal": ("echo hello; kill -KILL $$", HostState.FAILED, None, Reason.SIGNAL),
    "python": ("#!/usr/bin/env python3\nprint('hello')\nraise SystemExit(4)", HostState.FAILED, 4, Reason.EXIT_CODE),
    "bash": ("#!/bin/bash\nset -o pipefail; false | true || echo hello", HostState.SUCCEEDED, 0, None),
    "no-interpreter": ("#!/no/such\necho hello", HostState.FAILED, 127, Reason.EXIT_CODE),
}


async def test_scripts_end_as_they_end(server: Server, run: RunWork) -> None:
    names = list(CASES)
    hosts = tuple(server.host(name, script=index) for index, name in enumerate(names))
    work = server.work(*(CASES[name][0] for name in names), hosts=hosts)
    done = await run(work)
    for name, (_, state, code, reason) in CASES.items():
        exit_ = done.exit(name)
        assert (exit_.state, exit_.exit_code, exit_.reason) == (state, code, reason), name
        assert done.text(Stream.STDOUT, name) == (b"" if name == "no-interpreter" else b"hello\n")
        debug = done.text(Stream.DEBUG, name).decode()
        assert debug.startswith(f"Connecting to 127.0.0.1:{server.port} as root\n")
        assert debug.endswith("" if exit_.message is None else f"{exit_.message}\n")
        first = min(event.time for event in done.events if event.host == name)
        assert exit_.start_time is not None
        assert exit_.start_time < first
    assert str(done.exit("signal").message).startswith("signal KILL ended the script")
    assert done.summary == {"hosts": 7, "succeeded": 2, "failed": 5}


async def test_a_password_or_an_encrypted_key_logs_in(server: Server, run: RunWork, user: str, tmp_path: Path) -> None:
    encrypted = keygen(tmp_path / "encrypted", "-t", "ed25519", passphrase="open sesame")
    with (server.directory / "authorized").open("a") as file:
        file.write(public_key(encrypted) + "\n")
    work = server.work(
        "id -un",
        hosts=(
            server.host("password", user=user),
            server.host("encrypted", credentials=1),
            server.host("second-choice", credentials=2, user=user),
        ),
    )
    credentials = (
        Credentials(password=PASSWORD),
        Credentials(private_key=encrypted.read_text(), passphrase="open sesame"),
        Credentials(private_key=keygen(tmp_path / "unknown").read_text(), password=PASSWORD),
    )
    done = await run(Work(work.hosts, work.scripts, credentials, 4, 60, 1_000_000))
    for host in work.hosts:
        assert done.text(Stream.STDOUT, host.name).decode() == f"{host.user}\n", done.exit(host.name).message


async def test_a_certificate_of_any_key_logs_in_encrypted_or_not(server: Server, run: RunWork, tmp_path: Path) -> None:
    logins = {}
    for kind in ("ed25519", "ecdsa", "rsa"):
        for passphrase in (None, "open sesame"):
            name = f"{kind}-encrypted" if passphrase else kind
            key = keygen(tmp_path / name, "-t", kind, passphrase=passphrase or "")
            certificate = sign(server.directory / "ca", key)
            logins[name] = Credentials(private_key=key.read_text(), passphrase=passphrase, certificate=certificate)
    await each_logs_in(server, run, logins)


def sign(authority: Path, key: Path) -> str:
    """A certificate of that key for root."""
    subprocess.run(["ssh-keygen", "-q", "-s", authority, "-I", "test", "-n", "root", f"{key}.pub"], check=True)
    return key.with_name(f"{key.name}-cert.pub").read_text()


async def each_logs_in(server: Server, run: RunWork, logins: Mapping[str, Credentials]) -> None:
    """Each of these logs in as root, on a host of its name."""
    hosts = tuple(server.host(name, credentials=number) for number, name in enumerate(logins))
    done = await run(replace(server.work("id -un", hosts=hosts), credentials=tuple(logins.values())))
    for name in logins:
        assert done.text(Stream.STDOUT, name) == b"root\n", done.exit(name)


async def test_keys_that_openssl_has_made_log_in_encrypted_or_not(server: Server, run: RunWork) -> None:
    """In PKCS#8, in which ssh-keygen writes no Ed25519 key."""
    logins = {}
    for kind, options in {"ed25519": (), "ec": ("-pkeyopt", "ec_paramgen_curve:P-384")}.items():
        for passphrase in (None, "open sesame"):
            text = genpkey(kind, *options, *(("-aes256", "-pass", f"pass:{passphrase}") if passphrase else ()))
            with (server.directory / "authorized").open("ab") as authorized:
                authorized.write(asyncssh.import_private_key(text, passphrase).export_public_key())
            logins[f"{kind}-encrypted" if passphrase else kind] = Credentials(private_key=text, passphrase=passphrase)
    await each_logs_in(server, run, logins)


def genpkey(kind: str, *options: str) -> str:
    command = ["openssl", "genpkey", "-algorithm", kind, *options]
    return subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout


@pytest.mark.parametrize("algorithm", ["ecdsa-sha2-1.3.132.0.10", "ssh-dss"])
async def test_keys_that_openssh_does_not_take_log_in_where_the_server_does(algorithm: str) -> None:
    """secp256k1 and DSA; the server is asyncssh's."""

    def greet(process: "asyncssh.SSHServerProcess[str]") -> None:
        process.stdout.write("hello\n")
        process.exit(0)

    host_key, key = (asyncssh.generate_private_key(name) for name in ("ssh-ed25519", algorithm))
    authorized = asyncssh.import_authorized_keys(key.export_public_key().decode())
    async with asyncssh.listen(
        "127.0.0.1", 0, server_host_keys=[host_key], authorized_client_keys=authorized, process_factory=greet
    ) as listener:
        public = host_key.export_public_key().decode().strip()
        host = HostWork("web-1", "127.0.0.1", listener.get_port(), "root", (public,), 0, 0)
        credentials = Credentials(private_key=key.export_private_key().decode())
        done = await run_here(Work((host,), ("echo hello",), (credentials,), 1, 60, 1_000), Patience())
    assert done.stdout == b"hello\n", done.exit()


@pytest.fixture
def silent_port() -> Iterator[int]:
    """A port whose listener never speaks."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        yield listener.getsockname()[1]


async def test_hosts_that_cannot_be_logged_in_to_say_why(
    server: Server, run: RunWork, user: str, tmp_path: Path
) -> None:
    other_key = public_key(keygen(tmp_path / "other", "-t", "ed25519"))
    rsa_key = public_key(keygen(tmp_path / "rsa", "-t", "rsa"))
    unknown = keygen(tmp_path / "unknown", "-t", "ed25519").read_text()
    encrypted = keygen(tmp_path / "encrypted", "-t", "ed25519", passphrase="open sesame").read_text()
    refused = free_port()
    cases: dict[str, tuple[dict[str, object], Reason, str]] = {
        "no-host-key": ({"host_keys": ()}, Reason.HOST_KEY_MISMATCH, "add its public keys to spec.hostKeys"),
        "wrong-host-key": ({"host_keys": (other_key,)}, Reason.HOST_KEY_MISMATCH, "shows the key SHA256:"),
        "wrong-kind": ({"host_keys": (rsa_key,)}, Reason.HOST_KEY_MISMATCH, "shows the key SHA256:"),
        "wrong-key": ({"credentials": 1}, Reason.AUTHENTICATION_FAILED, "user root with the private key"),
        "wrong-password": (
            {"credentials": 2, "user": user},
            Reason.AUTHENTICATION_FAILED,
            f"user {user} with the password",
        ),
        "wrong-passphrase": ({"credentials": 3}, Reason.AUTHENTICATION_FAILED, "the passphrase is wrong"),
        "no-passphrase": ({"credentials": 4}, Reason.AUTHENTICATION_FAILED, "encrypted and there is no passphrase"),
        "refused": ({"port": refused}, Reason.UNREACHABLE, f"127.0.0.1:{refused}: Connection refused"),
        "no-name": ({"address": "no-such-host.invalid"}, Reason.UNREACHABLE, "cannot be resolved"),
    }
    credentials = (
        Credentials(private_key=server.user_key.read_text()),
        Credentials(private_key=unknown),
        Credentials(password="hunter2"),
        Credentials(private_key=encrypted, passphrase="hunter2"),
        Credentials(private_key=encrypted),
    )
    hosts = tuple(server.host(name, **changes) for name, (changes, _, _) in cases.items())
    done = await run(Work(hosts, ("echo hello",), credentials, 100, 60, 1_000_000))
    for name, (_, reason, words) in cases.items():
        exit_ = done.exit(name)
        assert (exit_.state, exit_.reason) == (HostState.FAILED, reason), exit_
        assert words in str(exit_.message)
        assert done.text(Stream.DEBUG, name).decode().endswith(f"{exit_.message}\n")
    assert not any(b"hunter2" in event.line() or b"PRIVATE KEY" in event.line() for event in done.events)


async def test_a_server_that_never_speaks_is_unreachable(server: Server, silent_port: int) -> None:
    done = await run_here(server.work("echo hello", hosts=(server.host(port=silent_port),)), Patience(login=0.2))
    assert done.exit().reason is Reason.UNREACHABLE
    assert "the SSH login was not done in 0.2 s" in str(done.exit().message)


async def test_a_host_that_vanishes_is_unreachable(server: Server) -> None:
    async with Relay(server.port) as relay:
        work = server.work("echo hello; sleep 3", hosts=(server.host(port=relay.port),))
        done = await run_here(work, Patience(keepalive=0.2), on_hello=relay.fall_silent)
    assert done.stdout == b"hello\n"
    assert done.exit().reason is Reason.UNREACHABLE
    assert "whether it goes on there is not known" in str(done.exit().message)


async def test_a_connection_that_breaks_leaves_the_script_in_doubt(
    server_with: Callable[..., Server], start: Callable[[Work], Awaitable[Run]]
) -> None:
    server = server_with()
    run = await start(server.work("echo hello; sleep 3"))
    await run.until(lambda event: event.data == b"hello\n")
    server.kill_sessions()
    await run.finish()
    assert run.exit().reason is Reason.UNREACHABLE
    assert "the connection broke while the script ran" in str(run.exit().message)
    assert run.process.returncode == 0


async def test_a_server_that_refuses_commands_is_unreachable(server_with: Callable[..., Server], run: RunWork) -> None:
    done = await run(server_with("MaxSessions 0").work("echo hello"))
    assert done.exit().reason is Reason.UNREACHABLE
    assert "refuses to run a command" in str(done.exit().message)


@pytest.mark.skipif(shutil.which("setpriv") is None, reason="no setpriv here")
def test_the_runner_needs_no_passwd_entry_and_no_environment(server: Server, tmp_path: Path) -> None:
    path = tmp_path / "work.json"
    path.write_bytes(server.work("echo hello").dump())
    # The capability stands for an image whose files everyone may read, which this installation need not be.
    reads_all = ("--inh-caps=+dac_read_search", "--ambient-caps=+dac_read_search")
    done = subprocess.run(
        ["setpriv", "--reuid=54321", "--regid=54321", "--clear-groups", *reads_all, RUNNER, "--work", path],
        env={},
        capture_output=True,
        check=False,
    )
    assert b'"state":"Succeeded"' in done.stdout
    assert done.stderr == b""


def test_a_work_needs_no_host_to_end(tmp_path: Path) -> None:
    path = tmp_path / "work.json"
    path.write_bytes(Work((), (), (), 1, 1, 1).dump())
    done = subprocess.run([RUNNER, "--work", path], capture_output=True, check=True, env={})
    assert (done.stdout, done.stderr) == (b"", b"")
