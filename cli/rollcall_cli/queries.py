"""`rollcall query`: what queries mean, and which hosts they select, before a job runs on them."""

from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import Annotated

import typer

from rollcall.inventory import Groups
from rollcall.query.evaluate import OutOfRangeError, select
from rollcall.query.explain import explain as in_words
from rollcall.query.explain import why as reasons
from rollcall.query.hostrows import HostRow
from rollcall.query.index import Index
from rollcall.resources.host import Host
from rollcall.resources.inventory import Inventory
from rollcall.resources.targeting import QueryLanguage
from rollcall.targeting import Fleet, TargetingError, members
from rollcall_cli import objects
from rollcall_cli.errors import CommandError
from rollcall_cli.notes import Notes, counted, listed
from rollcall_cli.questions import read

app = typer.Typer(no_args_is_help=True, help="Try queries for hosts before a job runs on them.")

LanguageOption = Annotated[
    QueryLanguage, typer.Option("--language", "-l", case_sensitive=False, help="As in spec.targeting.query.language.")
]
Text = Annotated[str, typer.Argument(metavar="TEXT", help="The query, as in spec.targeting.query.text.")]


@app.command("explain")
def explain(text: Text, language: LanguageOption) -> None:
    """Say in words what a query asks, a condition on a line."""
    typer.echo(in_words(read(language, text)))


@app.command("hosts")
def hosts(
    text: Text,
    language: LanguageOption,
    files: Annotated[
        list[Path] | None, typer.Argument(metavar="[FILE]", help="Files with Host manifests; - for stdin.")
    ] = None,
    filename: Annotated[
        list[Path] | None, typer.Option("--filename", "-f", help="The same, as for kubectl; may be repeated.")
    ] = None,
    inventory: Annotated[
        str | None,
        typer.Option(metavar="NAME", help="Ask only hosts of this Inventory in the manifests, with its groups."),
    ] = None,
    why: Annotated[
        bool, typer.Option("--why", help="Say for each host which conditions hold, and what it has.")
    ] = False,
) -> None:
    """Show which hosts a query selects, in the order in which a job would take them.

    The hosts come from manifests, such as those of `kubectl get hosts -o yaml`.
    """
    paths = [*(files or ()), *(filename or ())]
    if not paths:
        raise CommandError("no manifests are given: name a file, or - for stdin, as after kubectl get hosts -o yaml")
    found, inventories = objects.read(paths)
    if not found:
        raise CommandError(f"no Host is in {listed(list(map(str, paths)))}")
    index = _index(found, inventories, inventory)
    statement = read(language, text, frozenset(index.names(index.all)))
    try:
        selected = select(statement, index)
    except OutOfRangeError as error:
        raise CommandError(f"the query has no answer: {error}") from None
    for name in index.names(index.all) if why else selected:
        typer.echo(f"{name}: {'selected' if name in selected else 'not selected'}" if why else name)
        if why:
            typer.echo("\n".join(f"  {line}" for line in reasons(statement.query, name, index).splitlines()))
    Notes().say(f"{len(selected)} of {counted(range(len(index)), 'host')}")


def _index(hosts: Mapping[str, Host], inventories: Mapping[str, Inventory], name: str | None) -> Index:
    """The rows of the hosts that take work: of all, or of those of an Inventory, in its groups."""
    able = Index({called: HostRow(host) for called, host in hosts.items() if not host.spec.unschedulable})
    if name is None:
        return able
    if name not in inventories:
        there = f"there are {listed(list(inventories))}" if inventories else "there is none"
        raise CommandError(f"no Inventory {name} is in the manifests; {there}")
    inventory = inventories[name]
    try:
        found = members(inventory, Fleet(hosts, able), datetime.now().astimezone())
    except TargetingError as error:
        raise CommandError(f"the Inventory {name}: {error}") from None
    groups = Groups(inventory.spec.groups)
    return Index({called: HostRow(hosts[called], groups.of(hosts[called])) for called in found}, groups=groups.names)
