"""What kopf is told: no traces of its own on objects, and no work that none of our handlers needs."""

from collections.abc import Iterable
from typing import Any

import kopf

from rollcall.names import FINALIZER_INVOCATION


class _NoDiffBase(kopf.DiffBaseStorage):
    """No copy of what was handled last: no handler of ours asks for differences, and a deep copy of each object on each
    event was a quarter of the operator's work."""

    def build(self, *, body: kopf.Body, extra_fields: Iterable[Any] | None = None) -> kopf.BodyEssence:  # noqa: ARG002
        return kopf.BodyEssence({})

    def fetch(self, *, body: kopf.Body) -> kopf.BodyEssence | None:  # noqa: ARG002
        return kopf.BodyEssence({})

    def store(self, *, body: kopf.Body, patch: kopf.Patch, essence: kopf.BodyEssence) -> None:
        pass


def kopf_settings(watch_silence_seconds: int) -> kopf.OperatorSettings:
    """The settings of the embedded framework, whose watches may be silent for so long."""
    settings = kopf.OperatorSettings()
    settings.posting.enabled = False  # transitions have Events of their own
    settings.scanning.disabled = True  # the CRDs are there: we come in one chart
    settings.persistence.finalizer = FINALIZER_INVOCATION
    settings.persistence.diffbase_storage = _NoDiffBase()
    settings.watching.server_timeout = 300
    settings.watching.inactivity_timeout = watch_silence_seconds
    settings.queueing.idle_timeout = 1.0
    settings.background.cancellation_polling = 1.0
    settings.networking.request_timeout = 30.0
    return settings
