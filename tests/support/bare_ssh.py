"""What a runner is measured against: asyncssh in a bare loop that connects, runs a command, and forgets what it says.

A process of its own, as the runner is. It reads its order from stdin as JSON and prints how many seconds it took.
"""

import asyncio
import json
import sys
import time
from collections.abc import Sequence
from typing import Any

import asyncssh


async def _session(host: dict[str, str], user: str, key: asyncssh.SSHKey, command: str) -> None:
    host_key = asyncssh.import_public_key(host["hostKey"])
    async with asyncssh.connect(
        host["address"],
        username=user,
        client_keys=[key],
        known_hosts=([host_key], [], []),
        config=None,
        agent_path=None,
    ) as connection:
        await connection.run(command, check=True)


async def _run(hosts: Sequence[dict[str, str]], user: str, key: str, command: str, parallelism: int) -> float:
    """The seconds that a session with each of the hosts took, so many at a time."""
    imported = asyncssh.import_private_key(key)
    waiting = iter(hosts)

    async def work() -> None:
        for host in waiting:
            await _session(host, user, imported, command)

    began = time.monotonic()
    async with asyncio.TaskGroup() as group:
        for _ in range(parallelism):
            group.create_task(work())
    return time.monotonic() - began


if __name__ == "__main__":
    order: dict[str, Any] = json.load(sys.stdin)
    print(asyncio.run(_run(**order)))
