"""The chart under test: a release of its own, beside whatever else is in the cluster."""

import json
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import httpx

ROOT = Path(__file__).parent.parent.parent
CHART = ROOT / "charts" / "rollcall"
OUTPUT_LIMIT_BYTES = 20 * 1024 * 1024


def run(*command: str | Path, stdin: str | None = None) -> str:
    """The command's output; what it says about a failure is in the assertion."""
    done = subprocess.run(
        [str(part) for part in command], input=stdin, capture_output=True, text=True, check=False, cwd=ROOT
    )
    assert done.returncode == 0, f"{command}: exit code {done.returncode}\n{done.stdout}\n{done.stderr}"
    return done.stdout


def kubectl(*arguments: str, stdin: str | None = None) -> str:
    return run("kubectl", *arguments, stdin=stdin)


@dataclass(frozen=True)
class Person:
    """Somebody who uses the facade: a login and password, or a token."""

    username: str
    login: str = ""
    password: str = field(default="", repr=False)
    token: str = field(default="", repr=False)

    def client(self, url: str) -> httpx.Client:
        """A client that logs in as this person."""
        return httpx.Client(
            base_url=url,
            auth=(self.login, self.password) if self.login else None,
            headers={"Authorization": f"Bearer {self.token}"} if self.token else {},
            timeout=30,
            trust_env=False,
        )


@dataclass(frozen=True)
class Release:
    """An installed chart."""

    name: str
    namespace: str
    """Of the operator and the facade."""
    jobs: str
    """Of hosts, templates and invocations."""

    def install(self, values: Sequence[str], *, timeout: str = "180s") -> None:
        """Install the chart and wait until it is ready. The CRDs may have come from elsewhere."""
        settings = [f"--set={value}" for value in values]
        where = ("-n", self.namespace, "--take-ownership", "--wait", f"--timeout={timeout}")
        run("helm", "upgrade", "--install", self.name, CHART, *where, *settings)

    def uninstall(self) -> None:
        run("helm", "uninstall", self.name, "-n", self.namespace, "--ignore-not-found", "--wait")

    @property
    def url(self) -> str:
        """Where the facade answers: the node port on a node's address."""
        nodes = json.loads(kubectl("get", "nodes", "-o", "json"))["items"]
        address = next(a["address"] for a in nodes[0]["status"]["addresses"] if a["type"] == "InternalIP")
        service = json.loads(kubectl("get", "service", "-n", self.namespace, f"{self.name}-rollcall-api", "-o", "json"))
        return f"http://{address}:{service['spec']['ports'][0]['nodePort']}"

    def log(self, component: str) -> str:
        """All that the component's pods have said."""
        selector = f"app.kubernetes.io/instance={self.name},app.kubernetes.io/component={component}"
        return kubectl("logs", "-n", self.namespace, "-l", selector, "--tail=-1", "--prefix")


def template(*values: str, name: str = "rollcall", namespace: str = "default") -> str:
    """The manifests of the chart as Helm renders them for a cluster of today."""
    settings = [f"--set={value}" for value in values]
    return run("helm", "template", name, CHART, "-n", namespace, "--kube-version=v1.34.0", "--no-hooks", *settings)
