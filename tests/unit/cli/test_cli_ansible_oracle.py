"""What `rollcall import ansible` makes of an inventory, beside what `ansible-inventory` shows of it."""

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rollcall_cli.ansible.conversion import Wishes, convert
from rollcall_cli.ansible.reading import read
from support.inventories import HOSTS, LEFT_OUT, SECRETS, write_inventory
from unit.cli.program import BIN, Object, Said, effective, of_kind, rollcall

KEPT = ("ansible_python_interpreter",)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_inventory(tmp_path_factory.mktemp("inventory"))


@pytest.fixture(scope="module")
def said(folder: Path) -> Said:
    found = rollcall("import", "ansible", folder)
    assert found.code == 0, found.err
    return found


@pytest.fixture(scope="module")
def hosts(said: Said) -> dict[str, Object]:
    """By the names that they have in the inventory."""
    return {
        host["metadata"].get("annotations", {}).get("rollcall.dev/imported-name", name): host
        for name, host in of_kind(said.documents(), "Host").items()
    }


@pytest.fixture(scope="module")
def inventory(said: Said) -> Object:
    return of_kind(said.documents(), "Inventory")["prod"]


def ansible_inventory(folder: Path, *arguments: str) -> dict[str, Any]:
    command = [BIN / "ansible-inventory", "-i", folder, "--list", *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=folder)
    assert done.returncode == 0, done.stderr
    found: dict[str, Any] = json.loads(done.stdout)
    return found


@pytest.fixture(scope="module")
def readable(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same without the file that Ansible cannot read without a password."""
    found = write_inventory(tmp_path_factory.mktemp("readable"))
    (found / "group_vars/web/locked.yml").unlink()
    return found


def travelling(variables: dict[str, Any]) -> dict[str, Any]:
    return {
        name: value
        for name, value in variables.items()
        if name not in LEFT_OUT and (not name.startswith("ansible_") or name in KEPT)
    }


def test_every_host_has_the_variables_that_ansible_gives_it(
    hosts: dict[str, Object], inventory: Object, readable: Path
) -> None:
    wanted = ansible_inventory(readable)["_meta"]["hostvars"]
    assert len(hosts) == HOSTS
    assert hosts.keys() == wanted.keys()
    for name, host in hosts.items():
        assert effective(inventory, host) == travelling(wanted[name]), name


def test_groups_have_their_hosts_children_and_variables(
    hosts: dict[str, Object], inventory: Object, readable: Path
) -> None:
    wanted = ansible_inventory(readable, "--export")
    groups = {name: group for name, group in wanted.items() if name not in ("_meta", "all", "ungrouped")}
    for name, group in groups.items():
        found = inventory["spec"]["groups"].get(name, {})
        assert found.get("children", []) == sorted(group.get("children", [])), name
        assert found.get("variables", {}) == travelling(group.get("vars", {})), name
        assert {host for host in hosts if name in hosts[host]["spec"].get("groups", ())} == {*group.get("hosts", ())}
    assert inventory["spec"]["groups"].keys() <= groups.keys()
    assert inventory["spec"]["variables"] == travelling(wanted["all"]["vars"])


def test_values_stay_what_they_are(inventory: Object, hosts: dict[str, Object]) -> None:
    variables = inventory["spec"]["variables"]
    assert variables["monitoring"] == {"enabled": True, "interval": 30, "thresholds": {"cpu": 0.9, "disk": 85}}
    assert variables["release_date"] == "2026-11-22"
    assert variables["motd"] == 'This is "production".\nBehave.\n'
    assert hosts["api07.prod.example.com"]["spec"]["variables"] == {"color": "007", "reason": "yes"}


def test_no_secret_is_in_what_is_printed(said: Said) -> None:
    for secret in SECRETS:
        assert secret not in said.out
        assert secret not in said.err


def test_hosts_are_reached_as_the_inventory_says(hosts: dict[str, Object]) -> None:
    database = hosts["db01.prod.example.com"]["spec"]
    assert {name: database[name] for name in ("port", "user", "jumpHostRef", "credentialsRef")} == {
        "port": 2222,
        "user": "ops",
        "jumpHostRef": {"name": "bastion.prod.example.com"},
        "credentialsRef": {"name": "prod-credentials-2"},
    }
    assert hosts["bastion.prod.example.com"]["spec"]["address"] == "198.51.100.1"
    worker = hosts["Worker_03"]
    assert worker["metadata"]["name"] == "worker-03"
    assert worker["spec"]["address"] == "Worker_03"


def test_what_a_person_has_to_do_is_said(said: Said, folder: Path) -> None:
    for sentence in (
        'kubectl create secret generic prod-credentials-1 --from-file=ssh-privatekey="$HOME"/.ssh/ops\n',
        'kubectl create secret generic prod-credentials-2 --from-file=ssh-privatekey="$HOME"/.ssh/ops '
        "--from-file=become-password=FILE_WITH_BECOME_PASSWORD\n",
        "warning: 19 hosts cannot have the same name in Kubernetes: Worker_01 is worker-01, ",
        "warning: left out 1 variable kept by Ansible Vault",
        "--keep NAME takes one along all the same): session_secret\n",
        "warning: left out 1 variable only for Ansible: ansible_ssh_common_args\n",
        "warning: 1 variable with a template in the value, which stays as it is written: admin_email\n",
        f"warning: 1 file encrypted as a whole, and not read: {folder}/group_vars/web/locked.yml\n",
        "200 Hosts and the Inventory prod with ",
    ):
        assert sentence in said.err


VALUES = st.none() | st.booleans() | st.integers(-9, 9) | st.text("ab{1 :#", max_size=4) | st.just({"a": [1, "b"]})
VARIABLES = st.dictionaries(st.sampled_from("xyz"), VALUES, max_size=3)
GROUPS = [f"g{number}" for number in range(5)]


@st.composite
def inventories(draw: st.DrawFn) -> dict[str, Any]:
    """Groups that only have later ones as children, variables in the file and beside it, and priorities."""
    groups: dict[str, Any] = {}
    for number, name in enumerate(GROUPS):
        later = GROUPS[number + 1 :]
        groups[name] = {
            "children": draw(st.lists(st.sampled_from(later), unique=True, max_size=2)) if later else [],
            "hosts": draw(st.lists(st.sampled_from(["h1", "h2", "H_3"]), unique=True)),
            "vars": draw(VARIABLES),
            "file": draw(VARIABLES),
            "priority": draw(st.sampled_from([1, 1, 1, 5])),
        }
    return {
        "groups": groups,
        "all": (draw(VARIABLES), draw(VARIABLES)),
        "hosts": {name: (draw(VARIABLES), draw(VARIABLES)) for name in ("h1", "h2", "H_3")},
    }


def write_random(folder: Path, drawn: dict[str, Any]) -> Path:
    top: dict[str, Any] = {"vars": drawn["all"][0], "hosts": {}, "children": {}}
    files = {"group_vars/all.json": drawn["all"][1]}
    for name, (inline, beside) in drawn["hosts"].items():
        top["hosts"][name] = inline
        files[f"host_vars/{name}.json"] = beside
    for name, group in drawn["groups"].items():
        top["children"][name] = {
            "hosts": {host: {} for host in group["hosts"]},
            "children": {child: {} for child in group["children"]},
            "vars": group["vars"] | ({"ansible_group_priority": group["priority"]} if group["priority"] > 1 else {}),
        }
        files[f"group_vars/{name}.json"] = group["file"]
    files["hosts.yml"] = {"all": top}
    for name, content in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(content))
    return folder / "hosts.yml"


@given(drawn=inventories())
def test_any_inventory_gives_each_host_what_ansible_gives_it(
    drawn: dict[str, Any], tmp_path_factory: pytest.TempPathFactory
) -> None:
    content = read([write_random(tmp_path_factory.mktemp("random"), drawn)])
    imported = convert(content, Wishes("random"))
    inventory = imported.inventory.document(None)
    for host in imported.hosts:
        wanted = content.members[host.original or host.name].effective
        own = {name: value for name, value in wanted.items() if not name.startswith("ansible_")}
        assert json.dumps(effective(inventory, host.document(None)), sort_keys=True) == json.dumps(own, sort_keys=True)
