"""`rollcall import`: what is known of hosts elsewhere, as manifests."""

import re
from collections.abc import Iterable
from pathlib import Path
from typing import Annotated, Final

import typer

from rollcall.work import HostKeyPolicy
from rollcall_cli import kubenames
from rollcall_cli.ansible.conversion import Wishes, convert
from rollcall_cli.ansible.reading import read
from rollcall_cli.errors import CommandError
from rollcall_cli.manifests import LABEL_INVENTORY, known_hosts_map, write
from rollcall_cli.notes import Notes, counted
from rollcall_cli.ssh.config import USER_CONFIG, Configuration
from rollcall_cli.ssh.config import names as config_names
from rollcall_cli.ssh.conversion import KNOWN_HOSTS_NAME
from rollcall_cli.ssh.conversion import Wishes as SshWishes
from rollcall_cli.ssh.conversion import convert as convert_ssh
from rollcall_cli.ssh.known_hosts import HostKeys

app = typer.Typer(no_args_is_help=True, help="Turn what is known of hosts elsewhere into manifests for kubectl apply.")

_NONDESCRIPT: Final = frozenset({"hosts", "inventory", "inventories", "main"})
Namespace = Annotated[str | None, typer.Option("--namespace", "-n", help="The namespace of the objects.")]
Output = Annotated[
    Path | None,
    typer.Option("--output", "-o", help="A .yaml file, or a folder for one for each object; stdout by default."),
]
LabelOptions = Annotated[
    list[str] | None, typer.Option("--label", "-l", metavar="KEY=VALUE", help="A label for each Host; may be repeated.")
]
Policy = Annotated[
    HostKeyPolicy, typer.Option("--host-key-policy", help="What becomes of machines of which no key is known.")
]
SecretName = Annotated[
    str | None, typer.Option("--credentials", metavar="SECRET", help="The Secret to log in with, for all Hosts.")
]

KnownHostsFiles = Annotated[
    list[Path] | None, typer.Option(help="A known_hosts file with the host keys; may be repeated.")
]


@app.command("ansible")
def ansible(
    paths: Annotated[list[Path], typer.Argument(metavar="PATH", help="Inventory files and folders, as for -i.")],
    namespace: Namespace = None,
    inventory: Annotated[
        str | None, typer.Option("--inventory", metavar="NAME", help="The Inventory's name; by default from the path.")
    ] = None,
    output: Output = None,
    label: LabelOptions = None,
    limit: Annotated[str | None, typer.Option(metavar="PATTERN", help="Only these hosts: a host pattern.")] = None,
    user: Annotated[str | None, typer.Option(help="Who to log in as where the inventory names nobody.")] = None,
    credentials: SecretName = None,
    host_key_policy: Policy = HostKeyPolicy.STRICT,
    known_hosts: KnownHostsFiles = None,
    keep: Annotated[
        list[str] | None, typer.Option(metavar="VARIABLE", help="Take a variable along that looks like a secret.")
    ] = None,
    playbook_dir: Annotated[
        Path | None, typer.Option(help="A folder whose group_vars and host_vars count too, beside the inventory's.")
    ] = None,
) -> None:
    """Turn Ansible inventories into Hosts and one Inventory.

    Whatever ansible-core reads is read: INI, YAML, folders with group_vars and host_vars, plugins, scripts. No secret
    goes into a manifest: where the inventory has one, the Host refers to a Secret, and a warning says how to make it.
    """
    notes = Notes()
    name = _inventory_name(inventory, paths[0])
    keys = HostKeys.read(known_hosts or ())
    wishes = Wishes(name, namespace, _labels(label), user, credentials, host_key_policy, frozenset(keep or ()), keys.of)
    imported = convert(read(paths, limit, playbook_dir), wishes)
    documents = [host.document(namespace) for host in imported.hosts]
    write([*documents, imported.inventory.document(namespace)], output)
    _tell(notes, imported.warnings, imported.secrets)
    groups = counted(imported.inventory.groups, "group")
    notes.say(f"{counted(documents, 'Host')} and the Inventory {name} with {groups}{_where(output)}")


@app.command("ssh")
def ssh(
    names: Annotated[
        list[str] | None, typer.Argument(metavar="[NAME]", help="Only these hosts; all names in Host lines by default.")
    ] = None,
    config: Annotated[Path | None, typer.Option(help="The ssh_config; by default what ssh reads.")] = None,
    known_hosts: KnownHostsFiles = None,
    namespace: Namespace = None,
    output: Output = None,
    label: LabelOptions = None,
    credentials: SecretName = None,
    host_key_policy: Policy = HostKeyPolicy.STRICT,
    run_commands: Annotated[
        bool,
        typer.Option("--run-commands", help="Let ssh run the commands in Match exec lines, as it always does."),
    ] = False,
) -> None:
    """Turn the hosts of an ssh_config and known_hosts into Hosts.

    OpenSSH's own ssh says what counts for each name, so that Match, Include and tokens mean what they always do. Jump
    hosts become Hosts too. Keys are those of the known_hosts files that the configuration names.
    """
    notes = Notes()
    found = config_names(config or USER_CONFIG.expanduser())
    if found.commands and not run_commands:
        raise CommandError(f"the configuration runs commands ({found.commands[0]}); --run-commands allows it")
    aliases = names or found.aliases
    if not aliases:
        raise CommandError("no Host line names a host without patterns; say which, as for ssh")
    keys = HostKeys.read(known_hosts) if known_hosts else None
    wishes = SshWishes(namespace, _labels(label), credentials, host_key_policy, keys)
    imported = convert_ssh(Configuration(config), aliases, wishes)
    documents = [host.document(namespace) for host in imported.hosts]
    if imported.known_hosts:
        documents.insert(0, known_hosts_map(KNOWN_HOSTS_NAME, namespace, imported.known_hosts))
    write(documents, output)
    _tell(notes, imported.warnings, imported.secrets)
    notes.say(f"{counted(imported.hosts, 'Host')}{_where(output)}")


def _tell(notes: Notes, warnings: Iterable[str], commands: Iterable[str]) -> None:
    for warning in warnings:
        notes.warn(warning)
    for command in commands:
        notes.warn(f"the Hosts refer to a Secret, which this makes: {command}")


def _inventory_name(given: str | None, path: Path) -> str:
    if given is None:
        path = path.resolve()
        nondescript = path.stem in _NONDESCRIPT and path.parent.name
        given = kubenames.as_name(path.parent.name if nondescript else path.stem)
    if not kubenames.is_name(given) or not kubenames.is_label_value(given):
        raise CommandError(f"--inventory {given}: no name for an Inventory; small letters, digits and - will do")
    return given


def _labels(given: list[str] | None) -> dict[str, str]:
    found = {}
    for label in given or ():
        key, equals, value = label.partition("=")
        if not equals or not kubenames.is_label_key(key) or not kubenames.is_label_value(value):
            raise CommandError(f"--label {label}: this is no label as KEY=VALUE")
        if key == LABEL_INVENTORY:
            raise CommandError(f"--label {label}: this label says which Inventory a Host belongs to; use --inventory")
        found[key] = value
    return found


def _where(output: Path | None) -> str:
    return "" if output is None else f", in {re.sub(r'/*$', '', str(output))}"
