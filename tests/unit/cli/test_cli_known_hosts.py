"""Host keys in known_hosts files, beside what `ssh-keygen -F` finds in them."""

import subprocess
from pathlib import Path

import pytest

from rollcall_cli.errors import CommandError
from rollcall_cli.ssh.known_hosts import HostKeys, fits

LINES = (
    "web1,192.0.2.1 {0}",
    "WEB2.Example.com {1} with a comment",
    "[web1]:2222 {2}",
    "*.example.org,!secret.example.org {3}",
    "db? {4}",
    "[2001:db8::1]:22 {5}",
    "web1 {0}",
    "[*.example.org]:2222 {1}",
)
NAMES = [
    ("web1", 22), ("WEB1", 22), ("192.0.2.1", 22), ("web2.example.com", 22), ("web1", 2222), ("web1", 23),
    ("a.example.org", 22), ("secret.example.org", 22), ("db1", 22), ("db12", 22), ("nowhere", 22), ("db1", 2222),
    ("a.example.org", 2222), ("web2.example.com", 2222),
]  # fmt: skip


@pytest.fixture(scope="module")
def keys(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    folder = tmp_path_factory.mktemp("keys")
    found = []
    for number in range(6):
        path = folder / str(number)
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "", "-f", path], check=True)
        found.append(" ".join(path.with_suffix(".pub").read_text().split()[:2]))
    return found


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory, keys: list[str]) -> tuple[Path, Path]:
    """The same as written, and with the names hashed that can be."""
    plain = tmp_path_factory.mktemp("known") / "plain"
    plain.write_text("# a comment\n\n" + "".join(f"{line.format(*keys)}\n" for line in LINES))
    hashed = plain.with_name("hashed")
    hashed.write_text(plain.read_text())
    subprocess.run(["ssh-keygen", "-q", "-H", "-f", hashed], check=True, capture_output=True)
    assert "|1|" in hashed.read_text()
    return plain, hashed


def oracle(file: Path, name: str) -> list[str]:
    # ssh looks for a name in small letters (ssh.c), ssh-keygen as it is given.
    command = ["ssh-keygen", "-F", name.lower(), "-f", file]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    lines = [line for line in done.stdout.splitlines() if not line.startswith("#")]
    return [" ".join(line.split()[1:3]) for line in lines]


@pytest.mark.parametrize(("address", "port"), NAMES)
@pytest.mark.parametrize("which", [0, 1])
def test_a_host_has_the_keys_that_openssh_finds(files: tuple[Path, Path], which: int, address: str, port: int) -> None:
    name = address if port == 22 else f"[{address}]:{port}"
    wanted = oracle(files[which], name) or oracle(files[which], address)
    assert sorted(HostKeys.read([files[which]]).of(address, port)) == sorted(set(wanted))


def test_lines_with_markers_are_apart(tmp_path: Path, keys: list[str]) -> None:
    file = tmp_path / "known"
    authority = f"@cert-authority *.example.com {keys[0]}"
    revoked = f"@revoked web1.example.com {keys[1]}"
    file.write_text(f"{authority}\n{revoked}\nweb1.example.com {keys[2]}\n@revoked * {keys[3]}\n")
    found = HostKeys.read([file])
    assert found.of("web1.example.com", 22) == (keys[2],)
    assert set(found.marked("web1.example.com", 22)) == {authority, revoked, f"@revoked * {keys[3]}"}
    assert found.marked("elsewhere", 22) == (f"@revoked * {keys[3]}",)


@pytest.mark.parametrize(
    ("patterns", "name", "fit"),
    [("*", "a", True), ("a.b", "axb", False), ("A?", "ab", True), ("*,!a", "a", False), ("!a", "b", False),
     ("[*]:2222", "[a]:2222", True), ("[ab]", "a", False)],
)  # fmt: skip
def test_patterns(patterns: str, name: str, fit: bool) -> None:
    assert fits(patterns, name) is fit


@pytest.mark.parametrize(
    "text", ["web1 ssh-ed25519\n", "@unknown web1 ssh-ed25519 AAAA\n", "|1|bad|bad ssh-rsa AAAA\n"]
)
def test_a_damaged_file_is_an_error_with_its_line(tmp_path: Path, text: str) -> None:
    (tmp_path / "known").write_text(f"# first\n{text}")
    with pytest.raises(CommandError, match="line 2 "):
        HostKeys.read([tmp_path / "known"])
