"""Where the programs `rollcall` and `kubectl-rollcall` begin."""

import sys
from pathlib import Path


def main() -> None:
    """Run the command that the arguments say."""
    try:
        from rollcall_cli.commands import run  # noqa: PLC0415 - says what is missing
    except ModuleNotFoundError as error:
        if error.name not in ("typer", "rich", "yaml"):
            raise
        sys.exit(f"rollcall needs the Python package {error.name}: pip install 'rollcall-operator[cli]'")
    called = Path(sys.argv[0]).stem
    sys.exit(run("kubectl rollcall" if called == "kubectl-rollcall" else "rollcall"))
