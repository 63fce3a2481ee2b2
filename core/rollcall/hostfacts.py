"""Facts of a Host that stand in a ConfigMap."""

import json
from collections.abc import Mapping

from rollcall.resources.host import MAX_FACTS_BYTES, Host


def with_facts(host: Host, data: Mapping[str, str] | None) -> tuple[Host, str | None]:
    """The host with all its facts, and the sentence about facts that cannot be read; it has its own then.

    `data` is what the ConfigMap of `spec.factsFrom` holds; None when there is none with the label that it needs.
    """
    if host.spec.facts_from is None:
        return host, None
    reference = host.spec.facts_from.config_map_key_ref
    place = f"spec.factsFrom: the key {reference.key} of the ConfigMap {reference.name}"
    if data is None:
        return host, f"spec.factsFrom: there is no ConfigMap {reference.name} with the label rollcall.dev/facts"
    text = data.get(reference.key)
    if text is None:
        return host, f"spec.factsFrom: the ConfigMap {reference.name} has no key {reference.key}"
    if len(text.encode()) > 2 * MAX_FACTS_BYTES:  # before it is read: with blanks it may be longer than it counts
        return host, f"{place} has {len(text.encode())} bytes, more than facts can have"
    try:
        facts = json.loads(text, parse_constant=_refuse)
    except (ValueError, RecursionError) as error:
        return host, f"{place} is not JSON: {error}"
    if not isinstance(facts, dict):
        return host, f"{place} is no JSON object"
    spec = host.spec.model_copy(update={"facts": facts | host.spec.facts})
    return host.model_copy(update={"spec": spec}), None


def _refuse(constant: str) -> None:
    raise ValueError(f"{constant} is no number in JSON")
