"""ssh_config, as OpenSSH itself reads it: `ssh -G NAME` prints what counts for a host.

Only which names there are is not in its answers; those are read here, from `Host` lines.
"""

import glob
import os
import re
import shlex
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Final

from rollcall_cli.errors import CommandError

USER_CONFIG: Final = Path("~/.ssh/config")
_MAX_DEPTH: Final = 16
"""How deep OpenSSH lets files include each other (readconf.c)."""
_LINE: Final = re.compile(r"\s*(?P<keyword>[A-Za-z]+)(?:\s*=\s*|\s+)(?P<rest>.*)")
_PATTERN: Final = re.compile(r"[*?!]")
_TIMEOUT_SECONDS: Final = 30


@dataclass(frozen=True, slots=True)
class Names:
    """What a configuration names."""

    aliases: Sequence[str]
    """Those in `Host` lines that are no patterns, in their order."""
    commands: Sequence[str] = field(default=())
    """`Match` lines that run a command, which `ssh -G` does too."""


def names(path: Path) -> Names:
    """The names in a file and in those that it includes. Raises CommandError."""
    aliases: dict[str, None] = {}
    commands: list[str] = []
    for keyword, rest in _lines(path, 0):
        words = _words(rest)
        if keyword == "host":
            aliases |= dict.fromkeys(word for word in words if not _PATTERN.search(word))
        elif keyword == "match" and any(word.lower().lstrip("!").partition("=")[0] == "exec" for word in words):
            commands.append(rest)
    return Names(tuple(aliases), tuple(commands))


def _lines(path: Path, depth: int) -> Iterator[tuple[str, str]]:
    if depth > _MAX_DEPTH:
        raise CommandError(f"{path}: files include each other more than {_MAX_DEPTH} deep")
    try:
        text = path.read_text(encoding="utf-8", errors="surrogateescape")
    except OSError as error:
        raise CommandError(f"cannot read {path}: {error.strerror}") from None
    for line in text.splitlines():
        match = _LINE.match(line)
        if match is None:
            continue
        keyword, rest = match["keyword"].lower(), match["rest"]
        if keyword != "include":
            yield keyword, rest
            continue
        for pattern in _words(rest):
            # A path that is not absolute is in ~/.ssh, whatever file it is in (ssh_config(5), Include).
            full = Path("~/.ssh", os.path.expandvars(pattern)).expanduser() if pattern[:1] != "~" else Path(pattern)
            for included in sorted(glob.glob(str(full.expanduser()))):
                yield from _lines(Path(included), depth + 1)


def _words(rest: str) -> list[str]:
    try:
        return shlex.split(rest, comments=True)
    except ValueError:
        return rest.split()


@dataclass(frozen=True, slots=True)
class Settings:
    """What `ssh -G` says of one host: values by the names of options in small letters."""

    values: Mapping[str, Sequence[str]]

    def one(self, option: str) -> str | None:
        """The value of an option; None without one, and for `none`."""
        found = self.values.get(option, ("none",))[0]
        return None if found.lower() == "none" else found

    def all(self, option: str) -> Sequence[str]:
        """The values of an option that may be given again and again."""
        return self.values.get(option, ())


class Configuration:
    """Asks ssh. Raises CommandError where ssh does not answer."""

    def __init__(self, path: Path | None) -> None:
        """`path`: the file that counts alone; else the user's and the system's."""
        self._path = path
        self.of = cache(self._of)
        """What counts for a host, when ssh is told this user and port."""

    def _of(self, host: str, user: str | None = None, port: int | None = None) -> Settings:
        # Asking DNS for the full name of each host could take minutes, and its answer may differ tomorrow.
        command = ["ssh", "-G", "-o", "CanonicalizeHostname=no"]
        command += ["-F", str(self._path)] if self._path else []
        command += ["-l", user] if user else []
        command += ["-p", str(port)] if port else []
        try:
            done = subprocess.run(  # noqa: S603 - no shell, and what follows `--` is no option
                [*command, "--", host],
                capture_output=True,
                encoding="utf-8",
                errors="surrogateescape",
                check=False,
                timeout=_TIMEOUT_SECONDS,
                stdin=subprocess.DEVNULL,
            )
        except FileNotFoundError:
            raise CommandError("ssh_config is read by OpenSSH's own ssh, which is not installed here") from None
        except subprocess.TimeoutExpired:
            raise CommandError(f"ssh -G {host} does not end") from None
        if done.returncode != 0:
            raise CommandError(f"ssh cannot read its configuration for {host}: {done.stderr.strip()}")
        values: dict[str, list[str]] = {}
        for line in done.stdout.splitlines():
            option, _, value = line.partition(" ")
            values.setdefault(option, []).append(value)
        return Settings(values)
