"""Names that Kubernetes takes, made of names that it may not take."""

import hashlib
import re
from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Final

MAX_LENGTH: Final = 253
MAX_LABEL: Final = 63
_PART: Final = r"[a-z0-9](?:[a-z0-9-]*[a-z0-9])?"
_NAME: Final = re.compile(rf"{_PART}(?:\.{_PART})*")
_LABEL: Final = r"[A-Za-z0-9](?:[A-Za-z0-9_.-]*[A-Za-z0-9])?"
_LABEL_VALUE: Final = re.compile(rf"(?:{_LABEL})?")
_LABEL_KEY: Final = re.compile(_LABEL)
_GROUP: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_.-]*")
_SHORTEST_DIGEST: Final = 8


def is_name(text: str) -> bool:
    """Whether an object can have this name (RFC 1123 subdomain)."""
    return len(text) <= MAX_LENGTH and _NAME.fullmatch(text) is not None


def is_label_value(text: str) -> bool:
    """Whether a label can have this value."""
    return len(text) <= MAX_LABEL and _LABEL_VALUE.fullmatch(text) is not None


def is_label_key(text: str) -> bool:
    """Whether a label can have this key: a name, with a domain and a slash before it if need be."""
    domain, slash, name = text.rpartition("/")
    return (is_name(domain) or not slash) and len(name) <= MAX_LABEL and _LABEL_KEY.fullmatch(name) is not None


def as_name(text: str) -> str:
    """The nearest name that an object can have; a name that it can have stays itself."""
    if is_name(text):
        return text
    parts = (part.strip("-") for part in re.sub(r"[^a-z0-9.-]", "-", text.lower()).split("."))
    return ".".join(filter(None, parts))[:MAX_LENGTH].rstrip("-.") or "unnamed"


def as_group(text: str) -> str:
    """The nearest name that a group can have; a name that it can have stays itself."""
    if len(text) <= MAX_LENGTH and _GROUP.fullmatch(text):
        return text
    found = re.sub(r"[^A-Za-z0-9_.-]", "_", text)
    return (found if re.match(r"[A-Za-z_]", found) else f"_{found}")[:MAX_LENGTH]


def host_names(originals: Iterable[str]) -> Mapping[str, str]:
    """A name for an object for each text, no two the same, whatever the order.

    A text that is such a name keeps it. Where others would have the same name, each gets a digest of its text.
    """
    return _distinct({text: as_name(text) for text in originals}, "-")


def group_names(originals: Iterable[str]) -> Mapping[str, str]:
    """The same for names of groups."""
    return _distinct({text: as_group(text) for text in originals}, "_")


def _distinct(wanted: Mapping[str, str], sign: str) -> Mapping[str, str]:
    shared = Counter(wanted.values())
    found = {text: name for text, name in wanted.items() if name == text or shared[name] == 1}
    taken = set(found.values())
    for text in sorted(wanted.keys() - found.keys()):
        digest, length = hashlib.sha256(text.encode(errors="surrogatepass")).hexdigest(), _SHORTEST_DIGEST
        while (name := _ending(wanted[text], f"{sign}{digest[:length]}")) in taken:
            length += 1
        found[text] = name
        taken.add(name)
    return found


def _ending(name: str, end: str) -> str:
    return name[: MAX_LENGTH - len(end)].rstrip("-.") + end
