"""When objects were made, to the millisecond: the moments at which a watch tells of them, which come a little after."""

import json
import threading
import time
from collections import deque
from types import TracebackType
from typing import Self

import httpx

from support.kube import Kube

_METADATA = {"Accept": "application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1"}
_ERROR = b'{"type":"ERROR"'
_ADDED = b'{"type":"ADDED"'


class Arrivals:
    """Watches a kind in a namespace, and notes when each new object is first told of, in seconds since the epoch.

    What comes is only noted with its moment and read later: who is slow to take it is cut off by the API server.
    """

    def __init__(self, kube: Kube, plural: str, namespace: str, selector: str = "") -> None:
        self.kube = kube
        self.moments: dict[str, float] = {}
        self._path = kube.path(plural, namespace)
        self._selector = selector
        self._client = httpx.Client(
            base_url=kube.server, verify=kube.tls, headers=kube.client.headers, timeout=None, trust_env=False
        )
        self._thread = threading.Thread(target=self._watch, daemon=True)
        self._lock = threading.Lock()
        self._came: deque[tuple[float, bytes]] = deque()
        self._rest = b""
        self._version = ""
        self._expired = False
        self._ended = False

    def _watch(self) -> None:
        while not self._ended:
            try:
                if self._expired:
                    self._list()
                self._follow()
            except (httpx.HTTPError, httpx.StreamError, RuntimeError, ValueError, OSError) as error:
                if not self._ended:  # the API server ends a watch that it finds too slow
                    print(f"the watch was cut: {error!r}", flush=True)
                    self._expired = isinstance(error, httpx.HTTPStatusError)
                    time.sleep(0.1)
            self._read()

    def _list(self) -> None:
        """Begins anew where the API server has forgotten what came after the last event: what is new came by now."""
        asked = {"labelSelector": self._selector}
        listed = {"Accept": "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1"}
        found = self._client.get(self._path, params=asked, headers=listed).raise_for_status().json()
        print("the watch was cut; what was made meanwhile counts as made now", flush=True)
        for item in found["items"]:
            self.moments.setdefault(item["metadata"]["name"], time.time())
        self._version, self._rest, self._expired = found["metadata"]["resourceVersion"], b"", False

    def _follow(self) -> None:
        self._rest = b""
        asked = {"watch": "true", "resourceVersion": self._version, "labelSelector": self._selector}
        with self._client.stream("GET", self._path, params=asked, headers=_METADATA) as answer:
            answer.raise_for_status()
            for part in answer.iter_bytes():
                self._came.append((time.time(), part))

    def _read(self) -> None:
        """Reads what has come so far."""
        with self._lock:
            while self._came:
                moment, part = self._came.popleft()
                *lines, self._rest = (self._rest + part).split(b"\n")
                for line in lines:
                    self._expired = self._expired or line.startswith(_ERROR)
                    if line.startswith(_ADDED):
                        metadata = json.loads(line)["object"]["metadata"]
                        self.moments.setdefault(metadata["name"], moment)
                        self._version = metadata["resourceVersion"]

    def wait(self, count: int, timeout: float) -> list[float]:
        """The moments of so many objects, in order. TimeoutError says how many there were."""
        told = time.monotonic()
        deadline = told + timeout
        while len(self.moments) < count:
            self._read()
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
