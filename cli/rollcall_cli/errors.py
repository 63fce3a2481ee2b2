"""What ends a command."""


class CommandError(Exception):
    """A command cannot do what it was asked for; the message says what to change. The exit code is 1."""
