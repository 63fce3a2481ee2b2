"""How a host ended: the state, the reason, and a sentence that says what happened and what a person can do."""

import os
import socket
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final

import asyncssh

from rollcall.names import HostState, Reason
from rollcall.outputs import Exit
from rollcall.work import HostWork, JumpHost
from rollcall_runner.connection import (
    CredentialsError,
    ForwardingError,
    Login,
    Patience,
    SilentHostError,
    UnansweredError,
)
from rollcall_runner.elevation import ElevationError
from rollcall_runner.emitter import MAX_MESSAGE_LENGTH
from rollcall_runner.hostkeys import Destination, HostKeysError
from rollcall_runner.jumps import JumpHostError
from rollcall_runner.quoting import quote
from rollcall_runner.script import Stopped
from rollcall_runner.session import End, TerminalError

_CHECK_ADDRESS: Final = "check spec.address and spec.port of the Host, and what is between it and the runner pods"
_EXIT_CODE_HINTS: Final = {
    126: "; by convention: it could not be executed, see its output",
    127: "; by convention: a command or the interpreter in its #! line was not found, see its output",
}


def failed(reason: Reason, message: str, exit_code: int | None = None) -> Exit:
    """The end of a host that did not succeed."""
    return Exit(HostState.FAILED, exit_code, reason, message[:MAX_MESSAGE_LENGTH])


def describe(end: End) -> Exit:
    """The result of a script that ended in this way."""
    if end.signal is not None:
        hint = "; if nobody sent it, the host's memory ran out: see its kernel log" if end.signal == "KILL" else ""
        return failed(Reason.SIGNAL, f"signal {end.signal} ended the script{hint}")
    if end.exit_code is None:
        return failed(
            Reason.UNREACHABLE,
            "the connection broke while the script ran; whether it goes on there is not known: "
            "look for it on the host before you run it again",
        )
    if end.exit_code == 0:
        return Exit(HostState.SUCCEEDED, 0)
    hint = _EXIT_CODE_HINTS.get(end.exit_code, "")
    return failed(Reason.EXIT_CODE, f"the script ended with exit code {end.exit_code}{hint}", end.exit_code)


@dataclass(frozen=True, slots=True)
class TimeLimit:
    """How long a script may run."""

    seconds: float
    """What is left of it."""
    whole: int
    """What the template or the invocation says."""
    field: str
    """The field that says so."""


def timed_out(limit: TimeLimit, stopped: Stopped) -> Exit:
    """The end of a host whose script took too long."""
    return failed(
        Reason.TIMEOUT,
        f"the script ran longer than {limit.whole} s ({limit.field}) and was told to end; {stopped.sentence}",
    )


def output_limit(limit: int, stopped: Stopped | None) -> Exit:
    """The end of a host that said too much; `stopped` is None when its script had ended by then."""
    what = f"was told to end; {stopped.sentence}" if stopped else "has ended; what it said beyond that is lost"
    return failed(
        Reason.OUTPUT_LIMIT,
        f"the script said more than {limit} bytes, the most that the invocation allows a host, and {what}",
    )


def cancelled(stopped: Stopped) -> Exit:
    """The end of a host whose script was stopped on request."""
    message = f"cancelled; the script was told to end; {stopped.sentence}"
    if stopped.confirmed:
        return Exit(HostState.CANCELLED, None, Reason.CANCELLED, message)
    return Exit(HostState.CANCEL_FAILED, None, Reason.CANCEL_FAILED, message)


def explain(
    error: Exception, host: HostWork, login: Login | None, patience: Patience, way: Sequence[JumpHost] = ()
) -> Exit:
    """The end of a host whose connection over the jump hosts of `way` raised `error`; `login` is None when the
    credentials could not be read."""
    if isinstance(error, JumpHostError):
        before = way[way.index(error.jump) - 1] if error.jump in way[1:] else None
        reason, message = _explain(error.cause, error.jump, error.login, patience, before)
        return failed(reason, f"on the way, at the jump host {error.jump.name}: {message}")
    return failed(*_explain(error, host, login, patience, way[-1] if way else None))


def lost(exit_: Exit, way: Sequence[JumpHost], broken: JumpHost | None) -> Exit:
    """The end of a host that could not be reached over these jump hosts, of which the connection to one broke."""
    if exit_.reason is not Reason.UNREACHABLE or not way:
        return exit_
    if broken is not None:
        why = f"the connection to the jump host {broken.name} at {broken.where} broke"
    else:
        why = f"on the way over {listed(way)}"
    return replace(exit_, message=f"{exit_.message} ({why})"[:MAX_MESSAGE_LENGTH])


def listed(way: Sequence[JumpHost]) -> str:
    """The jump hosts in words."""
    return f"the jump host{'s' if len(way) > 1 else ''} {' and '.join(jump.name for jump in way)}"


def _explain(
    error: Exception, host: Destination, login: Login | None, patience: Patience, before: JumpHost | None
) -> tuple[Reason, str]:
    """`before` is the jump host from which the host is connected to."""
    where = host.where
    if isinstance(error, ForwardingError) and before is not None:
        return Reason.UNREACHABLE, (
            f"the jump host {before.name} opens no connection to {where}: {quote(str(error))}; check spec.address and "
            "spec.port of the Host, what is between the two, and that the sshd_config of the jump host allows it "
            "(AllowTcpForwarding, PermitOpen)"
        )
    match error:
        case CredentialsError():
            return Reason.AUTHENTICATION_FAILED, str(error)
        case HostKeysError():
            return Reason.HOST_KEY_MISMATCH, str(error)
        case ElevationError():
            return Reason.PRIVILEGE_ESCALATION_FAILED, str(error)
        case UnansweredError():
            return Reason.AUTHENTICATION_FAILED, f"{_refused(where, host.user, login)} (it wants {error})"
        case asyncssh.PermissionDenied() | asyncssh.IllegalUserName():
            return Reason.AUTHENTICATION_FAILED, _refused(where, host.user, login)
        case asyncssh.DisconnectError() if "authentication" in error.reason.lower():
            return Reason.AUTHENTICATION_FAILED, f"{_refused(where, host.user, login)} ({quote(error.reason)})"
        case _:
            return _unreachable(error, where, host, patience)


def _unreachable(error: Exception, where: str, host: Destination, patience: Patience) -> tuple[Reason, str]:
    match error:
        case SilentHostError():
            message = f"{where} does not answer: no TCP connection in {patience.connect:g} s; {_CHECK_ADDRESS}"
        case socket.gaierror():
            message = (
                f"the name {host.address} cannot be resolved; check spec.address of the Host, and the cluster's DNS"
            )
        case OSError():
            why = os.strerror(error.errno) if error.errno else quote(str(error))
            message = f"no connection to {where}: {why}; {_CHECK_ADDRESS}"
        case asyncssh.ConnectionLost() if "Login timeout" in error.reason:
            message = (
                f"{where} accepts connections, but the SSH login was not done in {patience.login:g} s; "
                "check that an SSH server listens there and is not overloaded"
            )
        case asyncssh.ChannelOpenError() if "PTY" in error.reason:
            message = (
                f"the host at {where} gives {host.user} no terminal, which the template wants (ssh.tty); check what "
                "its sshd_config and authorized_keys allow (PermitTTY, no-pty)"
            )
        case TerminalError():
            message = (
                f"the terminal of the host at {where}, which the template wants (ssh.tty), is of no use: it {error}; "
                "is `stty` installed there?"
            )
        case asyncssh.ChannelOpenError():
            message = (
                f"the host at {where} refuses to run a command: {quote(error.reason)}; "
                f"check what its sshd_config allows {host.user} (MaxSessions, ForceCommand, the login shell)"
            )
        case asyncssh.Error():
            message = (
                f"no SSH connection to {where}: {quote(error.reason)}; see whether `ssh -p {host.port} "
                f"{host.user}@{host.address}` works from a pod"
            )
        case _:
            # Only the kind of an unforeseen error is told: its text might hold anything.
            return Reason.RUNNER_CRASHED, (
                f"the runner could not work on {where}: {type(error).__name__}; this is a fault of Rollcall, "
                "please report it"
            )
    return Reason.UNREACHABLE, message


def _refused(where: str, user: str, login: Login | None) -> str:
    given = login.described if login else "credentials"
    return (
        f"the host at {where} does not accept user {user} with the {given} of its credentials; check the user, the "
        "Secret, and what the host's sshd_config and authorized_keys allow"
    )
