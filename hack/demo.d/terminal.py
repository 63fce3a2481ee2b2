"""What the demo prints."""

import sys
from collections.abc import Sequence


class Trouble(Exception):  # noqa: N818 - a sentence for people, not an error of the program
    """A sentence that says what went wrong and what to do about it."""


def heading(text: str) -> None:
    print(f"\n\033[1m== {text}\033[0m" if sys.stdout.isatty() else f"\n== {text}", flush=True)


def say(text: str) -> None:
    """Print a few lines, indented."""
    print("\n".join(f"   {line}" for line in text.splitlines()), flush=True)


def table(rows: Sequence[Sequence[str]]) -> None:
    """Print rows in columns; the first row is the head."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        say("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())


class Progress:
    """One line that changes while something goes on; where there is no terminal, a line for every change."""

    def __init__(self) -> None:
        self._shown = ""

    def show(self, text: str) -> None:
        if text == self._shown:
            return
        if sys.stdout.isatty():
            print(f"\r   {text.ljust(len(self._shown))}", end="", flush=True)
        else:
            say(text)
        self._shown = text

    def end(self) -> None:
        if self._shown and sys.stdout.isatty():
            print(flush=True)
