"""Every way to fail has a reason that a program can match on, and a sentence that helps a person."""

import errno
import os
import socket

import asyncssh
import pytest

from rollcall.names import HostState, Reason
from rollcall.work import HostWork
from rollcall_runner.connection import CredentialsError, Login, Patience, SilentHostError
from rollcall_runner.elevation import ElevationError
from rollcall_runner.failures import TimeLimit, cancelled, describe, explain, failed, output_limit, timed_out
from rollcall_runner.hostkeys import HostKeysError
from rollcall_runner.quoting import quote
from rollcall_runner.script import Stopped
from rollcall_runner.session import End

HOST = HostWork("web-1", "10.0.0.5", 22, "deploy", ("ssh-ed25519 AAAA", "ssh-rsa BBBB"), 0, 0)
PASSWORD_LOGIN = Login((), "hunter2")


@pytest.mark.parametrize(
    ("error", "reason", "words"),
    [
        (CredentialsError("the private key cannot be read"), Reason.AUTHENTICATION_FAILED, "cannot be read"),
        (HostKeysError("update spec.hostKeys"), Reason.HOST_KEY_MISMATCH, "spec.hostKeys"),
        (ElevationError("put it into sudoers"), Reason.PRIVILEGE_ESCALATION_FAILED, "put it into sudoers"),
        (asyncssh.KeyExchangeFailed("No matching encryption algorithm found"), Reason.UNREACHABLE, "encryption"),
        (
            asyncssh.PermissionDenied("Permission denied"),
            Reason.AUTHENTICATION_FAILED,
            "does not accept user deploy with the password",
        ),
        (asyncssh.IllegalUserName("no"), Reason.AUTHENTICATION_FAILED, "user deploy"),
        (
            asyncssh.ProtocolError("Too many authentication failures"),
            Reason.AUTHENTICATION_FAILED,
            "Too many authentication failures",
        ),
        (SilentHostError(), Reason.UNREACHABLE, "no TCP connection in 15 s"),
        (socket.gaierror(socket.EAI_NONAME, "Name or service not known"), Reason.UNREACHABLE, "cannot be resolved"),
        (ConnectionRefusedError(errno.ECONNREFUSED, "x"), Reason.UNREACHABLE, os.strerror(errno.ECONNREFUSED)),
        (OSError("Multiple exceptions: a, b"), Reason.UNREACHABLE, "Multiple exceptions"),
        (asyncssh.ConnectionLost("Login timeout expired"), Reason.UNREACHABLE, "not done in 30 s"),
        (asyncssh.ConnectionLost("Connection lost"), Reason.UNREACHABLE, "Connection lost"),
        (asyncssh.ChannelOpenError(1, "Session request failed"), Reason.UNREACHABLE, "refuses to run a command"),
        (RuntimeError("hunter2"), Reason.RUNNER_CRASHED, "RuntimeError"),
    ],
)
def test_an_error_has_a_reason_and_a_sentence(error: Exception, reason: Reason, words: str) -> None:
    exit_ = explain(error, HOST, PASSWORD_LOGIN, Patience())
    assert (exit_.state, exit_.reason) == (HostState.FAILED, reason)
    assert exit_.message is not None
    assert words in exit_.message
    assert "hunter2" not in exit_.message


@pytest.mark.parametrize(
    ("end", "state", "reason", "message"),
    [
        (End(exit_code=0), HostState.SUCCEEDED, None, None),
        (End(exit_code=3), HostState.FAILED, Reason.EXIT_CODE, "the script ended with exit code 3"),
        (End(exit_code=143), HostState.FAILED, Reason.EXIT_CODE, "the script ended with exit code 143"),
        (End(signal="SEGV"), HostState.FAILED, Reason.SIGNAL, "signal SEGV ended the script"),
        (
            End(),
            HostState.FAILED,
            Reason.UNREACHABLE,
            "the connection broke while the script ran; whether it goes on there is not known: "
            "look for it on the host before you run it again",
        ),
    ],
)
def test_the_end_of_a_script_is_the_end_of_its_host(
    end: End, state: HostState, reason: Reason | None, message: str | None
) -> None:
    exit_ = describe(end)
    assert (exit_.state, exit_.reason, exit_.message, exit_.exit_code) == (state, reason, message, end.exit_code)


@pytest.mark.parametrize("stopped", Stopped)
def test_only_a_cancellation_that_is_confirmed_has_succeeded(stopped: Stopped) -> None:
    exit_ = cancelled(stopped)
    expected = (HostState.CANCELLED, Reason.CANCELLED)
    if not stopped.confirmed:
        expected = (HostState.CANCEL_FAILED, Reason.CANCEL_FAILED)
    assert (exit_.state, exit_.reason) == expected
    assert stopped.sentence in str(exit_.message)
    limit = TimeLimit(12.5, 60, "executionTimeoutSeconds")
    assert timed_out(limit, stopped).reason is Reason.TIMEOUT
    assert stopped.sentence in str(timed_out(limit, stopped).message)
    assert "longer than 60 s (executionTimeoutSeconds)" in str(timed_out(limit, stopped).message)


def test_whoever_says_too_much_learns_the_limit() -> None:
    exit_ = output_limit(1_000, Stopped.GONE)
    assert (exit_.state, exit_.reason) == (HostState.FAILED, Reason.OUTPUT_LIMIT)
    assert "more than 1000 bytes" in str(exit_.message)
    assert "confirmed gone" in str(exit_.message)
    assert "has ended" in str(output_limit(1_000, None).message)


def test_exit_code_127_comes_with_its_usual_meaning() -> None:
    assert "was not found" in str(describe(End(exit_code=127)).message)


def test_foreign_words_cannot_break_a_line_or_flood() -> None:
    assert quote("bad\n\x1b[31mhost" + "x" * 1_000)[:13] == "bad  [31mhost"
    assert len(quote("x" * 1_000)) == 200
    assert len(str(failed(Reason.SIGNAL, "x" * 5_000).message)) == 1_000
