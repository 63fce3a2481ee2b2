"""How a login user becomes another one: a shell of that user first, and only then the script.

The program that makes one user another (sudo, su, doas, dzdo) is asked for nothing but `/bin/sh` with a short text.
That shell says a random word, the *marker*, and then reads the line of shell text that it is to carry out, a launcher
or a stopper, from the same session. So the script's private directory, its process and the process that stops it all
belong to the effective user, and the program's log shows no script.

Until the marker comes, what is said on the session is the program's, and none of it is output. The program may ask for
a password, once: the answer goes to its stdin, never into an argument or the environment. Being asked again means that
the password was wrong; the runner does not try until an account is locked. Being asked for what it does not have, or
hearing nothing, ends the attempt too.

The first attempt is without a terminal. Some programs insist on one: doas where it needs a password, sudo with
`requiretty`, su of some systems. They get one in a second attempt, with echo, line editing and the translation of line
ends switched off. A script at a terminal has only one stream, so that its stderr is shown as stdout, and its programs
may see that they write to a terminal. sudo ends by the signal that ended the script; su and doas end with exit code 128
and the signal's number, as shells do, and say `Terminated` or the like.

dzdo takes sudo's options and says what sudo says. Messages of programs are asked for in English; the script finds its
locale unchanged, and begins in the effective user's home directory, or in `/` where that cannot be entered.
"""

import re
import secrets
from dataclasses import dataclass, field
from typing import Final

from rollcall.outputs import Stream
from rollcall.work import BecomeMethod, Credentials, EffectiveUser
from rollcall_runner.masking import Mask
from rollcall_runner.refusals import Refusal, Trouble, read_refusal

_USER: Final = re.compile(r"[A-Za-z0-9_](?:[A-Za-z0-9_.@\\-]*[A-Za-z0-9_.@-])?\$?")
"""What every login shell leaves alone within single quotes."""
_PASSWORD: Final = re.compile(rb"(?i)pass(?:word|code|phrase)")
"""What a question has in it, where it is not the runner's own."""
_MAX_QUESTION_BYTES: Final = 500
_MAX_HEARD_BYTES: Final = 16_384
_PROGRAMS: Final = {
    BecomeMethod.SUDO: "sudo",
    BecomeMethod.SU: "su",
    BecomeMethod.DOAS: "doas",
    BecomeMethod.DZDO: "dzdo",
}

_FIND: Final = (
    'command -v {program} >/dev/null || {{ echo "rollcall: {program}: not found" >&2; exit 127; }}'
    "; old=$LC_ALL; LC_ALL=C; export LC_ALL; exec "
)
_SUDO: Final = '{program} {how} -u "$1" -- /bin/sh -c "$0" rollcall "$old"'
_DOAS: Final = '{program} {how} -u "$1" /bin/sh -c "$0" rollcall "$old"'
_SU: Final = '{program} -s /bin/sh -c "$0" - "$1"'
"""A login shell's environment, because without it root would have the PATH of the login user."""
_RESTORE: Final = 'if [ "$1" ]; then LC_ALL=$1; else unset LC_ALL; fi; cd >/dev/null 2>&1 || cd /; '
_READ: Final = 'IFS= read -r text && eval "$text"'
_RAW: Final = "stty raw -iexten -echo && "
"""Makes a terminal change and show nothing of what passes."""


class ElevationError(Exception):
    """The login user cannot become the effective one; the message says why, and what to do."""


@dataclass(frozen=True, slots=True)
class Attempt:
    """One try, with or without a terminal: the exec request, and what is expected before the shell is there."""

    request: str
    terminal: bool
    marker: bytes
    question: bytes | None
    """What the runner has the program ask for a password with; None where nobody asks for one."""
    password: str | None = field(repr=False)


def at_terminal() -> Attempt:
    """A shell of the login user at a terminal."""
    marker = f"rollcall-{secrets.token_hex(16)}"
    return Attempt(f"exec sh -c '{_RAW}echo {marker}; {_READ}'", True, marker.encode(), None, None)


@dataclass(frozen=True, slots=True)
class Elevation:
    """Who becomes whom, by which program, with which password."""

    login: str
    user: EffectiveUser
    password: str | None = field(repr=False)

    @classmethod
    def of(cls, login: str, user: EffectiveUser | None, credentials: Credentials) -> "Elevation | None":
        """The elevation that a host needs; None when its login user is the effective one. Raises ElevationError."""
        if user is None or user.name == login:
            return None
        if not _USER.fullmatch(user.name):
            raise ElevationError(f"the effective user {user.name!r} cannot be the name of a user; correct the template")
        password = credentials.become_password
        if not password and user.method is not BecomeMethod.SU:
            password = credentials.password
        password = (password or "").rstrip("\r\n") or None
        if password and set("\r\n\0") & set(password):
            raise ElevationError(
                f"the password to become {user.name} holds a line break, which nobody could type; correct "
                "`become-password` in the Secret with the credentials"
            )
        return cls(login, user, password)

    @property
    def program(self) -> str:
        """The program's name, as on the host."""
        return _PROGRAMS[self.user.method]

    def attempt(self, *, terminal: bool) -> Attempt:
        """A try with a marker and a question of its own."""
        marker, question = f"rollcall-{secrets.token_hex(16)}", f"rollcall-{secrets.token_hex(8)}:"
        say = f"{_RAW}echo {marker}; " if terminal else f"echo {marker}; echo {marker} >&2; "
        restore = "" if self.user.method is BecomeMethod.SU else _RESTORE
        request = f"exec sh -c '{self._become(terminal)}' '{restore}{say}{_READ}' '{self.user.name}' '{question}'"
        return Attempt(request, terminal, marker.encode(), question.encode(), self.password)

    def _become(self, terminal: bool) -> str:
        match self.user.method:
            case BecomeMethod.SUDO | BecomeMethod.DZDO:
                text, how = _SUDO, '-S -p "$2"' if self.password else "-n"
            case BecomeMethod.DOAS:
                # Only at a terminal would it ask.
                text, how = _DOAS, "" if terminal else "-n"
            case BecomeMethod.SU:
                text, how = _SU, ""
        return (_FIND + text).format(program=self.program, how=how)

    def wants_terminal(self, refusal: Refusal) -> bool:
        """Whether an attempt without a terminal that ended so may succeed with one."""
        return refusal.trouble is Trouble.TERMINAL or (
            self.user.method is BecomeMethod.DOAS
            and refusal.trouble is Trouble.NO_PASSWORD
            and self.password is not None
        )

    def error(self, refusal: Refusal) -> ElevationError:
        """The refusal in words."""
        return ElevationError(refusal.message(self.login, self.user, self.program))


class Conversation:
    """What is said on a session until the shell of the effective user is there, or is refused."""

    def __init__(self, attempt: Attempt) -> None:
        self._attempt = attempt
        self._marker = re.compile(re.escape(attempt.marker) + rb"\r?\n")
        self._heard = {Stream.STDOUT: bytearray(), Stream.STDERR: bytearray()}
        # At a terminal all arrives as stdout.
        self._awaited = {Stream.STDOUT} if attempt.terminal else {Stream.STDOUT, Stream.STDERR}
        self._answered = False
        self.refusal: Refusal | None = None

    @property
    def ready(self) -> bool:
        """Whether the shell is there."""
        return not self._awaited

    def hear(self, stream: Stream, data: bytes) -> tuple[bytes, bytes]:
        """Takes what is said; gives what is output already, and what to answer."""
        if stream not in self._awaited:
            return data, b""
        heard = self._heard[stream]
        heard += data
        if found := self._marker.search(heard):
            self._awaited.discard(stream)
            return bytes(heard[found.end() :]), b""
        answer = self._answer(heard)
        del heard[:-_MAX_HEARD_BYTES]
        return b"", answer

    def end(self, how: str, trouble: Trouble | None = None) -> None:
        """Notes that nothing more is waited for, in words such as 'it ended with exit code 1'."""
        self._refuse(trouble, how)

    def _answer(self, heard: bytearray) -> bytes:
        start = self._question(heard)
        if start < 0:
            return b""
        password = self._attempt.password
        if self._answered or password is None:
            self._refuse(Trouble.WRONG_PASSWORD if self._answered else Trouble.NO_PASSWORD, "it asked for a password")
            return b""
        self._answered = True
        heard[start:] = b"\n"
        return password.encode() + b"\n"

    def _question(self, heard: bytearray) -> int:
        """Where a question begins that waits for its answer; -1 if there is none."""
        if self._attempt.question is None:
            return -1
        line = max(heard.rfind(b"\n") + 1, len(heard) - _MAX_QUESTION_BYTES)
        last = heard[line:].rstrip(b" \t")
        if last.endswith(b":") and _PASSWORD.search(last):
            return line
        return heard.find(self._attempt.question)

    def _refuse(self, trouble: Trouble | None, how: str) -> None:
        if self.refusal is not None or self.ready:
            return
        heard = b"\n".join(self._heard.values()).replace(self._attempt.question or b"\0", b"")
        text = heard.decode(errors="replace").replace(self._attempt.marker.decode(), "")
        if self._attempt.password:
            text = Mask([self._attempt.password]).text(text)
        self.refusal = read_refusal(text, trouble, how, answered=self._answered)
