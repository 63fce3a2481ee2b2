"""What the installed chart gives to Prometheus and Grafana."""

import json
from typing import Any

import yaml

from e2e.release import CHART, Release, kubectl, template
from support.exposition import Scrape
from support.jobs import invocation, run
from support.kube import Kube

Manifest = dict[str, Any]


def rendered(*values: str) -> dict[tuple[str, str], Manifest]:
    """The chart's manifests by kind and name."""
    manifests = [found for found in yaml.safe_load_all(template(*values)) if found]
    return {(found["kind"], found["metadata"]["name"]): found for found in manifests}


def scrape(release: Release, component: str, port: int) -> Scrape:
    """What the component's pod tells, by way of the API server."""
    selector = f"app.kubernetes.io/instance={release.name},app.kubernetes.io/component={component}"
    pods = json.loads(kubectl("get", "pods", "-n", release.namespace, "-l", selector, "-o", "json"))["items"]
    name = pods[0]["metadata"]["name"]
    return Scrape(kubectl("get", "--raw", f"/api/v1/namespaces/{release.namespace}/pods/{name}:{port}/proxy/metrics"))


def test_both_programs_are_there_to_be_scraped(kube: Kube, release: Release, namespace: str) -> None:
    run(kube, invocation(namespace, "scraped", "echo hello", ["web1"]))

    def counted() -> bool:
        told = scrape(release, "operator", 8080)
        return bool(told.value("rollcall_invocations_finished_total", outcome="Complete", reason="AllHostsSucceeded"))

    kube.wait("the end in /metrics", counted)
    facade = scrape(release, "api", 8081)
    assert facade.value("rollcall_cache_objects", resource="hosts") == len(kube.list("hosts", namespace))


def test_pod_monitors_find_the_pods_and_the_ports_that_there_are() -> None:
    found = rendered("metrics.podMonitor.enabled=true", "metrics.podMonitor.labels.release=prometheus")
    for component in ("operator", "api"):
        name = f"rollcall-{component}"
        monitor, deployment = found["PodMonitor", name], found["Deployment", name]
        assert monitor["metadata"]["labels"]["release"] == "prometheus"
        pod = deployment["spec"]["template"]
        assert monitor["spec"]["selector"]["matchLabels"].items() <= pod["metadata"]["labels"].items()
        ports = {port["name"] for container in pod["spec"]["containers"] for port in container["ports"]}
        assert [endpoint["port"] in ports for endpoint in monitor["spec"]["podMetricsEndpoints"]] == [True]


def test_there_is_no_monitor_of_a_port_that_is_closed() -> None:
    found = rendered("metrics.enabled=false", "metrics.podMonitor.enabled=true")
    assert [name for kind, name in found if kind == "PodMonitor"] == ["rollcall-operator"]
    assert "metrics" not in json.dumps(found["Deployment", "rollcall-api"]["spec"])
    assert not [kind for kind, _ in rendered() if kind == "PodMonitor"], "its definition is not in every cluster"


def test_the_dashboard_is_installed_as_it_is() -> None:
    found = rendered("dashboard.enabled=true")
    config_map = found["ConfigMap", "rollcall-dashboard"]
    assert config_map["metadata"]["labels"]["grafana_dashboard"] == "1"
    assert json.loads(config_map["data"]["rollcall.json"]) == json.loads((CHART / "files/dashboard.json").read_text())
    assert kubectl("apply", "--dry-run=server", "-f", "-", stdin=yaml.safe_dump(config_map))
