"""Jump hosts as people write them for OpenSSH."""

import re
import shlex
from dataclasses import dataclass
from typing import Final

_HOP: Final = re.compile(
    r"(?:ssh://)?(?:(?P<user>[^@]*)@)?(?:\[(?P<bracketed>[^]]+)\]|(?P<plain>[^:]+))(?::(?P<port>[0-9]+))?/?"
)
_WITH_VALUE: Final = frozenset("BbcDEeFIiJLlmOoPpQRSWw")
"""Options of ssh(1) that take a value."""


@dataclass(frozen=True, slots=True)
class Hop:
    """One host on the way to another."""

    host: str
    user: str | None = None
    port: int | None = None


def hops(text: str) -> tuple[Hop, ...]:
    """The hosts in the value of `ProxyJump` or `-J`, the first one first; none for `none`. Raises ValueError."""
    if text.strip().lower() in ("", "none"):
        return ()
    found = []
    for part in text.split(","):
        match = _HOP.fullmatch(part.strip())
        if match is None:
            raise ValueError("what is there is not [user@]host[:port]")
        port = int(match["port"]) if match["port"] else None
        found.append(Hop(match["bracketed"] or match["plain"], match["user"] or None, port))
    return tuple(found)


def hops_in_options(text: str) -> tuple[Hop, ...]:
    """The hosts on the way that options of ssh name: `-J`, `ProxyJump`, or a `ProxyCommand` that is `ssh -W`.

    The first of them counts, as for ssh. Raises ValueError for what cannot be read, and for other proxy commands.
    """
    for option, value in _options(shlex.split(text)):
        if option == "J":
            return hops(value)
        if option == "o":
            name, _, setting = value.replace("=", " ", 1).strip().partition(" ")
            if name.lower() == "proxyjump":
                return hops(setting.strip())
            if name.lower() == "proxycommand":
                return hops_of_command(setting.strip().strip("\"'"))
    return ()


def _options(words: list[str]) -> list[tuple[str, str]]:
    """The options with a value, and words that are none as ("", word)."""
    found = []
    waiting = iter(words)
    for word in waiting:
        if not word.startswith("-") or word == "-":
            found.append(("", word))
            continue
        for place, letter in enumerate(word[1:], start=2):
            if letter in _WITH_VALUE:
                found.append((letter, word[place:] or next(waiting, "")))
                break
    return found


def hops_of_command(command: str) -> tuple[Hop, ...]:
    """The hosts in a `ProxyCommand` that is `ssh -W`. Raises ValueError for any other."""
    words = shlex.split(command)
    if words[:1] == ["exec"]:
        words = words[1:]
    if not words or words[0].rpartition("/")[2] != "ssh":
        raise ValueError("a ProxyCommand that does not begin with ssh")  # not shown: it may hold a password
    options = _options(words[1:])
    settings = dict(reversed(options))
    destinations = [word for option, word in options if not option]
    if "W" not in settings or not destinations:
        raise ValueError("a ProxyCommand without -W, or without a host")
    (last,) = hops(destinations[0])
    port = int(settings["p"]) if settings.get("p", "").isdecimal() else last.port
    return (*hops(settings.get("J", "")), Hop(last.host, last.user or settings.get("l"), port))
