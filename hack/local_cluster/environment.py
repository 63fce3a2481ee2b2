"""The file `.cluster/env`, which a shell sources to use the cluster."""

import re
import shlex
from pathlib import Path

from .layout import Layout
from .shell import ClusterError

HEADER = "# Made by hack/cluster, for a shell to source.\n"
ASSIGNMENT = re.compile(r"^export ([A-Za-z_][A-Za-z0-9_]*)=(.*)$")


def write(layout: Layout, folders: list[Path], values: dict[str, str]) -> None:
    """Writes the file anew: KUBECONFIG, the folders in front of PATH, and `values`."""
    path = ":".join(shlex.quote(str(folder)) for folder in folders)
    lines = [f"export KUBECONFIG={shlex.quote(str(layout.kubeconfig))}"]
    if folders:
        lines.append(f'export PATH={path}:"$PATH"')
    lines += [f"export {name}={shlex.quote(value)}" for name, value in values.items()]
    replace(layout.environment, lines)


def set_value(layout: Layout, assignment: str) -> None:
    """Adds `KEY=VALUE`, or changes it if the file has that key."""
    name, equals, value = assignment.partition("=")
    line = f"export {name}={shlex.quote(value)}"
    if not equals or not ASSIGNMENT.match(line):
        raise ClusterError(f"not of the form KEY=VALUE: {assignment}")
    if name in ("PATH", "KUBECONFIG"):
        raise ClusterError(f"{name} belongs to hack/cluster")
    if not layout.environment.exists():
        raise ClusterError("no cluster: run hack/cluster up first")
    lines = [old for old in layout.environment.read_text().splitlines() if not old.startswith(f"export {name}=")]
    replace(layout.environment, [*lines[1:], line])


def values(layout: Layout) -> dict[str, str]:
    """Returns what the file exports, but for PATH."""
    found = (ASSIGNMENT.match(line) for line in layout.environment.read_text().splitlines())
    return {
        match[1]: shlex.split(match[2])[0] for match in found if match and match[1] != "PATH" and shlex.split(match[2])
    }


def source_command(layout: Layout) -> str:
    return f"source {shlex.quote(str(layout.environment))}"


def replace(file: Path, lines: list[str]) -> None:
    # A shell that sources the file while it changes sees the old one or the new one.
    unfinished = file.with_suffix(".unfinished")
    unfinished.write_text(HEADER + "\n".join(lines) + "\n")
    unfinished.rename(file)
