"""The runner's life between a work that has been read and the last line on stdout."""

import asyncio
import signal
import sys
from collections.abc import Set as AbstractSet
from concurrent.futures import ThreadPoolExecutor
from typing import Final

from rollcall.outputs import exit_summary
from rollcall.work import Work
from rollcall_runner.connection import Patience
from rollcall_runner.fleet import run_fleet
from rollcall_runner.lines import LineWriter

MAX_RESOLVERS: Final = 32


async def serve(work: Work, patience: Patience, stop_signals: AbstractSet[signal.Signals]) -> str:
    """Runs the work with its events on stdout and returns the summary. Raises OSError when stdout's reader is gone.

    The stop signals are blocked when this begins: one that came before is handled here.
    """
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    # Names are resolved in these threads: a few that a name server is silent about must not hold up all hosts.
    loop.set_default_executor(ThreadPoolExecutor(MAX_RESOLVERS, thread_name_prefix="resolver"))
    for number in stop_signals:
        loop.add_signal_handler(number, stop.set)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, stop_signals)
    writer = LineWriter(sys.stdout.fileno())
    writing = asyncio.create_task(writer.run())
    # Without a reader nobody would learn what the scripts do: they are stopped.
    writing.add_done_callback(lambda _: stop.set())
    exits = await run_fleet(work, writer, stop, patience)
    writer.close()
    await writing
    return exit_summary(exits)
