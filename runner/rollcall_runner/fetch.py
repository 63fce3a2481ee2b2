"""Fetches the Git repository of a playbook, in an init container. What goes wrong becomes its termination message.

The credentials are files that git and ssh read by themselves: they are in no argument, no variable and no message.
"""

import argparse
import os
import signal
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from rollcall.playbook import CHECKOUT, GIT_CREDENTIALS_DIRECTORY, PROJECT_DIRECTORY, REVISION_FILE

TERMINATION_LOG: Final = "/dev/termination-log"
TIMEOUT_SECONDS: Final = 120
SIGNALLED: Final = 128
"""The exit code after a signal is this and the signal's number."""
_MAX_MESSAGE: Final = 800
_ASK_PASS: Final = """#!/bin/sh
case "$1" in
    Username*) if [ -e {folder}/username ]; then cat {folder}/username; else echo git; fi ;;
    *) cat {folder}/password ;;
esac
"""


class FetchError(Exception):
    """The repository, the revision or the playbook cannot be had; the message says which and what git said."""


def main(arguments: Sequence[str] | None = None) -> None:
    """Runs the command line; ends by SystemExit."""
    options = _parse(arguments)
    # The first process of a container ends by no signal that it does not handle.
    signal.signal(signal.SIGTERM, _end)
    try:
        Repository(options.project, options.credentials).fetch(options.url, options.revision, options.path)
    except FetchError as error:
        message = str(error)[:_MAX_MESSAGE]
        print(message, file=sys.stderr)
        if options.termination_log.exists():
            options.termination_log.write_text(message)
        sys.exit(1)
    sys.exit(0)


def _end(number: int, frame: object) -> None:  # noqa: ARG001
    sys.exit(SIGNALLED + number)


def _parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="rollcall-fetch", description="Fetches the Git repository of a playbook.")
    parser.add_argument("--url", required=True)
    parser.add_argument("--revision", required=True)
    parser.add_argument("--path", required=True, help="the playbook's file in the repository")
    parser.add_argument("--project", type=Path, default=Path(PROJECT_DIRECTORY), help="the folder to fetch into")
    parser.add_argument("--credentials", type=Path, default=Path(GIT_CREDENTIALS_DIRECTORY))
    parser.add_argument("--termination-log", type=Path, default=Path(TERMINATION_LOG))
    return parser.parse_args(arguments)


class Repository:
    """A folder with a repository's files at one revision."""

    def __init__(self, project: Path, credentials: Path) -> None:
        self._project = project
        self._checkout = project / CHECKOUT
        self._environment = self._prepare(project / "home", credentials)

    def fetch(self, url: str, revision: str, path: str) -> None:
        """Fetches the revision and checks that the playbook is there. Raises FetchError."""
        where = f"revision {revision} of {url}"
        # Ansible ignores the settings of a folder that others may write to.
        self._checkout.mkdir(mode=0o755)
        self._git("init", "--quiet", what=f"no folder for {where}")
        self._git("remote", "add", "origin", url, what=f"no folder for {where}")
        self._check_out(url, revision)
        playbook = (self._checkout / path).resolve()
        if not (playbook.is_file() and playbook.is_relative_to(self._checkout.resolve())):
            raise FetchError(f"there is no file {path} in {where}; correct ansible.git.path in the template")
        commit = self._git("rev-parse", "HEAD", what=f"{where} has no commit")
        (self._project / REVISION_FILE).write_text(commit)

    def _check_out(self, url: str, revision: str) -> None:
        """Has the files of the revision. Raises FetchError with what the last way to them said."""
        # A server may know no shallow history, or give no commit that is not the head of something.
        heads = "+refs/heads/*:refs/remotes/origin/*"
        ways = (
            (("--depth=1", "origin", revision), "FETCH_HEAD"),
            (("origin", revision), "FETCH_HEAD"),
            (("--tags", "origin", heads), revision),
        )
        for number, (asked, commit) in enumerate(ways, 1):
            try:
                self._git("fetch", "--quiet", *asked, what=f"{url} cannot be fetched")
                self._git("checkout", "--quiet", "--detach", commit, what=f"there is no revision {revision} of {url}")
                return
            except FetchError:
                if number == len(ways):
                    raise

    def _git(self, *arguments: str, what: str) -> str:
        """What git printed. Raises FetchError."""
        command = ["git", "-C", str(self._checkout), *arguments]
        try:
            code, printed, told = self._run(command)
        except subprocess.TimeoutExpired:
            raise FetchError(f"{what}: no end in {TIMEOUT_SECONDS} s") from None
        except OSError as error:
            raise FetchError(f"{what}: git cannot be run: {error.strerror}") from None
        if code:
            said = " ".join(line.strip() for line in told.splitlines() if line.strip())
            raise FetchError(f"{what}: {said or f'git ended with exit code {code}'}")
        return printed.strip()

    def _run(self, command: Sequence[str]) -> tuple[int, str, str]:
        """The exit code, stdout and stderr of git. Raises TimeoutExpired and OSError; whatever is raised meanwhile,
        git and the programs that it has started are ended."""
        with subprocess.Popen(  # noqa: S603
            command,
            env=self._environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            errors="replace",
            start_new_session=True,
        ) as git:
            try:
                printed, told = git.communicate(timeout=TIMEOUT_SECONDS)
            except BaseException:
                os.killpg(git.pid, signal.SIGKILL)
                raise
            return git.returncode, printed, told

    @staticmethod
    def _prepare(home: Path, credentials: Path) -> dict[str, str]:
        """The environment of git, which finds the credentials by it."""
        home.mkdir(mode=0o700, parents=True, exist_ok=True)
        ask_pass = home / "ask-pass"
        ask_pass.write_text(_ASK_PASS.format(folder=credentials))
        ask_pass.chmod(0o700)
        ssh = (
            "ssh -F /dev/null -o BatchMode=yes -o IdentitiesOnly=yes -o StrictHostKeyChecking=yes -o ConnectTimeout=15"
        )
        ssh += f" -o UserKnownHostsFile={credentials / 'known_hosts'} -i {credentials / 'ssh-privatekey'}"
        environment = {
            "PATH": os.environ.get("PATH") or "/usr/local/bin:/usr/bin:/bin",
            "HOME": str(home),
            "LANG": "C.UTF-8",
            "GIT_TERMINAL_PROMPT": "0",
            "GIT_CONFIG_NOSYSTEM": "1",
            "GIT_ALLOW_PROTOCOL": "http:https:ssh:git",
            "GIT_SSH_COMMAND": ssh,
        }
        if (credentials / "password").exists():
            environment["GIT_ASKPASS"] = str(ask_pass)
        if (credentials / "ca.crt").exists():
            environment["GIT_SSL_CAINFO"] = str(credentials / "ca.crt")
        return environment


if __name__ == "__main__":
    main()
