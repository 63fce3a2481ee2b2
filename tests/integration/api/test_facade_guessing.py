"""Guessers, each at an address of its own, and the users who share it."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack

import httpx
import pytest

from integration.api.facade_world import OPS_PASSWORD, FacadeProcess, World

ROOT = "/api/job_invocations"
TOO_MANY = {"error": {"message": "Too many tries, please try again in a few minutes."}}
OPS = ("ops", OPS_PASSWORD)
From = Callable[[str], httpx.Client]


@pytest.fixture
def coming_from(world: World, facade: FacadeProcess) -> Iterator[From]:
    """Clients that come from an address of this machine; all of 127.0.0.0/8 is."""
    with ExitStack() as stack:

        def client(address: str) -> httpx.Client:
            transport = httpx.HTTPTransport(local_address=address)
            return stack.enter_context(facade.anonymous(transport=transport))

        yield client


def bearer(token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"}


def test_an_address_that_tries_many_names_waits_and_its_neighbours_go_on(coming_from: From) -> None:
    here, there = coming_from("127.0.7.1"), coming_from("127.0.7.2")
    assert here.get(ROOT, auth=OPS).status_code == 200
    for number in range(300):
        body = here.get(ROOT, auth=(f"name{number}", "guess")).json()
        assert body == {"error": {"message": f"Unable to authenticate user name{number}"}}
    refused = here.get(ROOT, auth=("name300", "guess"))
    assert (refused.status_code, refused.json()) == (401, TOO_MANY)
    assert here.get(ROOT, auth=OPS).status_code == 200
    assert there.get(ROOT, auth=("name300", "guess")).json() != TOO_MANY


def test_a_name_tried_from_many_addresses_waits_where_it_is_new(coming_from: From) -> None:
    usual, new = coming_from("127.0.8.1"), coming_from("127.0.8.2")
    hunted = ("hunted", OPS_PASSWORD)
    assert usual.get(ROOT, auth=hunted).status_code == 403  # let in, without a right to anything
    for number in range(12):
        guesser = coming_from(f"127.0.8.{100 + number}")
        for _ in range(25):
            assert guesser.get(ROOT, auth=("hunted", "guess")).json() != TOO_MANY
    assert new.get(ROOT, auth=hunted).json() == TOO_MANY
    assert usual.get(ROOT, auth=hunted).status_code == 403


def test_who_guesses_tokens_waits(facade: FacadeProcess, coming_from: From) -> None:
    here = coming_from("127.0.9.1")
    right = bearer(facade.tokens["viewer"])
    assert here.get(ROOT, headers=right).status_code == 200
    for _ in range(40):
        expired = here.get(ROOT, headers=bearer("the same, over and over")).json()
        assert expired == {"error": {"message": "Unable to authenticate user "}}
    for number in range(29):
        assert here.get(ROOT, headers=bearer(f"guess {number}")).json() == expired
    assert here.get(ROOT, headers={"X-Auth-Token": "another guess"}).json() == TOO_MANY
    assert here.get(ROOT, headers=right).status_code == 200
