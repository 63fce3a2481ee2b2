"""All hosts of a work, so many at a time as it allows, until they are done or the runner is told to stop."""

import asyncio
from collections.abc import Iterator

from rollcall.outputs import Exit
from rollcall.work import HostWork, Work
from rollcall_runner.connection import Logins, Patience
from rollcall_runner.emitter import Emitter
from rollcall_runner.host import NOT_STARTED, Means, run_host
from rollcall_runner.lines import LineWriter


async def run_fleet(work: Work, writer: LineWriter, stop: asyncio.Event, patience: Patience) -> list[Exit]:
    """Runs every host and returns how each ended, in the order of their ends.

    When `stop` is set, hosts that wait end as cancelled at once, and scripts that run are stopped.
    """
    means = Means(Logins(work.credentials), writer, stop, work.execution_timeout_seconds, patience)
    waiting = iter(work.hosts)
    exits: list[Exit] = []

    def emitter(host: HostWork) -> Emitter:
        return Emitter(host.name, writer.write, work.output_limit_bytes)

    async def take_hosts(hosts: Iterator[HostWork]) -> None:
        # The workers share the iterator; whoever is free takes the next host.
        for host in hosts:
            exits.append(await run_host(host, work.scripts[host.script], emitter(host), means))

    async def cancel_waiting() -> None:
        await stop.wait()
        for host in waiting:
            emitter(host).end(NOT_STARTED)
            exits.append(NOT_STARTED)

    async with asyncio.TaskGroup() as group:
        canceller = group.create_task(cancel_waiting())
        async with asyncio.TaskGroup() as workers:
            for _ in range(min(work.parallelism, len(work.hosts))):
                workers.create_task(take_hosts(waiting))
        canceller.cancel()
    return exits
