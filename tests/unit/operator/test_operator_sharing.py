"""Hosts share what they have alike, and stay what they are."""

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from rollcall.resources.host import Host
from rollcall_operator import sharing
from rollcall_operator.sharing import Sharing

SCALARS = st.none() | st.booleans() | st.integers(-2, 2) | st.sampled_from([0.0, 1.0, 0.5]) | st.sampled_from("ab1")
JSON = st.recursive(SCALARS, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from("abc"), inner))


def host(name: str, labels: dict[str, str] | None = None, **spec: Any) -> Host:
    metadata = {"name": name, "namespace": "fleet", "uid": f"uid-{name}", "labels": labels or {}, "generation": 3}
    return Host.model_validate({"metadata": metadata, "spec": spec})


@given(st.lists(st.dictionaries(st.sampled_from("abc"), JSON), min_size=1, max_size=6))
def test_a_host_says_what_it_said(facts: list[dict[str, Any]]) -> None:
    """`1`, `1.0` and `true` are equal in Python, and three things in JSON."""
    shared = Sharing()
    for number, known in enumerate(facts):
        made = host(f"h{number}", {"x": "1"}, facts=known, variables=known, groups=["web"], user="ops")
        found = shared.host(made)
        assert found == made
        assert repr(found.spec.facts) == repr(made.spec.facts)
        assert found.wire() == made.wire()


def test_equal_parts_are_one() -> None:
    shared = Sharing()
    facts = {"os": {"family": "Debian", "release": {"major": "12"}}, "disks": ["sda", "sdb"]}
    one, other = (
        shared.host(host(name, facts=facts, groups=["web", "eu"], credentialsRef={"name": "ops-key"})) for name in "ab"
    )
    assert one.spec.facts["os"] is other.spec.facts["os"]
    assert one.spec.facts["disks"] is other.spec.facts["disks"]
    assert one.spec.groups is other.spec.groups
    assert one.spec.credentials_ref is other.spec.credentials_ref
    assert one.status is other.status


def test_annotations_are_not_kept() -> None:
    document = {"metadata": {"name": "a", "annotations": {"kubectl.kubernetes.io/last-applied-configuration": "{}"}}}
    assert Sharing().host(Host.model_validate(document)).metadata.annotations == {}


def test_what_is_rare_does_not_pile_up(monkeypatch: Any) -> None:
    monkeypatch.setattr(sharing, "MOST_PARTS", 50)
    shared = Sharing()
    for number in range(500):
        shared.host(host(f"h{number}", facts={"serial": f"unique {number}"}))
        assert len(shared._texts) + len(shared._parts) < 100
