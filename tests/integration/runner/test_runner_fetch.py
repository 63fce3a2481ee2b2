"""The init container's program, against real Git servers: git's own daemon, and ssh."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from socket import create_connection, socket

import pytest

from integration.runner.sshd import PATIENCE_SECONDS, Server, free_port, wait_until

PLAY = "- hosts: all\n"


@dataclass(frozen=True)
class Plays:
    """A repository with two commits, a tag on the first, and a branch beside `main`."""

    folder: Path
    url: str
    first: str
    second: str


def git(folder: Path, *arguments: str) -> str:
    identity = ("-c", "user.name=Tests", "-c", "user.email=tests@example.com")
    done = subprocess.run(["git", "-C", folder, *identity, *arguments], check=True, stdout=subprocess.PIPE, text=True)
    return done.stdout.strip()


@pytest.fixture(scope="module")
def plays(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Plays]:
    base = tmp_path_factory.mktemp("git")
    folder = base / "plays"
    subprocess.run(["git", "init", "--quiet", "--initial-branch=main", folder], check=True)
    (folder / "site.yml").write_text(PLAY)
    (folder / "out.yml").symlink_to("/etc/passwd")
    git(folder, "add", "--all")
    git(folder, "commit", "--quiet", "-m", "First")
    git(folder, "tag", "v1")
    first = git(folder, "rev-parse", "HEAD")
    (folder / "new.yml").write_text(PLAY)
    git(folder, "add", "--all")
    git(folder, "commit", "--quiet", "-m", "Second")
    git(folder, "branch", "next/big")
    port = free_port()
    command = ["git", "daemon", "--reuseaddr", "--export-all", f"--base-path={base}", f"--port={port}"]
    daemon = subprocess.Popen([*command, "--listen=127.0.0.1"], stderr=subprocess.DEVNULL)

    def listens() -> bool:
        with suppress(OSError), create_connection(("127.0.0.1", port)):
            return True
        return False

    wait_until(listens, "git's daemon listens")
    yield Plays(folder, f"git://127.0.0.1:{port}/plays", first, git(folder, "rev-parse", "HEAD"))
    daemon.terminate()
    daemon.wait()


def command_of(folder: Path, url: str, revision: str, path: str, credentials: Path | None = None) -> list[str]:
    log = folder / "termination-log"
    log.touch()
    command = [
        sys.executable,
        "-m",
        "rollcall_runner.fetch",
        f"--url={url}",
        f"--revision={revision}",
        f"--path={path}",
    ]
    command += [f"--project={folder / 'project'}", f"--termination-log={log}"]
    return [*command, f"--credentials={credentials or folder / 'none'}"]


def fetch(folder: Path, url: str, revision: str, path: str = "site.yml", credentials: Path | None = None) -> str:
    """The termination message; empty when all went well."""
    log, command = folder / "termination-log", command_of(folder, url, revision, path, credentials)
    done = subprocess.run(command, check=False, stderr=subprocess.PIPE, text=True)
    assert (done.returncode == 0) == (log.read_text() == ""), done.stderr
    return log.read_text()


@pytest.mark.parametrize("revision", ["HEAD", "main", "next/big", "v1", "first", "second"])
def test_a_revision_is_a_branch_a_tag_or_a_commit(plays: Plays, tmp_path: Path, revision: str) -> None:
    asked = {"first": plays.first, "second": plays.second}.get(revision, revision)
    assert fetch(tmp_path, plays.url, asked) == ""
    commit = plays.first if revision in ("v1", "first") else plays.second
    assert (tmp_path / "project" / "revision").read_text() == commit
    assert (tmp_path / "project" / "checkout" / "site.yml").read_text() == PLAY
    assert (tmp_path / "project" / "checkout" / "new.yml").exists() == (commit == plays.second)
    assert (tmp_path / "project" / "checkout").stat().st_mode & 0o022 == 0


@pytest.mark.parametrize(
    ("revision", "path", "words"),
    [
        ("v2", "site.yml", "there is no revision v2"),
        ("main", "other.yml", "there is no file other.yml in revision main"),
        ("main", "../home/ask-pass", "there is no file ../home/ask-pass"),
        ("main", "out.yml", "there is no file out.yml"),
    ],
)
def test_what_is_not_there_is_said(plays: Plays, tmp_path: Path, revision: str, path: str, words: str) -> None:
    assert words in fetch(tmp_path, plays.url, revision, path)


def test_a_server_that_does_not_answer_is_named(tmp_path: Path) -> None:
    url = f"git://127.0.0.1:{free_port()}/plays"
    said = fetch(tmp_path, url, "main")
    assert f"{url} cannot be fetched" in said
    assert "Connection refused" in said


def test_a_signal_ends_a_fetch_and_its_git_at_once(tmp_path: Path) -> None:
    with socket() as silent:  # a server that takes connections and says nothing
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        silent.settimeout(PATIENCE_SECONDS)
        url = f"http://127.0.0.1:{silent.getsockname()[1]}/plays"
        command = command_of(tmp_path, url, "main", "site.yml")
        # As in its container, where it is the first process and the kernel spares it signals without a handler.
        fetching = subprocess.Popen(["unshare", "--pid", "--fork", "--kill-child", *command], stderr=subprocess.PIPE)
        connection, _ = silent.accept()
        connection.settimeout(10)
        first = Path(f"/proc/{fetching.pid}/task/{fetching.pid}/children").read_text().split()[0]
        os.kill(int(first), signal.SIGTERM)
        _, said = fetching.communicate(timeout=10)
        while connection.recv(1 << 16):
            pass  # git's request, and then the end of the program that made it
        connection.close()
    assert (fetching.returncode, said) == (143, b"")
    assert (tmp_path / "termination-log").read_text() == ""


def test_over_ssh_the_servers_key_must_be_known(plays: Plays, server: Server, tmp_path: Path) -> None:
    credentials = tmp_path / "credentials"
    credentials.mkdir()
    (credentials / "ssh-privatekey").write_bytes(server.user_key.read_bytes())
    (credentials / "ssh-privatekey").chmod(0o600)
    url = f"ssh://root@127.0.0.1:{server.port}{plays.folder}"
    first = tmp_path / "unknown"
    first.mkdir()
    assert "Host key verification failed" in fetch(first, url, "main", credentials=credentials)
    known = "".join(f"[127.0.0.1]:{server.port} {key}\n" for key in server.host_keys)
    (credentials / "known_hosts").write_text(known)
    second = tmp_path / "known"
    second.mkdir()
    assert fetch(second, url, "main", credentials=credentials) == ""
