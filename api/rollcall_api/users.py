"""People who log in with a name and a password: one JSON file each in a mounted Secret.

A file `<login>.json` holds `{"passwordHash": "$argon2id$...", "username": ..., "groups": [...]}`, where `username` and
`groups` are the Kubernetes identity that the login stands for; `"login"` overrides the login in the file's name, for
names that a Secret's key cannot spell, and `"disabled": true` shuts the account. Changes take effect within a second.
"""

import asyncio
import logging
import os
import time
from collections.abc import Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, NamedTuple

import orjson
from argon2 import PasswordHasher, extract_parameters
from argon2.exceptions import InvalidHashError, VerificationError

logger = logging.getLogger(__name__)

HASHER: Final = PasswordHasher(time_cost=2, memory_cost=19_456, parallelism=1)
"""How passwords are hashed best: 19 MiB and two passes, as the OWASP password storage cheat sheet advises."""
_LOOK_AGAIN_SECONDS: Final = 1.0
_MAX_WAITING: Final = 64


class Busy(Exception):  # noqa: N818 - a state, not an error
    """More passwords wait to be verified than can be in reasonable time."""


class Identity(NamedTuple):
    """A Kubernetes user; a tuple, because it is looked up several times in every request."""

    username: str
    groups: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Account:
    """What a login needs and stands for. Its text form does not show the hash."""

    password_hash: str
    identity: Identity
    disabled: bool

    def __repr__(self) -> str:
        return f"Account({self.identity.username})"


class Users:
    """The accounts in a directory."""

    def __init__(self, directory: Path | None) -> None:
        self._directory = directory
        self._accounts: Mapping[str, Account] = {}
        self._stamp: object = None
        self._looked = float("-inf")
        self._decoy = HASHER.hash("no account has this password")
        self._waiting = 0
        # One thread bounds the memory that hashing takes at once, and keeps it off the event loop.
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="argon2")

    def account(self, login: str) -> Account | None:
        """The account of that login, as the files are now."""
        self._refresh()
        return self._accounts.get(login)

    async def verify(self, account: Account | None, password: str) -> bool:
        """Whether the password is the account's; takes as long for an account that does not exist.

        Raises Busy when too many others wait already.
        """
        if self._waiting >= _MAX_WAITING:
            raise Busy
        self._waiting += 1
        try:
            stored = account.password_hash if account else self._decoy
            loop = asyncio.get_running_loop()
            right = await loop.run_in_executor(self._thread, _verify, stored, password)
            return right and account is not None
        finally:
            self._waiting -= 1

    def _refresh(self) -> None:
        now = time.monotonic()
        if self._directory is None or now - self._looked < _LOOK_AGAIN_SECONDS:
            return
        self._looked = now
        try:
            # A mounted Secret's files are links into a directory that is swapped as a whole; os.stat follows them.
            files = sorted(
                (entry.path, entry.stat().st_mtime_ns, entry.stat().st_ino)
                for entry in os.scandir(self._directory)
                if not entry.name.startswith(".") and entry.is_file()
            )
        except OSError as error:
            logger.warning("cannot read the users' directory: %s", error.strerror)
            return
        if files != self._stamp:
            self._stamp = files
            self._accounts = dict(filter(None, (_load(Path(path)) for path, _, _ in files)))
            self._decoy = _decoy_like(self._accounts)


def _verify(stored: str, password: str) -> bool:
    try:
        return HASHER.verify(stored, password)
    except (VerificationError, InvalidHashError):
        return False


def _decoy_like(accounts: Mapping[str, Account]) -> str:
    """A hash that costs as much to verify as those of the accounts."""
    first = next(iter(accounts.values()), None)
    hasher = PasswordHasher.from_parameters(extract_parameters(first.password_hash)) if first else HASHER
    return hasher.hash("no account has this password")


def _identity(username: str, groups: Iterable[Any]) -> Identity:
    """The identity in a user's file, with the groups that the API server would add; it cannot be a `system:` one."""
    implied = ["system:authenticated"]
    if username.startswith("system:serviceaccount:"):
        implied += ["system:serviceaccounts", f"system:serviceaccounts:{username.split(':')[2]}"]
    elif username.startswith("system:") or not username:
        raise ValueError("system: users do not log in by password")
    return Identity(username, (*(str(group) for group in groups if not str(group).startswith("system:")), *implied))


def _load(path: Path) -> tuple[str, Account] | None:
    try:
        document: dict[str, Any] = orjson.loads(path.read_bytes())
        login = str(document.get("login") or path.name.removesuffix(".json"))
        extract_parameters(document["passwordHash"])
        identity = _identity(str(document["username"]), document.get("groups") or ())
        return login, Account(document["passwordHash"], identity, bool(document.get("disabled")))
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        logger.warning("ignoring user file %s: %s", path.name, type(error).__name__)
        return None
