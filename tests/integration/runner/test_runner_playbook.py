"""A runner with a playbook, against real sshd: logins, host keys, ends, stops; and that it leaves nothing behind."""

import asyncio
import os
import re
import signal
import subprocess
from collections.abc import Awaitable, Callable
from dataclasses import replace
from pathlib import Path

import pytest

from integration.runner.runs import Run, RunWork
from integration.runner.sshd import PASSWORD, Server, free_port, is_alive, keygen, public_key, wait_until
from rollcall.names import HostState
from rollcall.outputs import Exit, Stream
from rollcall.playbook import HostVariables, PlaybookWork
from rollcall.work import Credentials, HostWork, StopOrder, Work

Start = Callable[..., Awaitable[Run]]
PLAYBOOK = """
- hosts: all
  gather_facts: false
  tasks:
    - name: Who
      ansible.builtin.command: id -un
      register: who
    - name: Tell
      ansible.builtin.debug: {msg: "I am {{ who.stdout }} with {{ token | default('nothing') }}"}
"""
SLEEP = """
- hosts: all
  gather_facts: false
  tasks:
    - name: Sleep
      ansible.builtin.shell: echo $$ > {{ file }}; exec sleep 300
"""


THREE = """
- hosts: all
  gather_facts: false
  {play}
  tasks:
    - {{name: One, ansible.builtin.command: "true"}}
    - {{name: Two, ansible.builtin.command: "true", failed_when: inventory_hostname == 'a', {task}}}
    - {{name: Three, ansible.builtin.command: "true"}}
"""


def play(server: Server, text: str, *hosts: HostWork, **changes: object) -> Work:
    """A work with the playbook on these hosts, whose Python is the machine's own."""
    chosen = hosts or (server.host(),)
    known = HostVariables(variables={"ansible_python_interpreter": "/usr/bin/python3"})
    extra = changes.pop("extra", {})
    playbook = PlaybookWork(extra_vars=extra, hosts=dict.fromkeys([host.name for host in chosen], known))  # type: ignore[arg-type]
    return server.work(text, hosts=chosen, playbook=playbook, **changes)


def exits(run: Run) -> dict[str, Exit]:
    return {event.host: event.data for event in run.events if isinstance(event.data, Exit)}


def text(run: Run, host: str) -> str:
    said = (event.data for event in run.events if event.host == host and event.stream is Stream.STDOUT)
    return b"".join(data for data in said if isinstance(data, bytes)).decode()


def strays(run: Run) -> list[str]:
    """Processes that belong to the run's folder, ssh's connections among them."""
    shown = subprocess.run(["ps", "-eo", "args"], capture_output=True, text=True, check=True).stdout
    return [line for line in shown.splitlines() if str(run.directory) in line]


async def test_hosts_that_cannot_be_reached_say_why(server: Server, run: RunWork, tmp_path: Path) -> None:
    other = public_key(keygen(tmp_path / "other", "-t", "ed25519"))
    ended = await run(
        play(
            server,
            PLAYBOOK,
            server.host("fine"),
            server.host("closed", port=free_port()),
            server.host("stranger", host_keys=(other,)),
            server.host("keyless", host_keys=()),
            server.host("nobody", user="no-such-user"),
        )
    )
    found = {name: (exit_.state.value, exit_.reason and exit_.reason.value) for name, exit_ in exits(ended).items()}
    assert found == {
        "fine": ("Succeeded", None),
        "closed": ("Failed", "Unreachable"),
        "stranger": ("Failed", "HostKeyMismatch"),
        "keyless": ("Failed", "HostKeyMismatch"),
        "nobody": ("Failed", "AuthenticationFailed"),
    }
    assert "I am root with nothing" in text(ended, "fine")
    assert strays(ended) == []


NOT_DONE = "ansible-playbook stopped before it was done with this host, because a failed: task 'Two' failed: "
NOT_REACHED = "ansible-playbook stopped before it reached this host, because a failed: task 'Two' failed: "


@pytest.mark.parametrize(
    ("head", "task", "state", "words"),
    [
        ("order: inventory", "", HostState.SUCCEEDED, None),
        ("strategy: free", "", HostState.SUCCEEDED, None),
        ("strategy: free\n  any_errors_fatal: true", "", HostState.SUCCEEDED, None),
        ("serial: 1", "", HostState.FAILED, NOT_REACHED),
        ("any_errors_fatal: true", "", HostState.FAILED, NOT_DONE),
        ("max_fail_percentage: 10", "", HostState.FAILED, NOT_DONE),
        ("max_fail_percentage: 50", "", HostState.SUCCEEDED, None),
        ("order: inventory", "run_once: true", HostState.FAILED, NOT_DONE),
        ("any_errors_fatal: true", "ignore_errors: true", HostState.SUCCEEDED, None),
    ],
)
async def test_hosts_that_were_not_carried_to_the_end_fail(
    server: Server, run: RunWork, head: str, task: str, state: HostState, words: str | None
) -> None:
    text = THREE.format(play=head, task=task)
    found = exits(await run(play(server, text, *(server.host(name) for name in "abc"))))
    for name in "bc":
        assert found[name].state is state, found[name]
        assert found[name].exit_code == (2 if state is HostState.FAILED else 0)
        assert (found[name].message or "").startswith(words or "")
        assert (found[name].message is None) == (words is None)
    assert found["a"].state is (HostState.SUCCEEDED if "ignore" in task else HostState.FAILED)


LATER = """
- hosts: a
  gather_facts: false
  tasks: [{name: Two, ansible.builtin.command: "false"}]
- hosts: "{{ 'b' }}"
  gather_facts: false
  tasks: [{name: Three, ansible.builtin.command: "true"}]
"""
LAST = """
- hosts: all
  gather_facts: false
  any_errors_fatal: true
  tasks:
    - {name: One, ansible.builtin.command: "true"}
    - {name: Two, ansible.builtin.command: "true", failed_when: inventory_hostname == 'a'}
"""
RESCUED = """
- hosts: all
  gather_facts: false
  any_errors_fatal: true
  tasks:
    - block: [{name: Two, ansible.builtin.command: "false"}]
      rescue: [{name: Three, ansible.builtin.command: "true"}]
    - {name: Four, ansible.builtin.command: "true"}
- hosts: a
  gather_facts: false
  tasks: [{meta: end_play}]
"""


async def test_plays_that_were_not_begun_fail_on_their_hosts_only(server: Server, run: RunWork) -> None:
    found = exits(await run(play(server, LATER, *(server.host(name) for name in "abc"))))
    assert (found["b"].message or "").startswith(NOT_REACHED)
    assert [found[name].state.value for name in "abc"] == ["Failed", "Failed", "Succeeded"]


@pytest.mark.parametrize(
    ("text", "states"), [(LAST, ["Failed", "Succeeded", "Succeeded"]), (RESCUED, ["Succeeded"] * 3)]
)
async def test_hosts_that_were_carried_to_the_end_succeed(
    server: Server, run: RunWork, text: str, states: list[str]
) -> None:
    found = exits(await run(play(server, text, *(server.host(name) for name in "abc"))))
    assert [found[name].state.value for name in "abc"] == states, found


ON_LOCALHOST = """
- hosts: localhost
  gather_facts: false
  tasks:
    - block: [{{name: Two, ansible.builtin.fail: {{msg: broken}}}}]
      rescue: [{{name: Three, ansible.builtin.debug: {{msg: "{rescue}"}}}}]
- hosts: far
  gather_facts: false
  tasks: [{{name: Far, ansible.builtin.ping: , ignore_unreachable: true}}]
- hosts: web-1
  gather_facts: false
  tasks: [{{name: Four, ansible.builtin.command: "true"}}]
"""
FAR = """
- hosts: localhost
  gather_facts: false
  tasks: [{name: Add, ansible.builtin.add_host: {name: far, ansible_host: 127.0.0.1, ansible_port: 1}}]
"""


@pytest.mark.parametrize("rescue", ["mended", "{{ undefined_here }}"])
async def test_what_was_mended_on_another_host_is_no_failure(server: Server, run: RunWork, rescue: str) -> None:
    found = exits(await run(play(server, FAR + ON_LOCALHOST.format(rescue=rescue))))["web-1"]
    if rescue == "mended":
        assert (found.state, found.message) == (HostState.SUCCEEDED, None)
    else:
        assert (found.state, found.exit_code) == (HostState.FAILED, 2)
        assert "because localhost failed: task 'Three' failed" in (found.message or "")


def encrypted(server: Server, folder: Path, passphrase: str) -> str:
    """The server's user key, encrypted."""
    key = folder / "encrypted"
    key.write_bytes(server.user_key.read_bytes())
    key.chmod(0o600)
    subprocess.run(["ssh-keygen", "-q", "-p", "-f", key, "-P", "", "-N", passphrase], check=True)
    return key.read_text()


@pytest.mark.parametrize("kind", ["password", "passphrase"])
async def test_logins_by_password_and_by_encrypted_key(
    server: Server, run: RunWork, user: str, tmp_path: Path, kind: str
) -> None:
    if kind == "password":
        credentials, name = Credentials(password=PASSWORD), user
    else:
        credentials, name = (
            Credentials(private_key=encrypted(server, tmp_path, "a phrase"), passphrase="a phrase"),
            "root",
        )
    ended = await run(play(server, PLAYBOOK, server.host(user=name), credentials=credentials))
    assert exits(ended)["web-1"] == replace(exits(ended)["web-1"], state=HostState.SUCCEEDED, exit_code=0)
    assert f"I am {name} with nothing" in text(ended, "web-1")


async def test_a_wrong_password_and_a_key_that_is_none_fail_by_themselves(
    server: Server, run: RunWork, user: str
) -> None:
    logins = (Credentials(password="wrong"), Credentials(private_key="no key"), Credentials(password=PASSWORD))
    hosts = [server.host(f"h{number}", user=user, credentials=number) for number in range(3)]
    ended = await run(replace(play(server, PLAYBOOK, *hosts), credentials=logins))
    reasons = {name: exit_.reason and exit_.reason.value for name, exit_ in exits(ended).items()}
    assert reasons == {"h0": "AuthenticationFailed", "h1": "AuthenticationFailed", "h2": None}


OPTIONS = """
- hosts: all
  gather_facts: false
  tasks:
    - {name: Asked, tags: [asked], ansible.builtin.debug: {msg: "with {{ ansible_forks }} forks"}}
    - {name: Skipped, tags: [asked, skipped], ansible.builtin.debug: {msg: skipped}}
    - {name: Not asked, ansible.builtin.debug: {msg: not asked for}}
"""


async def test_tags_forks_and_verbosity_are_ansible_playbooks_own(server: Server, run: RunWork) -> None:
    work = play(server, OPTIONS)
    assert work.playbook is not None
    options = replace(work.playbook, tags=("asked",), skip_tags=("skipped",), forks=3, verbosity=2)
    said = text(await run(replace(work, playbook=options)), "web-1")
    assert re.findall(r"TASK \[(.*)\]", said) == ["Asked"]
    assert "with 3 forks" in said
    assert "task path: " in said  # which -v does not print yet


async def test_secrets_are_masked_in_text_records_and_messages(server: Server, run: RunWork) -> None:
    fail = "\n    - {name: Fail, ansible.builtin.fail: {msg: 'with {{ token }}'}}\n"
    work = play(server, PLAYBOOK + fail, extra={"token": "canary-1357"}, masked=("canary-1357",))
    ended = await run(work)
    assert "I am root with ********" in text(ended, "web-1")
    assert exits(ended)["web-1"].message == "task 'Fail' failed: with ********"
    records = [event.data for event in ended.events if event.stream is Stream.RECORD]
    assert "with ********" in str(records)
    assert "canary-1357" not in str(ended.events)


@pytest.mark.parametrize("how", ["signal", "timeout"])
async def test_a_run_that_is_stopped_leaves_nothing_behind(
    server: Server, start: Start, tmp_path: Path, how: str
) -> None:
    mark = tmp_path / "pid"
    timeout = 8 if how == "timeout" else 60
    run = await start(play(server, SLEEP, extra={"file": str(mark)}, execution_timeout_seconds=timeout))
    await run.until(lambda event: event.stream is Stream.STDOUT and b"TASK [Sleep]" in (event.data or b""))  # type: ignore[operator]
    wait_until(lambda: mark.exists() and mark.read_text().strip() != "", "the task is at work")
    if how == "signal":
        run.process.send_signal(signal.SIGTERM)
    await run.finish()
    found = exits(run)["web-1"]
    assert found.state is (HostState.FAILED if how == "timeout" else HostState.CANCEL_FAILED)
    assert "task 'Sleep' was at work" in (found.message or "")
    assert strays(run) == []
    wait_until(lambda: not is_alive(int(mark.read_text())), "sshd ends what its connection leaves")


async def test_a_host_that_is_told_to_stop_before_the_run_is_left_out(server: Server, start: Start) -> None:
    hosts = (server.host("a"), server.host("b"))
    work = play(server, PLAYBOOK, *hosts)
    run = await start(work)
    run.order(StopOrder(hosts=("b",)))
    await run.finish()
    assert exits(run)["a"].state is HostState.SUCCEEDED
    assert exits(run)["b"].state in (HostState.CANCELLED, HostState.CANCEL_FAILED)


async def test_a_run_is_stopped_when_only_hosts_that_were_told_to_stop_are_left(
    server: Server, start: Start, tmp_path: Path
) -> None:
    """The order comes while the host that was not told to stop is at work; it is forced, and not for the first host."""
    mark, go = tmp_path / "pid", tmp_path / "go"
    text = """
- hosts: all
  gather_facts: false
  strategy: free
  tasks:
    - name: Wait
      ansible.builtin.shell: until [ -e {{ go }} ]; do sleep 0.1; done; exit 1
      when: inventory_hostname == "a"
    - name: Sleep
      ansible.builtin.shell: trap '' TERM; echo $$ > {{ file }}; exec sleep 300
"""
    extra = {"file": str(mark), "go": str(go)}
    work = play(server, text, server.host("a"), server.host("b"), extra=extra, stop_grace_seconds=600)
    run = await start(work)
    wait_until(lambda: mark.exists() and mark.read_text().strip() != "", "b is at work")
    run.order(StopOrder(hosts=("b",), force=True))
    await asyncio.sleep(2)  # the order is read while a still works, which must keep the run going
    go.touch()
    await run.finish()
    assert exits(run)["a"].message == "task 'Wait' failed: non-zero return code; exit code 1"
    assert exits(run)["b"].state is HostState.CANCEL_FAILED
    assert "task 'Sleep' was at work" in (exits(run)["b"].message or "")


async def test_a_failed_host_that_is_rescued_keeps_the_run_going(server: Server, start: Start, tmp_path: Path) -> None:
    text = """
- hosts: all
  gather_facts: false
  tasks:
    - block: [{name: Fail, ansible.builtin.command: "false", when: inventory_hostname == "a"}]
      rescue: [{name: Mend, ansible.builtin.shell: "touch {{ file }}; sleep 4"}]
"""
    mark = tmp_path / "mark"
    run = await start(play(server, text, server.host("a"), server.host("b"), extra={"file": str(mark)}))
    await run.until(lambda event: event.stream is Stream.STDOUT and b"PLAY [all]" in (event.data or b""))  # type: ignore[operator]
    run.order(StopOrder(hosts=("b",)))
    await run.finish()
    assert mark.exists()
    assert exits(run)["a"].state is HostState.SUCCEEDED
    assert exits(run)["b"].state is HostState.CANCEL_FAILED


async def test_much_output_is_cut_and_counted(server: Server, run: RunWork) -> None:
    loud = "- hosts: all\n  gather_facts: false\n  tasks: [{ansible.builtin.command: seq 100000}]\n"
    ended = await run(play(server, loud, output_limit_bytes=50_000))
    assert exits(ended)["web-1"].state is HostState.SUCCEEDED
    cut = sum(event.data for event in ended.events if event.stream is Stream.CUT and isinstance(event.data, int))
    assert len(text(ended, "web-1")) <= 50_000 < cut
    assert text(ended, "web-1").count("\n99999\n") == 1  # the last lines are kept
    record = next(event.data for event in ended.events if isinstance(event.data, dict) and event.data.get("cut"))
    assert record["event"] == "runner_on_ok"


async def test_files_are_the_runners_own(server: Server, start: Start, tmp_path: Path) -> None:
    mark = tmp_path / "pid"
    run = await start(play(server, SLEEP, extra={"file": str(mark)}))
    wait_until(mark.exists, "the task is at work")
    scratch = run.directory / "scratch"
    for name in ("inventory/hosts.yaml", "env/extravars", "keys/0", "known_hosts/web-1", "ssh/host-0"):
        assert (scratch / name).stat().st_mode & 0o777 == 0o600
    run.process.send_signal(signal.SIGTERM)
    await run.finish()
    assert os.listdir(scratch)
