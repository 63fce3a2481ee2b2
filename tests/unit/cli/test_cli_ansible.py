"""`rollcall import ansible`, case by case."""

import os
import subprocess
from pathlib import Path

import pytest

from unit.cli.program import BIN, Said, of_kind, rollcall


def imported(folder: Path, text: str, *arguments: str, code: int = 0, name: str = "small.ini") -> Said:
    """What comes of an inventory file."""
    (folder / name).write_text(text)
    said = rollcall("import", "ansible", folder / name, *arguments)
    assert said.code == code, said.err
    return said


def test_options_say_what_the_inventory_does_not(tmp_path: Path) -> None:
    said = imported(
        tmp_path, "[web]\nweb1\nweb2 ansible_user=me\n", "--namespace", "prod", "--inventory", "fleet", "--user", "ops",
        "--label", "team=a", "--label", "example.com/tier=", "--credentials", "key", "--host-key-policy", "AcceptNew",
    )  # fmt: skip
    hosts = of_kind(said.documents(), "Host")
    assert hosts["web1"]["metadata"] == {
        "name": "web1",
        "namespace": "prod",
        "labels": {"rollcall.dev/inventory": "fleet", "team": "a", "example.com/tier": ""},
    }
    assert hosts["web1"]["spec"] == {
        "user": "ops",
        "credentialsRef": {"name": "key"},
        "hostKeyPolicy": "AcceptNew",
        "groups": ["web"],
    }
    assert hosts["web2"]["spec"]["user"] == "me"
    inventory = of_kind(said.documents(), "Inventory")["fleet"]
    labels = {"rollcall.dev/inventory": "fleet"}
    assert inventory["metadata"] == {"name": "fleet", "namespace": "prod", "labels": labels}
    assert inventory["spec"] == {"selector": {"matchLabels": {"rollcall.dev/inventory": "fleet"}}}
    assert said.err == "2 Hosts and the Inventory fleet with 0 groups\n"


def test_every_process_writes_the_same(tmp_path: Path) -> None:
    groups = "".join(
        f"[g{number}]\nh{number}-[0:3]\n[all_of_{number % 3}:children]\ng{number}\n" for number in range(12)
    )
    (tmp_path / "fleet.ini").write_text(groups)
    said = {
        subprocess.run(
            [BIN / "rollcall", "import", "ansible", tmp_path / "fleet.ini"],
            env={**os.environ, "PYTHONHASHSEED": str(seed)},
            capture_output=True,
            check=True,
        ).stdout
        for seed in range(2)
    }
    assert len(said) == 1


def test_a_limit_leaves_hosts_and_those_on_the_way_to_them(tmp_path: Path) -> None:
    text = """
[web]
web1
web2 ansible_ssh_common_args="-J gate"
[gates]
gate ansible_host=192.0.2.1 ansible_ssh_common_args="-J 192.0.2.2"
outer ansible_host=192.0.2.2
"""
    said = imported(tmp_path, text, "--limit", "web:!web1")
    hosts = of_kind(said.documents(), "Host")
    assert {name: host["spec"].get("jumpHostRef") for name, host in hosts.items()} == {
        "web2": {"name": "gate"},
        "gate": {"name": "outer"},
        "outer": None,
    }


def test_a_jump_host_that_is_not_there_is_named(tmp_path: Path) -> None:
    said = imported(tmp_path, "web1 ansible_ssh_common_args='-o ProxyJump=ops@elsewhere'\n")
    assert "jumpHostRef" not in of_kind(said.documents(), "Host")["web1"]["spec"]
    assert "warning: elsewhere, the jump host of 1 host, is not in the inventory: write a Host for it" in said.err


def test_hosts_that_are_not_reached_by_ssh_are_left_out(tmp_path: Path) -> None:
    said = imported(
        tmp_path, "web1\nlocalhost ansible_connection=local\nwin1 ansible_connection=ansible.builtin.winrm\n"
    )
    assert of_kind(said.documents(), "Host").keys() == {"web1"}
    assert "left out 2 hosts not reached by SSH: localhost (local), win1 (winrm)" in said.err


def test_templates_in_addresses_are_evaluated(tmp_path: Path) -> None:
    text = """
all:
  vars: {domain: example.com, ansible_host: "{{ inventory_hostname }}.{{ domain }}", ansible_port: "{{ nowhere }}"}
  hosts: {web1: {}, web2: {domain: example.org}}
"""
    said = imported(tmp_path, text, name="small.yml")
    hosts = of_kind(said.documents(), "Host")
    assert [host["spec"]["address"] for host in hosts.values()] == ["web1.example.com", "web2.example.org"]
    assert "warning: 2 settings not understood: web1: ansible_port cannot be evaluated: " in said.err


def test_secrets_stay_where_they_are(tmp_path: Path) -> None:
    text = """
all:
  hosts:
    web1: {ansible_password: canary-1, db_password: canary-2, app: {api_key: canary-3}, users: [{password: canary-4}]}
    web2: {ansible_password: canary-1, pass_phrase_hint: none of it, tokens: 5, api_token: "{{ other }}", password: ""}
    web3:
      ansible_become_pass: "{{ vaulted }}"
      ansible_private_key_file: "~/my keys/id"
      ansible_winrm_password: canary-5
      ansible_ssh_common_args: -o ProxyCommand="sshpass -p canary-6 ssh -W %h:%p bastion"
"""
    said = imported(tmp_path, text, "--namespace", "prod", name="secrets.yml")
    assert "canary" not in said.out + said.err
    hosts = of_kind(said.documents(), "Host")
    assert [hosts[name]["spec"]["credentialsRef"]["name"] for name in ("web1", "web2", "web3")] == [
        "secrets-credentials-1", "secrets-credentials-1", "secrets-credentials-2",
    ]  # fmt: skip
    assert hosts["web2"]["spec"]["variables"] == {
        "pass_phrase_hint": "none of it", "tokens": 5, "api_token": "{{ other }}", "password": "",
    }  # fmt: skip
    assert "variables" not in hosts["web1"]["spec"]
    create = "kubectl create secret generic secrets-credentials"
    assert f"{create}-1 --namespace=prod --from-file=password=FILE_WITH_PASSWORD\n" in said.err
    key = "--from-file=ssh-privatekey=\"$HOME\"/'my keys/id'"
    assert f"{create}-2 --namespace=prod {key} --from-file=become-password=FILE_WITH_BECOME_PASSWORD\n" in said.err
    kept = rollcall("import", "ansible", tmp_path / "secrets.yml", "--keep", "db_password")
    assert of_kind(kept.documents(), "Host")["web1"]["spec"]["variables"] == {"db_password": "canary-2"}


def test_playbooks_may_have_variables_beside_them(tmp_path: Path) -> None:
    (tmp_path / "playbooks" / "group_vars").mkdir(parents=True)
    (tmp_path / "playbooks" / "group_vars" / "web.yml").write_text("color: blue")
    (tmp_path / "here").mkdir()
    said = imported(tmp_path / "here", "[web]\nweb1\n", "--playbook-dir", str(tmp_path / "playbooks"))
    assert of_kind(said.documents(), "Inventory")["small"]["spec"]["groups"] == {
        "web": {"variables": {"color": "blue"}}
    }


def test_known_hosts_give_keys(tmp_path: Path) -> None:
    (tmp_path / "known").write_text(
        "192.0.2.1 ssh-ed25519 AAAA a comment\n[web2]:2222,web2 ssh-rsa BBBB\nweb2 ssh-dss CC\n"
    )
    text = "web1 ansible_host=192.0.2.1\nweb2 ansible_port=2222\nweb3\n"
    said = imported(tmp_path, text, "--known-hosts", str(tmp_path / "known"))
    hosts = of_kind(said.documents(), "Host")
    assert {name: host["spec"].get("hostKeys") for name, host in hosts.items()} == {
        "web1": ["ssh-ed25519 AAAA"], "web2": ["ssh-rsa BBBB"], "web3": None,
    }  # fmt: skip
    assert "warning: no host key for web3, so that they will be refused" in said.err


@pytest.mark.parametrize(
    ("text", "arguments", "error"),
    [
        ("[[[", (), "Ansible cannot read the inventory: "),
        ("", (), "no host that is reached by SSH is in the inventory"),
        ("web1 ansible_port=ssh\n", (), "host web1: ansible_port is 'ssh', which is no number"),
        ("web1 ansible_port=70000\n", (), "host web1: spec.port: "),
        ("web1\n", ("--label", "a"), "--label a: this is no label as KEY=VALUE"),
        ("web1\n", ("--label", "rollcall.dev/inventory=x"), "use --inventory"),
        ("web1\n", ("--inventory", "Fleet!"), "--inventory Fleet!: no name for an Inventory"),
        ("web1\n", ("--limit", "nope"), "no host that is reached by SSH"),
        ("web1\n", ("--known-hosts", "/nonexistent"), "cannot read /nonexistent: "),
        (f"web1 a={'x' * 32_768}\n", (), "host web1: spec.variables has 32776 bytes as JSON, more than 32768"),
    ],
)
def test_what_cannot_be_done_is_an_error(tmp_path: Path, text: str, arguments: tuple[str, ...], error: str) -> None:
    said = imported(tmp_path, text, *arguments, code=1)
    assert said.out == ""
    assert f"error: {error}" in said.err or error in said.err.splitlines()[-1]


def test_an_inventory_that_is_not_there_is_an_error() -> None:
    assert rollcall("import", "ansible", "/nonexistent").err == "error: there is no inventory /nonexistent\n"
