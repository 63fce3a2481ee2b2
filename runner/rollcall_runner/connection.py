"""SSH connections: what to log in with, how long to wait, and what to do with what a host asks."""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Final

import asyncssh

from rollcall.work import Credentials
from rollcall_runner.answers import Answers
from rollcall_runner.hostkeys import Destination, Expectation, HostKeys, refused

CLOSE_SECONDS: Final = 2.0
"""How long to wait for a connection to close; the host's result does not depend on it."""
_CIPHERS: Final = "^aes256-gcm@openssh.com,aes128-gcm@openssh.com"
"""What is asked for first, before the rest of asyncssh's default: ChaCha20, its first choice, costs the runner a sixth
of a short session more."""

ClientKey = asyncssh.SSHKey | tuple[asyncssh.SSHKey, asyncssh.SSHCertificate]


class CredentialsError(ValueError):
    """Credentials cannot be used; the message says which part and why, and shows none of it."""


class SilentHostError(Exception):
    """A host has not accepted the TCP connection in time."""


class ForwardingError(Exception):
    """A jump host opens no connection to the next host; the text says why, in its own words."""


class UnansweredError(Exception):
    """A host wants to know more than the password; the text says what, and can follow 'it wants'."""


@dataclass(frozen=True, slots=True)
class Patience:
    """How long to wait for a host, in seconds."""

    connect: float = 15
    """For the TCP connection."""
    login: float = 30
    """From there to the end of the login."""
    elevation: float = 30
    """For the shell of another user, when the script is to run as one; PAM takes seconds to refuse a password."""
    keepalive: float = 15
    """Between questions whether the host is still there; three without an answer end the connection."""


@dataclass(frozen=True, slots=True)
class Login:
    """Credentials that have been read."""

    keys: tuple[ClientKey, ...]
    password: str | None = field(repr=False)

    @property
    def described(self) -> str:
        """What it consists of, in words."""
        parts = [text for text, present in (("private key", self.keys), ("password", self.password)) if present]
        return " and the ".join(parts)


def read_login(credentials: Credentials) -> Login:
    """The login that credentials stand for. Raises CredentialsError. Slow for an encrypted key: its purpose."""
    if credentials.private_key is None:
        if credentials.password is None:
            raise CredentialsError(
                "the credentials hold neither a private key nor a password; add `ssh-privatekey` or `password` to "
                "their Secret"
            )
        return Login((), credentials.password)
    key = _read_key(credentials.private_key, credentials.passphrase)
    keys: list[ClientKey] = [key]
    if credentials.certificate is not None:
        keys.insert(0, (key, _read_certificate(credentials.certificate, key)))
    return Login(tuple(keys), credentials.password)


def _read_key(text: str, passphrase: str | None) -> asyncssh.SSHKey:
    # The texts of asyncssh's errors are not passed on where they could quote the key's own words.
    try:
        key = asyncssh.import_private_key(text, passphrase or None)
        if not key.algorithm.startswith(b"sk-"):
            return key
        why = "it is that of a security key (FIDO), which somebody would have to touch; use an ordinary key"
    except asyncssh.KeyEncryptionError:
        why = "the passphrase is wrong" if passphrase else "it is encrypted and there is no passphrase"
    except asyncssh.KeyImportError as error:
        if "Passphrase" in str(error):
            why = "it is encrypted and there is no passphrase"
        else:
            why = "it is not a private key in OpenSSH, PEM or PKCS#8 format, or it is damaged"
    except (ValueError, OverflowError):
        why = "it is damaged"
    raise CredentialsError(f"the private key in the credentials cannot be read: {why}")


def _read_certificate(text: str, key: asyncssh.SSHKey) -> asyncssh.SSHCertificate:
    try:
        certificate = asyncssh.import_certificate(text)
    except (asyncssh.KeyImportError, ValueError):
        raise CredentialsError("the certificate in the credentials cannot be read as an OpenSSH certificate") from None
    if certificate.key.public_data != key.public_data:
        raise CredentialsError("the certificate in the credentials belongs to another private key")
    return certificate


class Logins:
    """The logins of a work, each read once, when it is first needed, outside the event loop."""

    def __init__(self, credentials: Sequence[Credentials]) -> None:
        self._credentials = credentials
        self._reading: dict[int, asyncio.Future[Login]] = {}

    async def get(self, index: int) -> Login:
        """The login with that place in the work. Raises CredentialsError."""
        if index not in self._reading:
            self._reading[index] = asyncio.ensure_future(asyncio.to_thread(read_login, self._credentials[index]))
        # Shielded, because other hosts wait for the same one.
        return await asyncio.shield(self._reading[index])


class _Observer(asyncssh.SSHClient):
    """Notes how far a connection has come, judges the host's key, and answers what a login asks."""

    def __init__(
        self, host: Destination, expectation: Expectation, keys: HostKeys, answers: Answers, deadline: asyncio.Timeout
    ) -> None:
        self._host = host
        self._expectation = expectation
        self._keys = keys
        self._answers = answers
        self._deadline = deadline
        self.refused_key: str | None = None

    def connection_made(self, conn: asyncssh.SSHClientConnection) -> None:  # noqa: ARG002
        """Leaves the rest of the time to the login timeout."""
        self._deadline.reschedule(None)

    def validate_host_public_key(self, host: str, addr: str, port: int, key: asyncssh.SSHKey) -> bool:  # noqa: ARG002
        """Judges a key that is not among the known ones; keeps the fingerprint of a refused one for the message."""
        if self._expectation.accepts and self._keys.accept(self._host, key):
            return True
        self.refused_key = key.get_fingerprint()
        return False

    def password_auth_requested(self) -> str | None:
        """Gives the password."""
        return self._answers.password()

    def kbdint_auth_requested(self) -> str | None:
        """Agrees to be asked."""
        return "" if self._answers.begin() else None

    def kbdint_challenge_received(
        self,
        name: str,  # noqa: ARG002
        instructions: str,  # noqa: ARG002
        lang: str,  # noqa: ARG002
        prompts: Sequence[tuple[str, bool]],
    ) -> list[str] | None:
        """Answers questions."""
        return self._answers.to(prompts)


async def connect(
    host: Destination,
    login: Login,
    patience: Patience,
    keys: HostKeys,
    over: asyncssh.SSHClientConnection | None = None,
) -> asyncssh.SSHClientConnection:
    """A connection that is logged in, over another one if it is given. Raises what asyncssh raises, HostKeysError,
    SilentHostError, ForwardingError and UnansweredError."""
    expectation, answers = keys.expected(host), Answers(login.password)
    observers: list[_Observer] = []

    def observer() -> _Observer:
        observers.append(_Observer(host, expectation, keys, answers, deadline))
        return observers[-1]

    try:
        async with asyncio.timeout(patience.connect) as deadline:
            return await _log_in(host, login, patience, expectation, observer, over)
    except asyncssh.HostKeyNotVerifiable:
        raise refused(
            host, expectation, next((seen.refused_key for seen in observers if seen.refused_key), None)
        ) from None
    except asyncssh.ChannelOpenError as error:
        raise ForwardingError(error.reason) from error
    except asyncssh.PermissionDenied as error:
        raise UnansweredError(answers.wanted) if answers.wanted else error from None
    except TimeoutError as error:
        if not deadline.expired():
            raise  # the system's own, from the TCP connection
        raise SilentHostError from error


async def _log_in(
    host: Destination,
    login: Login,
    patience: Patience,
    expectation: Expectation,
    observer: Callable[[], asyncssh.SSHClient],
    over: asyncssh.SSHClientConnection | None,
) -> asyncssh.SSHClientConnection:
    return await asyncssh.connect(
        host.address,
        host.port,
        tunnel=over,
        username=host.user,
        client_factory=observer,
        config=None,
        known_hosts=expectation.known,
        server_host_key_algs=expectation.algorithms,
        encryption_algs=_CIPHERS,
        client_keys=list(login.keys) or None,
        agent_path=None,
        agent_forwarding=False,
        x11_forwarding=False,
        x509_trusted_certs=None,
        gss_host=None,
        host_based_auth=False,
        connect_timeout=None,
        login_timeout=patience.login,
        keepalive_interval=patience.keepalive,
        keepalive_count_max=3,
    )


async def close(connection: asyncssh.SSHClientConnection) -> None:
    """Ends a connection, also one whose other side does not answer any more."""
    connection.close()
    try:
        async with asyncio.timeout(CLOSE_SECONDS):
            await connection.wait_closed()
    except TimeoutError:
        connection.abort()
