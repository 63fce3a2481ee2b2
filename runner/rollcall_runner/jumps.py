"""The way over jump hosts: one connection to each, which all hosts behind it share.

A connection to a jump host is made when the first host needs it, and made once: what went wrong counts for all hosts
behind it, so that a wrong password is not tried for each of them. The connection to a host behind it is a connection
like any other, whose bytes go through a channel of the jump host's. It holds no session there (MaxSessions in OpenSSH's
sshd_config does not count it), and needs nothing of the jump host but that it forwards TCP connections.
"""

import asyncio

import asyncssh

from rollcall.work import HostWork, JumpHost, Work
from rollcall_runner.connection import Login, Logins, Patience, close, connect
from rollcall_runner.hostkeys import HostKeys


class JumpHostError(Exception):
    """There is no connection to a jump host."""

    def __init__(self, jump: JumpHost, cause: Exception, login: Login | None) -> None:
        super().__init__(jump.name)
        self.jump = jump
        self.cause = cause
        self.login = login
        """None when its credentials could not be read."""


class JumpHosts:
    """The connections to the jump hosts of a work."""

    def __init__(self, work: Work, logins: Logins, host_keys: HostKeys, patience: Patience) -> None:
        self._work = work
        self._logins = logins
        self._host_keys = host_keys
        self._patience = patience
        self._connecting: dict[int, asyncio.Task[asyncssh.SSHClientConnection]] = {}

    async def to(self, host: HostWork | JumpHost) -> asyncssh.SSHClientConnection | None:
        """The connection over which a host is reached; None for one that is reached directly. Raises JumpHostError."""
        if host.via is None:
            return None
        if host.via not in self._connecting:
            self._connecting[host.via] = asyncio.create_task(self._connect(self._work.jump_hosts[host.via]))
        # Shielded, because other hosts wait for the same one.
        return await asyncio.shield(self._connecting[host.via])

    def broken(self, host: HostWork) -> JumpHost | None:
        """The first jump host on the way to a host whose connection has broken."""
        for jump in self._work.way(host):
            task = self._connecting.get(self._work.jump_hosts.index(jump))
            if task is not None and _succeeded(task) and task.result().is_closed():
                return jump
        return None

    async def close(self) -> None:
        """Ends all connections, those behind others first."""
        for _, task in sorted(self._connecting.items(), reverse=True):
            task.cancel()
            await asyncio.wait({task})
            if _succeeded(task):
                await close(task.result())

    async def _connect(self, jump: JumpHost) -> asyncssh.SSHClientConnection:
        login: Login | None = None
        try:
            over = await self.to(jump)
            login = await self._logins.get(jump.credentials)
            return await connect(jump, login, self._patience, self._host_keys, over)
        except JumpHostError:
            raise
        except Exception as error:
            raise JumpHostError(jump, error, login) from error


def _succeeded(task: asyncio.Task[asyncssh.SSHClientConnection]) -> bool:
    return task.done() and not task.cancelled() and task.exception() is None
