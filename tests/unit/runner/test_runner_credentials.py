"""What cannot be used of credentials or host keys is refused with the cause, and without its content."""

import asyncssh
import pytest

from rollcall.work import Credentials, HostWork
from rollcall_runner.connection import CredentialsError, HostKeysError, known_keys, read_login

KEY = asyncssh.generate_private_key("ssh-ed25519")
OTHER_KEY = asyncssh.generate_private_key("ssh-ed25519")
PLAIN = KEY.export_private_key().decode()
ENCRYPTED = KEY.export_private_key(passphrase="open sesame", rounds=1, ignore_few_rounds=True).decode()
CERTIFICATE = OTHER_KEY.generate_user_certificate(KEY, "deploy").export_certificate().decode()
FOREIGN_CERTIFICATE = KEY.generate_user_certificate(OTHER_KEY, "deploy").export_certificate().decode()
PUBLIC = KEY.export_public_key().decode()


def host(*host_keys: str) -> HostWork:
    return HostWork("web-1", "10.0.0.5", 22, "root", host_keys, 0, 0)


def test_a_login_consists_of_what_the_credentials_hold() -> None:
    assert read_login(Credentials(password="p")).described == "password"
    assert read_login(Credentials(private_key=PLAIN)).described == "private key"
    assert read_login(Credentials(private_key=PLAIN, password="p")).described == "private key and the password"
    assert read_login(Credentials(private_key=ENCRYPTED, passphrase="open sesame")).described == "private key"
    assert len(read_login(Credentials(private_key=PLAIN, certificate=CERTIFICATE)).keys) == 2


@pytest.mark.parametrize(
    ("credentials", "why"),
    [
        (Credentials(), "neither a private key nor a password"),
        (Credentials(private_key=ENCRYPTED), "encrypted and there is no passphrase"),
        (Credentials(private_key=ENCRYPTED, passphrase="hunter2"), "the passphrase is wrong"),
        (Credentials(private_key="hunter2"), "not a private key"),
        (Credentials(private_key=PLAIN.replace("A", "B")), "not a private key in OpenSSH"),
        (Credentials(private_key=PUBLIC), "not a private key"),
        (Credentials(private_key=PLAIN, certificate="hunter2"), "certificate in the credentials cannot be read"),
        (Credentials(private_key=PLAIN, certificate=FOREIGN_CERTIFICATE), "belongs to another private key"),
    ],
)
def test_unusable_credentials_are_refused_with_the_cause(credentials: Credentials, why: str) -> None:
    with pytest.raises(CredentialsError, match=why) as caught:
        read_login(credentials)
    assert "hunter2" not in str(caught.value)


def test_a_host_without_host_keys_is_refused() -> None:
    with pytest.raises(HostKeysError, match=r"add its public keys to spec\.hostKeys"):
        known_keys(host())


def test_a_host_whose_host_keys_cannot_be_read_is_refused() -> None:
    with pytest.raises(HostKeysError, match="none of the 2 host keys of web-1 can be read"):
        known_keys(host("ssh-ed25519 AAAA", "ssh-future BBBB"))


def test_one_readable_host_key_is_enough() -> None:
    assert known_keys(host("ssh-future BBBB", PUBLIC)) == [KEY.convert_to_public()]
