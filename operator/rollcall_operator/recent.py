"""What is under way, and has not been for long."""

import asyncio
from collections.abc import Callable, Hashable
from typing import Final

PATIENCE_SECONDS: Final = 1.0
"""How long something counts for others. One namespace whose admission webhook hangs must not hold up all of them."""


class Recent:
    """Counts what began a short while ago and has not ended. Each of them is there once."""

    def __init__(self, fewer: Callable[[], None], patience: float = PATIENCE_SECONDS) -> None:
        """`fewer` is called when something that has not ended counts no more."""
        self._fewer = fewer
        self._patience = patience
        self._timers: dict[Hashable, asyncio.TimerHandle] = {}

    def __len__(self) -> int:
        return len(self._timers)

    def begin(self, thing: Hashable) -> None:
        """Count it from now on."""
        self._timers[thing] = asyncio.get_running_loop().call_later(self._patience, self._forget, thing)

    def end(self, thing: Hashable) -> None:
        """It has ended."""
        timer = self._timers.pop(thing, None)
        if timer is not None:
            timer.cancel()

    def _forget(self, thing: Hashable) -> None:
        del self._timers[thing]
        self._fewer()
