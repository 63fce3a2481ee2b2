"""Secrets that Hosts refer to, and that a person has to make: what is secret passes through no command of ours."""

import shlex
from collections.abc import Iterable


def secret_command(name: str, namespace: str | None, places: Iterable[tuple[str, str]]) -> str:
    """The command that makes a Secret, from the keys and for each the file with its value, as a shell reads it."""
    where = f" --namespace={namespace}" if namespace else ""
    files = (f" --from-file={key}={place}" for key, place in places)
    return f"kubectl create secret generic {name}{where}{''.join(files)}"


def shell_path(path: str) -> str:
    """A path as a word for a shell, which does not expand `~` within one."""
    return f'"$HOME"/{shlex.quote(path[2:])}' if path.startswith("~/") else shlex.quote(path)
