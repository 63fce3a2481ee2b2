"""What a playbook's events say on each host, and how each host ends."""

from collections.abc import Iterable
from typing import Any

import pytest

from rollcall.names import HostState, Reason
from rollcall_runner.playbook_events import Said, Story
from rollcall_runner.playbook_failures import cancelled, exit_of, timed_out, went_on

PLAY = {"play": "Site", "play_uuid": "p1"}


def heading(kind: str, uuid: str, text: str, **data: Any) -> dict[str, Any]:
    return {"event": kind, "uuid": uuid, "stdout": f"\r\n{text}", "event_data": {**PLAY, **data}}


def result(kind: str, host: str, task: str = "Work", text: str = "", **data: Any) -> dict[str, Any]:
    uuid = f"{kind}-{host}-{task}"
    return {
        "event": f"runner_on_{kind}", "uuid": uuid, "stdout": text,
        "event_data": {**PLAY, "task": task, "task_uuid": f"t-{task}", "host": host, **data},
    }  # fmt: skip


def stats(**counts: dict[str, int]) -> dict[str, Any]:
    known = {name: 1 for of_hosts in counts.values() for name in of_hosts}
    return {
        "event": "playbook_on_stats",
        "uuid": "s1",
        "stdout": "\r\nPLAY RECAP ***\r\n",
        "event_data": {**counts, "processed": known},
    }


BEGINNING = [
    {"event": "playbook_on_start", "uuid": "b1", "stdout": "", "event_data": {"playbook": "site.yml"}},
    heading("playbook_on_play_start", "p1", "PLAY [Site]"),
    heading("playbook_on_task_start", "t-Work", "TASK [Work]", task="Work", task_uuid="t-Work"),
]


def told(story: Story, events: Iterable[dict[str, Any]]) -> dict[str, str]:
    """The whole text of each host."""
    texts = dict.fromkeys(story.hosts, "")
    for event in events:
        for said in story.take(event):
            texts[said.host] += said.text
    return texts


def test_a_heading_is_said_where_something_follows_it() -> None:
    story = Story.of(["a", "b"])
    texts = told(story, [*BEGINNING, result("start", "a"), result("ok", "a", text="ok: [a]"), stats(ok={"a": 1})])
    assert texts["a"] == (
        "\nPLAY [Site]\n\nTASK [Work]\nok: [a]\n"
        "\nPLAY RECAP ***\na : ok=1  changed=0  unreachable=0  failed=0  skipped=0  rescued=0  ignored=0\n"
    )
    assert texts["b"] == ""


def test_each_record_comes_once_to_each_host_and_headings_have_one_name_everywhere() -> None:
    story = Story.of(["a", "b"])
    events = [
        *BEGINNING,
        *(result(kind, name) for name in "ab" for kind in ("start", "ok")),
        stats(ok={"a": 1, "b": 1}),
    ]
    records: dict[str, list[str]] = {"a": [], "b": []}
    for event in events:
        for said in story.take(event):
            assert said.record is not None
            records[said.host].append(said.record["uuid"])
    for name in "ab":
        assert records[name] == ["b1", "p1", "t-Work", f"start-{name}-Work", f"ok-{name}-Work", "s1"]


def test_warnings_are_said_on_all_hosts_and_what_names_a_host_there_only() -> None:
    story = Story.of(["a", "b"])
    story.know_addresses({"192.0.2.1": "a"})
    warning = {"event": "warning", "uuid": "w", "stdout": "[WARNING]: careful"}
    debug = {"event": "verbose", "uuid": "v", "stdout": "<192.0.2.1> SSH", "event_data": {"remote_addr": "192.0.2.1"}}
    assert told(story, [warning, debug]) == {"a": "[WARNING]: careful\n<192.0.2.1> SSH\n", "b": "[WARNING]: careful\n"}


def test_what_a_command_printed_is_shown_unless_ansible_does() -> None:
    event = result(
        "ok", "a", text="changed: [a]", task_action="ansible.builtin.shell", res={"stdout": "hello", "stderr": ""}
    )
    assert told(Story.of(["a"]), [event])["a"] == "changed: [a]\nhello\n"
    assert told(Story.of(["a"], verbosity=1), [event])["a"] == "changed: [a]\n"


def ended(*events: dict[str, Any]) -> Story:
    story = Story.of(["a"])
    told(story, [*BEGINNING, *events])
    return story


def failure(**res: Any) -> dict[str, Any]:
    return result("failed", "a", res=res)


@pytest.mark.parametrize(
    ("events", "state", "reason", "words"),
    [
        ([result("ok", "a"), stats(ok={"a": 1})], "Succeeded", None, ""),
        ([stats()], "Succeeded", None, "no play of the playbook is for this host"),
        (
            [failure(msg="no", rc=3, stderr="x\nlast"), stats(failures={"a": 1})],
            "Failed",
            "ExitCode",
            "'Work' failed: no; exit code 3; last",
        ),
        ([failure(msg="ignored"), result("ok", "a"), stats(ok={"a": 1}, rescued={"a": 1})], "Succeeded", None, ""),
        ([result("failed", "a", res={"msg": "x"}, ignore_errors=True), stats(ok={"a": 1})], "Succeeded", None, ""),
        (
            [
                failure(msg="One or more items failed", results=[{"failed": False}, {"failed": True, "msg": "third"}]),
                stats(failures={"a": 1}),
            ],
            "Failed",
            "ExitCode",
            "items failed: third",
        ),
        (
            [failure(msg="Missing sudo password"), stats(failures={"a": 1})],
            "Failed",
            "PrivilegeEscalationFailed",
            "become-password",
        ),
        (
            [result("unreachable", "a", res={"msg": "Failed to connect: Connection refused"}), stats(dark={"a": 1})],
            "Failed",
            "Unreachable",
            "Connection refused",
        ),
        (
            [result("unreachable", "a", res={"msg": "ops@a: Permission denied (publickey)."}), stats(dark={"a": 1})],
            "Failed",
            "AuthenticationFailed",
            "Permission denied",
        ),
        (
            [
                result(
                    "unreachable", "a", res={"msg": "No ED25519 host key is known for a\nHost key verification failed."}
                ),
                stats(dark={"a": 1}),
            ],
            "Failed",
            "HostKeyMismatch",
            "spec.hostKeys",
        ),
        (
            [
                result("failed", "localhost", res={"msg": "broken"}),
                result("ok", "a"),
                stats(ok={"a": 1}, failures={"localhost": 1}),
            ],
            "Failed",
            "ExitCode",
            "nothing failed here, but on localhost",
        ),
        (
            [
                result("failed", "localhost", res={"msg": "broken"}),
                result("ok", "a"),
                stats(ok={"a": 1, "localhost": 1}, rescued={"localhost": 1}),
            ],
            "Succeeded",
            None,
            "",
        ),
        (
            [
                result("failed", "b", res={"msg": "broken"}),
                stats(failures={"b": 1}),
                {"event": "end", "rc": 2, "missed": ["a"], "because": "b"},
            ],
            "Failed",
            "ExitCode",
            "stopped before it reached this host, because b failed: task 'Work' failed: broken",
        ),
        (
            [
                result("ok", "a"),
                stats(ok={"a": 1}, failures={"b": 1}),
                {"event": "end", "rc": 2, "missed": ["a"], "because": "b"},
            ],
            "Failed",
            "ExitCode",
            "stopped before it was done with this host, because b failed",
        ),
        (
            [
                {"event": "verbose", "stdout": "[ERROR]: the role 'x' was not found"},
                {"event": "verbose", "stdout": ""},
                {"event": "verbose", "stdout": "source"},
            ],
            "Failed",
            "TemplateError",
            "could not run: the role 'x' was not found;",
        ),
        ([result("start", "a")], "Failed", "RunnerCrashed", "did not say why"),
    ],
)
def test_the_end_of_a_host(events: list[dict[str, Any]], state: str, reason: str | None, words: str) -> None:
    story = ended(*events)
    found = exit_of(story, story.hosts["a"])
    assert (found.state.value, found.reason and found.reason.value) == (state, reason)
    assert words in (found.message or "")


def test_a_stopped_playbook_leaves_certainty_where_nothing_was_at_work() -> None:
    busy = ended(result("start", "a")).hosts["a"]
    idle = ended(result("start", "a"), result("ok", "a")).hosts["a"]
    fresh = ended().hosts["a"]
    down = ended(result("start", "a"), failure(msg="no")).hosts["a"]
    assert [cancelled(host).state.value for host in (busy, idle, fresh, down)] == [
        "CancelFailed", "Cancelled", "Cancelled", "Failed",
    ]  # fmt: skip
    assert "'Work' was at work" in (cancelled(busy).message or "")
    assert [timed_out(5, host).reason for host in (busy, idle, down)] == [
        Reason.TIMEOUT, Reason.TIMEOUT, Reason.EXIT_CODE,
    ]  # fmt: skip


def test_a_host_that_was_told_to_stop_and_went_on_says_so() -> None:
    story = ended(result("ok", "a"), stats(ok={"a": 1}))
    assert went_on(exit_of(story, story.hosts["a"])).state is HostState.CANCEL_FAILED
    failed = ended(failure(msg="no"), stats(failures={"a": 1}))
    assert went_on(exit_of(failed, failed.hosts["a"])).state is HostState.FAILED


def test_odd_events_do_no_harm() -> None:
    story = Story.of(["a"])
    for event in (
        {},
        {"event": "runner_on_ok"},
        {"event": "runner_on_ok", "event_data": {"host": "a"}},
        {"event": "EOF"},
    ):
        assert all(isinstance(said, Said) for said in story.take(event))
