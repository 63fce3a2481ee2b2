"""Running kubectl, helm and other programs, and keeping quiet about it unless something goes wrong."""

import base64
import json
import shutil
import subprocess
from typing import Any

from terminal import Trouble

Object = dict[str, Any]


def require(programs: dict[str, str]) -> None:
    """Raise Trouble when a program is missing; the values say what to install."""
    missing = sorted({package for program, package in programs.items() if not shutil.which(program)})
    if missing:
        raise Trouble(f"this needs programs that are not installed; install {', '.join(missing)} and run it again")


def run(*command: str, stdin: str | None = None) -> str:
    """The command's output. Raises Trouble with the last thing that it said when it fails."""
    done = subprocess.run(command, input=stdin, capture_output=True, text=True, check=False)
    if done.returncode:
        said = (done.stderr.strip() or done.stdout.strip() or "it said nothing").splitlines()
        shown = " ".join(part if " " not in part else "..." for part in command[:8])
        raise Trouble(f"`{shown}` failed: {' / '.join(said[-3:])}")
    return done.stdout


def run_visibly(*command: str) -> None:
    """Run a command that tells of its progress itself. Raises Trouble when it fails."""
    if subprocess.run(command, stdout=subprocess.DEVNULL, check=False).returncode:
        raise Trouble(f"`{' '.join(command)}` failed: what it said is above")


def kubectl(*arguments: str, stdin: str | None = None) -> str:
    return run("kubectl", *arguments, stdin=stdin)


def get(kind: str, namespace: str, name: str) -> Object | None:
    """The object, or None when there is none of that name."""
    text = kubectl("get", kind, "-n", namespace, name, "--ignore-not-found", "-o", "json")
    return json.loads(text) if text.strip() else None


def items(kind: str, namespace: str, selector: str = "") -> list[Object]:
    found = json.loads(kubectl("get", kind, "-n", namespace, "-l", selector, "-o", "json"))
    return found["items"]  # type: ignore[no-any-return]


def apply(*objects: Object) -> None:
    """`kubectl apply` of the objects."""
    kubectl("apply", "-f", "-", stdin=json.dumps({"apiVersion": "v1", "kind": "List", "items": objects}))


def namespace(name: str, pod_security: str) -> Object:
    """A Namespace that enforces that Pod Security Standard."""
    labels = {"pod-security.kubernetes.io/enforce": pod_security}
    return {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name, "labels": labels}}


def secret(namespace_: str, name: str, data: dict[str, str]) -> Object:
    """A Secret with these values."""
    return {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {"name": name, "namespace": namespace_},
        "data": {key: base64.b64encode(value.encode()).decode() for key, value in data.items()},
    }


def read_secret(namespace_: str, name: str) -> dict[str, str] | None:
    """The values of a Secret, or None when there is none of that name."""
    found = get("secret", namespace_, name)
    return found and {key: base64.b64decode(value).decode() for key, value in found["data"].items()}
