"""The files of a playbook's run: who may read them, and what of a Host may say how this side connects."""

from pathlib import Path
from typing import Any

import pytest
import yaml

from rollcall.playbook import HostVariables, PlaybookWork
from rollcall.work import BecomeMethod, Credentials, EffectiveUser, HostWork, Work
from rollcall_runner.connection import Login
from rollcall_runner.playbook_files import Files, Places, usable_address

KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIAABAgMEBQYHCAkKCwwNDg8QERITFBUWFxgZGhscHR4f"
PASSWORDS = Credentials(password="canary-login", become_password="canary-become")


class _Tags(yaml.SafeLoader):
    """Takes the tag as Ansible does."""


_Tags.add_constructor("!unsafe", lambda loader, node: loader.construct_scalar(node))


def laid_out(folder: Path, variables: dict[str, Any], credentials: Credentials = PASSWORDS, **changes: Any) -> Files:
    host = HostWork("web1", "192.0.2.1", 2222, "ops", (KEY,), 0, 0)
    playbook = PlaybookWork(
        extra_vars={"token": "canary-input"},
        hosts={"web1": HostVariables(("web", "all"), variables, {"os": "Debian"})},
        become_method=changes.pop("become", "sudo"),
    )
    work = Work((host,), ("- hosts: all",), (credentials,), 1, 60, 1_000, playbook=playbook, **changes)
    files = Files(work, playbook, Places(folder / "scratch", folder / "project"))
    files.write({"web1": Login((), credentials.password)})
    return files


def inventory(files: Files) -> dict[str, Any]:
    return yaml.load(files.inventory.read_text(), _Tags)["all"]  # type: ignore[no-any-return]


def test_a_host_is_reached_as_its_work_says_whatever_its_variables_say(tmp_path: Path) -> None:
    files = laid_out(tmp_path, {"ansible_host": "203.0.113.9", "ansible_user": "root", "color": "{{ 1 }}"})
    (known,) = inventory(files)["hosts"].values()
    assert (known["ansible_host"], known["ansible_port"], known["ansible_user"]) == ("192.0.2.1", 2222, "ops")
    assert (known["color"], known["rollcall_facts"]) == ("{{ 1 }}", {"os": "Debian"})
    assert inventory(files)["children"] == {"web": {"hosts": {"web1": {}}}}
    assert (files.folder / "known_hosts").read_text() == f"web1 {KEY}\n"


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
