"""When objects were made, to the millisecond: the moments at which a watch tells of them, which come a little after."""

import json
import threading
import time
from types import TracebackType
from typing import Self

import httpx

from support.kube import Kube

_METADATA = {"Accept": "application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1"}
_ERROR = '{"type":"ERROR"'
_ADDED = '{"type":"ADDED"'


class Arrivals:
    """Watches a kind in a namespace, and notes when each new object is first told of, in seconds since the epoch."""

    def __init__(self, kube: Kube, plural: str, namespace: str, selector: str = "") -> None:
        self.kube = kube
        self.moments: dict[str, float] = {}
        self._path = kube.path(plural, namespace)
        self._selector = selector
        self._client = httpx.Client(
            base_url=kube.server, verify=kube.tls, headers=kube.client.headers, timeout=None, trust_env=False
        )
        self._thread = threading.Thread(target=self._watch, daemon=True)
        self._version = ""
        self._ended = False

    def _watch(self) -> None:
        try:
            while not self._ended:  # the API server ends a watch that it finds too slow
                self._follow()
        except (httpx.TransportError, httpx.StreamError, RuntimeError, ValueError, OSError):
            if not self._ended:
                raise

    def _follow(self) -> None:
        asked = {"watch": "true", "resourceVersion": self._version, "labelSelector": self._selector}
        with self._client.stream("GET", self._path, params=asked, headers=_METADATA) as answer:
            answer.raise_for_status()
            for line in answer.iter_lines():
                assert not line.startswith(_ERROR), line
                if line.startswith(_ADDED):
                    metadata = json.loads(line)["object"]["metadata"]
                    self.moments.setdefault(metadata["name"], time.time())
                    self._version = metadata["resourceVersion"]

    def wait(self, count: int, timeout: float) -> list[float]:
        """The moments of so many objects, in order. TimeoutError says how many there were."""
        told = time.monotonic()
        deadline = told + timeout
        while len(self.moments) < count:
            if time.monotonic() > deadline:
                raise TimeoutError(f"after {timeout:.0f} s only {len(self.moments):,} of {count:,} were made")
            if time.monotonic() - told > 5:
                told = time.monotonic()
                print(f"{len(self.moments):,} of {count:,} made", flush=True)
            time.sleep(0.1)
        return sorted(self.moments.values())

    def __enter__(self) -> Self:
        found = self.kube.request("GET", self._path, params={"limit": 1}).json()
        self._version = found["metadata"]["resourceVersion"]
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._ended = True
        self._client.close()
