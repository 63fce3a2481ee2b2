"""Running other programs, telling the user what goes on, and giving up with one sentence."""

import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

PROGRESS_EVERY = 15.0


class ClusterError(Exception):
    """Ends the command with its message and exit code 1."""


def say(text: str) -> None:
    """Prints a line of progress. Standard output stays free for what a command answers."""
    print(text, file=sys.stderr, flush=True)


def run(*command: str | Path) -> str:
    """Returns the standard output of a command; raises ClusterError with its standard error if it fails."""
    try:
        done = subprocess.run([str(part) for part in command], capture_output=True, check=False)
    except FileNotFoundError as error:
        raise ClusterError(f"this needs the program {command[0]}, which is not on the PATH") from error
    if done.returncode:
        said = (done.stderr or done.stdout).decode(errors="replace").strip()
        raise ClusterError(f"{' '.join(str(part) for part in command)}: exit code {done.returncode}\n{said}")
    return done.stdout.decode(errors="replace")


def run_slowly(
    title: str,
    command: Sequence[str | Path],
    log: Path,
    env: Mapping[str, str] | None = None,
    cwd: Path | None = None,
) -> None:
    """Runs a command that takes long, with its output in `log` and the elapsed seconds shown now and then.

    Raises ClusterError with the end of the log if the command fails.
    """
    log.parent.mkdir(parents=True, exist_ok=True)
    start = time.monotonic()
    say(f"{title} ...")
    with log.open("wb") as output:
        process = subprocess.Popen(
            [str(part) for part in command],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            env=env,
            cwd=cwd,
        )
        try:
            while True:
                try:
                    code = process.wait(PROGRESS_EVERY)
                    break
                except subprocess.TimeoutExpired:
                    say(f"{title} ... {time.monotonic() - start:.0f} s")
        except BaseException:
            process.kill()
            raise
    if code:
        raise ClusterError(f"{title}: exit code {code}. The end of {log}:\n{tail(log)}")
    say(f"{title}: {time.monotonic() - start:.0f} s")


def tail(log: Path, lines: int = 20) -> str:
    """Returns the last lines of a log, or a note that there is none."""
    try:
        return "\n".join(log.read_text(errors="replace").splitlines()[-lines:])
    except FileNotFoundError:
        return "(no log)"
