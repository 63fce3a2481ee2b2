"""A cluster in Docker, made by kind."""

import shutil
import subprocess
from pathlib import Path

from . import environment, go_programs
from .docker import Docker
from .layout import Layout
from .shell import ClusterError, run, run_slowly

NODE_QUESTION = "{{range .NetworkSettings.Networks}}{{.IPAddress}} {{.Gateway}}{{end}}"


def up(layout: Layout) -> None:
    """Creates the cluster unless it exists."""
    if not Docker().answers():
        raise ClusterError("CLUSTER=kind needs a Docker engine, and none answers.")
    program = require_kind(layout)
    if layout.name in run(program, "get", "clusters").split() and layout.kubeconfig.exists():
        return
    layout.state.mkdir(exist_ok=True)
    command: list[str | Path] = [
        program,
        "create",
        "cluster",
        f"--name={layout.name}",
        f"--kubeconfig={layout.kubeconfig}",
        "--wait=120s",
    ]
    run_slowly("Creating a cluster with kind", command, layout.log / "kind.log")
    node, outside = run("docker", "inspect", f"--format={NODE_QUESTION}", f"{layout.name}-control-plane").split()
    values = {"ROLLCALL_CLUSTER": "kind", "ROLLCALL_NODE_ADDRESS": node, "ROLLCALL_HOST_ADDRESS": outside}
    environment.write(layout, go_programs.require_clients(layout), values)


def down(layout: Layout) -> None:
    """Deletes the cluster."""
    run(require_kind(layout), "delete", "cluster", f"--name={layout.name}", f"--kubeconfig={layout.kubeconfig}")
    shutil.rmtree(layout.state)


def describe(layout: Layout) -> str | None:
    """Returns what is not well with the cluster, or None if it is healthy."""
    if not Docker().answers():
        return "not running: no Docker engine answers"
    question = ["docker", "inspect", "--format={{.State.Status}}", f"{layout.name}-control-plane"]
    state = subprocess.run(question, capture_output=True, text=True, check=False).stdout.strip()
    return None if state == "running" else state or "not running"


def load(layout: Layout, archive: Path) -> None:
    run(require_kind(layout), "load", "image-archive", archive, f"--name={layout.name}")


def require_kind(layout: Layout) -> Path:
    found = shutil.which("kind")
    return Path(found) if found else go_programs.require(layout, go_programs.KIND) / "kind"
