"""The runner's life between a work that has been read and the last line on stdout."""

import asyncio
import signal
import sys
from collections.abc import Set as AbstractSet
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Final

from rollcall.work import StopOrder, Work
from rollcall_runner.connection import Patience
from rollcall_runner.container import ContainerLostError
from rollcall_runner.fleet import run_fleet
from rollcall_runner.lines import LineWriter
from rollcall_runner.orders import OrderFile, Orders
from rollcall_runner.playbook import run_playbook
from rollcall_runner.playbook_files import Places

MAX_RESOLVERS: Final = 32


async def serve(
    work: Work, orders_path: Path, patience: Patience, stop_signals: AbstractSet[signal.Signals], places: Places
) -> str:
    """Runs the work with its events on stdout and returns its last words. Raises OSError when stdout's reader is gone,
    and ContainerLostError when what ended a script is not known.

    The stop signals are blocked when this begins: one that came before is handled here.
    """
    orders = Orders(host.name for host in work.hosts)
    file = OrderFile(orders_path, orders)
    loop = asyncio.get_running_loop()
    # Names are resolved in these threads: a few that a name server is silent about must not hold up all hosts.
    loop.set_default_executor(ThreadPoolExecutor(MAX_RESOLVERS, thread_name_prefix="resolver"))

    def stop_all() -> None:
        file.look()  # it may say that there is no time
        orders.obey(StopOrder(hosts=None))

    for number in stop_signals:
        loop.add_signal_handler(number, stop_all)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, stop_signals)
    writer = LineWriter(sys.stdout.fileno())
    writing = asyncio.create_task(writer.run())
    # Without a reader nobody would learn what the scripts do: they are stopped.
    writing.add_done_callback(lambda _: stop_all())
    watching = asyncio.create_task(file.watch())
    if work.playbook is None:
        exits = await run_fleet(work, writer, orders, patience)
    else:
        exits = await run_playbook(work, work.playbook, writer, orders, patience, places)
    watching.cancel()
    writer.close()
    await writing
    if len(exits) < len(work.hosts):
        raise ContainerLostError
    return writer.said.last_words(exits)
