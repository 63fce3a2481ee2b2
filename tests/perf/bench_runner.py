"""SSH sessions of a runner, against asyncssh in a bare loop and against Ansible, on the same hosts; its memory.

All sides talk to the same ten sshd, each of which plays many hosts, and take turns. The hosts are on this machine: what
they do for a session is a part of every side's time.
"""

import compileall
import itertools
import json
import os
import statistics
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import pytest

import rollcall
import rollcall_runner
from perf.scale import scaled
from rollcall.names import HostState
from rollcall.outputs import Event, Exit, parse_line
from rollcall.work import Credentials, HostWork, Work
from support.report import Report
from support.sshhosts import KeyPair, SshHost
from support.usage import peak_mib

SESSIONS = scaled(200)
HOSTS = scaled(100)
AT_ONCE = 50
ROUNDS = 5
USER = "ops"
COMMAND = "echo hello"
TESTS = Path(__file__).parent.parent


@dataclass(frozen=True)
class Ran:
    """What one runner process did: its sessions from the first to the last, its whole life, its memory."""

    per_second: float
    seconds: float
    peak: float


@pytest.fixture(scope="module", autouse=True)
def compiled() -> None:
    """The runner is compiled, as it is in its image and as pip leaves Ansible, also where Python may write no files."""
    for package in (rollcall, rollcall_runner):
        assert compileall.compile_dir(Path(str(package.__file__)).parent, quiet=1)


def test_sessions(hosts: list[SshHost], client_key: KeyPair, tmp_path: Path, report: Report) -> None:
    bare: list[float] = []
    ours: list[Ran] = []
    for number in range(ROUNDS):
        bare.append(SESSIONS / run_bare(hosts, client_key, SESSIONS))
        ours.append(run_runner(hosts, client_key, tmp_path, SESSIONS, AT_ONCE))
        print(f"round {number + 1}: {bare[-1]:.0f}/s bare, {ours[-1].per_second:.0f}/s runner", flush=True)
    ratio = statistics.median(run.per_second / theirs for run, theirs in zip(ours, bare, strict=True))
    report.add("runner / bare asyncssh, sessions a second", ratio, "x", at_least=0.8)
    report.add("bare asyncssh", statistics.median(bare), "1/s")
    report.add("runner", statistics.median(run.per_second for run in ours), "1/s")


def test_memory(hosts: list[SshHost], client_key: KeyPair, tmp_path: Path, report: Report) -> None:
    peaks = [run_runner(hosts, client_key, tmp_path, HOSTS, HOSTS).peak for _ in range(ROUNDS)]
    report.add(f"runner memory, peak, {HOSTS} hosts at once", max(peaks), "MiB", at_most=96)


def test_ansible(hosts: list[SshHost], client_key: KeyPair, tmp_path: Path, report: Report) -> None:
    ansible: list[float] = []
    ours: list[float] = []
    bare: list[float] = []
    for number in range(ROUNDS):
        ansible.append(run_ansible(hosts, client_key, tmp_path, HOSTS))
        ours.append(run_runner(hosts, client_key, tmp_path, HOSTS, AT_ONCE).seconds)
        began = time.monotonic()
        run_bare(hosts, client_key, HOSTS)
        bare.append(time.monotonic() - began)
        print(f"round {number + 1}: {ansible[-1]:.1f} s ansible, {ours[-1]:.1f} s runner, {bare[-1]:.1f} s bare")
    ratio = statistics.median(theirs / mine for mine, theirs in zip(ours, ansible, strict=True))
    report.add(f"ansible -m raw -f {AT_ONCE} / runner, {HOSTS} hosts, start to end", ratio, "x", at_least=5)
    bound = statistics.median(theirs / least for least, theirs in zip(bare, ansible, strict=True))
    report.add("the same against the bare loop, which leaves out all that a runner is for", bound, "x")
    report.add(f"ansible -m raw -f {AT_ONCE}, {HOSTS} hosts", statistics.median(ansible), "s")
    report.add(f"runner, {HOSTS} hosts", statistics.median(ours), "s")


def run_bare(hosts: list[SshHost], key: KeyPair, sessions: int) -> float:
    """The seconds that the sessions took, without the start of the process."""
    targets = [{"address": host.address, "hostKey": host.host_key} for host in many(hosts, sessions)]
    order = {"hosts": targets, "user": USER, "key": key.private, "command": COMMAND, "parallelism": AT_ONCE}
    command = [sys.executable, "-m", "support.bare_ssh"]
    done = subprocess.run(command, cwd=TESTS, input=json.dumps(order).encode(), stdout=subprocess.PIPE, check=True)
    return float(done.stdout)


def run_runner(hosts: list[SshHost], key: KeyPair, folder: Path, sessions: int, at_once: int) -> Ran:
    work = Work(
        hosts=tuple(
            HostWork(f"host-{number}", host.address, 22, USER, (host.host_key,), 0, 0)
            for number, host in enumerate(many(hosts, sessions))
        ),
        scripts=(COMMAND + "\n",),
        credentials=(Credentials(private_key=key.private),),
        parallelism=at_once,
        execution_timeout_seconds=60,
        output_limit_bytes=1_000_000,
    )
    (folder / "work").write_bytes(work.dump())
    command = [sys.executable, "-m", "rollcall_runner.main", f"--work={folder / 'work'}"]
    command += [f"--termination-log={folder / 'termination-log'}"]
    peak = 0.0
    began = time.monotonic()
    with (folder / "events").open("wb") as output:
        process = subprocess.Popen(command, stdout=output, cwd=folder)
        while process.poll() is None:
            peak = max(peak, peak_mib(process.pid))
            time.sleep(0.01)
    seconds = time.monotonic() - began
    events = [parse_line(line) for line in (folder / "events").read_bytes().splitlines()]
    ends = [event.data for event in events if isinstance(event.data, Exit)]
    assert [end.state for end in ends] == [HostState.SUCCEEDED] * sessions, ends
    return Ran(sessions / taken(events), seconds, peak)


def taken(events: list[Event]) -> float:
    """The seconds from the first event to the last."""
    times = [event.time for event in events]
    return max(times) - min(times)


def run_ansible(hosts: list[SshHost], key: KeyPair, folder: Path, count: int) -> float:
    """The seconds of a whole `ansible` process, which checks host keys and leaves no connection open for the next."""
    (folder / "key").write_text(key.private)
    (folder / "key").chmod(0o600)
    (folder / "known_hosts").write_text("".join(f"{host.address} {host.host_key}\n" for host in hosts))
    names = (f"host-{number} ansible_host={host.address}\n" for number, host in enumerate(many(hosts, count)))
    (folder / "inventory").write_text("".join(names))
    options = f"-o ControlMaster=no -o UserKnownHostsFile={folder / 'known_hosts'}"
    environment = {"HOME": str(folder), "PATH": os.environ["PATH"], "LANG": "C.UTF-8", "ANSIBLE_SSH_ARGS": options}
    environment["ANSIBLE_TIMEOUT"] = "60"  # a busy machine is slow to answer
    command = [str(Path(sys.executable).with_name("ansible")), "all", "-i", str(folder / "inventory"), "-m", "raw"]
    command += ["-a", COMMAND, "-f", str(AT_ONCE), "-u", USER, "--private-key", str(folder / "key")]
    began = time.monotonic()
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    seconds = time.monotonic() - began
    assert done.stdout.count("rc=0 >>\nhello") == count, done.stdout[-2_000:] + done.stderr[-2_000:]
    return seconds


def many(hosts: list[SshHost], count: int) -> list[SshHost]:
    """So many hosts, which are the same few over and over."""
    return list(itertools.islice(itertools.cycle(hosts), count))
