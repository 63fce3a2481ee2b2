"""Real OpenSSH servers on the loopback interface."""

import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path

from rollcall.work import Credentials, HostWork, Work

SSHD = "/usr/sbin/sshd"
USER = "rollcalltest"
PASSWORD = "correct horse battery"
PATIENCE_SECONDS = 120


def wait_until(condition: Callable[[], bool], what: str) -> None:
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not condition():
        assert time.monotonic() < deadline, f"waited in vain: {what}"
        time.sleep(0.01)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def keygen(path: Path, *options: str, passphrase: str = "") -> Path:
    subprocess.run(["ssh-keygen", "-q", "-N", passphrase, "-f", path, *options], check=True)
    return path


def public_key(path: Path) -> str:
    return path.with_name(path.name + ".pub").read_text().rsplit(" ", 1)[0].strip()


@dataclass
class Server:
    """An sshd with its own host keys; root logs in with `user_key`, the test user with PASSWORD."""

    port: int
    directory: Path
    user_key: Path
    temporary: Path
    process: subprocess.Popen[bytes]

    @property
    def host_keys(self) -> tuple[str, ...]:
        return tuple(public_key(self.directory / f"host_{kind}") for kind in ("ed25519", "ecdsa"))

    def host(self, name: str = "web-1", **changes: object) -> HostWork:
        host = HostWork(name, "127.0.0.1", self.port, "root", self.host_keys, 0, 0)
        return replace(host, **changes)  # type: ignore[arg-type]

    def work(self, *scripts: str, credentials: Credentials | None = None, **changes: object) -> Work:
        work = Work(
            hosts=(self.host(),),
            scripts=scripts,
            credentials=(credentials or Credentials(private_key=self.user_key.read_text()),),
            parallelism=100,
            execution_timeout_seconds=60,
            output_limit_bytes=1_000_000,
        )
        return replace(work, **changes)  # type: ignore[arg-type]

    def leftovers(self) -> list[str]:
        """The directories of scripts that are still on the host. A stopped playbook may leave more: Ansible's own."""
        return [name for name in os.listdir(self.temporary) if name.startswith("rollcall.")]

    def stop(self) -> None:
        self.process.terminate()
        self.process.wait()
        shutil.rmtree(self.temporary)

    def kill_sessions(self) -> None:
        """Ends the server's side of every connection without a word."""
        children = subprocess.run(
            ["ps", "-o", "pid=", "--ppid", str(self.process.pid)], capture_output=True, text=True, check=False
        ).stdout.split()
        for child in children:
            os.kill(int(child), signal.SIGKILL)


def start_server(directory: Path, *settings: str, **environment: str) -> Server:
    for kind in ("ed25519", "ecdsa"):
        keygen(directory / f"host_{kind}", "-t", kind)
    user_key = keygen(directory / "user", "-t", "ed25519")
    (directory / "authorized").write_text(public_key(user_key) + "\n")
    ca = keygen(directory / "ca", "-t", "ed25519")
    port = free_port()
    # Not below pytest's directory, which belongs to root alone.
    temporary = Path(tempfile.mkdtemp(prefix="sshd-"))
    temporary.chmod(0o1777)
    (directory / "sshd_config").write_text(
        "\n".join(
            (
                *settings,
                f"Port {port}",
                "ListenAddress 127.0.0.1",
                *(f"HostKey {directory}/host_{kind}" for kind in ("ed25519", "ecdsa")),
                f"AuthorizedKeysFile {directory}/authorized",
                f"TrustedUserCAKeys {ca}.pub",
                "PidFile none",
                "StrictModes no",
                "PermitRootLogin yes",
                "PasswordAuthentication yes",
                "UseDNS no",
                "MaxStartups 1000",
                # At its first level bash would read ~/.bashrc, which may be slow or print something.
                f"SetEnv SHLVL=2 TMPDIR={temporary}" + "".join(f" {key}={text}" for key, text in environment.items()),
            )
        )
    )
    Path("/run/sshd").mkdir(exist_ok=True)
    process = subprocess.Popen(
        [SSHD, "-D", "-f", directory / "sshd_config", "-E", directory / "log"], stdin=subprocess.DEVNULL
    )

    def listening() -> bool:
        assert process.poll() is None, (directory / "log").read_text()
        with suppress(OSError), socket.create_connection(("127.0.0.1", port)):
            return True
        return False

    wait_until(listening, "sshd listens")
    return Server(port, directory, user_key, temporary, process)


def is_alive(pid: int) -> bool:
    """Whether a process exists and is not a zombie."""
    with suppress(FileNotFoundError, ProcessLookupError):
        return Path(f"/proc/{pid}/stat").read_text().rsplit(") ", 1)[1][0] != "Z"
    return False
