"""What a request costs with a hundred invocations in the cache and with a hundred thousand, and what each takes."""

import statistics
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path

from integration.api.facade_process import running_facade
from integration.api.facade_world import VIEW, World, free_port, service_account
from perf.scale import scaled
from support.fed_facade import fed_facade
from support.kube import Kube
from support.load import Load, drive
from support.report import Report

FEW = 100
MANY = scaled(100_000)
ROUNDS = 7
SECONDS = 1.0
ROOT = "/api/job_invocations"
ASKED = {
    "one invocation": [f"{ROOT}/{id_}" for id_ in range(1, FEW + 1)],
    "the newest 20": [ROOT],
    "search by id": [f"{ROOT}?search=id%20%3D%20{id_}" for id_ in range(1, FEW + 1)],
}


def test_a_hundred_and_a_hundred_thousand(
    kube: Kube, crds: None, make_namespace: Callable[[str], str], tmp_path: Path, report: Report
) -> None:
    namespace = make_namespace("bench")
    with ExitStack() as stack:
        rights = stack.enter_context(running_facade(kube, namespace, tmp_path))  # of which the others have their login
        World(kube, namespace, rights)
        token = service_account(kube, namespace, "viewer", VIEW)
        config = tmp_path / "kubeconfig"
        few, _ = stack.enter_context(fed_facade(config, namespace, free_port(), FEW))
        many, bytes_each = stack.enter_context(fed_facade(config, namespace, free_port(), MANY))
        headers = {"Authorization": f"Bearer {token}"}
        for what, paths in ASKED.items():
            ratios: list[float] = []
            for number in range(ROUNDS):
                loads: list[Load] = [drive(server, paths, headers, SECONDS) for server in (few, many)]
                ratios.append(loads[1].cpu_us / loads[0].cpu_us)
                print(f"{what}, round {number + 1}: {loads[0].cpu_us:.0f} us, {loads[1].cpu_us:.0f} us", flush=True)
            ratio = statistics.median(ratios)
            report.add(f"{what}, CPU of a request: {MANY:,} invocations / {FEW}", ratio, "x", at_most=1.25)
    report.add("memory of an invocation", bytes_each, "bytes", at_most=2_048)
