"""Ten thousand schedules that are due in the same minute, and a thousand beside a thousand native CronJobs.

What is made is suspended on both sides, JobInvocations as well as Jobs: no pod follows, and what is measured is how the
runs are made. Each delay is from the moment at which a run is due to that at which a watch tells of the new object, so
that the way to the bench counts, too.

The ten thousand are due twice: spread over the minute by their jitter, each at its own moment, and all at one second.
The API server bounds how fast objects can be made. The same objects made by a bare client, after the schedules' and
with the operator away, say what that bound is: nobody makes ten thousand at one second sooner.
"""

import asyncio
import math
import statistics
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path

from kubernetes.aio.client import Configuration
from kubernetes.aio.config import load_kube_config

from perf.scale import scaled
from rollcall_operator.cluster import Cluster
from support.arrivals import Arrivals
from support.crowd import create_all
from support.jobs import API_VERSION, invocation, template
from support.kube import Kube, Object
from support.operator import Operator, account
from support.report import Report
from support.schedules import permit, runs, schedule, soon
from support.usage import cpu_seconds, peak_mib, resident_mib

MANY = scaled(10_000)
SOME = scaled(1_000)
BARE = scaled(3_000)
AT_ONCE = 24
"""Requests under way at once, as the operator has for runs."""
IDLE_SECONDS = 120
"""As long as it takes until everything that is done from time to time has been done once."""
JITTER = 60
LATE = "late"
"""The schedule that is due while no operator is there."""
RUNS = "rollcall.dev/schedule"
"""The label of what schedules make."""


def test_a_thousand_beside_cron_jobs(
    kube: Kube, crds: None, make_namespace: Callable[[str], str], tmp_path: Path, report: Report
) -> None:
    namespace = make_namespace("bench")
    furnish(kube, namespace)
    theirs = full_minute(20 + 2 * SOME / 60)
    ours = theirs + timedelta(minutes=1 + math.ceil(SOME / 700))
    with Operator(namespace, account(kube, namespace, tmp_path), tmp_path / "operator.log") as operator:
        operator.wait_until_leading(kube)
        create_all(kube, (cron_job(namespace, number, theirs) for number in range(SOME)), "CronJobs")
        create_all(kube, (hourly(namespace, number, ours) for number in range(SOME)), "schedules")
        wait_until_planned(kube, operator, ours)
        native = delays(kube, namespace, "jobs", "", theirs, SOME)
        own = delays(kube, namespace, "jobinvocations", RUNS, ours, SOME)
    report.add(f"{SOME:,} native CronJobs due at once: the last Job is made after", native[-1], "s")
    report.add(f"{SOME:,} Schedules due at once: the last run is made after", own[-1], "s")
    report.add(f"{SOME:,} Schedules / native CronJobs, the last", own[-1] / native[-1], "x", at_most=0.5)
    report.add(f"{SOME:,} Schedules / native CronJobs, 99 %", at(own, 0.99) / at(native, 0.99), "x", at_most=0.5)


def test_ten_thousand(
    kube: Kube, crds: None, make_namespace: Callable[[str], str], tmp_path: Path, report: Report
) -> None:
    namespace = make_namespace("bench")
    furnish(kube, namespace)
    with Operator(namespace, account(kube, namespace, tmp_path), tmp_path / "operator.log") as operator:
        operator.wait_until_leading(kube)
        wait_until_idle(kube, operator)
        assert operator.process is not None
        empty = resident_mib(operator.process.pid)
        far = full_minute(1800)
        create_all(kube, (hourly(namespace, number, far) for number in range(MANY)), "schedules")
        wait_until_planned(kube, operator, far)
        wait_until_idle(kube, operator)
        report.add(f"memory of {MANY:,} Schedules over empty", resident_mib(operator.process.pid) - empty, "MiB",
                   at_most=40)  # fmt: skip
        report.add(f"CPU of an operator with {MANY:,} Schedules, none due", idle_percent(operator), "%", at_most=1)
        start_again(kube, operator, report, empty)
        spread(kube, operator, report)
        burst(kube, operator, report)
        report.add("operator memory, peak", peak_mib(operator.process.pid), "MiB")
        operator.stop()
        bare = asyncio.run(make_bare(operator))
        report.add("invocations made a second by a bare client, the operator away", bare, "/s")


def start_again(kube: Kube, operator: Operator, report: Report, empty: float) -> None:
    """Times a start until it has made the run that came due while nobody was there."""
    operator.stop()
    kube.create(schedule(operator.namespace, LATE, at=soon(1), invocationTemplate=suspended(operator.namespace)))
    planned = kube.get("schedules", operator.namespace, LATE)["spec"]["at"]
    kube.wait("the run to be due", lambda: datetime.now(UTC) > datetime.fromisoformat(planned))
    began = time.monotonic()
    operator.start()
    kube.wait("the run that is late", lambda: runs(kube, operator.namespace, LATE), 60, interval=0.02)
    report.add(f"start with {MANY:,} Schedules, to the first run", time.monotonic() - began, "s", at_most=10)
    wait_until_idle(kube, operator)
    assert operator.process is not None
    report.add("the same memory, after that start", resident_mib(operator.process.pid) - empty, "MiB", at_most=40)


def spread(kube: Kube, operator: Operator, report: Report) -> None:
    """Times the runs of schedules that their jitter spreads over a minute, each from its own moment."""
    due = set_times(kube, operator, JITTER)
    own = {one["metadata"]["name"]: datetime.fromisoformat(one["status"]["nextTimes"][0]).timestamp()
           for one in crowd(kube, operator)}  # fmt: skip
    assert min(own.values()) >= due.timestamp(), "a schedule was due before the minute that was meant"
    found, cpu = made_at(kube, operator, due, JITTER)
    late = sorted(moment - own[schedule_of(name)] for name, moment in found.items())
    report.add(f"{MANY:,} Schedules spread over a minute: 99 % of the runs are made within", at(late, 0.99), "s",
               at_most=5)  # fmt: skip
    report.add("the same, half of them", statistics.median(late), "s")
    report.add("the same, the last of them", late[-1], "s")
    report.add("operator CPU until the last is made, of a run", cpu, "ms")
    wait_until_idle(kube, operator)


def burst(kube: Kube, operator: Operator, report: Report) -> None:
    """Times the runs of schedules that are all due at one second."""
    due = set_times(kube, operator, 0)
    assert operator.process is not None
    before = cpu_seconds(operator.process.pid)
    found, cpu = made_at(kube, operator, due, 0)
    late = sorted(moment - due.timestamp() for moment in found.values())
    report.add(f"{MANY:,} Schedules due at one second: 99 % of the runs are made within", at(late, 0.99), "s")
    report.add("the same, half of them", statistics.median(late), "s")
    report.add("the same, runs made a second", MANY / late[-1], "/s")
    report.add("operator CPU until the last is made, of a run", cpu, "ms")
    kube.wait(
        "statuses", lambda: all(one["status"]["iteration"] == 2 for one in crowd(kube, operator)), 900, interval=5
    )
    report.add("the same, all statuses are written after", time.time() - due.timestamp(), "s")
    wait_until_idle(kube, operator)
    report.add("operator CPU in all, of a run", (cpu_seconds(operator.process.pid) - before) / MANY * 1000, "ms")


def set_times(kube: Kube, operator: Operator, jitter: int) -> datetime:
    """Let all schedules be due at one minute to come, and be so far away that all is settled before."""
    due = full_minute(60 + MANY / 80)
    spec = {"spec": {"cron": [line(due)], "jitterSeconds": jitter}}
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda number: kube.patch("schedules", operator.namespace, name_of(number), spec), range(MANY)))
    wait_until_planned(kube, operator, due, jitter)
    wait_until_idle(kube, operator)
    assert datetime.now(UTC) < due, "the schedules were not ready in time: this machine is too slow, or too busy"
    return due


def made_at(kube: Kube, operator: Operator, due: datetime, jitter: int) -> tuple[dict[str, float], float]:
    """When the run of each schedule was made, by its name, and the operator's CPU of a run until then in ms."""
    assert operator.process is not None
    kube.wait("the minute before", lambda: datetime.now(UTC) > due - timedelta(seconds=5), 1800)
    cpu = cpu_seconds(operator.process.pid)
    with Arrivals(kube, "jobinvocations", operator.namespace, RUNS) as arrivals:
        arrivals.wait(MANY, jitter + 900)
        found = dict(arrivals.moments)
    assert len({schedule_of(name) for name in found}) == MANY, "not every schedule has one run"
    return found, (cpu_seconds(operator.process.pid) - cpu) / MANY * 1000


async def make_bare(operator: Operator) -> float:
    """How many invocations a second the API server takes, from a client that does nothing else."""
    configuration = Configuration()
    await load_kube_config(config_file=str(operator.kubeconfig), client_configuration=configuration)
    waiting = [run_like(operator.namespace, f"bare-{number}") for number in range(BARE)]

    async def make(cluster: Cluster) -> None:
        while waiting:
            await cluster.create("jobinvocations", waiting.pop())

    async with Cluster(configuration) as cluster:
        began = time.monotonic()
        await asyncio.gather(*(make(cluster) for _ in range(AT_ONCE)))
        return BARE / (time.monotonic() - began)


def delays(kube: Kube, namespace: str, plural: str, selector: str, due: datetime, count: int) -> list[float]:
    """How long after the moment so many objects were made, in order."""
    assert datetime.now(UTC) < due, "the schedules were not ready in time: this machine is too slow, or too busy"
    with Arrivals(kube, plural, namespace, selector) as arrivals:
        kube.wait("the full minute", lambda: datetime.now(UTC) >= due, 1800)
        return [moment - due.timestamp() for moment in arrivals.wait(count, 900)]


def at(found: list[float], share: float) -> float:
    """The least delay that this share of them keeps."""
    return found[min(len(found) - 1, int(len(found) * share))]


def full_minute(seconds: float) -> datetime:
    """The first full minute that is at least so far away."""
    moment = datetime.now(UTC) + timedelta(seconds=seconds)
    return moment.replace(second=0, microsecond=0) + timedelta(minutes=1)


def wait_until_planned(kube: Kube, operator: Operator, due: datetime, jitter: int = 0) -> None:
    """Wait until all schedules have their id and tell of their next run, which is due at that minute."""
    last = due + timedelta(seconds=jitter)

    def planned(one: Object) -> bool:
        times = one.get("status", {}).get("nextTimes", ())
        return any(due <= datetime.fromisoformat(moment) <= last for moment in times[:1])

    unnumbered = "!rollcall.dev/id"
    kube.wait("ids", lambda: not kube.list("schedules", operator.namespace, labelSelector=unnumbered, limit=1), 900, 1)
    kube.wait("next times", lambda: all(planned(one) for one in crowd(kube, operator)), 900, interval=5)


def crowd(kube: Kube, operator: Operator) -> list[Object]:
    """All schedules but the one that was late."""
    return [one for one in kube.list("schedules", operator.namespace) if one["metadata"]["name"] != LATE]


def wait_until_idle(kube: Kube, operator: Operator) -> None:
    """Wait until the operator has nothing left to do."""
    assert operator.process is not None
    pid = operator.process.pid

    def idle() -> bool:
        before = cpu_seconds(pid)
        time.sleep(2)
        return cpu_seconds(pid) - before <= 0.1

    kube.wait("an idle operator", idle, 600)


def idle_percent(operator: Operator) -> float:
    """How much of a core the operator takes while nothing happens."""
    assert operator.process is not None
    before = cpu_seconds(operator.process.pid)
    time.sleep(IDLE_SECONDS)
    return (cpu_seconds(operator.process.pid) - before) / IDLE_SECONDS * 100


def furnish(kube: Kube, namespace: str) -> None:
    """What the schedules need."""
    kube.create(template(namespace))
    meta = {"name": "host-0", "namespace": namespace}
    kube.create({"apiVersion": API_VERSION, "kind": "Host", "metadata": meta, "spec": {"address": "198.18.0.1"}})
    permit(kube, namespace)


def hourly(namespace: str, number: int, due: datetime) -> Object:
    """A schedule that is due at that minute of every hour."""
    return schedule(namespace, name_of(number), cron=[line(due)], invocationTemplate=suspended(namespace))


def name_of(number: int) -> str:
    """The name of a schedule, of which the first is 0."""
    return f"schedule-{number:05}"


def schedule_of(run: str) -> str:
    """The name of the schedule of a run, whose name begins with it."""
    return run.rsplit("-", 2)[0]


def line(due: datetime) -> str:
    """The cron line of that minute of every hour."""
    return f"{due.minute} * * * *"


def suspended(namespace: str) -> Object:
    """What each run is."""
    return {"spec": run_like(namespace, "any")["spec"]}


def run_like(namespace: str, name: str) -> Object:
    """An invocation that waits for somebody to let it start."""
    made = invocation(namespace, name, "true", ["host-0"], suspend=True)
    made["spec"]["targeting"]["resolve"] = "AtStart"  # as a suspended Job has no pods, this has no slices
    return made


def cron_job(namespace: str, number: int, due: datetime) -> Object:
    """A native CronJob that is due at that minute of every hour, and whose Jobs wait for somebody to let them start."""
    container = {"name": "main", "image": "none", "command": ["true"]}
    job = {"suspend": True, "template": {"spec": {"restartPolicy": "Never", "containers": [container]}}}
    return {
        "apiVersion": "batch/v1",
        "kind": "CronJob",
        "metadata": {"name": f"cron-job-{number:05}", "namespace": namespace},
        "spec": {"schedule": f"{due.minute} * * * *", "timeZone": "Etc/UTC", "jobTemplate": {"spec": job}},
    }
