"""The certificates of a bare cluster: an authority, a serving certificate, and a client one for each component."""

from pathlib import Path

from .shell import run

# A cluster is made anew far more often than this.
DAYS = "3650"


def make_authority(folder: Path) -> None:
    """Writes `ca.crt` and `ca.key`, and the key pair that signs service account tokens."""
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    run(
        "openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", DAYS,
        "-subj", "/CN=rollcall", "-addext", "keyUsage=critical,keyCertSign,digitalSignature",
        "-keyout", folder / "ca.key", "-out", folder / "ca.crt",
    )  # fmt: skip
    run("openssl", "ecparam", "-name", "prime256v1", "-genkey", "-noout", "-out", folder / "service-accounts.key")
    run("openssl", "ec", "-in", folder / "service-accounts.key", "-pubout", "-out", folder / "service-accounts.pub")


def make_client(folder: Path, name: str, user: str, group: str | None = None) -> None:
    """Writes `name.crt` and `name.key`, which the API server knows as `user`, in `group` if there is one."""
    subject = f"/O={group}/CN={user}" if group else f"/CN={user}"
    sign(folder, name, subject, "extendedKeyUsage=clientAuth")


def make_server(folder: Path, name: str, addresses: list[str], names: list[str]) -> None:
    """Writes `name.crt` and `name.key` for a server with these addresses and host names."""
    alternatives = ",".join([f"IP:{address}" for address in addresses] + [f"DNS:{host}" for host in names])
    sign(folder, name, f"/CN={name}", f"extendedKeyUsage=serverAuth\nsubjectAltName={alternatives}")


def sign(folder: Path, name: str, subject: str, extensions: str) -> None:
    request, details = folder / f"{name}.csr", folder / f"{name}.ext"
    details.write_text(f"basicConstraints=critical,CA:FALSE\nkeyUsage=critical,digitalSignature\n{extensions}\n")
    run(
        "openssl", "req", "-new", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes",
        "-subj", subject, "-keyout", folder / f"{name}.key", "-out", request,
    )  # fmt: skip
    run(
        "openssl", "x509", "-req", "-days", DAYS, "-in", request, "-CA", folder / "ca.crt", "-CAkey", folder / "ca.key",
        "-CAcreateserial", "-extfile", details, "-out", folder / f"{name}.crt",
    )  # fmt: skip
    request.unlink()
    details.unlink()
