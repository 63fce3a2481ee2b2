"""What cannot be used of credentials is refused with the cause, and without its content."""

import asyncssh
import pytest

from rollcall.work import Credentials
from rollcall_runner.connection import CredentialsError, read_login

KEY = asyncssh.generate_private_key("ssh-ed25519")
OTHER_KEY = asyncssh.generate_private_key("ssh-ed25519")
PLAIN = KEY.export_private_key().decode()
ENCRYPTED = KEY.export_private_key(passphrase="open sesame", rounds=1, ignore_few_rounds=True).decode()
CERTIFICATE = OTHER_KEY.generate_user_certificate(KEY, "deploy").export_certificate().decode()
FOREIGN_CERTIFICATE = KEY.generate_user_certificate(OTHER_KEY, "deploy").export_certificate().decode()
PUBLIC = KEY.export_public_key().decode()


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
