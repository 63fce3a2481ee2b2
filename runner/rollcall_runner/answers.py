"""What a login by password answers, also where it is keyboard-interactive (RFC 4256): the password, and nothing else.

A server may ask in any words. So every question whose answer is not shown gets the password, but not one for a new
password: who answers that has changed it. An exchange that failed is not begun again, nor is the password tried in
another way after it: an account may be locked by that.
"""

import re
from collections.abc import Sequence
from typing import Final

MAX_ROUNDS: Final = 6
"""How often a server may speak in the exchange, counting what it only has to say."""
_PASSWORD: Final = re.compile(r"(?i)pass(?:word|code|phrase)")
_NEW_PASSWORD: Final = re.compile(r"(?i)\b(?:new|retype)\b")


class Answers:
    """What is answered in one login."""

    def __init__(self, password: str | None) -> None:
        self._password = password
        self._begun = False
        self._rounds = 0
        self._spent = False
        """Whether the password was given to who asked for one: to give it again is of no use."""
        self.wanted: str | None = None
        """What was wanted beside the password, in words that can follow 'the host wants'."""

    def password(self) -> str | None:
        """The password, for a login that takes nothing else; None when it has been given."""
        password, self._spent = None if self._spent else self._password, True
        return password

    def begin(self) -> bool:
        """Whether to begin an exchange: there is something to answer, and it is the first."""
        begins, self._begun = self._password is not None and not self._begun, True
        return begins

    def to(self, prompts: Sequence[tuple[str, bool]]) -> list[str] | None:
        """The answers to questions, each with whether its answer is shown; None to give up."""
        self._rounds += 1
        if any(_NEW_PASSWORD.search(text) for text, _ in prompts):
            self.wanted = "a new password, because this one has expired"
        elif any(shown for _, shown in prompts):
            self.wanted = "an answer to a question that is not for a password"
        elif self._rounds > MAX_ROUNDS:
            self.wanted = f"more than {MAX_ROUNDS} answers"
        if self._password is None or self.wanted:
            return None
        self._spent = self._spent or any(_PASSWORD.search(text) for text, _ in prompts)
        return [self._password] * len(prompts)
