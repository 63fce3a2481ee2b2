"""All hosts of a work, so many at a time as it allows, until they are done or told to stop."""

import asyncio
from contextlib import suppress

from rollcall.outputs import Exit
from rollcall.work import HostWork, Work
from rollcall_runner.connection import Logins, Patience
from rollcall_runner.emitter import Emitter
from rollcall_runner.host import NOT_STARTED, Means, run_host
from rollcall_runner.hostkeys import HostKeys
from rollcall_runner.inpod import run_in_pod
from rollcall_runner.jumps import JumpHosts
from rollcall_runner.lines import LineWriter
from rollcall_runner.masking import Mask, secrets_of
from rollcall_runner.orders import HostStop, Orders


class _Fleet:
    """The hosts that wait, and the ends of the others."""

    def __init__(self, work: Work, writer: LineWriter, orders: Orders, patience: Patience) -> None:
        self._work = work
        self._writer = writer
        self._orders = orders
        logins, host_keys = Logins(work.credentials), HostKeys(work)
        self._jump_hosts = JumpHosts(work, logins, host_keys, patience)
        self._means = Means(work, logins, host_keys, self._jump_hosts, writer, patience)
        self._masks: dict[frozenset[int], Mask] = {}
        self._waiting = dict(enumerate(work.hosts))
        self._clock = asyncio.get_running_loop().time
        self._began = self._clock()
        self.exits: list[Exit] = []

    async def take_hosts(self) -> None:
        """Runs hosts that wait, one after the other; whoever is free takes the next one."""
        while self._waiting:
            number, host = next(iter(self._waiting.items()))
            stop = self._orders.of(host.name)
            await self._turn(number, stop)
            if self._waiting.pop(number, None) is None:
                continue  # another has taken it, or it was told to stop
            if stop.asked.is_set():
                self._cancel(host)
            else:
                await self._run(host, stop)

    async def cancel_waiting(self) -> None:
        """Ends hosts that are told to stop before they have been started."""
        while True:
            await self._orders.news()
            for number, host in list(self._waiting.items()):
                if self._orders.of(host.name).asked.is_set():
                    del self._waiting[number]
                    self._cancel(host)

    async def close(self) -> None:
        """Ends what hosts have shared."""
        await self._jump_hosts.close()

    async def _turn(self, number: int, stop: HostStop) -> None:
        """Waits until a host may be started: the starts are spread evenly over a time. A stop ends the waiting."""
        due = self._began + number * self._work.spread_seconds / len(self._work.hosts)
        if (seconds := due - self._clock()) > 0:
            with suppress(TimeoutError):
                await asyncio.wait_for(stop.asked.wait(), seconds)

    async def _run(self, host: HostWork, stop: HostStop) -> None:
        emitter, environment = self._emitter(host), host.environment
        if environment is None:
            exit_: Exit | None = await run_host(host, emitter, stop, self._means)
        else:
            exit_ = await run_in_pod(host, environment, emitter, stop, self._work, self._writer)
        if exit_ is not None:
            self.exits.append(exit_)

    def _cancel(self, host: HostWork) -> None:
        self._emitter(host).end(NOT_STARTED)
        self.exits.append(NOT_STARTED)

    def _emitter(self, host: HostWork) -> Emitter:
        work = self._work
        used = frozenset((host.credentials, *(jump.credentials for jump in work.way(host))))
        mask = self._masks.get(used)
        if mask is None:
            secrets = (value for place in used for value in secrets_of(work.credentials[place]))
            mask = self._masks[used] = Mask((*work.masked, *secrets))
        return Emitter(host.name, self._writer.write, work.output_limit_bytes, on_excess=work.on_excess, mask=mask)


async def run_fleet(work: Work, writer: LineWriter, orders: Orders, patience: Patience) -> list[Exit]:
    """Runs every host and returns how each ended, in the order of their ends; one whose container was lost is missing.

    Hosts that wait when they are told to stop end as cancelled at once, and scripts that run are stopped.
    """
    fleet = _Fleet(work, writer, orders, patience)
    async with asyncio.TaskGroup() as group:
        canceller = group.create_task(fleet.cancel_waiting())
        async with asyncio.TaskGroup() as workers:
            for _ in range(min(work.parallelism, len(work.hosts))):
                workers.create_task(fleet.take_hosts())
        canceller.cancel()
    await fleet.close()
    return fleet.exits
