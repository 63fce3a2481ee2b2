"""The worst searches that anybody may ask for, over 10,000 jobs of ten hosts each: how long one piece holds the facade.

Fed directly, as its watches would; no cluster, and no other load.
"""

import asyncio
import gc
import os
import time
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Any, Final

from perf.scale import scaled
from rollcall_api.cluster import Cluster
from rollcall_api.foreman import render
from rollcall_api.foreman.job_fields import JOBS, TASKS
from rollcall_api.foreman.search import HostSearch
from rollcall_api.foreman.taxonomies import Context, Taxonomies
from rollcall_api.job_search import JobSearch
from rollcall_api.jobs import Jobs
from rollcall_api.lists import encoded
from rollcall_api.pace import Pace
from rollcall_api.problems import BadSearch
from rollcall_api.sequences import Sequences
from rollcall_api.visibility import Searcher
from support.crowded import crowded_cache, finished_job, host_name, received
from support.report import Report
from support.usage import resident_mib

JOBS_HELD: Final = scaled(10_000)
HOSTS_HELD: Final = scaled(10_000)
MANY_JOBS: Final = scaled(100_000)
HOSTS_OF_EACH: Final = 10
LONGEST_PIECE: Final = 0.05
ALICE: Final = Searcher("alice", True)
_WORDS: Final = " ".join(f"word{number}" for number in range(16))
_TEXTS: Final = " or ".join(f"description ~ *a*b{number}*" for number in range(250))
OF_JOBS: Final = {
    "16 words": _WORDS,
    "33 words, refused": " ".join("a" for _ in range(33)),
    "8,000 words, refused": "a " * 8_000,
    "250 patterns": _TEXTS,
    "16 conditions on hosts": " or ".join(f"host ~ nothing{number}" for number in range(16)),
    "800 alternatives, refused": " or ".join(["job_category ~ x"] * 800),
    "ids": f"id ^ ({' '.join(map(str, range(1, 3_000)))})",
    "status": "status = succeeded",
    "times": 'started_at > "24 hours ago" or ended_at < "3 years ago"',
    "blank": "  ",
}
OF_HOSTS: Final = {
    "63 facts, refused": " or ".join(f"facts.fact_{number} ~ x" for number in range(63)),
    "32 facts": " or ".join(f"facts.fact_{number} ~ x" for number in range(32)),
    "32 patterns of names": " or ".join(f"name ~ *e*x{number}*" for number in range(32)),
    "what jobs did": "execution_status = ok or execution_status = error",
    "results of jobs": " or ".join(f"job_invocation.result = {word}" for word in ("failed", "success", "x", "y")),
    "5 lookups, refused": " or ".join(f"job_invocation.result = {number}" for number in range(5)),
    "1,600 names": f"name ^ ({' '.join(f'web-{number:05}' for number in range(1_600))})",
    "blank": "",
}


def test_what_a_finished_job_takes(report: Report) -> None:
    """First of all, while no memory is free for reuse."""
    cache = crowded_cache(0)
    gc.collect()
    before = resident_mib(os.getpid())
    for number in range(1, MANY_JOBS + 1):
        cache.jobs.put(received(finished_job(number, [host_name(number % HOSTS_HELD)])))
    gc.collect()
    grown = (resident_mib(os.getpid()) - before) * 1_048_576
    assert len(cache.jobs) == MANY_JOBS
    report.add(f"memory of each of {MANY_JOBS:,} jobs that have ended", grown / MANY_JOBS, "B", at_most=2_000)


def test_the_worst_searches(report: Report) -> None:
    cache = crowded_cache(JOBS_HELD, hosts=HOSTS_HELD, of_each=HOSTS_OF_EACH)
    taxonomies, jobs = Taxonomies(cache.hosts), Jobs(Cluster(), cache, Sequences(Cluster(), "ns"), "ns")

    async def of_jobs(text: str, order: str = "") -> Any:
        return await JobSearch(jobs, Pace(), JOBS).find(text, JOBS.order(order), ALICE)

    async def of_tasks(text: str, order: str = "") -> Any:
        return await JobSearch(jobs, Pace(), TASKS).find(text, TASKS.order(order), ALICE)

    async def of_hosts(text: str) -> Any:
        return await HostSearch(cache, taxonomies, Pace()).targets(text, Context(taxonomies), ALICE.sees)

    async def page_of_all() -> Any:
        views = (jobs.view(job) for job in list(cache.jobs))
        return await Pace().run(encoded(views, render.item))

    for name, text in OF_JOBS.items():
        measure(report, f"jobs, {name}", lambda text=text: of_jobs(text))
    for order in ("description", "started_at DESC", "host", "pattern_template_name"):
        measure(report, f"jobs, by {order}", lambda order=order: of_jobs("", order))
    measure(report, "tasks, by state", lambda: of_tasks("state = stopped and result ~ s", "ended_at"))
    for name, text in OF_HOSTS.items():
        measure(report, f"hosts, {name}", lambda text=text: of_hosts(text))
    measure(report, "all jobs on one page", page_of_all)


def measure(report: Report, what: str, work: Callable[[], Awaitable[Any]]) -> None:
    """Runs the work beside a task that wants to run all the time, and tells the longest time that it could not."""

    async def beside() -> tuple[float, float]:
        held, done, begun = 0.0, False, time.perf_counter()

        async def other() -> None:
            nonlocal held
            last = time.thread_time()
            while not done:
                await asyncio.sleep(0)
                now = time.thread_time()
                held, last = max(held, now - last), now

        task = asyncio.create_task(other())
        await asyncio.sleep(0)
        with suppress(BadSearch):
            await work()
        took = time.perf_counter() - begun
        done = True
        await task
        return held, took

    held, took = asyncio.run(beside())
    report.add(f"longest piece: {what}", held * 1_000, "ms", at_most=LONGEST_PIECE * 1_000)
    report.add(f"the whole: {what}", took * 1_000, "ms")
