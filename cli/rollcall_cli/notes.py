"""What commands say to people: on stderr, so that stdout is only what was asked for."""

from collections.abc import Sequence, Sized

from rich.console import Console
from rich.text import Text


class Notes:
    """Sentences on stderr, with colours when that is a terminal."""

    def __init__(self) -> None:
        self._console = Console(stderr=True, highlight=False)

    def say(self, sentence: str) -> None:
        """Something that went as it should."""
        self._console.print(Text(sentence), soft_wrap=True)

    def warn(self, sentence: str) -> None:
        """Something that a person should look at."""
        self._marked("warning", "bold yellow", sentence)

    def fail(self, sentence: str) -> None:
        """Why the command ends without having done its work."""
        self._marked("error", "bold red", sentence)

    def _marked(self, mark: str, style: str, sentence: str) -> None:
        self._console.print(Text.assemble((f"{mark}: ", style), sentence), soft_wrap=True)


def listed(names: Sequence[str], shown: int = 5) -> str:
    """Some of the names, and how many more there are."""
    more = len(names) - shown
    return ", ".join(names[:shown]) + (f" and {more} more" if more > 0 else "")


def counted(things: Sized, word: str) -> str:
    """How many there are, in words: `1 host`, `2 hosts`."""
    return f"{len(things)} {word}" + ("" if len(things) == 1 else "s")
