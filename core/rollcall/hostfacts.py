"""Facts of a Host that stand in a ConfigMap."""

import json
from collections.abc import Callable, Mapping
from typing import Any

from rollcall.resources.host import MAX_FACTS_BYTES, Host, check_depth

Facts = dict[str, Any]


class FactsMap:
    """What a ConfigMap with facts holds, by key. A text is read once, however many Hosts take it."""

    def __init__(self, data: Mapping[str, str], share: Callable[[Facts], Facts] = lambda facts: facts) -> None:
        """`share` gives facts that are equal, and are kept in place of those that were read."""
        self._texts = dict(data)
        self._share = share
        self._found: dict[str, Facts | str | None] = {}

    def of(self, key: str) -> Facts | str | None:
        """The facts at the key, or what is wrong with them, to be said after their place; None without such a key.

        They are the same for all who ask, and must not be changed.
        """
        if key not in self._found:
            found = _read(self._texts.pop(key, None))
            self._found[key] = self._share(found) if isinstance(found, dict) else found
        return self._found[key]


def with_facts(host: Host, source: FactsMap | None) -> tuple[Host, str | None]:
    """The host with all its facts, and the sentence about facts that cannot be read; it has its own then.

    `source` is what the ConfigMap of `spec.factsFrom` holds; None when there is none with the label that it needs.
    """
    if host.spec.facts_from is None:
        return host, None
    reference = host.spec.facts_from.config_map_key_ref
    if source is None:
        return host, f"spec.factsFrom: there is no ConfigMap {reference.name} with the label rollcall.dev/facts"
    facts = source.of(reference.key)
    if facts is None:
        return host, f"spec.factsFrom: the ConfigMap {reference.name} has no key {reference.key}"
    if isinstance(facts, str):
        return host, f"spec.factsFrom: the key {reference.key} of the ConfigMap {reference.name} {facts}"
    spec = host.spec.model_copy(update={"facts": facts | host.spec.facts if host.spec.facts else facts})
    return host.model_copy(update={"spec": spec}), None


def _read(text: str | None) -> Facts | str | None:
    if text is None:
        return None
    if len(text.encode()) > 2 * MAX_FACTS_BYTES:  # before it is read: with blanks it may be longer than it counts
        return f"has {len(text.encode())} bytes, more than facts can have"
    try:
        facts = json.loads(text, parse_constant=_refuse)
    except (ValueError, RecursionError) as error:
        return f"is not JSON: {error}"
    if not isinstance(facts, dict):
        return "is no JSON object"
    try:
        check_depth(facts)
    except ValueError as error:
        return str(error)
    try:
        # Python reads `1e999` and "\ud800" too, which nobody else does, and which cannot be written again.
        json.dumps(facts, ensure_ascii=False, allow_nan=False).encode()
    except ValueError as error:
        return f"is not JSON: {error}"
    return facts


def _refuse(constant: str) -> None:
    raise ValueError(f"{constant} is no number in JSON")
