"""Finding and ending the first process of a bare cluster.

No number is kept in a file, since it may belong to another process by the time it is read. A cluster's process is the
one whose arguments name this checkout's `.cluster/`, and it is ended through a handle that was opened before that was
checked.
"""

import os
import select
import signal
from pathlib import Path

from .shell import ClusterError

SUPERVISOR = Path(__file__).parent / "supervisor.py"
END_SECONDS = 60.0


def arguments(process: int) -> list[str]:
    try:
        return Path(f"/proc/{process}/cmdline").read_bytes().decode(errors="replace").split("\0")[:-1]
    except OSError:
        return []


def is_supervisor(process: int, state: Path) -> bool:
    command = arguments(process)
    return (
        len(command) > 2
        and command[-1] == str(state)
        and command[-2] == str(SUPERVISOR)
        and "unshare" not in command[0]
    )


def find(state: Path) -> int | None:
    """Returns the supervisor of the cluster in the folder `state`, if one runs."""
    candidates = (int(entry) for entry in os.listdir("/proc") if entry.isdigit())
    return next((process for process in candidates if is_supervisor(process, state)), None)


def end(state: Path) -> None:
    """Ends the cluster's supervisor, and with it every process of the cluster; returns when all of them are gone."""
    while (process := find(state)) is not None:
        try:
            handle = os.pidfd_open(process)
        except ProcessLookupError:
            continue
        try:
            if is_supervisor(process, state):
                signal.pidfd_send_signal(handle, signal.SIGKILL)
                # The first process of a namespace ends last: this waits for all the others too.
                if not select.select([handle], [], [], END_SECONDS)[0]:
                    raise ClusterError(f"process {process} has been killed but does not end")
        finally:
            os.close(handle)
