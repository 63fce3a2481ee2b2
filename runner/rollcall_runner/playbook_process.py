"""Runs ansible-runner, in a process of its own: it blocks, forks, and knows no end but SIGKILL.

It reads one JSON object from stdin (`Order`) and writes one JSON object per line to stdout: ansible-runner's events as
they happen, and at the end `{"event": "end", "rc": exit code}`, with `missed` and `because` if ansible-playbook gave
the run up (ansible_callbacks). It writes the process id of ansible-playbook to a file, so that whoever started it can
end ansible-playbook itself.
"""

import json
import os
import sys
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Final

MAX_TEXT: Final = 8_000_000
"""The most characters of an event's text that are passed on."""
MAX_RESULT: Final = 8_000_000
"""The most characters of a task's result that are passed on; a longer one is replaced by an empty one."""
MISSED: Final = "ROLLCALL_MISSED"
"""The variable with the name of the file in which the callback plugin says what was not carried to the end."""


@dataclass(frozen=True, slots=True)
class Order:
    """What to run, where and how."""

    folder: str
    """The private data directory."""
    project: str
    playbook: str
    inventory: str
    pid_file: str
    forks: int
    verbosity: int = 0
    tags: str = ""
    skip_tags: str = ""
    options: tuple[str, ...] = ()
    environment: dict[str, str] = field(default_factory=dict)

    def dump(self) -> bytes:
        """The JSON text."""
        return json.dumps(asdict(self)).encode()


def main() -> None:
    """Carries out the order on stdin; ends by SystemExit."""
    order = Order(**json.loads(sys.stdin.buffer.read()))
    os.environ.clear()  # ansible-runner passes its own on
    os.environ.update(order.environment)
    from ansible_runner.config.runner import RunnerConfig  # noqa: PLC0415
    from ansible_runner.runner import Runner  # noqa: PLC0415

    config = RunnerConfig(
        private_data_dir=order.folder,
        project_dir=order.project,
        playbook=order.playbook,
        inventory=order.inventory,
        forks=order.forks,
        verbosity=order.verbosity,
        tags=order.tags,
        skip_tags=order.skip_tags,
        cmdline=" ".join(order.options) or None,
        fact_cache_type="memory",
        ident="run",
        quiet=True,
    )
    config.prepare()
    config.command = ["/bin/sh", "-c", 'echo $$ >"$0" && exec "$@"', order.pid_file, *config.command]
    _, code = Runner(config, event_handler=_pass_on).run()
    _write({"event": "end", "rc": code, **_missed(Path(order.environment[MISSED]))})
    sys.exit(0)


def _missed(file: Path) -> dict[str, Any]:
    try:
        told = json.loads(file.read_text())
    except (OSError, ValueError):
        return {}
    return {"missed": told["missed"], "because": told["because"]}


def _pass_on(event: dict[str, Any]) -> bool:
    text = event.get("stdout") or ""
    if len(text) > MAX_TEXT:
        event["stdout"] = f"{text[:MAX_TEXT]}\n[{len(text) - MAX_TEXT} characters of output were cut here]"
    _write(event)
    return False  # no copy in a file


def _write(document: dict[str, Any]) -> None:
    line = json.dumps(document, default=str).encode() + b"\n"
    view = memoryview(line)
    while view:
        view = view[os.write(1, view) :]


if __name__ == "__main__":
    main()
