"""The cluster of the current context of KUBECONFIG, which the user asked for by name."""

import shutil
import subprocess

from . import environment, go_programs
from .layout import Layout
from .shell import ClusterError, run


def up(layout: Layout) -> None:
    """Takes the context over into `.cluster/`; changes nothing in the cluster."""
    clients = go_programs.require_clients(layout)
    layout.state.mkdir(exist_ok=True)
    layout.kubeconfig.touch(mode=0o600)
    layout.kubeconfig.write_text(run("kubectl", "config", "view", "--raw", "--flatten", "--minify"))
    environment.write(layout, clients, {"ROLLCALL_CLUSTER": "current"})
    if trouble := describe(layout):
        raise ClusterError(f"the cluster of the current context is {trouble}")


def down(layout: Layout) -> None:
    """Forgets the context; the cluster is not ours to stop."""
    shutil.rmtree(layout.state)


def describe(layout: Layout) -> str | None:
    """Returns what is not well with the cluster, or None if it is healthy."""
    question = ["kubectl", f"--kubeconfig={layout.kubeconfig}", "get", "--raw=/readyz", "--request-timeout=10s"]
    done = subprocess.run(question, capture_output=True, text=True, check=False)
    return f"not ready: {done.stderr.strip()}" if done.returncode else None
