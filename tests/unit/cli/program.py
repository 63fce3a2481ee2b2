"""The command line, as people give it."""

import io
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from rollcall_cli.commands import run

BIN = Path(sys.executable).parent
Object = dict[str, Any]


@dataclass(frozen=True)
class Said:
    """What a command said."""

    code: int
    out: str
    err: str

    def documents(self) -> list[Object]:
        """The manifests on stdout."""
        return list(yaml.safe_load_all(self.out))


def rollcall(*arguments: str | Path, stdin: str = "") -> Said:
    """Run a command within this process, which has Ansible in it already."""
    buffers = io.BytesIO(), io.BytesIO()
    out, err = (io.TextIOWrapper(buffer, encoding="utf-8", write_through=True) for buffer in buffers)
    with _arguments("rollcall", *map(str, arguments)), redirect_stdout(out), redirect_stderr(err):
        before, sys.stdin = sys.stdin, io.StringIO(stdin)
        try:
            code = run("rollcall")
        except SystemExit as end:
            code = int(end.code or 0)
        finally:
            sys.stdin = before
    return Said(code, *(buffer.getvalue().decode() for buffer in buffers))


def program(name: str, *arguments: str) -> Said:
    """Run an installed program."""
    done = subprocess.run([BIN / name, *arguments], capture_output=True, text=True, check=False)
    return Said(done.returncode, done.stdout, done.stderr)


@contextmanager
def _arguments(*words: str) -> Iterator[None]:
    before, sys.argv = sys.argv, list(words)
    try:
        yield
    finally:
        sys.argv = before


def of_kind(documents: list[Object], kind: str) -> dict[str, Object]:
    """The manifests of a kind, by name."""
    return {found["metadata"]["name"]: found for found in documents if found["kind"] == kind}


def effective(inventory: Object, host: Object) -> dict[str, Any]:
    """A host's variables in a job on an inventory, as docs/inventories.md says: those of the inventory, of the groups
    from the outermost, of one depth by name, and the host's own."""
    groups = inventory["spec"].get("groups", {})
    depths: dict[str, int] = {}

    def visit(name: str, depth: int) -> None:
        depths[name] = max(depth, depths.get(name, 0))
        for child in groups.get(name, {}).get("children", ()):
            visit(child, depth + 1)

    for name in groups:
        visit(name, 1)
    inside = set(host["spec"].get("groups", ()))
    while more := {name for name, group in groups.items() if inside & {*group.get("children", ())}} - inside:
        inside |= more
    found = dict(inventory["spec"].get("variables", {}))
    for name in sorted(inside, key=lambda name: (depths.get(name, 1), name)):
        found |= groups.get(name, {}).get("variables", {})
    return found | host["spec"].get("variables", {})
