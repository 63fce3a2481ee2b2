"""What the facade answers, counted by route.

A request costs little more than half a microsecond here. The library's own counters take a lock and cost three times as
much, so that these are plain numbers, which the one thread that serves requests changes and reads.
"""

import time
from bisect import bisect_left
from collections import defaultdict
from collections.abc import Callable, Iterator
from itertools import accumulate
from typing import Final, TypeVar

from prometheus_client.metrics_core import CounterMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.registry import Collector
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

T = TypeVar("T")

BEGAN: Final = "rollcall.began"
"""In a request's scope: when it came, as `time.perf_counter` tells."""
OTHER: Final = "other"
"""Stands for what no route has: a refused login, an unknown path, a probe."""
_SECONDS: Final = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)


class RouteCount:
    """The requests of one route that have been answered: how many with each status, and how long they took."""

    __slots__ = ("_buckets", "codes", "labels", "seconds")

    def __init__(self, dialect: str, route: str, method: str) -> None:
        self.labels = (dialect, route, method)
        self.codes: defaultdict[int, int] = defaultdict(int)
        self.seconds = 0.0
        self._buckets = [0] * (len(_SECONDS) + 1)

    def add(self, code: int, seconds: float) -> None:
        """Count one request."""
        self.codes[code] += 1
        self.seconds += seconds
        self._buckets[bisect_left(_SECONDS, seconds)] += 1

    @property
    def buckets(self) -> list[tuple[str, float]]:
        """How many took at most so long, by that bound."""
        return list(zip([*map(str, _SECONDS), "+Inf"], accumulate(self._buckets), strict=True))


class Traffic(Collector):
    """Counts the requests that the facade answers."""

    def __init__(self) -> None:
        self._counts: list[RouteCount] = []
        self._other = self.route(OTHER, OTHER, OTHER)

    def route(self, dialect: str, route: str, method: str) -> RouteCount:
        """The count for the requests of a route."""
        count = RouteCount(dialect, route, method)
        self._counts.append(count)
        return count

    def refusing(self, answer: Callable[[T], Response]) -> Callable[[T], Response]:
        """The making of answers to requests that are not let in, with these counted."""

        def counted(cause: T) -> Response:
            response = answer(cause)
            self._other.codes[response.status_code] += 1
            return response

        return counted

    def unrouted(self, app: ASGIApp) -> ASGIApp:
        """The application for everything that no dialect's route has, with its requests counted."""

        async def counted(scope: Scope, receive: Receive, send: Send) -> None:
            if scope["type"] != "http":
                return await app(scope, receive, send)
            status = 500

            async def noting(message: Message) -> None:
                nonlocal status
                status = message.get("status", status)
                await send(message)

            try:
                await app(scope, receive, noting)
            finally:
                self._other.add(status, time.perf_counter() - scope[BEGAN])

        return counted

    def collect(self) -> Iterator[Metric]:
        """The counts, for the registry; of routes that were asked for."""
        labels = ("dialect", "route", "method")
        requests = CounterMetricFamily(
            "rollcall_http_requests", "Requests answered, by route and status.", labels=(*labels, "code")
        )
        seconds = HistogramMetricFamily(
            "rollcall_http_request_seconds",
            "How long requests took from their arrival to the end of the answer; those left out that were refused.",
            labels=labels,
        )
        for count in self._counts:
            for code, number in count.codes.items():
                requests.add_metric((*count.labels, str(code)), number)
            if count.seconds:
                seconds.add_metric(count.labels, count.buckets, count.seconds)
        yield requests
        yield seconds
