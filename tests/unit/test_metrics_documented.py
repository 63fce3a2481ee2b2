"""Every metric is documented, every documented one exists, and the dashboard shows each of them and no other."""

import json
import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from types import ModuleType

import pytest
from prometheus_client.metrics import MetricWrapperBase
from prometheus_client.metrics_core import Metric

import rollcall_api.metrics
import rollcall_operator.metrics
from rollcall_api.cache import Cache
from rollcall_api.cluster import Cluster
from rollcall_api.traffic import Traffic
from rollcall_operator.store import Store
from rollcall_operator.tally import Tally

ROOT = Path(__file__).parents[2]
DOCUMENT = (ROOT / "docs" / "metrics.md").read_text()
DASHBOARD = json.loads((ROOT / "charts" / "rollcall" / "files" / "dashboard.json").read_text())
ROW = re.compile(r"^\| `(rollcall_\w+)` \| (\w+) \|([^|]*)\| (.+) \|$", re.MULTILINE)
SUFFIXES = re.compile(r"_(bucket|sum|count)$")
ADDED_BY_PROMETHEUS = {"job", "instance", "le"}


def section(title: str) -> str:
    return DOCUMENT.split(f"\n## {title}\n")[1].split("\n## ")[0]


def documented(title: str) -> dict[str, tuple[str, frozenset[str]]]:
    """The metrics in a section's table: type and labels by name."""
    rows = ROW.findall(section(title))
    return {name: (type_, frozenset(re.findall(r"`(\w+)`", labels))) for name, type_, labels, _ in rows}


def exposed(families: Iterable[Metric]) -> dict[str, str]:
    """The types of metrics by the names under which Prometheus knows them."""
    return {f"{family.name}_total" if family.type == "counter" else family.name: family.type for family in families}


OPERATOR = [*rollcall_operator.metrics.REGISTRY.collect(), *Tally(Store()).collect()]
FACADE = [*rollcall_api.metrics.REGISTRY.collect(), *Traffic().collect(), *Cache(Cluster(), "fleet").collect()]
PROGRAMS = pytest.mark.parametrize(
    ("title", "families"), [("The operator", OPERATOR), ("The facade", FACADE)], ids=["operator", "facade"]
)


@PROGRAMS
def test_the_tables_list_what_the_program_exposes(title: str, families: list[Metric]) -> None:
    own = {name: type_ for name, type_ in exposed(families).items() if not name.startswith("process_")}
    assert {name: type_ for name, (type_, _) in documented(title).items()} == own


@PROGRAMS
def test_the_labels_of_each_series_are_the_documented_ones(title: str, families: list[Metric]) -> None:
    known = documented(title)
    for family in families:
        for sample in family.samples:
            name = SUFFIXES.sub("", sample.name) if family.type == "histogram" else sample.name
            if name in known:
                assert set(sample.labels) - {"le"} == known[name][1], sample.name


@pytest.mark.parametrize(
    ("title", "program", "families"),
    [("The operator", rollcall_operator.metrics, OPERATOR), ("The facade", rollcall_api.metrics, FACADE)],
    ids=["operator", "facade"],
)
def test_each_metric_is_declared_with_the_documented_labels(
    title: str, program: ModuleType, families: list[Metric]
) -> None:
    """A metric that has not counted anything yet has no series to show them."""
    own = [metric for metric in vars(program).values() if isinstance(metric, MetricWrapperBase)]
    declared = {name: metric._labelnames for metric in own for name in exposed(metric.describe())}
    for family in families:
        if hasattr(family, "_labelnames"):  # those that are made anew for every scrape
            declared |= dict.fromkeys(exposed([family]), family._labelnames)
    known = {name: labels for name, (_, labels) in documented(title).items()}
    assert {name: set(labels) for name, labels in declared.items() if not name.startswith("process_")} == known


@PROGRAMS
def test_names_follow_the_conventions_of_prometheus(title: str, families: list[Metric]) -> None:
    for name, type_ in exposed(families).items():
        assert re.fullmatch(r"(rollcall|process)(_[a-z]+)+", name)
        assert type_ != "histogram" or name.endswith("_seconds")
        assert name.endswith("_total") == (type_ == "counter")


def test_the_metrics_of_the_processes_are_documented() -> None:
    names = {name for name in exposed([*OPERATOR, *FACADE]) if name.startswith("process_")}
    assert names == set(re.findall(r"`(process_\w+)`", DOCUMENT))


def queries() -> list[str]:
    return [target["expr"] for panel in DASHBOARD["panels"] for target in panel.get("targets", ())]


def used(query: str) -> set[str]:
    return {SUFFIXES.sub("", name) for name in re.findall(r"\b(?:rollcall|process)_\w+", query)}


def all_documented() -> Mapping[str, tuple[str, frozenset[str]]]:
    return documented("The operator") | documented("The facade")


def test_the_dashboard_shows_every_metric_and_no_other() -> None:
    shown = set().union(*map(used, queries()))
    assert {name for name in shown if not name.startswith("process_")} == set(all_documented())
    assert {name for name in shown if name.startswith("process_")} <= set(exposed(OPERATOR))


@pytest.mark.parametrize("query", queries())
def test_a_query_of_the_dashboard_asks_for_labels_that_there_are(query: str) -> None:
    grouped = [label.strip() for by in re.findall(r"by \(([^)]*)\)", query) for label in by.split(",")]
    matched = re.findall(r'(\w+)(?:=|!=|=~|!~)"', query)
    known = {label for name in used(query) & set(all_documented()) for label in all_documented()[name][1]}
    assert set(grouped + matched) <= known | ADDED_BY_PROMETHEUS


def test_the_warnings_in_the_document_are_about_metrics_that_there_are() -> None:
    expressions = re.findall(r"^\| `([^`]*rollcall_[^`]*)`", section("What to be warned of"), re.MULTILINE)
    assert expressions
    assert set().union(*map(used, expressions)) <= set(all_documented())


def test_the_dashboards_panels_do_not_overlap() -> None:
    taken: set[tuple[int, int]] = set()
    for panel in DASHBOARD["panels"]:
        place = panel["gridPos"]
        cells = {(x, y) for x in range(place["x"], place["x"] + place["w"])
                 for y in range(place["y"], place["y"] + place["h"])}  # fmt: skip
        assert not cells & taken
        assert all(x < 24 for x, _ in cells)
        taken |= cells
    assert len({panel["id"] for panel in DASHBOARD["panels"]}) == len(DASHBOARD["panels"])
