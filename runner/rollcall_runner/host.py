"""The work on one host, from the first event to the last."""

from dataclasses import dataclass, replace
from typing import Final

from rollcall.names import HostState, Reason
from rollcall.outputs import Exit
from rollcall.work import HostWork, Work
from rollcall_runner.attending import attend
from rollcall_runner.connection import Login, Logins, Patience, close, connect
from rollcall_runner.elevation import Elevation
from rollcall_runner.emitter import Emitter
from rollcall_runner.failures import TimeLimit, explain, listed, lost
from rollcall_runner.hostkeys import HostKeys, unchecked
from rollcall_runner.jumps import JumpHosts
from rollcall_runner.lines import LineWriter
from rollcall_runner.orders import HostStop, StopRequestedError, unless
from rollcall_runner.remote import RemoteScript
from rollcall_runner.script import Launch
from rollcall_runner.session import Shell, window_bytes
from rollcall_runner.steps import run_scripts

NOT_STARTED: Final = Exit(HostState.CANCELLED, None, Reason.CANCELLED, "cancelled; the script was not started")


@dataclass(frozen=True, slots=True)
class Means:
    """What all hosts of a work share."""

    work: Work
    logins: Logins
    host_keys: HostKeys
    jump_hosts: JumpHosts
    writer: LineWriter
    patience: Patience


async def run_host(host: HostWork, emitter: Emitter, stop: HostStop, means: Means) -> Exit:
    """Runs the host's script, emits all its events, and returns what the last one says."""
    start_time = emitter.now()
    way = means.work.way(host)
    emitter.debug(f"Connecting to {host.where} as {host.user}{f' over {listed(way)}' if way else ''}")
    for name in unchecked((*way, host)):
        emitter.debug(f"The host key of {name} is not checked (hostKeyPolicy: Ignore)")
    login: Login | None = None
    try:
        login = await unless(stop.asked, means.logins.get(host.credentials))
        exit_ = await _connect_and_run(host, login, emitter, stop, means)
    except StopRequestedError:
        exit_ = NOT_STARTED
    except Exception as error:  # whatever happens to one host, the others must have their results
        exit_ = explain(error, host, login, means.patience, way)
    exit_ = lost(exit_, way, means.jump_hosts.broken(host))
    exit_ = replace(exit_, start_time=start_time, accepted_keys=means.host_keys.accepted((*way, host)))
    emitter.end(exit_)
    return exit_


async def _connect_and_run(host: HostWork, login: Login, emitter: Emitter, stop: HostStop, means: Means) -> Exit:
    work = means.work
    elevation = Elevation.of(host.user, work.effective_user, work.credentials[host.credentials])
    over = await unless(stop.asked, means.jump_hosts.to(host))
    connection = await unless(stop.asked, connect(host, login, means.patience, means.host_keys, over))
    try:
        for accepted in means.host_keys.accepted((*work.way(host), host)):
            emitter.debug(f"No host key was known for {accepted.host}: accepted {accepted.key}")
        if elevation is not None:
            emitter.debug(f"Becoming {elevation.user.name} by {elevation.program}")
        seconds, window = means.patience.elevation, window_bytes(min(work.parallelism, len(work.hosts)))
        shell = Shell(connection, elevation, seconds=seconds, window=window, tell=emitter.debug)

        async def run(script: str, limit: TimeLimit) -> Exit:
            remote = RemoteScript.start(shell, Launch.of(script), emitter, means.writer, tty=work.tty)
            return await attend(await unless(stop.asked, remote), emitter, stop, work, limit)

        return await run_scripts(host, work, emitter, run)
    finally:
        await close(connection)
