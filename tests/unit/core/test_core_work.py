"""The work file says to the runner what the operator meant, and shows its secrets to nobody else."""

import gzip
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rollcall.work import Credentials, HostKeyPolicy, HostWork, JumpHost, Work

CANARY = "canary-4711"
TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=12)
PART = st.none() | TEXT
WORK = st.builds(
    Work,
    hosts=st.lists(
        st.builds(
            HostWork,
            name=TEXT,
            address=TEXT,
            port=st.integers(1, 65535),
            user=TEXT,
            host_keys=st.lists(TEXT, max_size=2).map(tuple),
            credentials=st.integers(0, 3),
            script=st.integers(0, 3),
            policy=st.sampled_from(HostKeyPolicy),
            known_hosts=st.none() | st.integers(0, 3),
            via=st.none() | st.integers(0, 3),
        ),
        max_size=3,
    ).map(tuple),
    scripts=st.lists(TEXT, max_size=2).map(tuple),
    credentials=st.lists(st.builds(Credentials, PART, PART, PART, PART), max_size=2).map(tuple),
    parallelism=st.integers(1, 250),
    execution_timeout_seconds=st.integers(1, 10**6),
    output_limit_bytes=st.integers(1, 10**9),
    jump_hosts=st.lists(
        st.builds(JumpHost, TEXT, TEXT, st.integers(1, 65535), TEXT, st.just(("ssh-ed25519 AAAA",)), st.integers(0, 3)),
        max_size=2,
    ).map(tuple),
    known_hosts=st.lists(TEXT, max_size=2).map(tuple),
    tty=st.booleans(),
)


def work(**changes: Any) -> Work:
    parts: dict[str, Any] = {
        "hosts": (HostWork("web1", "192.0.2.1", 22, "root", ("ssh-ed25519 AAAA",), 0, 0),),
        "scripts": (f"login --password {CANARY}",),
        "credentials": (Credentials(CANARY, CANARY, CANARY, CANARY),),
        "parallelism": 1,
        "execution_timeout_seconds": 60,
        "output_limit_bytes": 1_000,
    }
    return Work(**parts | changes)


@given(WORK)
def test_work_is_read_as_it_was_written(made: Work) -> None:
    assert Work.load(made.dump()) == made


def test_the_same_work_is_the_same_bytes() -> None:
    assert work().dump() == work().dump()


def test_the_text_form_of_work_and_credentials_shows_no_secret() -> None:
    made = work()
    shown = " ".join([repr(made), str(made), f"{made}", *(f"{entry} {entry!r}" for entry in made.credentials)])
    assert CANARY not in shown
    assert repr(Credentials(private_key=CANARY, password=CANARY)) == "Credentials(private_key, password)"
    assert repr(Credentials()) == "Credentials()"
    assert repr(made) == "Work(1 hosts)"


def packed(document: Any) -> bytes:
    return gzip.compress(json.dumps(document).encode())


WHOLE = json.loads(gzip.decompress(work().dump()))


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"plain",
        work().dump()[:-9],
        work().dump()[:20],
        gzip.compress(b"\xff"),
        gzip.compress(CANARY.encode()),
        packed([CANARY]),
        packed({}),
        packed(WHOLE | {"parallelism": CANARY}),
        packed(WHOLE | {"hosts": [{"name": CANARY}]}),
        packed(WHOLE | {"hosts": CANARY}),
        packed(WHOLE | {"credentials": [{CANARY: CANARY}]}),
    ],
    ids=range(12),
)
def test_a_broken_work_file_is_refused_without_showing_it(data: bytes) -> None:
    with pytest.raises(ValueError, match=r"^the work file is not what this runner understands$") as refused:
        Work.load(data)
    assert refused.value.__suppress_context__
