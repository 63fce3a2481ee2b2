"""Of a known_hosts file, a runner gets the lines that are, or may be, for its own hosts."""

import subprocess
from pathlib import Path

import pytest

from rollcall.knownhosts import KnownHosts, KnownHostsError, names_of

KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIOMqqnkVzrm0SdG6UOoqKLsabgH5C9okWi0dh2l9GKJl"
HASHED = f"|1|F1E1KeoE/eEWhi10WpGv4OdiO6Y=|3988QV0VE8wmZL7suNrYQLITLCg= {KEY}"


def test_plain_lines_are_for_those_that_they_name() -> None:
    text = f"web1,10.0.0.1 {KEY} one\nweb2 {KEY} two\n\n# web1 is old\n[web1]:2222 {KEY} three\n"
    known = KnownHosts.parse(text)
    assert known.text(names_of("web1", 22)) == f"web1,10.0.0.1 {KEY} one\n"
    assert known.text((*names_of("web1", 22), *names_of("10.0.0.1", 22))) == f"web1,10.0.0.1 {KEY} one\n"
    assert known.text(names_of("web3", 22)) == ""


def test_the_line_for_a_port_comes_with_the_one_without() -> None:
    known = KnownHosts.parse(f"[web1]:2222 {KEY} one\nweb1 {KEY} two\n")
    assert known.text(names_of("web1", 2222)) == f"[web1]:2222 {KEY} one\nweb1 {KEY} two\n"


@pytest.mark.parametrize("name", ["*.example.com", "web?", "!web9,*", HASHED.split(maxsplit=1)[0], "10.0.0.0/8"])
@pytest.mark.parametrize("marker", ["", "@cert-authority ", "@revoked "])
def test_lines_that_only_a_comparison_tells_are_for_everybody(name: str, marker: str) -> None:
    line = f"{marker}{name} {KEY}"
    assert KnownHosts.parse(f"{line}\nweb1 {KEY}\n").text(["web7"]) == f"{line}\n"


def test_names_are_the_same_in_upper_and_lower_case() -> None:
    assert KnownHosts.parse(f"@revoked WEB1 {KEY}\n").text(names_of("Web1", 22)) == f"@revoked web1 {KEY}\n"


def test_what_ssh_keygen_hashes_is_taken(tmp_path: Path) -> None:
    file = tmp_path / "known_hosts"
    file.write_text(f"web1 {KEY}\n")
    subprocess.run(["ssh-keygen", "-q", "-H", "-f", file], check=True, capture_output=True)
    assert KnownHosts.parse(file.read_text()).text([]).startswith("|1|")


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("web1", "line 2 has no host names, kind of key and key"),
        ("web1 ssh-ed25519", "line 2 has no host names, kind of key and key"),
        (f"@trusted web1 {KEY}", "line 2 begins with @, but with neither"),
        ("@revoked", "line 2 begins with @, but with neither"),
        (f"|2|abc=|def= {KEY}", "line 2 has a hashed name that is damaged"),
        (f"|1|abc|def {KEY}", "line 2 has a hashed name that is damaged"),
    ],
)
def test_a_line_that_is_none_is_pointed_out(line: str, words: str) -> None:
    with pytest.raises(KnownHostsError, match=words):
        KnownHosts.parse(f"# first\n{line}\n")
