"""How a host of a playbook's run ended: the state, the reason, and a sentence on which a person can act."""

import re
from collections.abc import Mapping
from typing import Any, Final

from rollcall.names import HostState, Reason
from rollcall.outputs import Exit
from rollcall.playbook import NOTHING_FOR_IT
from rollcall_runner.emitter import MAX_MESSAGE_LENGTH
from rollcall_runner.failures import failed
from rollcall_runner.playbook_events import HostStory, Mishap, Story
from rollcall_runner.playbook_ways import TOLD_BY
from rollcall_runner.quoting import quote

FAILED_CODE: Final = 2
"""The exit code of ansible-playbook when a task failed."""
UNTOUCHED: Final = Exit(HostState.SUCCEEDED, 0, None, NOTHING_FOR_IT)
_NOT_BEGUN: Final = "nothing of the playbook had been begun on this host"

_HOST_KEY: Final = re.compile(r"host key verification failed|host key is known|identification has changed", re.I)
_LOGIN: Final = re.compile(r"permission denied|invalid/incorrect password|too many authentication failures", re.I)
_FORWARDING: Final = re.compile(r"stdio forwarding failed|open failed|forwarding request failed", re.I)
_BECOME: Final = re.compile(
    r"(missing|incorrect|invalid) (sudo|su|become|privilege)[a-z ]*password|waiting for privilege escalation"
    r"|a password is required|is not in the sudoers|not allowed to execute",
    re.I,
)


def exit_of(story: Story, host: HostStory) -> Exit:
    """The end of a host of a playbook that came to its end, or ended by itself before."""
    if host.counts:
        return _by_recap(story, host, host.counts)
    if host.down and host.mishap is not None:
        return mishap_exit(host.mishap, host.on_the_way)
    if story.recapped:
        return _missed(story, host) or _stranger(story) or UNTOUCHED
    if story.trouble:
        said = story.trouble[: MAX_MESSAGE_LENGTH // 2]
        what = "stopped" if host.begun else "could not run"
        return failed(Reason.TEMPLATE_ERROR, f"the playbook {what}: {said}; correct it in the template")
    return failed(
        Reason.RUNNER_CRASHED,
        "ansible-playbook ended before the playbook did, and did not say why; what it did on this host is in the "
        "output; if it ran out of memory, let the administrator raise the limit of Ansible runners, or lower forks",
    )


def _by_recap(story: Story, host: HostStory, counts: Mapping[str, int]) -> Exit:
    if counts["dark"] or counts["failures"]:
        if host.mishap is not None:
            return mishap_exit(host.mishap, host.on_the_way)
        return failed(Reason.EXIT_CODE, "a task failed on this host; see its output", FAILED_CODE)
    return _missed(story, host) or _stranger(story) or Exit(HostState.SUCCEEDED, 0)


def _missed(story: Story, host: HostStory) -> Exit | None:
    """The end of a host that ansible-playbook did not carry to the end, as it gave the run up."""
    if not any(story.hosts.get(name) is host for name in story.missed):
        return None
    first = story.hosts.get(story.because)
    mishap = first.mishap if first else story.strangers.get(story.because)
    why = f": {mishap_exit(mishap, first.on_the_way if first else '').message}" if mishap else ""
    where = "was done with" if host.begun else "reached"
    return failed(
        Reason.EXIT_CODE,
        f"ansible-playbook stopped before it {where} this host, because {story.because} failed{why}",
        FAILED_CODE,
    )


def _stranger(story: Story) -> Exit | None:
    """The failure on a host that is not the slice's: the playbook as a whole has failed."""
    for name, mishap in story.strangers.items():
        why = mishap_exit(mishap).message
        return failed(
            Reason.EXIT_CODE,
            f"nothing failed here, but on {name}, which the playbook also works on: {why}",
            FAILED_CODE,
        )
    return None


def mishap_exit(mishap: Mishap, on_the_way: str = "") -> Exit:
    """The end of a host on which a task failed, or which could not be reached; `on_the_way` is what was said by the
    ssh that went to its jump hosts."""
    said = _said(mishap.result)
    if mishap.unreachable:
        return _unreachable(mishap.task, said, on_the_way)
    if _BECOME.search(said):
        return failed(
            Reason.PRIVILEGE_ESCALATION_FAILED,
            f"task {quote(mishap.task)!r} could not become another user: {quote(said)}; check `become-password` in the "
            "Secret with the credentials, and what the host's sudoers allow",
            FAILED_CODE,
        )
    return failed(Reason.EXIT_CODE, f"task {quote(mishap.task)!r} failed: {quote(said)}", FAILED_CODE)


def _unreachable(task: str, said: str, on_the_way: str) -> Exit:
    """The end of a host to which there was no connection, or none any more."""
    jump, words = _at_a_jump_host(on_the_way)
    # What ssh says of the host itself follows from what has gone wrong at the jump host.
    said = _without_warning(words) if jump else said
    if jump and _FORWARDING.search(said):
        return failed(
            Reason.UNREACHABLE,
            f"the jump host {jump} opens no connection to the host: {quote(said)}; check spec.address and spec.port "
            "of the Host, what is between the two, and that the sshd_config of the jump host allows it "
            "(AllowTcpForwarding, PermitOpen)",
        )
    where = f"on the way, at the jump host {jump}: " if jump else ""
    if _HOST_KEY.search(said):
        return failed(
            Reason.HOST_KEY_MISMATCH,
            f"{where}the host does not show a key that is in its Host object: {quote(said)}; if the machine was "
            "reinstalled, update spec.hostKeys",
        )
    if _LOGIN.search(said):
        return failed(
            Reason.AUTHENTICATION_FAILED,
            f"{where}the host does not accept the login: {quote(said)}; check the user, the Secret, and what the "
            "host's sshd_config and authorized_keys allow",
        )
    return failed(
        Reason.UNREACHABLE,
        f"{where}task {quote(task)!r} could not reach the host: {quote(said)}; check spec.address and spec.port of "
        "the Host, and what is between it and the runner pods",
    )


def _said(result: Mapping[str, Any]) -> str:
    """What a task's result says of its failure."""
    message = str(result.get("msg") or result.get("reason") or "no message").removeprefix("Task failed: ")
    parts = [_without_warning(message)]
    failures = [item for item in result.get("results") or () if isinstance(item, dict) and item.get("failed")]
    if failures:
        return f"{parts[0]}: {_said(failures[0])}"
    if isinstance(result.get("rc"), int) and result["rc"]:
        parts.append(f"exit code {result['rc']}")
    told = next((str(result[key]).strip() for key in ("stderr", "module_stderr") if result.get(key)), "")
    if told:
        parts.append(told.splitlines()[-1])
    return "; ".join(part.strip().rstrip(".") for part in parts)


def _at_a_jump_host(on_the_way: str) -> tuple[str | None, str]:
    """The first jump host at which something went wrong, and what. The ssh of one that says nothing has just ended
    with the connection that it carried."""
    *told, _ = TOLD_BY.split(on_the_way)
    for words, jump in zip(told[::2], told[1::2], strict=True):
        if words.strip():
            return jump, words.strip()
    return None, ""


def _without_warning(message: str) -> str:
    """Of ssh's warnings about a host key only the end, which says what happened."""
    return " ".join(message.splitlines()[-2:]) if "@@@" in message else message


def timed_out(seconds: int, host: HostStory) -> Exit:
    """The end of a host of a playbook that took too long."""
    if host.down and host.mishap is not None:
        return mishap_exit(host.mishap, host.on_the_way)
    return failed(
        Reason.TIMEOUT,
        f"the playbook ran longer than {seconds} s (executionTimeoutSeconds) and was stopped; {_state(host)}",
    )


def cancelled(host: HostStory) -> Exit:
    """The end of a host of a playbook that was stopped on request."""
    if host.down and host.mishap is not None:
        return mishap_exit(host.mishap, host.on_the_way)
    message = f"cancelled; the playbook was stopped; {_state(host)}"
    if host.busy is None:
        return Exit(HostState.CANCELLED, None, Reason.CANCELLED, message[:MAX_MESSAGE_LENGTH])
    return Exit(HostState.CANCEL_FAILED, None, Reason.CANCEL_FAILED, message[:MAX_MESSAGE_LENGTH])


def went_on(exit_: Exit) -> Exit:
    """The end of a host that was told to stop while others of its run were not."""
    if exit_.state is not HostState.SUCCEEDED:
        return exit_
    return Exit(
        HostState.CANCEL_FAILED,
        None,
        Reason.CANCEL_FAILED,
        "told to stop, but ansible-playbook cannot leave out one host of a run: the playbook has come to its end here; "
        "to be able to stop hosts one by one, give each a slice of its own (rollout.hostsPerSlice: 1)",
    )


def _state(host: HostStory) -> str:
    if host.busy is not None:
        return (
            f"task {quote(host.busy)!r} was at work: whether it goes on there is not known, look for it on the host "
            "before you run it again"
        )
    return "no task was at work on this host" if host.begun else _NOT_BEGUN
