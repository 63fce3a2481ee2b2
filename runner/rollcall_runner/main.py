"""`rollcall-runner`: carries out the work of one slice.

Events go to stdout, one JSON object per line; a summary goes to the termination log, with all events if they are few.
The exit code is 0 when every host has its exit event, whatever it says, 1 when stdout's reader went away, 2 when the
work file cannot be used, and 3 when the container beside this one ended before its script.
"""

import argparse
import asyncio
import logging
import os
import signal
import sys
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from rollcall.podscript import CONTAINER_LOST_CODE
from rollcall.work import STOP_PATH, WORK_PATH, Work

TERMINATION_LOG: Final = "/dev/termination-log"
"""Where Kubernetes takes a container's termination message from; the file exists in every container."""
_STOP_SIGNALS: Final = frozenset({signal.SIGTERM, signal.SIGINT})


class UnusableWorkError(Exception):
    """The work file is missing, or is not what a runner can carry out; the message shows none of its content."""


def main(arguments: Sequence[str] | None = None) -> None:
    """Runs the command line; ends by SystemExit."""
    # Until the event loop handles it, a signal waits. As PID 1 of a container the runner would not even notice it.
    signal.pthread_sigmask(signal.SIG_BLOCK, _STOP_SIGNALS)
    options = _parse(arguments)
    _prepare_process()
    try:
        work = read_work(options.work)
    except UnusableWorkError as error:
        _write_termination_log(options.termination_log, str(error))
        print(f"rollcall-runner: {error}", file=sys.stderr)
        sys.exit(2)
    # The imports take a good part of a second: a bad work file is told, and signals wait, without them.
    from rollcall_runner.connection import Patience  # noqa: PLC0415
    from rollcall_runner.container import ContainerLostError  # noqa: PLC0415
    from rollcall_runner.service import serve  # noqa: PLC0415

    async def serve_and_tell() -> None:
        # Within the loop, whose end waits for threads that still resolve a name.
        _write_termination_log(options.termination_log, await serve(work, options.orders, Patience(), _STOP_SIGNALS))

    try:
        asyncio.run(serve_and_tell())
    except ContainerLostError as error:
        _write_termination_log(options.termination_log, str(error))
        sys.exit(CONTAINER_LOST_CODE)
    except OSError:
        sys.exit(1)
    sys.exit(0)


def _parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="rollcall-runner", description="Runs the work of one slice.")
    parser.add_argument("--work", type=Path, default=Path(WORK_PATH), help="the work file (default: %(default)s)")
    parser.add_argument(
        "--orders",
        type=Path,
        default=Path(STOP_PATH),
        help="the file that tells which hosts to stop; it may be missing (default: %(default)s)",
    )
    parser.add_argument(
        "--termination-log",
        type=Path,
        default=Path(TERMINATION_LOG),
        help="an existing file for the summary (default: %(default)s)",
    )
    return parser.parse_args(arguments)


def _prepare_process() -> None:
    # stderr shares the pod's log with the events. Nothing that libraries say belongs there.
    logging.disable(logging.CRITICAL)
    warnings.simplefilter("ignore")
    # asyncssh wants to know who it runs as. In a container whose user has no passwd entry only the environment says so.
    for name, value in (("USER", "rollcall"), ("LOGNAME", "rollcall"), ("HOME", "/nonexistent")):
        if not os.environ.get(name):
            os.environ[name] = value


def read_work(path: Path) -> Work:
    """The work in a file. Raises UnusableWorkError."""
    try:
        work = Work.load(path.read_bytes())
    except OSError as error:
        raise UnusableWorkError(f"the work file {path} cannot be read: {error.strerror}") from None
    except ValueError as error:
        raise UnusableWorkError(f"{error} ({path})") from None
    if min(work.parallelism, work.execution_timeout_seconds, work.output_limit_bytes) < 1:
        raise UnusableWorkError("the work file allows no parallelism, no time or no output")
    if min(work.stop_grace_seconds, work.spread_seconds) < 0:
        raise UnusableWorkError("the work file has a time that is less than nothing")
    for host in work.hosts:
        scripts = {host.script, *host.steps}
        if not (scripts <= set(range(len(work.scripts))) and 0 <= host.credentials < len(work.credentials)):
            raise UnusableWorkError(
                f"the work file names a script or credentials for {host.name} that it does not hold"
            )
        if len(host.steps) != sum(not step.skipped for step in work.steps):
            raise UnusableWorkError(f"the work file has not one script for each step of {host.name}")
    return work


def _write_termination_log(path: Path, text: str) -> None:
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_TRUNC)
    except OSError:
        return  # outside of Kubernetes there is none
    with os.fdopen(descriptor, "w") as file:
        file.write(text)


if __name__ == "__main__":
    main()
