"""What all unit tests share: the hypothesis profiles. `HYPOTHESIS_PROFILE=search` looks further, and elsewhere."""

import gc
import os

from hypothesis import HealthCheck, settings

settings.register_profile(
    "ci",
    max_examples=30,
    deadline=None,
    derandomize=True,
    print_blob=True,
    suppress_health_check=[HealthCheck.too_slow],
)
settings.register_profile("search", settings.get_profile("ci"), max_examples=2_000, derandomize=False)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "ci"))


def pytest_collection_finish() -> None:
    """Keep the garbage collector from going over all that was imported and collected, which stays to the end."""
    gc.freeze()
