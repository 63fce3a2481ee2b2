"""Whoever asks for the password at a login gets it, and nobody gets it twice."""

import pytest

from rollcall_runner.answers import MAX_ROUNDS, Answers

PASSWORD = [("Password: ", False)]


def test_a_question_gets_the_password_and_a_mere_message_nothing() -> None:
    answers = Answers("hunter2")
    assert answers.begin()
    assert answers.to([]) == []
    assert answers.to(PASSWORD) == ["hunter2"]
    assert answers.to([("LDAP Kennwort:", False), ("PIN:", False)]) == ["hunter2", "hunter2"]
    assert answers.wanted is None


def test_an_exchange_is_begun_once_and_the_password_is_not_given_again_after_it() -> None:
    answers = Answers("hunter2")
    assert answers.begin()
    answers.to(PASSWORD)
    assert not answers.begin()
    assert answers.password() is None


def test_after_other_questions_the_password_may_still_be_of_use() -> None:
    answers = Answers("hunter2")
    answers.begin()
    answers.to([("Verification code: ", False)])
    assert answers.password() == "hunter2"
    assert answers.password() is None


def test_without_a_password_nothing_is_begun() -> None:
    answers = Answers(None)
    assert not answers.begin()
    assert answers.password() is None
    assert answers.to(PASSWORD) is None


@pytest.mark.parametrize(
    ("prompts", "wanted"),
    [
        ([("New password: ", False)], "a new password, because this one has expired"),
        ([("Current password: ", False), ("Retype it: ", False)], "a new password, because this one has expired"),
        ([("Your mother's maiden name? ", True)], "an answer to a question that is not for a password"),
    ],
)
def test_what_is_not_for_the_password_ends_the_exchange(prompts: list[tuple[str, bool]], wanted: str) -> None:
    answers = Answers("hunter2")
    answers.begin()
    assert answers.to(prompts) is None
    assert answers.wanted == wanted


def test_a_server_that_does_not_stop_asking_is_left() -> None:
    answers = Answers("hunter2")
    answers.begin()
    assert [answers.to(PASSWORD) for _ in range(MAX_ROUNDS + 1)] == [["hunter2"]] * MAX_ROUNDS + [None]
