"""SSH connections: which host keys count, what to log in with, how long to wait."""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Final

import asyncssh

from rollcall.work import Credentials, HostWork

CLOSE_SECONDS: Final = 2.0
"""How long to wait for a connection to close; the host's result does not depend on it."""

ANY_HOST_KEY: Final = (
    "ssh-ed25519,ecdsa-sha2-nistp256,ecdsa-sha2-nistp384,ecdsa-sha2-nistp521,rsa-sha2-512,rsa-sha2-256"
)
"""The kinds of host keys that are asked for after the known ones."""

ClientKey = asyncssh.SSHKey | tuple[asyncssh.SSHKey, asyncssh.SSHCertificate]


class CredentialsError(ValueError):
    """Credentials cannot be used; the message says which part and why, and shows none of it."""


class HostKeysError(ValueError):
    """A host's key is not one that is known for it, or none is known; the message says what to do."""


class SilentHostError(Exception):
    """A host has not accepted the TCP connection in time."""


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
        return asyncssh.import_private_key(text, passphrase or None)
    except asyncssh.KeyEncryptionError as error:
        why = "the passphrase is wrong" if passphrase else "it is encrypted and there is no passphrase"
        if "bcrypt" in str(error):
            why = "it is encrypted in a way that needs the Python package bcrypt, which the runner's image lacks"
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


def known_keys(host: HostWork) -> list[asyncssh.SSHKey]:
    """The keys that a host may show. Raises HostKeysError when there is none to compare with."""
    if not host.host_keys:
        raise HostKeysError(
            f"no host key is known for {host.name}, so nothing proves that {host.address} is that machine; "
            "add its public keys to spec.hostKeys of its Host object (`ssh-keyscan` prints them)"
        )
    keys = []
    for line in host.host_keys:
        try:
            keys.append(asyncssh.import_public_key(line))
        except (asyncssh.KeyImportError, ValueError):
            continue  # a kind of key that a newer OpenSSH has; another may fit
    if not keys:
        raise HostKeysError(
            f"none of the {len(host.host_keys)} host keys of {host.name} can be read; write each in spec.hostKeys of "
            "its Host object as in the .pub file of the machine, for example `ssh-ed25519 AAAA...`"
        )
    return keys


class _Observer(asyncssh.SSHClient):
    """Notes how far a connection has come, and the host key that was refused."""

    def __init__(self, deadline: asyncio.Timeout) -> None:
        self._deadline = deadline
        self.refused_key: str | None = None

    def connection_made(self, conn: asyncssh.SSHClientConnection) -> None:  # noqa: ARG002
        """Leaves the rest of the time to the login timeout."""
        self._deadline.reschedule(None)

    def validate_host_public_key(self, host: str, addr: str, port: int, key: asyncssh.SSHKey) -> bool:  # noqa: ARG002
        """Refuses every key that is not among the known ones, and keeps its fingerprint for the message."""
        self.refused_key = key.get_fingerprint()
        return False


async def connect(host: HostWork, login: Login, patience: Patience) -> asyncssh.SSHClientConnection:
    """A connection that is logged in. Raises what asyncssh raises, HostKeysError and SilentHostError.

    The kinds of the known keys are asked for first, so that a host with keys of several kinds shows one that is known.
    The other kinds follow, so that a host that has none of the known ones shows a key, which is refused with its
    fingerprint, and does not just hang up.
    """
    keys = known_keys(host)
    observers: list[_Observer] = []

    def observer() -> _Observer:
        observers.append(_Observer(deadline))
        return observers[-1]

    try:
        async with asyncio.timeout(patience.connect) as deadline:
            return await _log_in(host, login, patience, keys, observer)
    except asyncssh.HostKeyNotVerifiable:
        shown = next((observer.refused_key for observer in observers if observer.refused_key), "that cannot be read")
        raise HostKeysError(
            f"the host at {host.address}:{host.port} shows the key {shown}, which is none of the {len(keys)} in its "
            "Host object; if the machine was reinstalled, update spec.hostKeys"
        ) from None
    except TimeoutError as error:
        if not deadline.expired():
            raise  # the system's own, from the TCP connection
        raise SilentHostError from error


async def _log_in(
    host: HostWork,
    login: Login,
    patience: Patience,
    keys: list[asyncssh.SSHKey],
    observer: Callable[[], asyncssh.SSHClient],
) -> asyncssh.SSHClientConnection:
    return await asyncssh.connect(
        host.address,
        host.port,
        username=host.user,
        client_factory=observer,
        config=None,
        known_hosts=(keys, [], []),
        server_host_key_algs=f"+{ANY_HOST_KEY}",
        client_keys=list(login.keys) or None,
        password=login.password,
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
