"""Who guesses passwords and tokens has to wait, and as few others as can be."""

import tracemalloc

import pytest

from rollcall_api.throttle import MAX_FAILURES, TRUSTED_SECONDS, WIDE, WINDOW_SECONDS, Throttle, origin

HERE, THERE = "192.0.2.1", "192.0.2.2"
MANY = MAX_FAILURES * WIDE


class Clock:
    now = 1_000_000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def throttle(clock: Clock) -> Throttle:
    return Throttle(clock=clock)


def test_who_guesses_a_password_waits_for_that_login_from_there(throttle: Throttle, clock: Clock) -> None:
    for _ in range(MAX_FAILURES):
        assert not throttle.blocks(HERE, "ops")
        throttle.failed(HERE, "ops")
    assert throttle.blocks(HERE, "ops")
    assert not throttle.blocks(THERE, "ops")
    assert not throttle.blocks(HERE, "other")
    clock.now += WINDOW_SECONDS + 1
    assert not throttle.blocks(HERE, "ops")


def test_the_window_slides(throttle: Throttle, clock: Clock) -> None:
    for _ in range(MAX_FAILURES):
        throttle.failed(HERE, "ops")
        clock.now += 1
    clock.now += WINDOW_SECONDS - MAX_FAILURES - 0.5
    assert throttle.blocks(HERE, "ops")
    clock.now += 1
    assert not throttle.blocks(HERE, "ops")
    throttle.failed(HERE, "ops")
    assert throttle.blocks(HERE, "ops")


def test_having_been_right_before_is_no_leave_to_guess(throttle: Throttle) -> None:
    throttle.succeeded(HERE, "ops")
    for _ in range(MAX_FAILURES):
        throttle.failed(HERE, "ops")
    assert throttle.blocks(HERE, "ops")


def test_an_address_that_tries_many_names_waits_and_its_neighbours_go_on(throttle: Throttle, clock: Clock) -> None:
    throttle.succeeded(HERE, "neighbour")
    for number in range(MANY):
        assert not throttle.blocks(HERE, f"name{number}")
        throttle.failed(HERE, f"name{number}")
    assert throttle.blocks(HERE, "yet another")
    assert throttle.blocks_token(HERE, b"a guess")
    assert not throttle.blocks(HERE, "neighbour")
    assert not throttle.blocks(THERE, "yet another")
    clock.now += WINDOW_SECONDS + 1
    assert not throttle.blocks(HERE, "yet another")


def test_a_name_tried_from_many_addresses_waits_but_where_its_owner_comes_from(
    throttle: Throttle, clock: Clock
) -> None:
    throttle.succeeded(HERE, "ops")
    for number in range(MANY):
        address = f"198.51.{number // 256}.{number % 256}"
        assert not throttle.blocks(address, "ops")
        throttle.failed(address, "ops")
    assert throttle.blocks(THERE, "ops")
    assert not throttle.blocks(THERE, "other")
    assert not throttle.blocks(HERE, "ops")
    clock.now += TRUSTED_SECONDS + 1
    for number in range(MANY):
        throttle.failed(f"198.51.{number // 256}.{number % 256}", "ops")
    assert throttle.blocks(HERE, "ops")  # nobody has come from there for a day


def test_who_guesses_tokens_waits_and_who_has_a_right_one_does_not(throttle: Throttle) -> None:
    throttle.token_succeeded(b"right")
    for number in range(MAX_FAILURES):
        assert not throttle.blocks_token(HERE, b"new")
        throttle.token_failed(HERE, b"%d" % number)
    assert throttle.blocks_token(HERE, b"new")
    assert not throttle.blocks_token(HERE, b"right")
    assert not throttle.blocks_token(THERE, b"new")
    assert not throttle.blocks(HERE, "ops")


def test_a_script_with_an_expired_token_locks_nobody_out(throttle: Throttle) -> None:
    for _ in range(MANY):
        throttle.token_failed(HERE, b"expired")
    assert not throttle.blocks_token(HERE, b"new")


def test_whatever_is_tried_takes_little_memory(throttle: Throttle) -> None:
    tracemalloc.start()
    for number in range(25_000):
        throttle.failed(f"2001:db8::{number}", f"{number}" * 200)
        throttle.succeeded(f"2001:db8::{number}", f"{number}")
    used, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert used < 16 * 1024 * 1024


@pytest.mark.parametrize(
    ("address", "counted"),
    [
        ("192.0.2.7", "192.0.2.7"),
        ("2001:db8:1:2::7", "2001:db8:1:2::/64"),
        ("2001:db8:1:2:ffff::1", "2001:db8:1:2::/64"),
        ("::ffff:192.0.2.7", "192.0.2.7"),
        ("", ""),
    ],
)
def test_failures_are_counted_for_a_subscriber(address: str, counted: str) -> None:
    assert origin(address) == counted


def test_a_throttle_is_as_strict_as_it_is_told() -> None:
    throttle = Throttle(2, 10)
    throttle.failed(HERE, "alice")
    assert not throttle.blocks(HERE, "alice")
    throttle.failed(HERE, "alice")
    assert throttle.blocks(HERE, "alice")
    assert not throttle.blocks(THERE, "alice")
