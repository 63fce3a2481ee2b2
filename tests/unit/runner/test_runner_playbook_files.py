"""The files of a playbook's run: who may read them, and what of a Host may say how this side connects."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import asyncssh
import pytest
import yaml

from rollcall.playbook import HostVariables, PlaybookWork
from rollcall.work import BecomeMethod, Credentials, EffectiveUser, HostKeyPolicy, HostWork, JumpHost, Work
from rollcall_runner.connection import Login, read_login
from rollcall_runner.hostkeys import HostKeys
from rollcall_runner.playbook_files import Files, Places
from rollcall_runner.playbook_ways import unusable, usable_address

KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIAABAgMEBQYHCAkKCwwNDg8QERITFBUWFxgZGhscHR4f"
PASSWORDS = Credentials(password="canary-login", become_password="canary-become")


class _Tags(yaml.SafeLoader):
    """Takes the tag as Ansible does."""


_Tags.add_constructor("!unsafe", lambda loader, node: loader.construct_scalar(node))


def laid_out(folder: Path, variables: dict[str, Any], credentials: Credentials = PASSWORDS, **changes: Any) -> Files:
    host = replace(HostWork("web1", "192.0.2.1", 2222, "ops", (KEY,), 0, 0), **changes.pop("host", {}))
    playbook = PlaybookWork(
        extra_vars={"token": "canary-input"},
        hosts={"web1": HostVariables(("web", "all"), variables, {"os": "Debian"})},
        become_method=changes.pop("become", "sudo"),
    )
    logins = (credentials, *changes.pop("others", ()))
    work = Work((host,), ("- hosts: all",), logins, 1, 60, 1_000, playbook=playbook, **changes)
    files = Files(work, playbook, Places(folder / "scratch", folder / "project"), HostKeys(work))
    jump_logins = {jump: read_login(logins[jump.credentials]) for jump in work.jump_hosts}
    files.write({"web1": Login((), credentials.password)}, jump_logins)
    return files


def inventory(files: Files) -> dict[str, Any]:
    return yaml.load(files.inventory.read_text(), _Tags)["all"]  # type: ignore[no-any-return]


def test_a_host_is_reached_as_its_work_says_whatever_its_variables_say(tmp_path: Path) -> None:
    files = laid_out(tmp_path, {"ansible_host": "203.0.113.9", "ansible_user": "root", "color": "{{ 1 }}"})
    (known,) = inventory(files)["hosts"].values()
    assert (known["ansible_host"], known["ansible_port"], known["ansible_user"]) == ("192.0.2.1", 2222, "ops")
    assert (known["color"], known["rollcall_facts"]) == ("{{ 1 }}", {"os": "Debian"})
    assert inventory(files)["children"] == {"web": {"hosts": {"web1": {}}}}
    assert (files.folder / "known_hosts" / "web1").read_text() == f"192.0.2.1 {KEY}\n"


@pytest.mark.parametrize(
    ("name", "kept"),
    [
        ("http_port", True), ("ansible_python_interpreter", True),
        ("ansible_become", True), ("ansible_become_user", True),
        ("ansible_remote_tmp", True), ("ansible_ssh_extra_args", False), ("ansible_ssh_executable", False),
        ("ansible_connection", False), ("ansible_become_exe", False), ("ansible_interpreter_args", False),
        ("ansible_ssh_args", False), ("ansible_sftp_extra_args", False),
    ],
)  # fmt: skip
def test_a_host_does_not_say_what_runs_on_this_side(tmp_path: Path, name: str, kept: bool) -> None:
    files = laid_out(tmp_path, {name: "canary"})
    assert (inventory(files)["hosts"]["web1"].get(name) == "canary") is kept
    assert files.left_out("web1") == ([] if kept else [name])


def test_secrets_are_in_files_of_the_runner_and_in_no_variable_of_the_environment(tmp_path: Path) -> None:
    files = laid_out(tmp_path, {})
    written = [path for path in files.folder.rglob("*") if path.is_file()]
    assert {path.stat().st_mode & 0o777 for path in written} == {0o600}
    assert "canary" not in str(files.environment())
    assert "canary-input" in (files.folder / "env" / "extravars").read_text()


@pytest.mark.parametrize(
    ("credentials", "become", "password"),
    [
        (PASSWORDS, "sudo", "canary-become"),
        (Credentials(password="login"), "sudo", "login"),
        (Credentials(password="login"), "su", None),
    ],
)
def test_the_password_of_become(tmp_path: Path, credentials: Credentials, become: str, password: str | None) -> None:
    user = EffectiveUser("app", BecomeMethod(become.capitalize()))
    known = inventory(laid_out(tmp_path, {}, credentials, become=become, effective_user=user))["hosts"]["web1"]
    assert known.get("ansible_become_password") == password
    assert (known["ansible_become"], known["ansible_become_user"]) == (True, "app")


@pytest.mark.parametrize(
    ("address", "usable"),
    [
        ("192.0.2.1", True), ("2001:db8::1", True), ("fe80::1%eth0", True), ("web-1.example", True),
        ("-oProxyCommand=id", False), ("a b", False), ("x;id", False), ("", False),
    ],
)  # fmt: skip
def test_an_address_cannot_be_an_option(address: str, usable: bool) -> None:
    assert usable_address(HostWork("web1", address, 22, "ops", (KEY,), 0, 0)) is usable


def settings(file: Path) -> dict[str, str]:
    """What ssh is told in a file."""
    return dict(line.split(" ", 1) for line in file.read_text().splitlines())


def test_a_chain_is_laid_out_without_a_secret_in_what_ssh_is_told(tmp_path: Path) -> None:
    key = asyncssh.generate_private_key("ssh-ed25519").export_private_key().decode()
    jumps = (
        JumpHost("outer", "fe80::1%eth0", 2201, "hop", (), 1, HostKeyPolicy.IGNORE),
        JumpHost("inner", "192.0.2.9", 2202, "in ner", (KEY,), 2, via=0),
    )
    others = (Credentials(password="canary-jump"), Credentials(private_key=key))
    files = laid_out(tmp_path, {}, jump_hosts=jumps, others=others, host={"via": 1})
    ssh = files.folder / "ssh"
    host, outer, inner = (settings(ssh / name) for name in ("host-0", "jump-0", "jump-1"))
    assert host["ProxyCommand"] == f"/bin/sh {ssh}/jump-1.sh %h %p 2>{ssh}/host-0.told"
    assert (inner["HostName"], inner["Port"], inner["User"]) == ("192.0.2.9", "2202", '"in ner"')
    assert (inner["HostKeyAlias"], inner["StrictHostKeyChecking"], inner["BatchMode"]) == ("192.0.2.9", "yes", "yes")
    assert (inner["IdentityFile"], inner["IdentitiesOnly"]) == (f'"{files.folder}/keys/2"', "yes")
    assert inner["ProxyCommand"] == f"/bin/sh {ssh}/jump-0.sh %h %p"
    assert "ProxyCommand" not in outer
    assert (outer["HostName"], outer["HostKeyAlias"]) == ("fe80::1%%eth0", "fe80::1%eth0")
    assert (outer["StrictHostKeyChecking"], outer["UserKnownHostsFile"]) == ("no", "/dev/null")
    assert f"sshpass -f {ssh}/jump-0.password ssh -F {ssh}/jump-0 -W" in (ssh / "jump-0.sh").read_text()
    secret = [path.name for path in ssh.iterdir() if "canary" in path.read_text() or "PRIVATE" in path.read_text()]
    assert secret == ["jump-0.password"]
    assert {path.stat().st_mode & 0o777 for path in files.folder.rglob("*") if path.is_file()} == {0o600}


def test_authorities_and_revoked_keys_are_of_the_address_for_which_a_certificate_must_be(tmp_path: Path) -> None:
    text = f"@cert-authority [192.0.2.1]:2222 {KEY}\n@revoked * {KEY}\n"
    files = laid_out(tmp_path, {}, known_hosts=(text,), host={"host_keys": (), "known_hosts": 0})
    assert (files.folder / "known_hosts" / "web1").read_text().splitlines() == [
        f"@cert-authority 192.0.2.1 {KEY}",
        f"@revoked 192.0.2.1 {KEY}",
    ]
    assert settings(files.folder / "ssh" / "host-0")["HostKeyAlias"] == "192.0.2.1"


def test_where_no_key_is_known_the_first_one_can_be_accepted(tmp_path: Path) -> None:
    files = laid_out(tmp_path, {}, host={"host_keys": (), "policy": HostKeyPolicy.ACCEPT_NEW})
    told = settings(files.folder / "ssh" / "host-0")
    assert told["StrictHostKeyChecking"] == "accept-new"
    assert told["UserKnownHostsFile"] == f'"{files.folder}/known_hosts/web1"'
    assert (files.folder / "known_hosts" / "web1").read_text() == ""


@pytest.mark.parametrize(
    ("address", "user", "wrong"),
    [
        ("192.0.2.1", "ops", None), ("-oProxyCommand=id", "ops", "spec.address"), ("a\nb", "ops", "spec.address"),
        ("192.0.2.1", 'o"ps', "spec.user"), ("192.0.2.1", "o\nPort 1", "spec.user"),
    ],
)  # fmt: skip
def test_a_jump_host_cannot_say_more_than_where_it_is(address: str, user: str, wrong: str | None) -> None:
    assert unusable(JumpHost("gate", address, 22, user, (), 0)) == wrong
