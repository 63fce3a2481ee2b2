"""What a process of this machine has used, as proc(5) tells."""

import os
from pathlib import Path
from typing import Final

_KIB_PER_MIB: Final = 1024.0
_TICKS: Final = os.sysconf("SC_CLK_TCK")


def cpu_seconds(pid: int) -> float:
    """The CPU time of a process, user and system (proc_pid_stat(5), fields 14 and 15)."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / _TICKS


def resident_mib(pid: int) -> float:
    """The memory that is resident now."""
    return _memory(pid, "VmRSS")


def peak_mib(pid: int) -> float:
    """The most memory that ever was resident."""
    return _memory(pid, "VmHWM")


def _memory(pid: int, key: str) -> float:
    """A line of proc_pid_status(5); 0 for a process that has ended and waits to be reaped: it has no memory."""
    status = Path(f"/proc/{pid}/status").read_text()
    line = next((line for line in status.splitlines() if line.startswith(f"{key}:")), f"{key}: 0 kB")
    return int(line.split()[1]) / _KIB_PER_MIB
