"""How large the benches are: `BENCH_SCALE=0.1` tries one out with a tenth; no results are written then."""

import os
from typing import Final

SCALE: Final = float(os.environ.get("BENCH_SCALE", "1"))


def scaled(size: int) -> int:
    """A size, as large as it is to be in this run."""
    return max(1, round(size * SCALE))
