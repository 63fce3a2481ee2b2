"""The tables follow the API server, whatever order the news comes in."""

import logging
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rollcall_api import parsing
from rollcall_api.cache import Slices, Table
from rollcall_api.records import Job


def job(name: str = "job-1", version: int = 1, id_: str | None = "1", **spec: Any) -> dict[str, Any]:
    labels = {} if id_ is None else {"rollcall.dev/id": id_}
    return {
        "metadata": {
            "name": name,
            "uid": f"uid-{name}",
            "resourceVersion": str(version),
            "creationTimestamp": "2024-05-04T10:00:00Z",
            "labels": labels,
        },
        "spec": {"templateRef": {"name": "t"}, "targeting": {"hosts": ["a"]}, **spec},
    }


def jobs() -> Table[Job]:
    return Table(parsing.parse_job)


def test_older_news_is_ignored() -> None:
    table = jobs()
    table.put(job(version=5, user="new"))
    table.put(job(version=3, user="old"))
    table.drop("job-1", 4)
    found = table.named("job-1")
    assert found is not None
    assert found.user == "new"


def test_a_write_of_ours_that_was_deleted_meanwhile_does_not_come_back() -> None:
    table = jobs()
    table.seen = 9
    table.put_written(job(version=7))
    assert table.named("job-1") is None
    table.put_written(job(version=10))
    assert table.named("job-1") is not None


def test_a_new_list_keeps_what_was_written_after_it() -> None:
    table = jobs()
    table.put(job("job-1", 4, "1"))
    table.put(job("job-2", 9, "2"))
    table.retain([], 5)
    assert list(table.ids) == [2]


def test_an_id_belongs_to_whoever_had_it_first() -> None:
    table = jobs()
    table.put(job("job-1", 1, "7"))
    table.put(job("thief", 2, "7"))
    found = table.numbered(7)
    assert found is not None
    assert found.name == "job-1"
    table.drop("thief", 3)
    assert list(table.ids) == [7]


@pytest.mark.parametrize("label", ["", "x", "-1", "0", "1e3", "9" * 40])
def test_a_label_that_is_no_id_gives_none(label: str) -> None:
    table = jobs()
    table.put(job(id_=label))
    assert list(table.ids) == []
    assert table.named("job-1") is not None


@pytest.mark.parametrize(
    "spec", [{"targeting": 5}, {"templateRef": 5}, {"inputs": 7}, {"requestedBy": "x"}, {"rollout": 5}]
)
def test_an_unreadable_object_is_ignored_and_named(spec: dict[str, Any], caplog: pytest.LogCaptureFixture) -> None:
    table = jobs()
    with caplog.at_level(logging.WARNING):
        table.put(job("odd", **spec))
    table.put(job("job-2", 2, "2"))
    assert list(table.ids) == [2]
    assert "odd" in caplog.text or table.named("odd") is not None


NEWS = st.lists(st.tuples(st.sampled_from("abc"), st.sampled_from([None, "1", "2", "3"]), st.booleans()), max_size=40)


@given(NEWS)
def test_the_ids_are_always_sorted_and_lead_to_their_jobs(news: list[tuple[str, str | None, bool]]) -> None:
    table = jobs()
    for version, (name, id_, deleted) in enumerate(news, 1):
        if deleted:
            table.drop(name, version)
        else:
            table.put(job(name, version, id_))
    assert list(table.ids) == sorted(set(table.ids))
    for number in table.ids:
        found = table.numbered(number)
        assert found is not None
        assert found.id == number
        assert table.named(found.name) is found


def test_slices_that_share_an_object_come_and_go_with_it_in_their_order() -> None:
    slices = Slices(parsing.parse_slice)
    for index, hosts, shared in ((2, ["c", "d"], True), (0, ["a", "b"], True), (4, ["e"], False)):
        metadata = {"name": f"job-1-{index}", "uid": f"s{index}", "resourceVersion": "1"}
        spec = {"invocationRef": {"name": "job-1"}, "index": index, "hosts": hosts}
        slices.put({"metadata": metadata, "spec": spec | ({"podPerHost": True} if shared else {})})
    own = parsing.parse_job(job())
    assert [(found.name, found.hosts, found.shared) for found in slices.of(own)] == [
        ("job-1-0", ("a",), "job-1-0"), ("job-1-1", ("b",), "job-1-0"),
        ("job-1-2", ("c",), "job-1-2"), ("job-1-3", ("d",), "job-1-2"), ("job-1-4", ("e",), None),
    ]  # fmt: skip
    slices.drop("job-1-0", 9)
    assert [found.name for found in slices.of(own)] == ["job-1-2", "job-1-3", "job-1-4"]


def test_slices_of_an_earlier_job_of_the_same_name_are_not_its_own() -> None:
    slices = Slices(parsing.parse_slice)
    for version, uid in ((1, "uid-job-1"), (2, "another")):
        metadata = {
            "name": f"job-1-{version}",
            "uid": f"s{version}",
            "resourceVersion": str(version),
            "ownerReferences": [{"kind": "JobInvocation", "uid": uid}],
        }
        slices.put({"metadata": metadata, "spec": {"invocationRef": {"name": "job-1"}, "index": 0, "hosts": ["a"]}})
    own = parsing.parse_job(job())
    assert [found.name for found in slices.of(own)] == ["job-1-1"]
    before = slices.revision(own)
    slices.drop("job-1-1", 9)
    assert slices.of(own) == []
    assert slices.revision(own) != before


@pytest.mark.parametrize(
    "spec",
    [
        {"ssh": {"script": "canary"}},
        {"ssh": {"steps": [{"name": "a", "script": "canary"}]}},
        {"provider": "Pod", "pod": {"image": "x", "script": "canary"}},
        {"provider": "Ansible", "ansible": {"playbook": "canary", "effectiveUser": {"name": "root"}}},
    ],
)
def test_what_a_template_runs_is_not_kept(spec: dict[str, Any]) -> None:
    annotations = {"kubectl.kubernetes.io/last-applied-configuration": "canary"}
    metadata = {"name": "t", "uid": "u", "resourceVersion": "1", "annotations": annotations}
    kept = parsing.parse_template({"metadata": metadata, "spec": {"features": ["f"], **spec}})
    assert "canary" not in repr(kept)
    assert kept.resource.spec.features == ("f",)
