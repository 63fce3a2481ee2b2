"""Every reason that an Event can bear is documented, and every documented one exists."""

import re
from pathlib import Path

from rollcall.names import Reason

ROOT = Path(__file__).parents[2]
DOCUMENT = (ROOT / "docs" / "events.md").read_text()
SOURCES = [*(ROOT / "core" / "rollcall" / "plan").glob("*.py"), *(ROOT / "operator" / "rollcall_operator").glob("*.py")]
# A problem, a wait and a stop of everything become conditions, and their turns Events.
TOLD = re.compile(r"(?:Note|Problem|Wait|Stop\(Trouble)\(\s*Reason\.(\w+)")


def documented() -> set[str]:
    cells = re.findall(r"^\| (`.+?`) \| (?:Normal|Warning) \|", DOCUMENT, re.MULTILINE)
    return {reason for cell in cells for reason in re.findall(r"`(\w+)`", cell)}


def test_what_is_documented_exists() -> None:
    assert documented() <= {reason.value for reason in Reason}


def test_what_the_source_tells_is_documented() -> None:
    found = {name for path in SOURCES for name in TOLD.findall(path.read_text())}
    assert {"STARTED", "TEMPLATE_NOT_FOUND", "HOSTS_BUSY", "TOO_MANY_FAILED"} <= found, "the expressions still match"
    assert {Reason[name].value for name in found} - documented() == set()
