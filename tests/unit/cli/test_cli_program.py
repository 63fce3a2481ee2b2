"""The programs themselves: names, help, what is missing."""

import os
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

import pytest

from unit.cli.program import BIN, program, rollcall

HIDDEN = """
import sys
sys.modules[{module!r}] = None
from rollcall_cli.start import main
sys.argv = ["rollcall", *{arguments!r}]
main()
"""


def test_it_says_its_version() -> None:
    assert rollcall("--version").out == f"rollcall {version('rollcall-operator')}\n"


@pytest.mark.parametrize(("name", "called"), [("rollcall", "rollcall"), ("kubectl-rollcall", "kubectl rollcall")])
def test_it_calls_itself_as_it_was_called(name: str, called: str) -> None:
    assert f"Usage: {called} " in program(name, "--help").out


def test_help_names_every_command() -> None:
    assert "import" in rollcall("--help").out
    assert "ansible" in rollcall("import", "--help").out


def test_shells_complete_it() -> None:
    environment = {**os.environ, "_ROLLCALL_COMPLETE": "complete_bash", "COMP_WORDS": "rollcall im", "COMP_CWORD": "1"}
    done = subprocess.run([BIN / "rollcall"], env=environment, capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["import"]


def test_it_says_which_package_is_missing(tmp_path: Path) -> None:
    (tmp_path / "hosts.ini").write_text("web1\n")
    for module, arguments, wanted in (
        ("typer", ["--help"], "rollcall needs the Python package typer: pip install 'rollcall-operator[cli]'\n"),
        (
            "ansible",
            ["import", "ansible", str(tmp_path / "hosts.ini")],
            "error: inventories are read by ansible-core, which is not installed here: pip install ansible-core\n",
        ),
    ):
        code = HIDDEN.format(module=module, arguments=arguments)
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
        assert (done.returncode, done.stderr) == (1, wanted)
