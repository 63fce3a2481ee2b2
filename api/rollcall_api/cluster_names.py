"""Names of objects, made of what people call things."""

import re

_OTHERS = re.compile(r"[^a-z0-9]+")


def slug(text: str, most: int) -> str:
    """A name that Kubernetes takes: lower-case letters, digits and hyphens, at most so many characters."""
    return _OTHERS.sub("-", text.lower()).strip("-")[:most].strip("-") or "unnamed"
