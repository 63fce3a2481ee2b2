"""OpenSSH's known_hosts format (sshd(8), SSH_KNOWN_HOSTS FILE FORMAT), as far as it tells which lines are for whom.

A file for a whole fleet is too large to be given to each runner. So the lines that name hosts plainly are sorted by
those names, and a runner gets what its own hosts are named in, and all lines with hashed names or patterns: it alone
compares them, and reads the keys.
"""

import binascii
import re
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Final

DEFAULT_PORT: Final = 22
_MARKERS: Final = frozenset({"@cert-authority", "@revoked"})
_HASHED: Final = re.compile(r"\|1\|([A-Za-z0-9+/=]+)\|([A-Za-z0-9+/=]+)")
_PATTERN: Final = re.compile(r"[*?!/]")
_HMAC_BYTES: Final = 20


class KnownHostsError(ValueError):
    """A line is not one of a known_hosts file; the message says which."""


@dataclass(frozen=True, slots=True)
class KnownHosts:
    """The lines of a known_hosts file."""

    plain: Mapping[str, tuple[str, ...]]
    """By the names that they are for, in lower case."""
    others: tuple[str, ...]
    """Those that only a comparison tells whom they are for."""

    @classmethod
    @lru_cache(maxsize=8)
    def parse(cls, text: str) -> "KnownHosts":
        """The lines of a text. Raises KnownHostsError."""
        plain: defaultdict[str, list[str]] = defaultdict(list)
        others = []
        for number, line in enumerate(text.splitlines(), start=1):
            stripped = line.strip()
            if not stripped or stripped.startswith("#"):
                continue
            marker, names, rest = _parts(stripped, number)
            read = f"{marker}{names} {rest}"
            if names.startswith("|") or _PATTERN.search(names):
                others.append(read)
                continue
            for name in names.split(","):
                plain[name].append(read)
        return cls({name: tuple(lines) for name, lines in plain.items()}, tuple(others))

    def text(self, names: Iterable[str]) -> str:
        """The lines that are, or may be, for hosts of these names, as `names_of` writes them."""
        found = dict.fromkeys(line for name in names for line in self.plain.get(name, ()))
        return "".join(f"{line}\n" for line in (*found, *self.others))


def names_of(address: str, port: int) -> tuple[str, ...]:
    """The names that lines for a host may have; the second counts where there is none for the first."""
    name = address.lower()
    return (name,) if port == DEFAULT_PORT else (f"[{name}]:{port}", name)


def _parts(line: str, number: int) -> tuple[str, str, str]:
    """The marker with a space after it or nothing, the names in lower case unless they are hashed, and the key."""
    words = line.split(None, 1)
    marker = ""
    if words[0].startswith("@"):
        if words[0] not in _MARKERS or len(words) == 1:
            raise KnownHostsError(f"line {number} begins with @, but with neither @cert-authority nor @revoked")
        marker, words = f"{words[0]} ", words[1].split(None, 1)
    if len(words) == 1 or len(words[1].split()) == 1:
        raise KnownHostsError(f"line {number} has no host names, kind of key and key; `ssh-keyscan` prints such lines")
    if not words[0].startswith("|"):
        return marker, words[0].lower(), words[1]
    if not _is_hash(words[0]):
        raise KnownHostsError(f"line {number} has a hashed name that is damaged, or of an unknown kind")
    return marker, words[0], words[1]


def _is_hash(name: str) -> bool:
    found = _HASHED.fullmatch(name)
    try:
        return found is not None and bool(
            binascii.a2b_base64(found[1]) and len(binascii.a2b_base64(found[2])) == _HMAC_BYTES
        )
    except binascii.Error:
        return False
