"""What a program tells Prometheus, read with the parser of Prometheus' own library."""

from collections.abc import Mapping

import httpx
from prometheus_client.parser import text_string_to_metric_families


class Scrape:
    """One answer of a `/metrics`."""

    def __init__(self, text: str) -> None:
        self.families = {family.name: family for family in text_string_to_metric_families(text)}
        self._values = {
            (sample.name, frozenset(sample.labels.items())): sample.value
            for family in self.families.values()
            for sample in family.samples
        }

    def value(self, name: str, **labels: str) -> float | None:
        """The value of a series, None if there is none."""
        return self._values.get((name, frozenset(labels.items())))

    def by(self, name: str, label: str) -> Mapping[str, float]:
        """The values of a metric's series, added up by one label."""
        found: dict[str, float] = {}
        for (sample, labels), value in self._values.items():
            if sample == name:
                key = dict(labels)[label]
                found[key] = found.get(key, 0) + value
        return found


def scrape(port: int) -> Scrape:
    """What a program on this machine tells now."""
    answer = httpx.get(f"http://127.0.0.1:{port}/metrics", trust_env=False)
    assert answer.headers["content-type"].startswith("text/plain")
    return Scrape(answer.raise_for_status().text)
