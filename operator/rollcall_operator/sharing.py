"""Keeps once what many Hosts have alike.

Of ten thousand Hosts most have the same facts, groups and conditions, each its own copy when it is read from JSON. None
of it is ever changed in place, so all may hold the same one. What nothing needs is not kept at all.
"""

from typing import Any, Final, TypeVar

from rollcall.resources.host import Host, HostSpec
from rollcall.resources.meta import Metadata

Part = TypeVar("Part")

MOST_PARTS: Final = 20_000
"""How many parts are remembered. What is rare fills this up, and then it begins anew: a part is then kept twice."""
_NOTHING_SET: Final[set[str]] = set()
"""Which fields were given: nobody asks that of a Host, and pydantic would keep a set for each of its parts."""


class Sharing:
    """What was kept before, by what it is."""

    def __init__(self) -> None:
        self._texts: dict[str, str] = {}
        self._parts: dict[Any, Any] = {}

    def host(self, host: Host) -> Host:
        """The same Host, with shared parts, and without annotations: people's tools keep all of it there once more."""
        self._begin_anew_when_full()
        metadata, spec = host.metadata, host.spec
        shared = {
            name: self._equal(getattr(spec, name))
            for name in ("user", "credentials_ref", "jump_host_ref", "known_hosts_from", "organization", "location")
        }
        return Host.model_construct(
            _NOTHING_SET,
            metadata=Metadata.model_construct(
                _NOTHING_SET,
                **dict(metadata) | {"namespace": self._equal(metadata.namespace), "annotations": {}, "labels":
                {self._text(name): value for name, value in metadata.labels.items()}},
            ),
            spec=HostSpec.model_construct(
                _NOTHING_SET,
                **dict(spec) | shared | {
                    "facts": self._facts(spec.facts),
                    "variables": self._json(spec.variables),
                    "groups": self._equal(tuple(map(self._text, spec.groups))),
                },
            ),
            status=self._equal(host.status),
        )  # fmt: skip

    def facts(self, facts: dict[str, Any]) -> dict[str, Any]:
        """The same facts, with shared parts."""
        self._begin_anew_when_full()
        return self._facts(facts)

    def _facts(self, facts: dict[str, Any]) -> dict[str, Any]:
        return {self._text(name): self._json(value) for name, value in facts.items()}

    def _begin_anew_when_full(self) -> None:
        if len(self._texts) + len(self._parts) > MOST_PARTS:
            self._texts.clear()
            self._parts.clear()

    def _text(self, text: str) -> str:
        return self._texts.setdefault(text, text)

    def _equal(self, part: Part) -> Part:
        """One that is equal, of the same kind; parts of Hosts are frozen."""
        return self._parts.setdefault((type(part), part), part)  # type: ignore[no-any-return]

    def _json(self, value: Any) -> Any:
        """A JSON value that says the same."""
        match value:
            case str():
                return self._text(value)
            case dict():
                inner = {self._text(name): self._json(part) for name, part in value.items()}
                return self._parts.setdefault(("{", *((name, _mark(part)) for name, part in inner.items())), inner)
            case list():
                items = [self._json(part) for part in value]
                return self._parts.setdefault(("[", *map(_mark, items)), items)
            case _:
                return value


def _mark(value: Any) -> Any:
    """What tells a shared value from all others: `1`, `1.0` and `true` are equal, and not the same."""
    return id(value) if isinstance(value, dict | list) else (type(value), value)
