"""Becoming another user is asked for in words that every login shell leaves alone, and the answers are understood."""

import re
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rollcall.outputs import Stream
from rollcall.work import BecomeMethod, Credentials, EffectiveUser
from rollcall_runner.connection import read_login
from rollcall_runner.elevation import Attempt, Conversation, Elevation, ElevationError
from rollcall_runner.refusals import Trouble, read_refusal

ROOT = EffectiveUser("root", BecomeMethod.SUDO)


def elevation(method: BecomeMethod, password: str | None = None, name: str = "root") -> Elevation:
    return Elevation("deploy", EffectiveUser(name, method), password)


@pytest.mark.parametrize("method", BecomeMethod)
@pytest.mark.parametrize("password", [None, "hunter2"])
@pytest.mark.parametrize("terminal", [False, True])
def test_no_login_shell_changes_the_request_and_no_password_is_in_it(
    method: BecomeMethod, password: str | None, terminal: bool
) -> None:
    request = elevation(method, password, "DOMAIN\\svc-web.1@corp$").attempt(terminal=terminal).request
    assert "hunter2" not in request
    exec_, *arguments, end = request.split("'")
    assert (exec_, end) == ("exec sh -c ", "")
    assert len(arguments) == 7
    for argument in (*arguments[:4:2], arguments[6]):
        assert not set("!\\\n") & set(argument)
        assert argument.isascii()
    assert arguments[4] == "DOMAIN\\svc-web.1@corp$"


def test_no_password_is_in_a_text_form() -> None:
    found = elevation(BecomeMethod.SUDO, "hunter2")
    assert "hunter2" not in f"{found}{found.attempt(terminal=False)}{read_login(Credentials(password='hunter2'))}"


def test_no_two_attempts_have_a_word_in_common() -> None:
    attempts = [elevation(BecomeMethod.SUDO, "p").attempt(terminal=False) for _ in range(100)]
    assert len({attempt.marker for attempt in attempts} | {attempt.question for attempt in attempts}) == 200


@pytest.mark.parametrize(
    ("credentials", "method", "expected"),
    [
        (Credentials(), BecomeMethod.SUDO, None),
        (Credentials(password="own"), BecomeMethod.SUDO, "own"),
        (Credentials(password="own"), BecomeMethod.DZDO, "own"),
        (Credentials(password="own"), BecomeMethod.DOAS, "own"),
        (Credentials(password="own"), BecomeMethod.SU, None),
        (Credentials(password="own", become_password="other"), BecomeMethod.SUDO, "other"),
        (Credentials(password="own", become_password="other"), BecomeMethod.SU, "other"),
        (Credentials(become_password="with a line end\r\n"), BecomeMethod.SU, "with a line end"),
        (Credentials(password="own", become_password=""), BecomeMethod.SUDO, "own"),
    ],
)
def test_the_password_is_the_one_that_the_program_asks_for(
    credentials: Credentials, method: BecomeMethod, expected: str | None
) -> None:
    found = Elevation.of("deploy", EffectiveUser("root", method), credentials)
    assert found is not None
    assert found.password == expected


def test_a_user_is_not_to_become_what_they_are() -> None:
    assert Elevation.of("root", ROOT, Credentials()) is None
    assert Elevation.of("root", None, Credentials()) is None


@pytest.mark.parametrize("name", ["", "-r", "a b", "a'b", "$(id)", "a\\", "a;b", "a\nb", "ä"])
def test_what_cannot_be_a_user_is_refused(name: str) -> None:
    with pytest.raises(ElevationError, match="cannot be the name of a user"):
        Elevation.of("deploy", EffectiveUser(name, BecomeMethod.SUDO), Credentials())


@pytest.mark.parametrize("password", ["a\nb", "a\rb", "a\0b"])
def test_a_password_that_cannot_be_typed_is_refused_without_being_shown(password: str) -> None:
    with pytest.raises(ElevationError, match="line break") as caught:
        Elevation.of("deploy", ROOT, Credentials(become_password=f"hunter2{password}"))
    assert "hunter2" not in str(caught.value)


def converse(
    attempt: Attempt, said: list[tuple[Stream, bytes]]
) -> tuple[Conversation, dict[Stream, bytes], list[bytes]]:
    conversation = Conversation(attempt)
    output = {Stream.STDOUT: b"", Stream.STDERR: b""}
    answers = []
    for stream, data in said:
        got, answer = conversation.hear(stream, data)
        output[stream] += got
        answers += [answer] if answer else []
    return conversation, output, answers


def torn(stream: Stream, data: bytes, cuts: list[int]) -> list[tuple[Stream, bytes]]:
    bounds = sorted({0, len(data), *(cut % (len(data) + 1) for cut in cuts)})
    return [(stream, data[start:end]) for start, end in pairwise(bounds)]


@given(
    st.booleans(),
    st.lists(st.integers(0, 500), max_size=8),
    st.sampled_from(("own", "Password: ", "\rdoas (x@y) password: ")),
)
def test_however_it_is_torn_only_what_follows_the_marker_is_output(terminal: bool, cuts: list[int], asked: str) -> None:
    attempt = elevation(BecomeMethod.SUDO, "hunter2").attempt(terminal=terminal)
    question = attempt.question if asked == "own" else asked.encode()
    marker = attempt.marker + b"\n"
    asking = Stream.STDOUT if terminal else Stream.STDERR
    said = torn(asking, b"A lecture: be careful.\n" + question, cuts)
    said += torn(asking, b"\n" + marker + b"later", cuts)
    if not terminal:
        said += torn(Stream.STDOUT, b"a login shell's motto\n" + marker + b"hello", cuts)
    conversation, output, answers = converse(attempt, said)
    assert conversation.ready
    assert conversation.refusal is None
    assert answers == [b"hunter2\n"]
    assert output[asking] == b"later"
    if not terminal:
        assert output[Stream.STDOUT] == b"hello"


@pytest.mark.parametrize(
    ("password", "said", "trouble", "quoted"),
    [
        ("hunter2", (b"%Q", b"Sorry, try again.\n", b"%Q"), Trouble.WRONG_PASSWORD, "Sorry, try again."),
        (None, (b"Password: ",), Trouble.NO_PASSWORD, "Password:"),
        (None, (b"sudo: a password is required\n",), Trouble.NO_PASSWORD, "sudo: a password is required"),
        ("hunter2", (b"Password: ", b"su: Authentication failure\n"), Trouble.WRONG_PASSWORD, "su: Authentication"),
        ("hunter2", (b"%Q", b"x is not in the sudoers file.\nbye\n"), Trouble.NOT_ALLOWED, "x is not in the sudoers"),
        ("hunter2", (b"Sorry, user x is not allowed to execute '/bin/sh'\n",), Trouble.NOT_ALLOWED, "Sorry, user x"),
        ("hunter2", (b"su: Permission denied\n",), Trouble.NOT_ALLOWED, "su: Permission denied"),
        (None, (b"doas: a tty is required\n",), Trouble.TERMINAL, "doas: a tty is required"),
        (None, (b"standard in must be a tty\n",), Trouble.TERMINAL, "standard in must be a tty"),
        (None, (b"This account is currently not available.\n",), Trouble.UNUSABLE_ACCOUNT, "This account"),
        (None, (b"rollcall: sudo: not found\n",), Trouble.NOT_INSTALLED, ""),
        (None, (b"sudo: unable to resolve host h: no\n",), Trouble.OTHER, "sudo: unable to resolve host h: no"),
        (None, (), Trouble.OTHER, ""),
    ],
)  # fmt: skip
def test_a_refusal_is_read_from_what_is_said(
    password: str | None, said: tuple[bytes, ...], trouble: Trouble, quoted: str
) -> None:
    attempt = elevation(BecomeMethod.SUDO, password).attempt(terminal=False)
    heard = [(Stream.STDERR, part.replace(b"%Q", attempt.question)) for part in said]
    conversation, _, answers = converse(attempt, heard)
    conversation.end("it ended with exit code 1")
    assert conversation.refusal is not None
    assert conversation.refusal.trouble is trouble
    assert conversation.refusal.said.startswith(quoted)
    assert bool(conversation.refusal.said) == bool(quoted)
    assert len(answers) <= 1


@pytest.mark.parametrize("method", BecomeMethod)
@pytest.mark.parametrize("trouble", Trouble)
def test_every_refusal_says_who_what_why_and_what_to_do(method: BecomeMethod, trouble: Trouble) -> None:
    refusal = read_refusal("so it said", trouble, "it ended with exit code 1", answered=False)
    message = str(elevation(method).error(refusal))
    assert message.startswith(f"user deploy could not become user root by {method.value.lower()}: ")
    assert re.search(r" said: so it said\); \w", message)


def test_what_is_said_is_quoted_within_bounds() -> None:
    attempt = elevation(BecomeMethod.SUDO, "hunter2").attempt(terminal=False)
    conversation, _, _ = converse(attempt, [(Stream.STDERR, b"\x1b[31mhunter2 " + b"x" * 100_000)])
    conversation.end("it ended with exit code 1")
    assert conversation.refusal is not None
    assert len(conversation.refusal.said) <= 200
    assert "hunter2" not in conversation.refusal.said


def test_only_who_may_succeed_at_a_terminal_tries_again() -> None:
    def refusal(trouble: Trouble) -> bool:
        return elevation(method, password).wants_terminal(read_refusal("", trouble, "", answered=False))

    for method in BecomeMethod:
        for password in (None, "hunter2"):
            assert refusal(Trouble.TERMINAL)
            assert refusal(Trouble.NO_PASSWORD) == (method is BecomeMethod.DOAS and password is not None)
            assert not refusal(Trouble.WRONG_PASSWORD)
            assert not refusal(Trouble.NOT_ALLOWED)
