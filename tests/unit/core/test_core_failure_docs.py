"""docs/failures.md explains every reason that a host or an invocation can have for not succeeding."""

import re
from pathlib import Path

from rollcall.names import Reason

DOCUMENT = Path(__file__).parents[3] / "docs" / "failures.md"
NO_FAILURES = {
    Reason.ACCEPTED, Reason.HOSTS_RESOLVED, Reason.ALL_SUCCEEDED, Reason.SOME_FAILED, Reason.SUSPENDED, Reason.RESUMED,
    Reason.NOT_YET_DUE, Reason.HOSTS_BUSY, Reason.TEMPLATE_BUSY, Reason.PAUSED, Reason.APPROVAL_NEEDED,
    Reason.PROCEEDING, Reason.STARTED, Reason.CANCEL_REQUESTED, Reason.RETRYING, Reason.TEMPLATE_CHANGED,
    Reason.RUN_STARTED, Reason.RUNS_FOLLOW, Reason.FINISHED,
}  # fmt: skip


def test_every_reason_is_explained_and_no_other() -> None:
    explained = re.findall(r"^\| `(\w+)` \|", DOCUMENT.read_text(), re.MULTILINE)
    assert len(explained) == len(set(explained))
    assert set(explained) == {reason.value for reason in set(Reason) - NO_FAILURES}
