"""The command line: `rollcall`."""

from importlib.metadata import version
from typing import Annotated

import typer

from rollcall_cli import importing, queries
from rollcall_cli.errors import CommandError
from rollcall_cli.notes import Notes

app = typer.Typer(
    no_args_is_help=True,
    # A traceback with the values of variables would show what should stay secret.
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
app.add_typer(importing.app, name="import")
app.add_typer(queries.app, name="query")


def _show_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"rollcall {version('rollcall-operator')}")
        raise typer.Exit


@app.callback()
def rollcall(
    shown: Annotated[
        bool, typer.Option("--version", callback=_show_version, is_eager=True, help="Show the version.")
    ] = False,
) -> None:
    """Rollcall runs jobs on fleets of hosts, from Kubernetes. As a plugin of kubectl: kubectl rollcall."""


def run(program: str) -> int:
    """Run what the arguments say, in the name of a program; the exit code."""
    try:
        app(prog_name=program)
    except CommandError as error:
        Notes().fail(str(error))
        return 1
    return 0
