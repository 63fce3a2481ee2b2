"""A Host that cannot be used as written is told what is wrong with it."""

import base64
import struct

import pytest

from rollcall.plan.hosts import examine_host
from unit.core.objects import host


def key(algorithm: str = "ssh-ed25519", body: bytes = b"k" * 32) -> str:
    name = algorithm.encode()
    return base64.b64encode(struct.pack(">I", len(name)) + name + struct.pack(">I", len(body)) + body).decode()


ED25519 = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIOMqqnkVzrm0SdG6UOoqKLsabgH5C9okWi0dh2l9GKJl"


@pytest.mark.parametrize(
    "keys",
    [
        [],
        [ED25519],
        [f"{ED25519} root@web1"],
        [f"ecdsa-sha2-nistp256 {key('ecdsa-sha2-nistp256')}", f"ssh-rsa {key('ssh-rsa')}"],
        [f"sk-ssh-ed25519@openssh.com {key('sk-ssh-ed25519@openssh.com')}"],
    ],
)
def test_nothing_is_wrong_with_a_host_with_good_keys(keys: list[str]) -> None:
    assert examine_host(host(hostKeys=keys)) is None


@pytest.mark.parametrize(
    ("keys", "sentence"),
    [
        (
            ["ssh-ed25519 AAA"],
            "spec.hostKeys: key 1 is not base64; copy a line of ssh-keyscan without its first word",
        ),
        (
            [ED25519, "web1 ssh-ed25519 x"],
            "spec.hostKeys: key 2 is not base64; copy a line of ssh-keyscan without its first word",
        ),
        (
            [f"ssh-rsa {key()}"],
            "spec.hostKeys: key 1 says ssh-rsa, but holds another kind of key, or is cut short",
        ),
        (
            ["ssh-ed25519 AAAA"],
            "spec.hostKeys: key 1 says ssh-ed25519, but holds another kind of key, or is cut short",
        ),
        (
            [f"ssh-ed25519 {base64.b64encode(bytes([255] * 30)).decode()}"],
            "spec.hostKeys: key 1 says ssh-ed25519, but holds another kind of key, or is cut short",
        ),
    ],
)  # fmt: skip
def test_a_bad_key_is_pointed_out(keys: list[str], sentence: str) -> None:
    bad = host()
    assert (
        examine_host(bad.model_copy(update={"spec": bad.spec.model_copy(update={"host_keys": tuple(keys)})}))
        == sentence
    )


def test_a_key_that_is_cut_short_in_its_body_is_pointed_out() -> None:
    cut = base64.b64encode(base64.b64decode(ED25519.split()[1])[:24]).decode()
    assert examine_host(host(hostKeys=[f"ssh-ed25519 {cut}"])) is not None
