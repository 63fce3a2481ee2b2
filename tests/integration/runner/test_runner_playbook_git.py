"""A playbook's repository on a server whose certificate is of an authority that nobody but its owner knows."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from integration.runner.sshd import PASSWORD
from integration.runner.test_runner_fetch import PLAY, fetch
from support.gitserver import USER, GitServer, certify

ADDRESS = "127.0.0.1"


@pytest.fixture
def credentials(tmp_path: Path) -> Path:
    """What the Secret of the repository has."""
    folder = tmp_path / "credentials"
    folder.mkdir()
    (folder / "username").write_text(USER)
    (folder / "password").write_text(PASSWORD)
    return folder


@pytest.fixture
def repository(tmp_path: Path, credentials: Path) -> Iterator[GitServer]:
    """It is served by HTTPS, and the authority of that server is in the Secret."""
    authority, certificate = certify(tmp_path, ADDRESS)
    authority.rename(credentials / "ca.crt")
    with GitServer(tmp_path, PASSWORD, address=ADDRESS, certificate=certificate) as repository:
        repository.commit({"site.yml": PLAY})
        yield repository


def test_the_authority_in_the_secret_is_believed(repository: GitServer, credentials: Path, tmp_path: Path) -> None:
    assert repository.url.startswith("https://")
    assert fetch(tmp_path, repository.url, "main", credentials=credentials) == ""
    assert (tmp_path / "project" / "checkout" / "site.yml").read_text() == PLAY


@pytest.mark.parametrize("known", ["no authority", "another authority"])
def test_another_certificate_is_refused_and_said(
    repository: GitServer, credentials: Path, tmp_path: Path, known: str
) -> None:
    (credentials / "ca.crt").unlink()
    if known == "another authority":
        (tmp_path / "other").mkdir()
        certify(tmp_path / "other", ADDRESS)[0].rename(credentials / "ca.crt")
    said = fetch(tmp_path, repository.url, "main", credentials=credentials)
    assert f"{repository.url} cannot be fetched" in said
    assert "certificate" in said
    assert PASSWORD not in said
