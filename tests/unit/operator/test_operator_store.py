"""The store holds the newest known state of everything, whatever order it hears of it in, and survives bad objects."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rollcall_operator.store import Key, Store, parse

Document = dict[str, Any]


def document(plural: str, version: int, name: str = "x", **changes: Any) -> Document:
    labels = {"rollcall.dev/invocation": "job", "rollcall.dev/slice": name}
    metadata = {
        "name": name,
        "namespace": "fleet",
        "uid": f"uid-{name}",
        "resourceVersion": str(version),
        "creationTimestamp": "2026-03-01T12:00:00Z",
        "labels": labels if plural in ("pods", "jobslices") else {"version": str(version)},
    }
    specs: dict[str, Document] = {
        "hosts": {"address": f"address-{version}"},
        "jobtemplates": {"provider": "SSH", "ssh": {"script": f"echo {version}"}},
        "jobinvocations": {"templateRef": {"name": "run"}, "targeting": {"hosts": ["a"]}},
        "jobslices": {"invocationRef": {"name": "job"}, "index": 0, "hosts": ["a"]},
        "pods": {},
    }
    return {"metadata": metadata, "spec": specs[plural], "status": {}} | changes


def version_of(store: Store, plural: str, name: str = "x") -> str | None:
    """The resource version that the store shows of an object."""
    key = ("fleet", name)
    match plural:
        case "hosts":
            found: Any = store.hosts["fleet"].hosts.get(name)
        case "jobtemplates":
            found = store.templates[key[0]].get(key[1])
        case "jobinvocations":
            found = store.invocations.get(key)
        case "jobslices":
            found = store.slices.get(("fleet", "job"), {}).get((name, f"uid-{name}"))
        case _:
            pod = store.pods.get(("fleet", "job"), {}).get(name)
            return pod.resource_version if pod else None
    return found.metadata.resource_version if found else None


PLURALS = pytest.mark.parametrize("plural", ["hosts", "jobtemplates", "jobinvocations", "jobslices", "pods"])


@PLURALS
def test_what_is_newer_wins_and_what_is_older_is_ignored(plural: str) -> None:
    store = Store()
    assert store.put(plural, document(plural, 9))
    assert store.put(plural, document(plural, 10)), "versions are numbers: 10 is newer than 9"
    assert not store.put(plural, document(plural, 10))
    assert not store.put(plural, document(plural, 9))
    assert version_of(store, plural) == "10"


@PLURALS
def test_what_is_gone_is_forgotten(plural: str) -> None:
    store = Store()
    store.put(plural, document(plural, 5))
    store.drop(plural, document(plural, 6))
    assert version_of(store, plural) is None
    assert store.put(plural, document(plural, 7))
    assert version_of(store, plural) == "7"


@PLURALS
def test_the_end_of_an_older_object_of_that_name_leaves_the_new_one(plural: str) -> None:
    store = Store()
    store.put(plural, document(plural, 5))
    store.put(plural, document(plural, 9))
    store.drop(plural, document(plural, 7))
    assert version_of(store, plural) == "9"


@PLURALS
def test_an_answer_that_comes_after_the_deletion_was_told_does_not_bring_the_object_back(plural: str) -> None:
    """The answer to an own write and the watch come by different connections."""
    store = Store()
    store.put(plural, document(plural, 5))
    store.drop(plural, document(plural, 7))
    store.put(plural, document(plural, 6))
    assert version_of(store, plural) is None


@PLURALS
def test_what_is_dropped_was_perhaps_never_known(plural: str) -> None:
    store = Store()
    store.drop(plural, document(plural, 5))
    store.forget(plural, "fleet", "x")
    assert version_of(store, plural) is None


@PLURALS
def test_lists_find_what_watches_did_not_tell(plural: str) -> None:
    store = Store()
    for name, version in (("kept", 5), ("gone", 6), ("changed", 7)):
        store.put(plural, document(plural, version, name))
    listed = {("fleet", "kept"): 5, ("fleet", "changed"): 8, ("fleet", "new"): 9}
    assert store.vanished(plural, listed) == [("fleet", "gone")]
    assert store.untold(plural, listed) == {("fleet", "changed"): 8, ("fleet", "new"): 9}
    store.forget(plural, "fleet", "gone")
    assert version_of(store, plural, "gone") is None
    assert store.vanished(plural, listed) == []


@given(st.lists(st.tuples(st.booleans(), st.integers(1, 9)), max_size=12))
def test_in_whatever_order_the_news_come_the_newest_stays(news: list[tuple[bool, int]]) -> None:
    store = Store()
    newest = 0
    for put, version in news:
        if put:
            assert store.put("hosts", document("hosts", version)) == (version > newest)
            newest = max(newest, version)
        elif version > newest:
            store.drop("hosts", document("hosts", version))
            return
        shown = version_of(store, "hosts")
        assert shown == (str(newest) if newest else None)


@pytest.mark.parametrize(
    ("plural", "told"),
    [("jobinvocations", ("fleet", "x")), ("jobslices", ("fleet", "job")), ("pods", ("fleet", "job"))],
)
def test_the_invocation_that_a_change_is_of_is_told(plural: str, told: Key) -> None:
    seen: list[Key] = []
    store = Store(changed=seen.append)
    store.put(plural, document(plural, 5))
    store.put(plural, document(plural, 4))
    assert seen == [told]
    store.drop(plural, document(plural, 6))
    assert seen == [told, told]
    store.put(plural, document(plural, 7))
    store.forget(plural, "fleet", "x")
    assert seen == [told] * 4


def test_children_are_kept_by_invocation_and_leave_nothing_behind() -> None:
    store = Store()
    for name in ("job-0", "job-1"):
        store.put("jobslices", document("jobslices", 5, name))
        store.put("pods", document("pods", 5, name))
    store.forget("pods", "fleet", "job-0")
    assert set(store.pods["fleet", "job"]) == {"job-1"}
    store.forget("pods", "fleet", "job-1")
    for name in ("job-0", "job-1", "job-2"):
        store.forget("jobslices", "fleet", name)
    assert not store.pods
    assert not store.slices
    assert store.put("pods", document("pods", 1, "job-0")), "a new pod of that name may have any version"


BROKEN: list[tuple[str, Document]] = [
    ("hosts", {"spec": {"port": "many"}}),
    ("hosts", {"spec": []}),
    ("hosts", {"spec": {"hostKeys": ["no key"]}}),
    ("jobtemplates", {"spec": {}, "status": None}),
    ("jobtemplates", {"spec": {"inputs": [{"name": "1x"}]}}),
    ("jobinvocations", {"spec": {}}),
    ("jobinvocations", {"spec": None}),
    ("jobinvocations", {"status": {"conditions": [{"type": "Odd"}]}}),
    ("jobinvocations", {"status": None}),
    ("jobslices", {"spec": {"index": -1}}),
    ("jobslices", {"status": {"hosts": [{"name": "a", "state": "Odd"}]}}),
    ("pods", {"status": None}),
    ("pods", {"status": {"conditions": None, "containerStatuses": None}}),
]


@pytest.mark.parametrize(("plural", "changes"), BROKEN)
def test_a_broken_object_never_raises_nor_harms_the_others(plural: str, changes: Document) -> None:
    store = Store()
    store.put(plural, document(plural, 4, "fine"))
    store.put(plural, document(plural, 5, **changes))
    store.put(plural, document(plural, 6))
    assert version_of(store, plural) == "6", "once it is mended it is taken in"
    assert version_of(store, plural, "fine") == "4"
    store.put(plural, document(plural, 7, **changes))
    store.drop(plural, document(plural, 8, **changes))
    assert version_of(store, plural) is None


LABELS: list[Any] = [None, {}, {"rollcall.dev/invocation": "other"}, {"rollcall.dev/slice": "other"}]


@pytest.mark.parametrize("labels", LABELS)
@pytest.mark.parametrize("plural", ["jobslices", "pods"])
def test_a_child_whose_labels_were_edited_is_still_forgotten_when_it_goes(plural: str, labels: Any) -> None:
    store = Store()
    store.put(plural, document(plural, 5))
    edited = document(plural, 6)
    edited["metadata"]["labels"] = labels
    store.put(plural, edited)
    gone = {**edited, "metadata": {**edited["metadata"], "resourceVersion": "7"}}
    store.drop(plural, gone)
    assert not store.pods
    assert not store.slices


def test_a_template_that_cannot_be_read_says_why() -> None:
    store = Store()
    store.put("jobtemplates", document("jobtemplates", 5, spec={"ssh": {"script": ""}}))
    assert store.templates["fleet"]["x"] == "spec.ssh.script: String should have at least 1 character"


def test_what_is_wrong_is_said_without_the_value() -> None:
    store = Store()
    store.put("jobtemplates", document("jobtemplates", 5, spec={"ssh": {"script": ["canary-4711"]}}))
    assert "canary" not in str(store.templates["fleet"]["x"])


def test_a_host_that_cannot_be_read_any_more_is_no_host() -> None:
    store = Store()
    store.put("hosts", document("hosts", 5))
    store.put("hosts", document("hosts", 6, spec={"port": 0}))
    assert store.hosts["fleet"].hosts == {}


def test_that_a_slice_holds_output_is_known_and_the_output_is_not_kept() -> None:
    store = Store()
    full = document("jobslices", 5, status={"state": "Done", "output": "H4sI"})
    store.put("jobslices", full)
    assert store.with_output == {("fleet", "x")}
    kept = store.slices["fleet", "job"]["x", "uid-x"]
    assert kept.status.output is None
    assert parse("jobslices", full) == kept
    store.put("jobslices", document("jobslices", 6, status={"state": "Done"}))
    assert store.with_output == set()
    store.put("jobslices", document("jobslices", 7, status={"state": "Done", "output": "H4sI"}))
    store.drop("jobslices", document("jobslices", 8))
    assert store.with_output == set()


def shared(version: int, **status: Any) -> Document:
    """Hosts with a pod each that share the object of the slice job-0."""
    found = document("jobslices", version, "job-0", status=status)
    found["metadata"] |= {"ownerReferences": [{**OWNER, "uid": "uid-of-the-job"}]}
    found["spec"] |= {"hosts": list("abc"), "podPerHost": True}
    return found


OWNER = {"apiVersion": "rollcall.dev/v1alpha1", "kind": "JobInvocation", "name": "job"}
ENDED = {
    "state": "Running",
    "pods": [{"host": "b", "state": "Done", "podName": "job-1"}],
    "hosts": [{"name": "b", "state": "Succeeded"}],
    "outputs": {"b": "H4sI"},
}


def test_an_object_that_hosts_share_is_a_slice_for_each_and_only_those_that_change_are_told_of() -> None:
    replaced: list[str] = []
    store = Store(replaced=lambda old, new: replaced.append(getattr(new or old, "metadata").name))  # noqa: B009
    store.put("jobslices", shared(5))
    assert set(store.slices["fleet", "job"]) == {(f"job-{n}", "uid-job-0") for n in range(3)}
    assert replaced == ["job-0", "job-1", "job-2"]
    store.put("jobslices", shared(6, **ENDED))
    assert replaced[3:] == ["job-1"]
    dealt = store.dealt["uid-of-the-job"]
    assert set(dealt.open) == {"job-0", "job-2"}
    assert dealt.counts == {"Succeeded": 1}
    assert store.with_output == {("fleet", "job-0")}
    assert store.slice_objects["fleet", "job-0"].status.outputs is None
    store.drop("jobslices", shared(7))
    assert [len(known) for known in (store.slices, store.dealt, store.slice_objects, store.with_output)] == [0] * 4


def test_what_another_life_of_the_invocation_left_takes_nothing_with_it_when_it_goes() -> None:
    """The earlier one had a slice of its own for each host; its garbage is collected while the next one is at work."""
    store = Store()
    old = document("jobslices", 5, "job-1")
    store.put("jobslices", old)
    store.put("jobslices", shared(6))
    assert set(store.slices["fleet", "job"]) == {("job-1", "uid-job-1"), *((f"job-{n}", "uid-job-0") for n in range(3))}
    store.drop("jobslices", {**old, "metadata": {**old["metadata"], "resourceVersion": "7"}})
    assert set(store.dealt["uid-of-the-job"].open) == {"job-0", "job-1", "job-2"}
    assert set(store.slices["fleet", "job"]) == {(f"job-{n}", "uid-job-0") for n in range(3)}


def test_a_deletion_that_waits_is_seen_in_every_slice_of_an_object() -> None:
    """What is written then is written over what was seen."""
    store = Store()
    store.put("jobslices", shared(5))
    leaving = shared(6)
    leaving["metadata"]["deletionTimestamp"] = "2026-03-01T12:00:00Z"
    store.put("jobslices", leaving)
    assert all(slice_.metadata.deletion_timestamp for slice_ in store.slices["fleet", "job"].values())
