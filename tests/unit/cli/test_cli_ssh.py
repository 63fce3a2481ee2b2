"""`rollcall import ssh`: what becomes of an ssh_config, which the real ssh reads."""

import getpass
from pathlib import Path

import pytest
import yaml

from unit.cli.program import Object, Said, of_kind, rollcall


@pytest.fixture
def known(tmp_path: Path) -> Path:
    path = tmp_path / "known_hosts"
    path.write_text(
        "192.0.2.7 ssh-ed25519 AAAA7\n[gate.example.com]:2200 ssh-ed25519 AAAA22\ndatabase ssh-ed25519 AAAADB\n"
        "@cert-authority *.example.com ssh-ed25519 AAAACA\n@revoked other.org ssh-ed25519 AAAAXX\n"
    )
    return path


def imported(tmp_path: Path, known: Path, text: str, *arguments: str | Path, code: int = 0) -> Said:
    config = tmp_path / "config"
    config.write_text(f"{text}\nMatch all\n  UserKnownHostsFile {known}\n  GlobalKnownHostsFile none\n")
    said = rollcall("import", "ssh", "--config", config, *arguments)
    assert said.code == code, said.err
    return said


def specs(said: Said) -> dict[str, Object]:
    return {name: host["spec"] for name, host in of_kind(said.documents(), "Host").items()}


def test_the_first_value_counts_and_match_and_tokens_do(tmp_path: Path, known: Path) -> None:
    said = imported(tmp_path, known, """
Host web1 web2
  HostName %h.example.com
  Port 2222
Match originalhost web2
  User second
Host web?
  Port 22
  User first
Host *
  User last
""")  # fmt: skip
    assert specs(said) == {
        "web1": {"address": "web1.example.com", "port": 2222, "user": "first", "knownHostsFrom": FROM},
        "web2": {"address": "web2.example.com", "port": 2222, "user": "second", "knownHostsFrom": FROM},
    }
    assert of_kind(said.documents(), "ConfigMap")["ssh-known-hosts"]["data"] == {
        "known_hosts": "@cert-authority *.example.com ssh-ed25519 AAAACA\n"
    }


FROM = {"configMapKeyRef": {"name": "ssh-known-hosts", "key": "known_hosts"}}


def test_jump_hosts_become_hosts(tmp_path: Path, known: Path) -> None:
    said = imported(tmp_path, known, """
Host db1
  HostName 192.0.2.7
  ProxyJump gate
Host gate
  HostName gate.example.com
  Port 2200
  User jumper
Host deep
  ProxyJump ops@gate,inner
Host old
  ProxyCommand ssh -W %h:%p gate
Host *
  User ops
""", "db1", "deep", "old")  # fmt: skip
    found = specs(said)
    gate = {"address": "gate.example.com", "port": 2200, "hostKeys": ["ssh-ed25519 AAAA22"]}
    assert found == {
        "db1": {
            "address": "192.0.2.7", "user": "ops", "jumpHostRef": {"name": "gate"}, "hostKeys": ["ssh-ed25519 AAAA7"],
        },
        "gate": {**gate, "user": "jumper"},
        "deep": {"user": "ops", "jumpHostRef": {"name": "gate-ops-inner-22"}},
        "gate-ops-inner-22": {"address": "inner", "user": "ops", "jumpHostRef": {"name": "ops-gate-2200"}},
        "ops-gate-2200": {**gate, "user": "ops"},
        "old": {"user": "ops", "jumpHostRef": {"name": "gate"}},
    }  # fmt: skip


def test_files_include_others(tmp_path: Path, known: Path) -> None:
    (tmp_path / "more.d").mkdir()
    (tmp_path / "more.d" / "a").write_text("Host=included\n  User=her\n")
    said = imported(tmp_path, known, f'Include "{tmp_path}/more.d/*"\nHost last # and no more\n  User him\n')
    assert {name: spec["user"] for name, spec in specs(said).items()} == {"included": "her", "last": "him"}


def test_names_can_be_those_of_patterns(tmp_path: Path, known: Path) -> None:
    said = imported(tmp_path, known, "Host *.example.org !x\n  User ops\nHost y\n", "A_1.example.org")
    (host,) = of_kind(said.documents(), "Host").values()
    assert host["metadata"]["name"] == "a-1.example.org"
    assert host["metadata"]["annotations"] == {"rollcall.dev/imported-name": "A_1.example.org"}
    assert host["spec"] == {"address": "a_1.example.org", "user": "ops"}


def test_keys_go_by_the_alias_for_them(tmp_path: Path, known: Path) -> None:
    said = imported(tmp_path, known, "Host db9\n  HostName 192.0.2.9\n  Port 2222\n  HostKeyAlias database\n")
    assert specs(said)["db9"]["hostKeys"] == ["ssh-ed25519 AAAADB"]


def test_options_say_what_the_configuration_does_not(tmp_path: Path, known: Path) -> None:
    other = tmp_path / "other"
    other.write_text("web1 ssh-ed25519 AAAAOTHER\n")
    said = imported(
        tmp_path, known, "Host web1\n  IdentityFile ~/.ssh/fleet\n", "--known-hosts", other, "--namespace", "prod",
        "--label", "team=a", "--credentials", "key", "--host-key-policy", "AcceptNew",
        "--output", tmp_path / "out.yaml",
    )  # fmt: skip
    (host,) = yaml.safe_load_all((tmp_path / "out.yaml").read_text())
    assert host["metadata"] == {"name": "web1", "namespace": "prod", "labels": {"team": "a"}}
    assert host["spec"] == {
        "user": getpass.getuser(),
        "credentialsRef": {"name": "key"},
        "hostKeys": ["ssh-ed25519 AAAAOTHER"],
        "hostKeyPolicy": "AcceptNew",
    }
    assert said.err == f"1 Host, in {tmp_path}/out.yaml\n"


def test_what_a_person_has_to_do_is_said(tmp_path: Path, known: Path) -> None:
    said = imported(tmp_path, known, """
Host web1
  IdentityFile ~/.ssh/fleet
Host odd
  IdentityFile /keys/fleet
  ProxyCommand nc %h %p
Host bare
""")  # fmt: skip
    for sentence in (
        "warning: a ProxyCommand other than ssh -W, which is left out: odd\n",
        "warning: no credentials for bare: --credentials names a Secret for all hosts\n",
        "warning: no host key for web1, odd, bare, so that they will be refused: ",
        'kubectl create secret generic ssh-ssh-fleet --from-file=ssh-privatekey="$HOME"/.ssh/fleet\n',
        "kubectl create secret generic ssh-keys-fleet --from-file=ssh-privatekey=/keys/fleet\n",
    ):
        assert sentence in said.err


@pytest.mark.parametrize(
    ("text", "arguments", "error"),
    [
        ("Host *\n  User ops\n", (), "no Host line names a host without patterns"),
        ("Host web1\n  Prot 22\n", (), "ssh cannot read its configuration for web1: "),
        ("Host a\n  ProxyJump b\nHost b\n  ProxyJump a\n", (), "the jump hosts of a lead in a circle"),
        ("Host a\n", ("--known-hosts", "/nonexistent"), "cannot read /nonexistent"),
        ("Host a\n", ("--", "-oProxyCommand=x"), "ssh cannot read its configuration for -oProxyCommand=x: "),
    ],
)
def test_what_cannot_be_done_is_an_error(
    tmp_path: Path, known: Path, text: str, arguments: tuple[str, ...], error: str
) -> None:
    said = imported(tmp_path, known, text, *arguments, code=1)
    assert said.out == ""
    assert said.err.startswith(f"error: {error}")


def test_commands_run_only_when_they_may(tmp_path: Path, known: Path) -> None:
    proof = tmp_path / "proof"
    text = f'Host web1\n  User ops\nMatch originalhost web1 exec "touch {proof}"\n  Port 2222\n'
    said = imported(tmp_path, known, text, code=1)
    assert "--run-commands allows it" in said.err
    assert not proof.exists()
    assert specs(imported(tmp_path, known, text, "--run-commands"))["web1"]["port"] == 2222
    assert proof.exists()


def test_a_configuration_that_is_not_there_is_an_error() -> None:
    said = rollcall("import", "ssh", "--config", "/nonexistent")
    assert (said.code, said.err) == (1, "error: cannot read /nonexistent: No such file or directory\n")
