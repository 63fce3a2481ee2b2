"""What Prometheus hears from an operator that runs jobs: gauges while they run, counters when they end."""

from pathlib import Path

from support.exposition import Scrape, scrape
from support.jobs import invocation, run
from support.kube import Kube
from support.operator import Operator
from support.sshhosts import SshHost


def wait(kube: Kube, operator: Operator, what: str, **expected: float) -> Scrape:
    """The first scrape in which these series without labels, or sums over a label, have these values."""
    seen: dict[str, float | None] = {}

    def look() -> Scrape | None:
        told = scrape(operator.port)
        seen.update({name: told.value(name) for name in expected})
        return told if seen == expected else None

    try:
        return kube.wait(what, look)
    except TimeoutError as error:
        raise TimeoutError(f"{what}: {seen}") from error


def test_a_job_that_ended_is_counted_with_its_hosts_its_times_and_its_output(
    kube: Kube, namespace: str, operator: Operator, hosts: list[SshHost]
) -> None:
    operator.wait_until_leading(kube)
    names = [host.name for host in hosts[:3]]
    run(kube, invocation(namespace, "mixed", f"echo 1234567; [ $(hostname) != {names[1]} ]", names))
    told = wait(kube, operator, "the end in /metrics", rollcall_pods_held=0, rollcall_logs_followed=0)
    assert told.value("rollcall_invocations_finished_total", outcome="Failed", reason="HostsFailed") == 1
    assert told.value("rollcall_hosts_finished_total", state="Succeeded", reason="") == 2
    assert told.value("rollcall_hosts_finished_total", state="Failed", reason="ExitCode") == 1
    assert told.value("rollcall_output_bytes_total") == 3 * len("1234567\n")
    assert told.value("rollcall_output_cut_bytes_total") == 0
    assert told.value("rollcall_invocation_queue_seconds_count") == 1
    assert told.value("rollcall_invocation_duration_seconds_count", outcome="Failed") == 1
    assert told.value("rollcall_slice_start_seconds_count") == 3
    assert 0 < (told.value("rollcall_slice_start_seconds_sum") or 0) < 90
    assert told.value("rollcall_kubernetes_requests_total", verb="create", resource="pods", code="201") == 3
    assert (told.value("rollcall_reconcile_seconds_count") or 0) >= 3
    assert told.value("rollcall_leader") == 1


def test_a_job_that_runs_is_in_the_gauges_until_it_is_gone(
    kube: Kube, namespace: str, operator: Operator, hosts: list[SshHost]
) -> None:
    operator.wait_until_leading(kube)
    rollout = {"concurrency": 1}
    names = [host.name for host in hosts[:2]]
    kube.create(invocation(namespace, "long", "sleep 300", names, rollout=rollout))
    told = kube.wait(
        "a host at work in /metrics",
        lambda: t if (t := scrape(operator.port)).value("rollcall_hosts", state="Running") == 1 else None,
    )
    assert told.value("rollcall_hosts", state="Pending") == 1
    assert told.value("rollcall_invocations", state="Running") == 1
    assert told.value("rollcall_pods_held") == 1
    assert told.value("rollcall_pods", phase="Working") == 1
    told = wait(kube, operator, "a log that is followed in /metrics", rollcall_logs_followed=1)
    assert (told.value("rollcall_kubernetes_requests_total", verb="get", resource="pods/log", code="200") or 0) >= 1
    kube.delete("jobinvocations", namespace, "long")
    told = wait(kube, operator, "the deletion in /metrics", rollcall_pods_held=0, rollcall_logs_followed=0)
    kube.wait(
        "no invocation that runs", lambda: not scrape(operator.port).value("rollcall_invocations", state="Running")
    )
    assert told.by("rollcall_pods", "phase")["Working"] == 0


def test_every_watch_has_an_age_and_every_metric_says_what_it_is(kube: Kube, operator: Operator) -> None:
    operator.wait_until_leading(kube)
    told = scrape(operator.port)
    ages = told.by("rollcall_watch_age_seconds", "resource")
    assert set(ages) == {
        "hosts", "inventories", "jobtemplates", "jobinvocations", "jobslices", "configmaps", "pods", "schedules",
    }  # fmt: skip
    assert all(0 <= age < 300 for age in ages.values())
    assert all(family.documentation and family.type != "unknown" for family in told.families.values())


def test_the_next_operator_knows_what_there_is_and_counts_no_end_again(
    kube: Kube, namespace: str, operator: Operator, tmp_path: Path
) -> None:
    operator.wait_until_leading(kube)
    finished = scrape(operator.port).by("rollcall_invocations", "state")
    assert finished["Failed"] == 1
    waiting = Operator(namespace, kube.kubeconfig, tmp_path / "waiting.log", identity="another")
    with waiting:
        told = kube.wait("a second operator", lambda: _answers(waiting))
        assert told.value("rollcall_leader") == 0
        assert not told.by("rollcall_invocations", "state"), "it has not looked at the cluster"
        assert operator.stop() == 0
        waiting.wait_until_leading(kube)
        told = kube.wait("what there is", lambda: t if (t := scrape(waiting.port)).value("rollcall_leader") else None)
        assert told.by("rollcall_invocations", "state") == finished
        assert set(told.by("rollcall_invocations_finished_total", "outcome").values()) == {0}
        assert set(told.by("rollcall_hosts_finished_total", "state").values()) == {0}
        assert told.value("rollcall_output_bytes_total") == 0
    operator.start()


def _answers(operator: Operator) -> Scrape | None:
    return scrape(operator.port) if operator.healthy() else None
