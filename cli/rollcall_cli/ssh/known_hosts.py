"""Host keys, looked up in known_hosts files as OpenSSH does (sshd(8), SSH_KNOWN_HOSTS FILE FORMAT)."""

import base64
import hashlib
import hmac
import re
from collections.abc import Iterable, Iterator, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Final

from rollcall.knownhosts import KnownHosts, KnownHostsError, names_of
from rollcall_cli.errors import CommandError

_HASHED: Final = re.compile(r"\|1\|([^|]+)\|([^|]+)")


class HostKeys:
    """The keys of known_hosts files."""

    def __init__(self, files: Iterable[KnownHosts]) -> None:
        self._files = tuple(files)

    @classmethod
    def read(cls, paths: Iterable[Path]) -> "HostKeys":
        """Those of the files. Raises CommandError."""
        found = []
        for path in paths:
            try:
                found.append(KnownHosts.parse(path.read_text(encoding="utf-8")))
            except KnownHostsError as error:
                raise CommandError(f"{path}: {error}") from None
            except (OSError, UnicodeDecodeError) as error:
                raise CommandError(f"cannot read {path}: {error}") from None
        return cls(found)

    def of(self, address: str, port: int) -> Sequence[str]:
        """The keys that a host may show, each without names; none of those in lines with a marker."""
        lines = self._lines(address, port)
        return tuple(dict.fromkeys(_key(line) for line in lines if not line.startswith("@")))

    def marked(self, address: str, port: int) -> Sequence[str]:
        """The lines for a host with `@cert-authority` or `@revoked`, as they are."""
        return tuple(dict.fromkeys(line for line in self._lines(address, port) if line.startswith("@")))

    def _lines(self, address: str, port: int) -> Sequence[str]:
        for name in names_of(address, port):
            if lines := [line for file in self._files for line in _lines_for(file, name)]:
                return lines
        return ()


def _lines_for(file: KnownHosts, name: str) -> Iterator[str]:
    yield from file.plain.get(name, ())
    for line in file.others:
        names = line.split()[1 if line.startswith("@") else 0]
        if _is_hash_of(names, name) if names.startswith("|") else fits(names, name):
            yield line


def _key(line: str) -> str:
    """The kind of key and the key of a line without a marker."""
    return " ".join(line.split()[1:3])


def _is_hash_of(hashed: str, name: str) -> bool:
    match = _HASHED.fullmatch(hashed)
    if match is None:
        return False
    salt, wanted = (base64.b64decode(part) for part in match.groups())
    return hmac.compare_digest(hmac.digest(salt, name.encode(), hashlib.sha1), wanted)


def fits(patterns: str, name: str) -> bool:
    """Whether a name fits patterns with commas between them: any, and none of those that begin with `!`."""
    found = False
    for pattern in patterns.split(","):
        if _pattern(pattern.removeprefix("!").lower()).fullmatch(name.lower()):
            if pattern.startswith("!"):
                return False
            found = True
    return found


@lru_cache(maxsize=1024)
def _pattern(pattern: str) -> re.Pattern[str]:
    signs = {"*": ".*", "?": "."}
    return re.compile("".join(signs.get(sign, re.escape(sign)) for sign in pattern), re.DOTALL)
