"""The Hosts of one namespace as decisions need them: with all their facts, and in an index that queries are asked of.

Nothing is kept twice: the index has views of the Hosts, and what many Hosts have alike is kept once.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping

from rollcall.hostfacts import FactsMap, with_facts
from rollcall.query.hostrows import HostRow
from rollcall.query.index import Index
from rollcall.resources.host import Host
from rollcall_operator.sharing import Sharing


class HostCache:
    """The Hosts by name, those that take work in the index too."""

    def __init__(self) -> None:
        self.hosts: dict[str, Host] = {}
        self.index = Index()
        self._sharing = Sharing()
        self._written: dict[str, Host] = {}
        """Those that take facts from a ConfigMap, without these."""
        self._facts: dict[str, FactsMap] = {}
        self._readers: defaultdict[str, set[str]] = defaultdict(set)
        """The Hosts that take facts from each ConfigMap."""
        self._problems: dict[str, str] = {}

    def put(self, host: Host) -> None:
        """Take in a Host as it is written."""
        name = host.metadata.name
        self._forget_facts(name)
        self._take(name, self._sharing.host(host))

    def _take(self, name: str, host: Host) -> None:
        if host.spec.facts_from is not None:
            source = host.spec.facts_from.config_map_key_ref.name
            self._written[name] = host
            self._readers[source].add(name)
            host, problem = with_facts(host, self._facts.get(source))
            if problem is not None:
                self._problems[name] = problem
        self.hosts[name] = host
        if host.spec.unschedulable:
            self.index.remove(name)
        else:
            self.index.put(name, HostRow(host))

    def remove(self, name: str) -> None:
        """Let go of a Host, if it is there."""
        self._forget_facts(name)
        self.hosts.pop(name, None)
        self.index.remove(name)

    def put_facts(self, source: str, data: Mapping[str, str] | None) -> Iterable[str]:
        """Take in a ConfigMap with facts, None for one that is gone; returns the Hosts that take facts from it."""
        if data is None:
            self._facts.pop(source, None)
        else:
            self._facts[source] = FactsMap(data, self._sharing.facts)
        readers = sorted(self._readers.get(source, ()))
        for name in readers:
            self._problems.pop(name, None)
            self._take(name, self._written[name])
        return readers

    def problem(self, name: str) -> str | None:
        """Why facts of a Host cannot be read, if that is so."""
        return self._problems.get(name)

    def _forget_facts(self, name: str) -> None:
        self._problems.pop(name, None)
        written = self._written.pop(name, None)
        if written is not None and written.spec.facts_from is not None:
            source = written.spec.facts_from.config_map_key_ref.name
            self._readers[source].discard(name)
            if not self._readers[source]:
                del self._readers[source]
