"""Template texts as Foreman's people write them, in ERB, turned into ours.

The two things that nearly every job template is made of are understood: comments, and inputs that are inserted. Ruby
is not run here, so that anything else is refused.
"""

import re
from typing import Final

_TAG: Final = re.compile(r"<%(?P<kind>[#=-]?)(?P<code>(?:(?!<%).)*?)-?%>\n?", re.DOTALL)
_INPUT: Final = re.compile(r"""\s*input\(\s*(?:'(?P<single>\w+)'|"(?P<double>\w+)"|:(?P<symbol>\w+))\s*\)\s*""")
_OURS: Final = ("{{", "{%", "{#")


class TemplateTextError(ValueError):
    """A template cannot be understood; the text says what in it."""


def is_erb(text: str) -> bool:
    """Whether the text has anything for Ruby's templates in it."""
    return "<%" in text


def converted(text: str) -> str:
    """The script in our language. Raises TemplateTextError for Ruby that is not understood."""
    if not is_erb(text):
        return text
    plain = _TAG.sub("", text)
    if any(mark in plain for mark in _OURS):
        raise TemplateTextError("mixes ERB with {{ }}: write one or the other")
    return _TAG.sub(_tag, text)


def _tag(match: re.Match[str]) -> str:
    kind, code = match["kind"], match["code"]
    ending = "\n" if match[0].endswith("\n") else ""
    if kind == "#":
        return ""
    found = _INPUT.fullmatch(code) if kind == "=" else None
    if found is None:
        raise TemplateTextError(f"has Ruby that this server does not run: {match[0].strip()[:80]}")
    # A line break right after `-%>` is dropped, after `%>` it is kept.
    name = found["single"] or found["double"] or found["symbol"]
    return f"{{{{ inputs.{name} | raw }}}}" + ("" if "-%>" in match[0] else ending)
