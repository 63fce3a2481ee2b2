"""What a failure to reach a host or to log in means: the reason, and a sentence on which a person can act."""

import os
import socket
from typing import Final

import asyncssh

from rollcall.names import HostState, Reason
from rollcall.outputs import Exit
from rollcall.work import HostWork
from rollcall_runner.connection import CredentialsError, HostKeysError, Login, Patience, SilentHostError
from rollcall_runner.emitter import MAX_MESSAGE_LENGTH

_MAX_QUOTE_LENGTH: Final = 200


def failed(reason: Reason, message: str, exit_code: int | None = None) -> Exit:
    """The end of a host that did not succeed."""
    return Exit(HostState.FAILED, exit_code, reason, message[:MAX_MESSAGE_LENGTH])


def explain(error: Exception, host: HostWork, login: Login | None, patience: Patience) -> Exit:
    """The end of a host whose connection raised `error`; `login` is None when the credentials could not be read."""
    reason, message = _explain(error, host, login, patience)
    return failed(reason, message)


def _explain(error: Exception, host: HostWork, login: Login | None, patience: Patience) -> tuple[Reason, str]:
    where = f"{host.address}:{host.port}"
    match error:
        case CredentialsError():
            return Reason.AUTHENTICATION_FAILED, str(error)
        case HostKeysError():
            return Reason.HOST_KEY_MISMATCH, str(error)
        case asyncssh.PermissionDenied() | asyncssh.IllegalUserName():
            return Reason.AUTHENTICATION_FAILED, _refused(where, host.user, login)
        case asyncssh.DisconnectError() if "authentication" in error.reason.lower():
            return Reason.AUTHENTICATION_FAILED, f"{_refused(where, host.user, login)} ({quote(error.reason)})"
        case SilentHostError():
            return Reason.UNREACHABLE, f"{where} does not answer: no TCP connection in {patience.connect:g} s"
        case socket.gaierror():
            return Reason.UNREACHABLE, f"the name {host.address} cannot be resolved; check spec.address of the Host"
        case OSError():
            why = os.strerror(error.errno) if error.errno else quote(str(error))
            return Reason.UNREACHABLE, f"no connection to {where}: {why}"
        case asyncssh.ConnectionLost() if "Login timeout" in error.reason:
            return Reason.UNREACHABLE, (
                f"{where} accepts connections, but the SSH login was not done in {patience.login:g} s; "
                "check that an SSH server listens there and is not overloaded"
            )
        case asyncssh.ChannelOpenError():
            return Reason.UNREACHABLE, f"the host at {where} refuses to run a command: {quote(error.reason)}"
        case asyncssh.Error():
            return Reason.UNREACHABLE, f"no SSH connection to {where}: {quote(error.reason)}"
        case _:
            # Only the kind of an unforeseen error is told: its text might hold anything.
            return Reason.RUNNER_CRASHED, f"the runner could not work on {where}: {type(error).__name__}"


def _refused(where: str, user: str, login: Login | None) -> str:
    given = login.described if login else "credentials"
    return f"the host at {where} does not accept user {user} with the {given} of its credentials"


def quote(text: str) -> str:
    """Foreign words on one line, of bounded length, without control characters."""
    return "".join(character if character.isprintable() else " " for character in text)[:_MAX_QUOTE_LENGTH].strip()
