"""The processes of one playbook's run: started, listened to, stopped.

ansible-playbook's workers leave its session, and ssh leaves connections open behind it. All of them inherit one
variable of its environment, by whose value they are found and ended, whoever their parent is by then.
"""

import asyncio
import json
import os
import signal
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any, Final
from uuid import uuid4

from rollcall.playbook import PlaybookWork
from rollcall_runner.playbook_files import Files
from rollcall_runner.playbook_process import Order

MARK: Final = "ROLLCALL_RUN"
MAX_EVENT_BYTES: Final = 1 << 26
KILLED_SECONDS: Final = 10.0
"""How long a killed run may take to be gone."""


class PlaybookRun:
    """One ansible-playbook and all that belongs to it."""

    def __init__(self, files: Files, playbook: PlaybookWork) -> None:
        self._files = files
        self._playbook = playbook
        self._mark = uuid4().hex
        self._process: asyncio.subprocess.Process | None = None

    async def start(self) -> None:
        """Starts it. Raises OSError."""
        # Its own session, so that a signal for the runner does not reach it by chance.
        self._process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            "rollcall_runner.playbook_process",
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.DEVNULL,
            start_new_session=True,
            limit=MAX_EVENT_BYTES,
        )
        assert self._process.stdin is not None
        self._process.stdin.write(self._order().dump())
        with suppress(ConnectionError):
            await self._process.stdin.drain()
        self._process.stdin.close()

    def _order(self) -> Order:
        files, playbook = self._files, self._playbook
        flags = {"--check": playbook.check, "--diff": playbook.diff}
        environment = files.environment()
        environment["PATH"] = os.pathsep.join((str(Path(sys.executable).parent), environment["PATH"]))
        return Order(
            folder=str(files.folder),
            project=str(files.project),
            playbook=files.playbook,
            inventory=str(files.inventory),
            pid_file=str(files.pid_file),
            forks=playbook.forks,
            verbosity=playbook.verbosity,
            tags=",".join(playbook.tags),
            skip_tags=",".join(playbook.skip_tags),
            options=tuple(flag for flag, given in flags.items() if given),
            environment={**environment, MARK: self._mark},
        )

    async def events(self) -> AsyncIterator[dict[str, Any]]:
        """The events, until there are no more."""
        assert self._process is not None
        assert self._process.stdout is not None
        while line := await self._process.stdout.readline():
            with suppress(ValueError):
                yield json.loads(line)

    async def stop(self, grace_seconds: float, forced: asyncio.Event) -> None:
        """Tells ansible-playbook to end, and kills what is left after the grace; no grace once it is forced."""
        assert self._process is not None
        with suppress(OSError, ValueError):
            os.kill(int(self._files.pid_file.read_text()), signal.SIGTERM)
            ended = asyncio.ensure_future(self._process.wait())
            hurry = asyncio.ensure_future(forced.wait())
            await asyncio.wait({ended, hurry}, timeout=grace_seconds, return_when=asyncio.FIRST_COMPLETED)
            hurry.cancel()
            ended.cancel()
        self._signal_all(signal.SIGKILL)
        with suppress(TimeoutError):
            await asyncio.wait_for(self._process.wait(), KILLED_SECONDS)
        await self.finish()

    async def finish(self) -> None:
        """Leaves no process behind."""
        assert self._process is not None
        self._signal_all(signal.SIGKILL)
        if self._process.returncode is None:
            with suppress(ProcessLookupError):
                self._process.kill()
        await self._process.wait()

    def _signal_all(self, number: signal.Signals) -> None:
        for pid in self._members():
            with suppress(ProcessLookupError, PermissionError):
                os.kill(pid, number)

    def _members(self) -> Iterator[int]:
        """The processes that carry the mark, and ssh's connections, which show their socket in its place."""
        mark, sockets = f"{MARK}={self._mark}".encode(), f"ssh: {self._files.control}/".encode()
        for entry in Path("/proc").iterdir():
            if entry.name.isdigit():
                with suppress(OSError):
                    shown = (entry / "cmdline").read_bytes().startswith(sockets)
                    if shown or mark in (entry / "environ").read_bytes().split(b"\0"):
                        yield int(entry.name)
