"""Manifests as YAML, and where they are written."""

from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from rollcall.resources.host import Host
from rollcall.work import HostKeyPolicy
from rollcall_cli.errors import CommandError
from rollcall_cli.manifests import HostManifest, text_of, write

TRICKY = [
    "yes", "No", "y", "on", "null", "~", "1e3", "0x1f", "0o17", "1_000", "12:30:45", "2024-01-01", ".inf", "-", "",
    " a", "a ", "a: b", "a #b", "@a", "%a", "{{ a }}", "a\nb\n", "a\tb", "\u00e9", "\x07", "1.", "+1", "=", "<<",
    "!a", "*a",
]  # fmt: skip
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
)


@given(JSON)
def test_what_is_written_is_what_is_read(value: Any) -> None:
    assert yaml.safe_load(text_of({"value": value})) == {"value": value}


@pytest.mark.parametrize("text", TRICKY)
def test_a_text_that_could_be_something_else_is_quoted(text: str) -> None:
    assert text_of({"a": text}).startswith('---\na: "')


def test_a_host_says_what_is_not_its_default() -> None:
    host = HostManifest("web1", port=22, user="ops", credentials="key", policy=HostKeyPolicy.ACCEPT_NEW)
    found = host.document("prod")
    assert found["metadata"] == {"name": "web1", "namespace": "prod"}
    assert found["spec"] == {"user": "ops", "credentialsRef": {"name": "key"}, "hostKeyPolicy": "AcceptNew"}
    assert Host.model_validate(found).spec.user == "ops"


@pytest.mark.parametrize(
    ("host", "what"),
    [
        (HostManifest("web1", port=70000), "host web1: spec.port: "),
        (HostManifest("web1", address="a" * 254), "host web1: spec.address: "),
        (HostManifest("web1", user="u" * 257, original="Web1"), "host Web1: spec.user: "),
    ],
)
def test_what_no_host_can_have_is_an_error(host: HostManifest, what: str) -> None:
    with pytest.raises(CommandError, match=what):
        host.document(None)


def test_a_folder_gets_a_file_for_each_object(tmp_path: Path) -> None:
    documents = [HostManifest(name).document(None) for name in ("web1", "web2.example.com")]
    write(documents, tmp_path / "made.example.com")
    found = {path.name: yaml.safe_load(path.read_text()) for path in (tmp_path / "made.example.com").iterdir()}
    assert found == {"host-web1.yaml": documents[0], "host-web2.example.com.yaml": documents[1]}
    write(documents, tmp_path / "all.yaml")
    assert list(yaml.safe_load_all((tmp_path / "all.yaml").read_text())) == documents


def test_what_cannot_be_written_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(CommandError, match="cannot write"):
        write([HostManifest("web1").document(None)], tmp_path / "file" / "all.yaml")
