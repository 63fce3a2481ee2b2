"""A callback plugin of Ansible: which hosts ansible-playbook did not carry to the end, because it gave the run up.

No event tells it. Ansible stops a whole run when a batch has failed entirely, when an error is fatal for all hosts
(`any_errors_fatal`, `run_once`), or when too many hosts have failed (`max_fail_percentage`); hosts that are left out by
that do not count as failed in the recap, and those of later batches and plays are not even in it.

At the end of such a run it writes `{"missed": [host, ...], "because": host}` to the file in `ROLLCALL_MISSED`.
"""

import json
import os
from contextlib import suppress
from pathlib import Path
from typing import Any

from ansible.errors import AnsibleError  # type: ignore[import-untyped]
from ansible.plugins.callback import CallbackBase  # type: ignore[import-untyped]
from ansible.template import Templar  # type: ignore[import-untyped]

_ONE_FOR_ALL = frozenset({"add_host", "pause"})
"""Actions that Ansible does once for all hosts, so that their failure is everybody's."""
_EACH_ALONE = frozenset({"free", "host_pinned"})
"""Strategies that know no errors that are fatal for all."""


class CallbackModule(CallbackBase):  # type: ignore[misc]
    """Follows the plays and their batches; Ansible finds it by this name."""

    CALLBACK_VERSION = 2.0
    CALLBACK_TYPE = "aggregate"
    CALLBACK_NAME = "rollcall_missed"

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self._plays: list[Any] = []
        self._begun: list[str] = []
        """The names of the hosts that a batch of the current play was begun with."""
        self._number = 0
        """How many plays were begun."""
        self._play: Any = None
        self._batch: list[str] = []
        self._gave_up = False
        """Whether too many hosts of the batch have failed."""
        self._fatal: set[str] = set()
        """The hosts of the batch on which something failed that is fatal for all."""
        self._last: tuple[str, Any] | None = None
        """The host and the task of the last failure."""

    def v2_playbook_on_start(self, playbook: Any) -> None:
        self._plays = playbook.get_plays()

    def v2_playbook_on_play_start(self, play: Any) -> None:
        # A batch is a play of its own, with a copy of the play and an inventory that has no other hosts.
        # Its uuid is that of the play, to which ansible-runner's plugin adds the number of the batch.
        uuid = str(play._uuid).partition("_")[0]
        number = next((number for number, known in enumerate(self._plays, 1) if known._uuid == uuid), self._number)
        if number != self._number:
            self._number, self._begun = number, []
        self._play, self._batch = play, _hosts(play)
        self._begun += self._batch
        self._gave_up, self._fatal = False, set()

    def v2_runner_on_failed(self, result: Any, ignore_errors: bool = False) -> None:
        if not ignore_errors:
            self._note(result)

    def v2_runner_on_unreachable(self, result: Any) -> None:
        self._note(result)

    def v2_playbook_on_no_hosts_remaining(self) -> None:
        self._gave_up = True

    def v2_playbook_on_stats(self, stats: Any) -> None:
        down = {*stats.failures, *stats.dark}
        missed: list[str] = []
        if self._gave_up or self._fatal & down:
            missed += [] if self._at_the_end() else self._batch
            aborted = True
        else:
            aborted = bool(self._batch) and down.issuperset(self._batch)
        if self._play is not None and aborted:
            missed += [name for name in _hosts(self._play, whole=True) if name not in self._begun]
        for play in self._plays[self._number :]:
            missed += _hosts(play, whole=True)
        left = sorted(set(missed) - down)
        if left and self._last is not None:
            told = {"missed": left, "because": self._last[0]}
            Path(os.environ["ROLLCALL_MISSED"]).write_text(json.dumps(told))

    def _note(self, result: Any) -> None:
        host, task = result.host.get_name(), result.task
        self._last = (host, task)
        once = task.run_once is True or str(task.action).rpartition(".")[2] in _ONE_FOR_ALL
        alone = str(self._play.strategy).rpartition(".")[2] in _EACH_ALONE
        if (task.any_errors_fatal is True or once) and not task.ignore_errors and not alone:
            self._fatal.add(host)

    def _at_the_end(self) -> bool:
        """Whether the play had nothing to do after the task that failed last."""
        blocks = self._play.get_tasks()
        if self._last is None or self._play.handlers or not (blocks and blocks[-1]):
            return False
        return bool(self._last[1]._uuid == blocks[-1][-1]._uuid)


def _hosts(play: Any, *, whole: bool = False) -> list[str]:
    """The names of the hosts that a play is for: those of its batch, or all of them."""
    variables, pattern = play.get_variable_manager(), play.hosts
    with suppress(AnsibleError):  # a play that was not begun still has its expressions
        pattern = Templar(loader=play.get_loader(), variables=variables.get_vars(play=play)).template(pattern)
    return [host.get_name() for host in variables._inventory.get_hosts(pattern, ignore_restrictions=whole)]
