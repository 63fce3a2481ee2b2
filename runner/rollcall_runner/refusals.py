"""Why a program did not make one user another, read from what it said; and what a person can do about it."""

import re
from dataclasses import dataclass
from enum import Enum, auto
from typing import Final

from rollcall.work import BecomeMethod, EffectiveUser
from rollcall_runner.quoting import quote


class Trouble(Enum):
    """What kept a login user from becoming another."""

    NOT_INSTALLED = auto()
    UNKNOWN_USER = auto()
    TERMINAL = auto()
    NOT_ALLOWED = auto()
    NO_PASSWORD = auto()
    WRONG_PASSWORD = auto()
    UNUSABLE_ACCOUNT = auto()
    OTHER = auto()


_TELLTALES: Final = (
    (Trouble.NOT_INSTALLED, r"^rollcall: \w+: not found$"),
    (Trouble.TERMINAL, r"have a tty|tty is required|from a terminal|must be a tty|a terminal is required"),
    (Trouble.UNKNOWN_USER, r"unknown (?:user|login|id)|no passwd entry|user .*(?:does not exist|not found)"),
    (
        Trouble.NOT_ALLOWED,
        r"not in the sudoers|not allowed to|may not run|not permitted|permission denied|can't do that",
    ),
    (Trouble.NO_PASSWORD, r"password is required|(?:authentication|authorization) required"),
    (Trouble.UNUSABLE_ACCOUNT, r"account .*(?:not available|expired|locked)|has expired|no longer valid"),
)
"""What the programs say, in English, in the order in which it counts."""

_MAX_LINE_LENGTH: Final = 500


@dataclass(frozen=True, slots=True)
class Refusal:
    """What kept a login user from becoming another, and the program's own words."""

    trouble: Trouble
    how: str
    """What happened, in words that can follow 'it': used when the trouble is none of the known."""
    said: str
    """One line of what the program said, or nothing."""

    def message(self, login: str, user: EffectiveUser, program: str) -> str:
        """A sentence on which a person can act."""
        why, advice = self._explain(login, user, program)
        said = f" ({program} said: {self.said})" if self.said else ""
        return f"user {login} could not become user {user.name} by {program}: {why}{said}; {advice}"

    def _explain(self, login: str, user: EffectiveUser, program: str) -> tuple[str, str]:
        match self.trouble:
            case Trouble.NOT_INSTALLED:
                return (
                    f"the host has no {program}, or it is not in the PATH of {login}",
                    "install it, or let the template name another method",
                )
            case Trouble.UNKNOWN_USER:
                return f"the host has no user {user.name}", "create it there, or name another effective user"
            case Trouble.TERMINAL:
                advice = "allow it one (PermitTTY in sshd_config)"
                if user.method in (BecomeMethod.SUDO, BecomeMethod.DZDO):
                    advice += f", or put `Defaults:{login} !requiretty` into the host's sudoers"
                return f"{program} insists on a terminal, and the SSH server gives {login} none", advice
            case Trouble.NOT_ALLOWED:
                return f"the host does not allow it to {login}", _permission(login, user)
            case Trouble.NO_PASSWORD:
                return f"{program} wants a password, and the credentials hold none for it", _no_password(login, user)
            case Trouble.WRONG_PASSWORD:
                return f"{program} does not accept the password", f"correct {_keys(user)} in the Secret with {_WHOSE}"
            case Trouble.UNUSABLE_ACCOUNT:
                return "an account cannot be used", "unlock or renew it there, or name another effective user"
            case Trouble.OTHER:
                return self.how, f"see whether {login} can do it there by hand"


_WHOSE: Final = "the credentials"


def _keys(user: EffectiveUser) -> str:
    if user.method is BecomeMethod.SU:
        return f"`become-password` (the password of {user.name})"
    return "`become-password`, or `password` where that is absent,"


def _no_password(login: str, user: EffectiveUser) -> str:
    add = f"add {_keys(user)} to the Secret with {_WHOSE}"
    match user.method:
        case BecomeMethod.SU:
            return add
        case BecomeMethod.DOAS:
            return f"{add} or put `permit nopass {login} as {user.name}` into the host's doas.conf"
        case _:
            return f"{add} or put `{login} ALL=({user.name}) NOPASSWD: /bin/sh` into the host's sudoers"


def _permission(login: str, user: EffectiveUser) -> str:
    match user.method:
        case BecomeMethod.SU:
            return f"let {login} use su there (often by the group `wheel`), or use another method"
        case BecomeMethod.DOAS:
            return f"put `permit {login} as {user.name}` into the host's doas.conf"
        case _:
            return f"put `{login} ALL=({user.name}) /bin/sh` into the host's sudoers, with visudo"


def read_refusal(heard: str, trouble: Trouble | None, how: str, *, answered: bool) -> Refusal:
    """The refusal in what a program said; `trouble` when it is known anyway, `answered` if a password was given."""
    lines = [line.strip()[:_MAX_LINE_LENGTH] for line in heard.splitlines() if line.strip()]
    for known, telltale in _TELLTALES:
        said = next((line for line in lines if re.search(telltale, line, re.IGNORECASE)), None)
        if said is not None and trouble in (None, known):
            return Refusal(known, how, "" if known is Trouble.NOT_INSTALLED else quote(said))
    if trouble is None:
        trouble = Trouble.WRONG_PASSWORD if answered else Trouble.OTHER
    return Refusal(trouble, how, quote(lines[-1]) if lines else "")
