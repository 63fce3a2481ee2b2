"""Foreign words in our sentences."""

from typing import Final

_MAX_QUOTE_LENGTH: Final = 200


def quote(text: str) -> str:
    """Foreign words on one line, of bounded length, without control characters."""
    return "".join(character if character.isprintable() else " " for character in text)[:_MAX_QUOTE_LENGTH].strip()
