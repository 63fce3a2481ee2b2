"""A Git repository on this machine, served over HTTP or HTTPS to whoever knows the password."""

import base64
import os
import ssl
import subprocess
import threading
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import TracebackType
from typing import Any, Self

USER = "fetcher"


class _Handler(SimpleHTTPRequestHandler):
    """Gives the files of a folder by the protocol that Git calls dumb."""

    def __init__(self, *arguments: Any, password: str, **named: Any) -> None:
        self._wanted = "Basic " + base64.b64encode(f"{USER}:{password}".encode()).decode()
        super().__init__(*arguments, **named)

    def do_GET(self) -> None:
        if self.headers.get("Authorization") == self._wanted:
            super().do_GET()
            return
        self.send_response(401)
        self.send_header("WWW-Authenticate", 'Basic realm="git"')
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, format: str, *arguments: Any) -> None:  # noqa: A002
        """Says nothing."""


def certify(folder: Path, address: str) -> tuple[Path, Path]:
    """The certificate of an authority, and a file with one that it gave to the server at this address, and its key."""
    authority, server = folder / "ca.crt", folder / "server.pem"
    new = ("openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "30")
    key, given = folder / "ca.key", folder / "server.crt"
    subprocess.run([*new, "-subj", "/CN=Tests", "-keyout", key, "-out", authority], check=True, capture_output=True)
    about = ("-addext", f"subjectAltName=IP:{address}", "-addext", "basicConstraints=critical,CA:FALSE")
    signed = (*new, "-subj", "/CN=git", *about, "-CA", authority, "-CAkey", key)
    subprocess.run([*signed, "-keyout", server, "-out", given], check=True, capture_output=True)
    server.write_text(server.read_text() + given.read_text())
    return authority, server


class GitServer:
    """Runs while it is entered. Its repository has one branch, `main`. With a certificate it speaks HTTPS only."""

    def __init__(
        self, folder: Path, password: str, *, address: str | None = None, certificate: Path | None = None
    ) -> None:
        self._work = folder / "work"
        self._bare = folder / "served" / "plays.git"
        subprocess.run(["git", "init", "--quiet", "--initial-branch=main", self._work], check=True)
        subprocess.run(["git", "init", "--quiet", "--bare", "--initial-branch=main", self._bare], check=True)
        handler = partial(_Handler, directory=str(folder / "served"), password=password)
        self._server = ThreadingHTTPServer(("", 0), handler)
        if certificate is not None:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(certificate)
            self._server.socket = context.wrap_socket(self._server.socket, server_side=True)
        scheme = "http" if certificate is None else "https"
        self.url = f"{scheme}://{address or os.environ['ROLLCALL_HOST_ADDRESS']}:{self._server.server_port}/plays.git"

    def commit(self, files: dict[str, str]) -> str:
        """The commit, by its full name, that makes these files what they are."""
        for name, text in files.items():
            (self._work / name).parent.mkdir(parents=True, exist_ok=True)
            (self._work / name).write_text(text)
        self._git("add", "--all")
        self._git("-c", "user.name=Tests", "-c", "user.email=tests@example.com", "commit", "--quiet", "-m", "Change")
        self._git("push", "--quiet", str(self._bare), "main")
        subprocess.run(["git", "-C", self._bare, "update-server-info"], check=True)
        return self._git("rev-parse", "HEAD")

    def _git(self, *arguments: str) -> str:
        done = subprocess.run(["git", "-C", self._work, *arguments], check=True, stdout=subprocess.PIPE, text=True)
        return done.stdout.strip()

    def __enter__(self) -> Self:
        threading.Thread(target=self._server.serve_forever, daemon=True).start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.shutdown()
        self._server.server_close()
