"""The files of a playbook's run: inventory, extra vars, keys, settings of ssh. All are in memory and only the runner's.

Nothing that is secret is in an argument or in the environment of any process: ansible-playbook, ssh and sshpass find it
in these files.
"""

import json
import os
import re
import shlex
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from rollcall.playbook import CHECKOUT, REVISION_FILE, HostVariables, PlaybookWork
from rollcall.work import BecomeMethod, Credentials, HostWork, JumpHost, Work
from rollcall_runner.connection import Login
from rollcall_runner.hostkeys import HostKeys
from rollcall_runner.plain_yaml import plain_yaml
from rollcall_runner.playbook_process import MAX_RESULT, MISSED
from rollcall_runner.playbook_ways import CONNECT_SECONDS, Ways

PLAYBOOK: Final = "playbook.yml"
_CALLBACKS: Final = Path(__file__).with_name("ansible_callbacks")
_OWN_WAY: Final = re.compile(r"ansible_(?!(.*_interpreter|remote_tmp|shell_type|become(_user|_flags)?)$)")
"""Variables that say what runs on this side of a connection. Whoever may write Hosts must not decide that: what runs
here could read the credentials of all hosts of the slice."""
_PATH: Final = "/usr/local/bin:/usr/bin:/bin"


@dataclass(frozen=True, slots=True)
class Places:
    """Where a runner may write, and where it finds the files of a Git repository."""

    scratch: Path
    project: Path

    @property
    def checkout(self) -> Path:
        """The files of the repository."""
        return self.project / CHECKOUT

    def revision(self) -> str | None:
        """The commit that they are of; None without a repository."""
        try:
            return (self.project / REVISION_FILE).read_text().strip() or None
        except OSError:
            return None


class Files:
    """Lays out the folder that ansible-runner calls the private data directory."""

    def __init__(self, work: Work, playbook: PlaybookWork, places: Places, host_keys: HostKeys) -> None:
        self._work = work
        self._playbook = playbook
        self._places = places
        self.folder = places.scratch
        self._keys: dict[int, Path] = {}
        self.ways = Ways(work, self.folder, host_keys, self._write, self._key)
        for name in ("env", "inventory", "keys", "known_hosts", "ssh", "home", "tmp", "control", "project"):
            (self.folder / name).mkdir(mode=0o700, parents=True, exist_ok=True)

    @property
    def project(self) -> Path:
        """The folder in which ansible-playbook runs."""
        return self._places.checkout if self._playbook.path else self.folder / "project"

    @property
    def playbook(self) -> str:
        """The playbook's path in it."""
        return self._playbook.path or PLAYBOOK

    @property
    def inventory(self) -> Path:
        """The inventory's file."""
        return self.folder / "inventory" / "hosts.yaml"

    @property
    def control(self) -> Path:
        """The folder with the sockets of ssh's connections."""
        return self.folder / "control"

    @property
    def pid_file(self) -> Path:
        """Where the process id of ansible-playbook will stand."""
        return self.folder / "pid"

    def write(self, logins: Mapping[str, Login], jump_logins: Mapping[JumpHost, Login]) -> None:
        """Writes all files for the hosts that there are logins for, and for the jump hosts. Raises OSError."""
        hosts = [host for host in self._work.hosts if host.name in logins]
        for host in hosts:
            self.ways.lay_out(host)
        for jump, login in jump_logins.items():
            self.ways.lay_out_jump(jump, login)
        self._write(self.inventory, self._inventory(hosts, logins))
        if self._playbook.extra_vars:
            self._write(self.folder / "env" / "extravars", plain_yaml(self._playbook.extra_vars) + "\n")
        # Only here does ansible-runner read that it is to keep no copy of the output.
        settings = {"suppress_output_file": True, "suppress_ansible_output": True}
        self._write(self.folder / "env" / "settings", json.dumps(settings))
        if not self._playbook.path:
            self._write(self.project / PLAYBOOK, self._work.scripts[0])

    def left_out(self, host: str) -> list[str]:
        """The names of the host's variables that are not passed on."""
        known = self._playbook.hosts.get(host, HostVariables())
        return [name for name in known.variables if _OWN_WAY.match(name)]

    def environment(self) -> dict[str, str]:
        """The whole environment of ansible-playbook."""
        folder = self.folder
        return {
            "PATH": os.environ.get("PATH") or _PATH,
            "HOME": str(folder / "home"),
            "TMPDIR": str(folder / "tmp"),
            "USER": "rollcall",
            "LOGNAME": "rollcall",
            "LANG": "C.UTF-8",
            "PYTHONUNBUFFERED": "1",
            "PYTHONDONTWRITEBYTECODE": "1",
            "MAX_EVENT_RES": str(MAX_RESULT),
            "ANSIBLE_HOME": str(folder / "home" / ".ansible"),
            "ANSIBLE_LOCAL_TEMP": str(folder / "tmp"),
            "ANSIBLE_NOCOLOR": "1",
            "ANSIBLE_PYTHON_INTERPRETER": "auto_silent",
            "ANSIBLE_HOST_KEY_CHECKING": "True",
            # Each host has its own file of settings; without it nothing is to be believed.
            "ANSIBLE_SSH_ARGS": "-F /dev/null -o ControlMaster=auto -o ControlPersist=60s",
            "ANSIBLE_TIMEOUT": str(CONNECT_SECONDS),
            "ANSIBLE_INVENTORY_ENABLED": "ansible.builtin.yaml",
            "ANSIBLE_TRANSFORM_INVALID_GROUP_CHARS": "ignore",
            "ANSIBLE_BECOME_METHOD": self._playbook.become_method,
            "ANSIBLE_CALLBACK_PLUGINS": str(_CALLBACKS),
            MISSED: str(folder / "missed"),
        }

    def _inventory(self, hosts: list[HostWork], logins: Mapping[str, Login]) -> str:
        entries = {host.name: self._variables(number, host, logins[host.name]) for number, host in enumerate(hosts)}
        groups: dict[str, dict[str, Any]] = {}
        for host in hosts:
            for group in self._of(host).groups:
                groups.setdefault(group, {"hosts": {}})["hosts"][host.name] = {}
        everything: dict[str, Any] = {"hosts": entries}
        if groups:
            # A group may be called `all`, which every host is in anyway.
            everything["children"] = {name: group for name, group in groups.items() if name not in ("all", "ungrouped")}
        return plain_yaml({"all": everything}) + "\n"

    def _of(self, host: HostWork) -> HostVariables:
        return self._playbook.hosts.get(host.name, HostVariables())

    def _variables(self, number: int, host: HostWork, login: Login) -> dict[str, Any]:
        """All variables of a host. Those by which it is reached come before its own of the same name."""
        own, user = self._of(host), self._work.effective_user
        credentials = self._work.credentials[host.credentials]
        variables: dict[str, Any] = {
            **{name: value for name, value in own.variables.items() if not _OWN_WAY.match(name)},
            "rollcall_facts": own.facts,
            "ansible_connection": "ssh",
            "ansible_host": host.address,
            "ansible_port": host.port,
            "ansible_user": host.user,
            "ansible_ssh_common_args": f"-F {shlex.quote(str(self.ways.settings(host)))}",
            "ansible_control_path": str(self.control / str(number)),
        }
        if login.keys:
            variables["ansible_ssh_private_key_file"] = str(self._key(host.credentials, login))
        if login.password is not None:
            variables["ansible_password"] = login.password
        if (password := self._become_password(credentials)) is not None:
            variables["ansible_become_password"] = password
        if user is not None:
            variables |= {"ansible_become": True, "ansible_become_user": user.name}
        return variables

    def _become_password(self, credentials: Credentials) -> str | None:
        su = self._playbook.become_method == BecomeMethod.SU.value.lower()
        return credentials.become_password or (None if su else credentials.password)

    def _key(self, index: int, login: Login) -> Path:
        """The file with the private key, without a passphrase, which ssh could not be told."""
        if index not in self._keys:
            certificate = self._work.credentials[index].certificate
            path = self.folder / "keys" / str(index)
            last = login.keys[-1]
            key = last[0] if isinstance(last, tuple) else last
            self._write(path, key.export_private_key("openssh").decode())
            if certificate is not None:
                self._write(path.with_name(f"{index}-cert.pub"), certificate.strip() + "\n")
            self._keys[index] = path
        return self._keys[index]

    @staticmethod
    def _write(path: Path, text: str) -> None:
        with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file:
            file.write(text)
