"""A hundred pods that write as fast as they are told to: what is stored of it, and from which rate on it comes late.

The pods are stand-ins. What each has said is known, so that it can be compared, byte by byte and number by number, with
what is stored. To come late is no loss: a kubelet keeps the file open that is being followed. What is lost is no matter
of speed, and makes the bench fail when it has reported all rates.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

from perf.scale import scaled
from rollcall.outputs import Event, Exit, Stream
from support.contest import Contest
from support.crowd import stock, wait_until_numbered
from support.jobs import events_of, slices
from support.kube import Kube
from support.operator import Operator, account
from support.report import Report
from support.standin import keep_to_standins, standins
from support.standin_runner import Part
from support.usage import cpu_seconds, peak_mib

PODS = scaled(100)
SECONDS = 10
LINE_BYTES = 8_192
"""What a runner puts into an event when its host has much to say."""
RATES = (0.03, 0.06, 0.125, 0.25, 0.5, 1.0)
"""MB/s of each pod."""
LATE_SECONDS = 3.0


@dataclass
class Stored:
    """What is stored of the output of some hosts."""

    kept: int = 0
    cut: int = 0
    holes: int = 0
    """Events that are missing, or there again, by their numbers."""


def test_a_hundred_pods(
    kube: Kube, crds: None, make_namespace: Callable[[str], str], tmp_path: Path, report: Report
) -> None:
    namespace = make_namespace("bench")
    keep_to_standins(kube, namespace)
    stock(kube, namespace, PODS)
    kept_up = 0.0
    damaged: dict[str, Stored] = {}
    with (
        standins(kube, PODS),
        Operator(namespace, account(kube, namespace, tmp_path), tmp_path / "operator.log") as operator,
    ):
        assert operator.process is not None
        operator.wait_until_leading(kube)
        wait_until_numbered(kube, namespace)
        contest = Contest(kube, operator, timeout=1_200)
        contest.ours("warm-up", Part().script, 1)
        quiet = contest.ours("quiet", Part(seconds=SECONDS).script, 1)
        for rate in RATES:
            part = Part(lines=round(rate * SECONDS * 1e6 / LINE_BYTES), line_bytes=LINE_BYTES, seconds=SECONDS)
            name = f"rate-{round(rate * 1000)}"
            sent = PODS * part.lines * part.line_bytes
            before = cpu_seconds(operator.process.pid)
            taken = contest.complete(name, part.script, 1)
            cpu = cpu_seconds(operator.process.pid) - before
            found = stored(kube, namespace, name)
            lost = abs(sent - found.kept - found.cut)
            if lost or found.holes:
                damaged[name] = found
            report.add(f"{PODS} pods of {rate:g} MB/s, bytes lost", lost, "", at_most=0)
            report.add(f"{PODS} pods of {rate:g} MB/s, holes in the output", found.holes, "", at_most=0)
            report.add(f"{PODS} pods of {rate:g} MB/s, cut", found.cut / 1e6, "MB")
            report.add(f"{PODS} pods of {rate:g} MB/s, later than quiet ones", taken - quiet, "s")
            report.add(f"{PODS} pods of {rate:g} MB/s, collected", sent / taken / 1e6, "MB/s")
            report.add(f"{PODS} pods of {rate:g} MB/s, operator CPU", cpu / sent * 1e9, "ms/MB")
            if taken - quiet <= LATE_SECONDS:
                kept_up = max(kept_up, rate)
            contest.remove(name)
        peak = peak_mib(operator.process.pid)
    report.add(f"the fastest of these that is at most {LATE_SECONDS:g} s late", kept_up * PODS, "MB/s")
    report.add("operator memory, peak", peak, "MiB")
    assert not damaged


def stored(kube: Kube, namespace: str, name: str) -> Stored:
    """What the chunks of an invocation hold; and the slices' status must say the same."""
    total = Stored()
    told = 0
    for slice_ in slices(kube, namespace, name):
        total_before = total.kept + total.cut
        count(events_of(kube, slice_), total)
        for result in slice_["status"]["hosts"]:
            told += result["output"]["bytes"] + result["output"]["cutBytes"]
        assert total.kept + total.cut > total_before
    assert told == total.kept + total.cut
    return total


def count(said: Iterable[Event], total: Stored) -> None:
    wanted = 0
    exited = False
    for event in said:
        total.holes += abs(event.seq - wanted)
        wanted = event.seq + 1
        if event.stream is Stream.STDOUT and isinstance(event.data, bytes):
            total.kept += len(event.data)
        elif isinstance(event.data, int):
            total.cut += event.data
        exited |= isinstance(event.data, Exit)
    assert exited
