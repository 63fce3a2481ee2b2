"""Every kind of key logs in, and a password also where it is asked for interactively; addresses may be of IPv6."""

from base64 import encodebytes
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import asyncssh
import pytest

from integration.runner.runs import Run, RunWork, run_here
from integration.runner.sshd import PASSWORD, Server, keygen, public_key
from rollcall.names import Reason
from rollcall.outputs import Stream
from rollcall.work import Credentials, HostWork, Work
from rollcall_runner.connection import Patience

KEYS = {
    "ed25519": ("-t", "ed25519"),
    "ecdsa-256": ("-t", "ecdsa", "-b", "256"),
    "ecdsa-384": ("-t", "ecdsa", "-b", "384"),
    "ecdsa-521": ("-t", "ecdsa", "-b", "521"),
    "rsa-2048": ("-t", "rsa", "-b", "2048"),
    "rsa-4096": ("-t", "rsa", "-b", "4096"),
    "rsa-pem": ("-t", "rsa", "-m", "PEM"),
    "ecdsa-pem": ("-t", "ecdsa", "-m", "PEM"),
    "rsa-pkcs8": ("-t", "rsa", "-m", "PKCS8"),
}


async def test_every_kind_of_key_logs_in_encrypted_or_not(server: Server, run: RunWork, tmp_path: Path) -> None:
    credentials, hosts = [], []
    with (server.directory / "authorized").open("a") as authorized:
        for name, options in KEYS.items():
            for passphrase in (None, "open sesame"):
                host = f"{name}-encrypted" if passphrase else name
                key = keygen(tmp_path / host, *options, passphrase=passphrase or "")
                authorized.write(public_key(key) + "\n")
                hosts.append(server.host(host, credentials=len(credentials)))
                credentials.append(Credentials(private_key=key.read_text(), passphrase=passphrase))
    done = await run(replace(server.work("id -un", hosts=tuple(hosts)), credentials=tuple(credentials)))
    for host in hosts:
        assert done.text(Stream.STDOUT, host.name) == b"root\n", done.exit(host.name)


async def test_the_key_of_a_security_key_is_refused_with_the_cause(server: Server, run: RunWork) -> None:
    done = await run(server.work("echo hello", credentials=Credentials(private_key=security_key())))
    assert done.exit().reason is Reason.AUTHENTICATION_FAILED
    assert "security key (FIDO), which somebody would have to touch" in str(done.exit().message)


def security_key() -> str:
    """What `ssh-keygen -t ed25519-sk` would write, with a handle that no device has (OpenSSH's PROTOCOL.u2f)."""

    def text(data: bytes) -> bytes:
        return len(data).to_bytes(4, "big") + data

    public = text(b"sk-ssh-ed25519@openssh.com") + text(bytes(range(32))) + text(b"ssh:")
    private = bytes(8) + public + b"\1" + text(b"handle") + text(b"") + text(b"comment")
    private += bytes(range(1, 1 + -len(private) % 8))
    blob = b"openssh-key-v1\0" + text(b"none") + text(b"none") + text(b"") + (1).to_bytes(4, "big")
    blob += text(public) + text(private)
    return f"-----BEGIN OPENSSH PRIVATE KEY-----\n{encodebytes(blob).decode()}-----END OPENSSH PRIVATE KEY-----\n"


async def test_pam_asks_for_the_password_interactively(
    server_with: Callable[..., Server], run: RunWork, user: str
) -> None:
    server = server_with(
        "UsePAM yes", "KbdInteractiveAuthentication yes", "PasswordAuthentication no", "LogLevel VERBOSE"
    )
    hosts = (server.host("right", user=user), server.host("wrong", user=user, credentials=1))
    credentials = (Credentials(password=PASSWORD), Credentials(password="hunter2"))
    done = await run(replace(server.work("id -un", hosts=hosts), credentials=credentials))
    assert done.text(Stream.STDOUT, "right") == f"{user}\n".encode(), done.exit("right")
    assert done.exit("wrong").reason is Reason.AUTHENTICATION_FAILED
    log = (server.directory / "log").read_text()
    assert f"Accepted keyboard-interactive/pam for {user}" in log
    assert log.count(f"Failed keyboard-interactive/pam for {user}") <= 1
    assert not any(b"hunter2" in event.line() or PASSWORD.encode() in event.line() for event in done.events)


async def test_a_key_and_then_the_password_are_asked_for(
    server_with: Callable[..., Server], run: RunWork, user: str
) -> None:
    readable = server_with().temporary / "authorized"  # sshd reads it with the user's rights
    server = server_with(
        "UsePAM yes",
        "KbdInteractiveAuthentication yes",
        "AuthenticationMethods publickey,keyboard-interactive",
        f"AuthorizedKeysFile {readable}",
    )
    readable.write_text(public_key(server.user_key) + "\n")
    both = Credentials(private_key=server.user_key.read_text(), password=PASSWORD)
    done = await run(server.work("id -un", hosts=(server.host(user=user),), credentials=both))
    assert done.stdout == f"{user}\n".encode(), done.exit()


class Questioner(asyncssh.SSHServer):
    """Asks what PAM modules of some sites ask, which this machine's PAM does not."""

    rounds: Sequence[Sequence[tuple[str, bool]]] = ()
    answers: list[Sequence[str]] = []

    def begin_auth(self, username: str) -> bool:  # noqa: ARG002
        return True

    def kbdint_auth_supported(self) -> bool:
        return True

    def get_kbdint_challenge(
        self,
        username: str,  # noqa: ARG002
        lang: str,  # noqa: ARG002
        submethods: str,  # noqa: ARG002
    ) -> tuple[str, str, str, Sequence[tuple[str, bool]]]:
        return "", "", "", self.rounds[0]

    def validate_kbdint_response(self, username: str, responses: Sequence[str]) -> object:  # noqa: ARG002
        self.answers.append(responses)
        if len(self.answers) == len(self.rounds):
            return True
        return "", "", "", self.rounds[len(self.answers)]


async def asked(*rounds: Sequence[tuple[str, bool]]) -> tuple[Run, list[Sequence[str]]]:
    """What becomes of a host whose server, which is asyncssh's and not OpenSSH's, asks these questions."""
    questioner = type("Questions", (Questioner,), {"rounds": rounds, "answers": []})
    key = asyncssh.generate_private_key("ssh-ed25519")
    async with asyncssh.listen("127.0.0.1", 0, server_factory=questioner, server_host_keys=[key]) as listener:
        public = key.export_public_key().decode().strip()
        host = HostWork("web-1", "127.0.0.1", listener.get_port(), "root", (public,), 0, 0)
        work = Work((host,), ("echo hello",), (Credentials(password="hunter2"),), 1, 60, 1_000)
        done = await run_here(work, Patience(login=10))
    return done, questioner.answers  # type: ignore[attr-defined]


async def test_questions_in_several_rounds_get_the_password() -> None:
    done, answers = await asked([("Kennwort: ", False)], [], [("LDAP password: ", False), ("Again: ", False)])
    assert answers == [["hunter2"], [], ["hunter2", "hunter2"]]
    assert done.exit().reason is not Reason.AUTHENTICATION_FAILED


@pytest.mark.parametrize(
    ("rounds", "given", "words"),
    [
        ([[("New password: ", False)]], 0, "it wants a new password, because this one has expired"),
        ([[("Password: ", False)], [("New password: ", False)]], 1, "it wants a new password"),
        ([[("Badge number: ", True)]], 0, "it wants an answer to a question that is not for a password"),
        ([[("Password: ", False)]] * 10, 6, "it wants more than 6 answers"),
    ],
)
async def test_what_is_not_for_the_password_is_told(
    rounds: list[list[tuple[str, bool]]], given: int, words: str
) -> None:
    done, answers = await asked(*rounds)
    assert len(answers) == given
    assert done.exit().reason is Reason.AUTHENTICATION_FAILED
    assert words in str(done.exit().message)
    assert not any(b"hunter2" in event.line() for event in done.events)


async def test_an_ed448_key_logs_in_where_the_server_knows_it() -> None:
    """OpenSSH does not; the server is asyncssh's."""
    host_key, user_key = asyncssh.generate_private_key("ssh-ed448"), asyncssh.generate_private_key("ssh-ed448")
    authorized = asyncssh.import_authorized_keys(user_key.export_public_key().decode())
    async with asyncssh.listen(
        "127.0.0.1", 0, server_host_keys=[host_key], authorized_client_keys=authorized, process_factory=_says_hello
    ) as listener:
        public = host_key.export_public_key().decode().strip()
        host = HostWork("web-1", "127.0.0.1", listener.get_port(), "root", (public,), 0, 0)
        credentials = Credentials(private_key=user_key.export_private_key().decode())
        work = Work((host,), ("echo hello",), (credentials,), 1, 60, 1_000)
        done = await run_here(work, Patience())
    assert done.stdout == b"hello\n", done.exit()


async def _says_hello(process: "asyncssh.SSHServerProcess[str]") -> None:
    process.stdout.write("hello\n")
    process.exit(0)


async def test_ipv6_addresses_work_with_a_zone_too(server_with: Callable[..., Server], run: RunWork) -> None:
    server = server_with("ListenAddress ::1")
    hosts = (server.host("plain", address="::1"), server.host("zone", address="::1%1"))
    done = await run(server.work("echo hello", hosts=hosts))
    for host in hosts:
        assert done.text(Stream.STDOUT, host.name) == b"hello\n", done.exit(host.name)
    assert f"Connecting to [::1]:{server.port} as root\n" in done.text(Stream.DEBUG, "plain").decode()
    refused = await run(replace(server.work("echo hello"), hosts=(server.host(address="::1", port=1),)))
    assert "no connection to [::1]:1: Connection refused" in str(refused.exit().message)


async def test_a_script_has_a_sane_environment_and_nothing_to_read(server: Server, run: RunWork) -> None:
    script = (
        'cat; readlink /proc/self/fd/0; echo "$PATH|$HOME|$USER|$0"; ls /proc/self/fd | wc -l; env | grep -ci rollcall'
    )
    done = await run(server.work(script))
    closed, rest, descriptors, named = done.stdout.decode().splitlines()
    assert closed == "/dev/null"
    path, home, name, program = rest.split("|")
    assert "/usr/bin" in path
    assert (home, name) == ("/root", "root")
    assert program.startswith(str(server.temporary))
    assert int(descriptors) == 4  # three, and that of the folder that ls reads
    assert named == "0"
