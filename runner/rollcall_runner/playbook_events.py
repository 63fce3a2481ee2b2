"""From ansible-runner's events to what is said on each host.

A playbook's run says most things once for all hosts: which play and which task begins, warnings, the recap. Each host's
output is to be read by itself, so the heading of a play or a task is said on a host right before the first thing that
happens there under it, the recap has the host's own line only, and what concerns no single host is said on all.
(docs/adr/0015)
"""

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from rollcall.outputs import Record

_RESULTS: Final = frozenset({"runner_on_ok", "runner_on_failed", "runner_on_skipped", "runner_on_unreachable"})
_HEADINGS: Final = frozenset({"playbook_on_play_start", "playbook_on_task_start"})
_COUNTS: Final = ("ok", "changed", "dark", "failures", "skipped", "rescued", "ignored")
_COUNT_NAMES: Final = {"dark": "unreachable", "failures": "failed"}
_ERROR: Final = re.compile(r"^\[?ERROR[\]!]:? ?")
_MAX_TROUBLE_LINES: Final = 40
_TOO_LONG: Final = "[the result of this task was too long to be passed on: it is lost]"
_COMMANDS: Final = frozenset({"command", "shell", "raw", "script"})
"""Tasks of which people want to read what they printed; Ansible shows it only with -v."""


@dataclass(frozen=True, slots=True)
class Said:
    """What one event says on one host."""

    host: str
    text: str = ""
    record: Record | None = None


@dataclass(frozen=True, slots=True)
class Mishap:
    """A task that failed on a host, or could not reach it."""

    task: str
    result: Mapping[str, Any]
    unreachable: bool


@dataclass(slots=True)
class HostStory:
    """What is known of one host while the playbook runs."""

    play: str = ""
    """The heading that was last said there, by its uuid."""
    task: str = ""
    busy: str | None = None
    """The task that is being done there."""
    begun: bool = False
    down: bool = False
    """Whether a task failed there, and nothing has been begun there since."""
    mishap: Mishap | None = None
    """The last task that failed there."""
    on_the_way: str = ""
    """What was said by the ssh that went to its jump hosts."""
    counts: dict[str, int] | None = None
    """The recap; empty for a host that no play has matched."""


@dataclass(slots=True)
class Story:
    """What ansible-playbook has done, host by host. Takes events, and gives what they say."""

    hosts: dict[str, HostStory]
    verbosity: int = 0
    revision: str | None = None
    project: str = ""
    """The folder that the playbook is in, which is left out of what is said about its files."""
    strangers: dict[str, Mishap] = field(default_factory=dict)
    """Tasks that failed on hosts which are not the slice's, such as localhost."""
    recapped: bool = False
    """Whether the playbook has come to its end."""
    missed: frozenset[str] = frozenset()
    """The hosts that ansible-playbook did not carry to the end, because it gave the run up."""
    because: str = ""
    """The host whose failure made it do so."""
    _start: Record | None = None
    _headings: dict[str, Said] = field(default_factory=dict)
    """The text and the record of the latest heading of each play and task."""
    _addresses: dict[str, str] = field(default_factory=dict)
    _trouble: list[str] = field(default_factory=list)

    @classmethod
    def of(
        cls, hosts: Iterable[str], verbosity: int = 0, revision: str | None = None, project: str = "/nowhere"
    ) -> "Story":
        """The story of a run that has not begun."""
        return cls({name: HostStory() for name in hosts}, verbosity, revision, project)

    def take(self, event: Mapping[str, Any]) -> Iterator[Said]:
        """What the event says, in its order."""
        kind, data = str(event.get("event", "")), event.get("event_data") or {}
        if kind == "playbook_on_start":
            self._start = _record(event)
            if self.revision is not None:
                self._start["revision"] = self.revision
        elif kind in _HEADINGS:
            key = data.get("play_uuid" if kind == "playbook_on_play_start" else "task_uuid")
            self._headings[str(key)] = Said("", _text(event), _record(event))
        elif kind == "playbook_on_stats":
            yield from self._recap(event, data)
        elif kind.startswith("runner_") and data.get("host"):
            yield from self._on_host(kind, event, data)
        elif kind == "end":
            self.missed, self.because = frozenset(event.get("missed") or ()), str(event.get("because") or "")
        elif kind not in ("playbook_on_no_hosts_matched", "EOF"):
            yield from self._aside(event, data)

    @property
    def trouble(self) -> str:
        """Ansible's own words about what kept the playbook from running, on one line; empty when there are none."""
        first = next((number for number, line in enumerate(self._trouble) if _ERROR.match(line)), None)
        if first is None:
            return ""
        said: list[str] = []
        for line in self._trouble[first:]:
            if not line.strip():
                break
            said.append(_ERROR.sub("", line).strip())
        return " ".join(said).replace(f"{self.project}/", "")

    def _on_host(self, kind: str, event: Mapping[str, Any], data: Mapping[str, Any]) -> Iterator[Said]:
        name = str(data["host"])
        host = self.hosts.get(name)
        mishap = _mishap(kind, data)
        if host is None:
            if mishap is not None:
                self.strangers[name] = mishap
            yield from (Said(other, _text(event), _record(event)) for other in self.hosts)
            return
        yield from self._headings_on(name, host, data)
        if kind == "runner_on_start":
            host.begun, host.busy, host.down = True, str(data.get("task")), False
        elif kind in _RESULTS:
            host.begun, host.busy, host.down = True, None, mishap is not None
            host.mishap = mishap or host.mishap
        text, record = _text(event), _record(event)
        if kind in ("runner_on_ok", "runner_on_failed"):
            if data.get("res") == {}:
                text, record = f"{text}{_TOO_LONG}\n", {**record, "cut": True}
            elif self.verbosity == 0:
                text += _printed(data)
        yield Said(name, text, record)

    def _headings_on(self, name: str, host: HostStory, data: Mapping[str, Any]) -> Iterator[Said]:
        """The headings under which the host has said nothing yet."""
        if not host.play and self._start is not None:
            yield Said(name, record=self._start)
        for key, last in (("play_uuid", host.play), ("task_uuid", host.task)):
            heading = self._headings.get(str(data.get(key)))
            uuid = str((heading.record or {}).get("uuid")) if heading else ""
            if heading is not None and uuid != last:
                yield Said(name, heading.text, heading.record)
                if key == "play_uuid":
                    host.play = uuid
                else:
                    host.task = uuid

    def _recap(self, event: Mapping[str, Any], data: Mapping[str, Any]) -> Iterator[Said]:
        self.recapped = True
        # What a rescue or ignore_unreachable has mended is no failure of the playbook.
        down = {*(data.get("failures") or {}), *(data.get("dark") or {})}
        self.strangers = {name: mishap for name, mishap in self.strangers.items() if name in down}
        lines = _text(event).split("\n")
        title = next((line for line in lines if line.startswith("PLAY RECAP")), "PLAY RECAP")
        for name, host in self.hosts.items():
            known = name in (data.get("processed") or {})
            host.counts = {key: int((data.get(key) or {}).get(name, 0)) for key in _COUNTS} if known else {}
            host.busy = None
            own = {key: {name: value} for key, value in host.counts.items()}
            counts = "  ".join(f"{_COUNT_NAMES.get(key, key)}={value}" for key, value in host.counts.items())
            kept = {key: value for key, value in data.items() if key not in (*_COUNTS, "processed")}
            record = _record({**event, "event_data": {**kept, **own, "processed": {name: 1} if known else {}}})
            text = f"\n{title}\n{name} : {counts}\n" if known else ""
            yield Said(name, text, {**record, "host": name, "stdout": text.rstrip("\n")})

    def _aside(self, event: Mapping[str, Any], data: Mapping[str, Any]) -> Iterator[Said]:
        """What Ansible says beside the results: warnings, errors, and with -v much more."""
        text = _text(event)
        if len(self._trouble) < _MAX_TROUBLE_LINES or _ERROR.match(text):
            self._trouble = [*self._trouble[-_MAX_TROUBLE_LINES:], *text.removesuffix("\n").split("\n")]
        about = str(data.get("host") or self._addresses.get(str(data.get("remote_addr")), ""))
        told = [about] if about in self.hosts else list(self.hosts)
        yield from (Said(name, text, _record(event)) for name in told)

    def know_addresses(self, addresses: Mapping[str, str]) -> None:
        """Take in which address is whose, so that what Ansible says of an address is said on its host only."""
        self._addresses = dict(addresses)


def _mishap(kind: str, data: Mapping[str, Any]) -> Mishap | None:
    if kind == "runner_on_unreachable" or (kind == "runner_on_failed" and not data.get("ignore_errors")):
        return Mishap(str(data.get("task", "")), data.get("res") or {}, kind == "runner_on_unreachable")
    return None


def _text(event: Mapping[str, Any]) -> str:
    """What Ansible printed, with a line end after it if it is anything."""
    text = str(event.get("stdout") or "").replace("\r\n", "\n")
    return f"{text}\n" if text else ""


def _printed(data: Mapping[str, Any]) -> str:
    """What the command of a task printed."""
    result = data.get("res") or {}
    if str(data.get("task_action", "")).rpartition(".")[2] not in _COMMANDS:
        return ""
    printed = (str(result.get(key) or "") for key in ("stdout", "stderr"))
    return "".join(f"{text.rstrip()}\n" for text in printed if text.strip())


def _record(event: Mapping[str, Any]) -> Record:
    """What programs want to know of an event. It is ansible-runner's own, with the most wanted parts at its top."""
    kind, data = str(event.get("event", "")), event.get("event_data") or {}
    result = data.get("res") or {}
    failed = kind in ("runner_on_failed", "runner_on_unreachable", "runner_item_on_failed")
    record = {
        "event": kind,
        "uuid": event.get("uuid"),
        "parentUuid": event.get("parent_uuid"),
        "counter": event.get("counter"),
        "created": event.get("created"),
        "play": data.get("play"),
        "task": data.get("task"),
        "role": data.get("role"),
        "host": data.get("host"),
        "changed": bool(result.get("changed")) if kind.startswith("runner_") and result else None,
        "failed": failed and not data.get("ignore_errors") if kind.startswith("runner_") else None,
        "ignored": True if failed and data.get("ignore_errors") else None,
        "start": data.get("start"),
        "end": data.get("end"),
        "stdout": _text(event).rstrip("\n"),
        "data": dict(data),
    }
    return {key: value for key, value in record.items() if value is not None}
