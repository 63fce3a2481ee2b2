"""The first process of a bare cluster: it lays out the file system, then starts programs and keeps them running.

A bare cluster lives in a mount, network and process namespace of its own, as a container does. That is what makes
stopping certain: when this process ends, however it ends, the kernel ends every process below it (runtime shims and
containers included), and with the last of them go all mounts and network devices. Nothing has to be found by name or by
a number in a file.

Inside, `/run` is empty but for `/run/rollcall`, which is the `.cluster/` folder: paths there are short, as unix sockets
need, and the same in every checkout.
"""

import json
import os
import signal
import socket
import subprocess
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

RESTART_DELAY = 1.0
MOUNT = "/usr/bin/mount"


@dataclass
class Program:
    """A program to keep running, and the socket's path or local TCP port that must answer before it can start."""

    name: str
    command: list[str]
    log: Path
    needs: str | int | None = None
    not_before: float = 0.0
    process: subprocess.Popen[bytes] | None = field(default=None, repr=False)

    def ready_to_start(self) -> bool:
        return self.process is None and time.monotonic() >= self.not_before and answers(self.needs)

    def start(self) -> None:
        with self.log.open("ab") as output:
            self.process = subprocess.Popen(
                self.command, stdin=subprocess.DEVNULL, stdout=output, stderr=output, cwd="/", start_new_session=True
            )

    def ended(self, status: int) -> None:
        with self.log.open("a") as output:
            output.write(f"supervisor: {self.name} ended with wait status {status}\n")
        self.process = None
        self.not_before = time.monotonic() + RESTART_DELAY


def answers(address: str | int | None) -> bool:
    """Tells whether something listens at a unix socket's path or at a TCP port of this machine."""
    if address is None:
        return True
    family, target = (socket.AF_UNIX, address) if isinstance(address, str) else (socket.AF_INET, ("127.0.0.1", address))
    with socket.socket(family, socket.SOCK_STREAM) as probe:
        return probe.connect_ex(target) == 0


def lay_out(state: str, binds: dict[str, str]) -> None:
    """Mounts private file systems where Kubernetes and containerd keep things outside their own folders."""
    # The folder may itself lie below /run; holding it open keeps it reachable once /run is covered.
    folder = os.open(state, os.O_PATH | os.O_DIRECTORY)
    mount("--make-rprivate", "/")
    for place in ("/run", "/var/log"):
        mount("-t", "tmpfs", "-o", "mode=755", "tmpfs", place)
    os.mkdir("/run/rollcall")
    mount("--bind", f"/proc/self/fd/{folder}", "/run/rollcall", keep=folder)
    os.close(folder)
    for source, target in binds.items():
        mount("--bind", source, target)
    # Kubelet and runc expect mounts to propagate between containers and the node.
    mount("--make-rshared", "/")


def mount(*arguments: str, keep: int | None = None) -> None:
    subprocess.run([MOUNT, *arguments], check=True, pass_fds=() if keep is None else (keep,))


def supervise(programs: list[Program]) -> None:
    """Starts programs as soon as what they need answers, and starts them again when they end. Never returns."""
    by_process: dict[int, Program] = {}
    while True:
        for program in programs:
            if program.ready_to_start():
                program.start()
                assert program.process is not None
                by_process[program.process.pid] = program
        # As the first process of its namespace, this one also inherits every orphan, and has to collect it.
        while (ended := reap()) is not None:
            process, status = ended
            if process in by_process:
                by_process.pop(process).ended(status)
        time.sleep(0.05 if any(program.process is None for program in programs) else 0.5)


def reap() -> tuple[int, int] | None:
    try:
        process, status = os.waitpid(-1, os.WNOHANG)
    except ChildProcessError:
        return None
    return (process, status) if process else None


def main(state: str) -> None:
    """Runs the plan in `supervisor.json` of the cluster's folder."""
    plan: dict[str, Any] = json.loads(Path(state, "supervisor.json").read_text())
    for number in (signal.SIGINT, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, lambda *_: os._exit(0))
    lay_out(state, plan["binds"])
    # The network is made from outside, by the process that has started this one.
    while not Path("/run/rollcall/network-is-up").exists():
        time.sleep(0.02)
    supervise(
        [
            Program(p["name"], p["command"], Path("/run/rollcall/log", f"{p['name']}.log"), p["needs"])
            for p in plan["programs"]
        ]
    )


if __name__ == "__main__":
    main(sys.argv[1])
