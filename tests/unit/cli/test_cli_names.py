"""Names for Kubernetes, of names that it may not take."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rollcall_cli.kubenames import as_name, group_names, host_names, is_label_key, is_label_value, is_name

SUBDOMAIN = re.compile(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*")
GROUP = re.compile(r"[A-Za-z_][A-Za-z0-9_.-]*")
NAMES = st.sets(st.text("aA_-.1é ", min_size=1, max_size=6) | st.text(min_size=1, max_size=300), max_size=12)


@given(NAMES)
def test_every_host_gets_a_valid_name_of_its_own(originals: set[str]) -> None:
    names = host_names(originals)
    assert names.keys() == originals
    assert len(set(names.values())) == len(originals)
    assert all(SUBDOMAIN.fullmatch(name) and len(name) <= 253 for name in names.values())
    assert all(names[name] == name for name in originals if is_name(name))


@given(NAMES)
def test_the_order_of_hosts_does_not_matter(originals: set[str]) -> None:
    assert host_names(sorted(originals)) == host_names(sorted(originals, reverse=True))


@given(NAMES)
def test_every_group_gets_a_valid_name_of_its_own(originals: set[str]) -> None:
    names = group_names(originals)
    assert len(set(names.values())) == len(originals)
    assert all(GROUP.fullmatch(name) and len(name) <= 253 for name in names.values())
    assert all(names[name] == name for name in originals if GROUP.fullmatch(name) and len(name) <= 253)


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("web1.example.com", "web1.example.com"),
        ("Web_1.Example.COM", "web-1.example.com"),
        ("web..1", "web.1"),
        ("-web-", "web"),
        ("_", "unnamed"),
        ("büro", "b-ro"),
        ("10.0.0.1", "10.0.0.1"),
        ("fe80::1", "fe80--1"),
        ("a" * 300, "a" * 253),
    ],
)
def test_a_name_stays_as_like_as_can_be(text: str, name: str) -> None:
    assert as_name(text) == name


def test_names_that_would_be_the_same_get_a_digest_each() -> None:
    names = host_names(["web_1", "Web-1", "web-1"])
    assert names["web-1"] == "web-1"
    assert re.fullmatch(r"web-1-[0-9a-f]{8}", names["web_1"])
    assert re.fullmatch(r"web-1-[0-9a-f]{8}", names["Web-1"])


@pytest.mark.parametrize(("key", "value", "fits"), [
    ("a", "", True), ("example.com/a", "x" * 63, True), ("a", "x" * 64, False), ("a b", "x", False),
    ("/a", "x", False), ("Ex/a", "x", False), ("a", "-x", False), ("a" * 64, "x", False),
])  # fmt: skip
def test_labels_are_checked(key: str, value: str, fits: bool) -> None:
    assert (is_label_key(key) and is_label_value(value)) is fits
