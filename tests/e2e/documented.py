"""The examples of Foreman's published documentation, and what an answer has in common with the one that is there."""

import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

EXAMPLES: Final = Path(__file__).parent / "foreman_examples.txt"
"""Of the version 3.6, in its order: the request, its body, the status, the body of the answer."""
IDS: Final = {"id", "targeting_id", "task_id", "task_group_id", "triggering_id", "host_id"}
UUID: Final = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
TIME: Final = re.compile(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d UTC")
COUNTS: Final = {"succeeded", "failed", "pending", "total"}
ADDED: Final = {
    "template_id", "template_name", "effective_user", "cancelled", "total_hosts", "concurrency_level",
    "execution_timeout_interval",
}  # fmt: skip
"""What rows of later versions have, too (contract §2.1)."""


@dataclass(frozen=True)
class Example:
    """A request with its answer."""

    method: str
    path: str
    sent: Any
    """The body; None where there is none."""
    status: int
    answer: Any

    @property
    def name(self) -> str:
        """`GET /api/job_invocations`, with words in the place of the ids."""
        return f"{self.method} {re.sub(r'[0-9]+', ':id', self.path)}"


def examples() -> list[Example]:
    """All of them."""
    return [_parsed(text) for text in EXAMPLES.read_text().strip().split("\n\n")]


def _parsed(text: str) -> Example:
    found = re.fullmatch(r"(GET|POST) (\S+)\n(?:(\{.*?\n\})\n)?(\d{3})\n(\{.*\})", text, re.DOTALL)
    assert found is not None, text
    method, path, sent, status, answer = found.groups()
    return Example(method, path, sent and json.loads(sent), int(status), json.loads(answer))


def differences(documented: Any, found: Any, key: str = "", within: str = "") -> list[str]:
    """Where an answer is not as documented: each key there, of its type, and its value but for ids and times."""
    where = f"{within}.{key}" if within else key
    if isinstance(documented, dict) and isinstance(found, dict):
        more = [f"{where}: {name} is not documented" for name in found.keys() - documented.keys() - ADDED]
        return more + [
            difference
            for name, value in documented.items()
            for difference in (
                differences(value, found[name], name, where) if name in found else [f"{where}: {name} is missing"]
            )
        ]
    if isinstance(documented, list) and isinstance(found, list) and len(documented) == len(found):
        pairs = enumerate(zip(documented, found, strict=True))
        return [
            difference for index, (value, other) in pairs for difference in differences(value, other, str(index), where)
        ]
    return [] if _alike(documented, found, key) else [f"{where}: {found!r} in the place of {documented!r}"]


def _alike(documented: Any, found: Any, key: str) -> bool:
    """Whether a value is as documented; the recorded jobs had no run planned, so that some of theirs are unknown."""
    match key, documented:
        case "id" | "task_id", str():
            return isinstance(found, str) and UUID.fullmatch(found) is not None
        case _, _ if key in IDS:
            return type(found) is int and found > 0
        case "start_at", None:
            return isinstance(found, str) and TIME.fullmatch(found) is not None
        case "description", None:
            return isinstance(found, str) and found != ""
        case _, "N/A" if key in COUNTS:
            return type(found) is int
        case _:
            return type(found) is type(documented) and bool(found == documented)
