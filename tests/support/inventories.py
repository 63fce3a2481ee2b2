"""An Ansible inventory as people have them: 200 hosts, group_vars and host_vars, a vault, a bastion, odd names."""

from collections.abc import Mapping
from pathlib import Path

HOSTS = 200
CANARIES = tuple(f"web{number:03}.prod.example.com" for number in range(1, 6))
"""Hosts of the group `canary`, that a test can give addresses of its own."""

_HOSTS = """\
# The one in the middle
[bastions]
bastion.prod.example.com ansible_host=198.51.100.1

[frontend]
web[001:080].prod.example.com

[canary]
web[001:005].prod.example.com

[backend]
api[01:60].prod.example.com

[database]
db[01:20].prod.example.com ansible_port=2222

[cache]
cache-[a:t].prod.example.com

[batch]
Worker_[01:19]  # names from before there were rules

[web:children]
frontend
backend

[stateful:children]
database
cache

[frankfurt:children]
web
stateful
batch
bastions

[frontend:vars]
color=blue
workers=4

[backend:vars]
color=green
http_port=9000
"""
_FILES = {
    "group_vars/all/main.yml": """\
ansible_user: ops
ansible_ssh_private_key_file: {key}
ansible_python_interpreter: /usr/bin/python3
ntp_servers: [ntp1.example.com, ntp2.example.com]
timezone: Europe/Berlin
monitoring: {{enabled: yes, interval: 30, thresholds: {{cpu: 0.9, disk: 85}}}}
motd: |
  This is "production".
  Behave.
release_date: 2026-11-22
admin_email: "ops@{{{{ domain }}}}"
domain: example.com
""",
    "group_vars/all/vault.yml": """\
smtp_account: !vault |
  $ANSIBLE_VAULT;1.1;AES256
  33363965326261363161363736386532
""",
    "group_vars/frontend.yml": """\
http_port: 8080
tls: {{min_version: "1.2", ciphers: [a, b]}}
session_secret: canary-4f1c0d9a
""",
    "group_vars/stateful/storage.yml": """\
volumes: [{{device: sdb, size: 500}}, {{device: sdc, size: 500}}]
backup: nightly
""",
    "group_vars/database.yml": """\
backup: hourly
ansible_ssh_common_args: -o ProxyJump=bastion.prod.example.com
ansible_become_password: canary-8a7712ef
""",
    "group_vars/web/locked.yml": "$ANSIBLE_VAULT;1.1;AES256\n33363965326261363161363736386532\n",
    "host_vars/db01.prod.example.com.yml": 'role: primary\nbackup: "none"\n',
    "host_vars/api07.prod.example.com/main.yml": 'color: "007"\nreason: "yes"\n',
}
SECRETS = ("canary-4f1c0d9a", "canary-8a7712ef", "33363965326261363161363736386532")
"""What must not be in any manifest."""
LEFT_OUT = frozenset({"smtp_account", "session_secret"})
"""Variables that do not travel, beside those that are Ansible's own."""


def write_inventory(folder: Path, key: Path | None = None, addresses: Mapping[str, str] | None = None) -> Path:
    """Write it; `addresses` are those of hosts that can be reached, `key` the file to log in with."""
    files = {name: text.format(key=key or "~/.ssh/ops") for name, text in _FILES.items()}
    files["hosts"] = _HOSTS
    for number, (name, address) in enumerate((addresses or {}).items()):
        files[f"host_vars/{name}/way.yml"] = f"ansible_host: {address}\nrack: r{number}\n"
    for name, text in files.items():
        path = folder / "prod" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return folder / "prod"
