"""A proxy that counts what a client asks of the API server, and how large the objects are that come of it."""

import re
from collections import Counter
from typing import Final

from support.kube import Kube
from support.proxy import Call, Faults, Proxy

_PATH: Final = re.compile(r"/(?:[\w.-]+/)?v\w+/(?P<plural>\w+)(?:/NAME(?:/(?P<part>\w+))?)?")


class _Counting(Faults):
    """Disturbs nothing, and counts."""

    def __init__(self) -> None:
        self.calls: Counter[str] = Counter()
        self.begun = False

    async def before(self, call: Call) -> None:
        found = _PATH.fullmatch(call.path)
        plural = found["plural"] if found else call.path
        if self.begun and plural != "leases":
            part = f"/{found['part']}" if found and found["part"] else ""
            self.calls[f"{'WATCH' if call.watch else call.method} {plural}{part}"] += 1


class Census(Proxy):
    """Passes everything on and counts it, by method and resource. Renewals of the Lease are not counted."""

    def __init__(self, kube: Kube) -> None:
        self._counting = _Counting()
        super().__init__(kube, self._counting)

    @property
    def calls(self) -> Counter[str]:
        """What was counted."""
        return self._counting.calls

    @property
    def watches(self) -> int:
        """How many watches have been counted."""
        return sum(times for call, times in self.calls.items() if call.startswith("WATCH "))

    def count(self) -> None:
        """Begin to count."""
        self._counting.begun = True


def largest(kube: Kube, plural: str, namespace: str) -> int:
    """The size of the largest object of a kind, in bytes of JSON, which is what is stored for a custom resource."""
    names = [found["metadata"]["name"] for found in kube.list(plural, namespace)]
    return max((len(kube.request("GET", kube.path(plural, namespace, name)).content) for name in names), default=0)
