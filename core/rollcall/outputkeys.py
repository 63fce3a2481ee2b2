"""Where a chunk of output is, and what its name tells without opening it.

A reader that lists a slice's chunks learns from their names alone which of them it needs: the chunk's place in the
slice's output, the times of its first and last event, its size, and which of the slice's hosts are in it. A file or
object is

    <namespace>/<invocation's uid>/<slice>/<place>-<first µs>-<last µs>-<bytes>-<hosts>.jsonl.gz

below the store's root, with the hosts as a hexadecimal number whose bit n stands for `spec.hosts[n]`, which never
changes. A JobOutput has the same words in an annotation. Two chunks of one place have different names unless they hold
the same events, so that writing a file or object never destroys another one, whatever the order of writes.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from rollcall.outputs import Span

_SUFFIX: Final = ".jsonl.gz"
_CONTENTS: Final = re.compile(r"([0-9]{6,9})-([0-9]{1,18})-([0-9]{1,18})-([0-9]{1,9})-([0-9a-f]{1,80})", re.ASCII)
_SECRET: Final = re.compile("secret|token|password|key|sas|credential", re.IGNORECASE)


@dataclass(frozen=True, slots=True, order=True)
class Contents:
    """What a chunk holds: its place in the slice's output from 0, times in µs since 1970, its size in bytes as it is
    stored, and hosts as bits."""

    sequence: int
    first: int
    last: int
    size: int
    hosts: int

    @classmethod
    def of(cls, sequence: int, spans: Mapping[str, Span], size: int, hosts: Sequence[str]) -> "Contents":
        """What a chunk with these spans and of that size holds, in a slice of these hosts."""
        first = min((span.first_time for span in spans.values()), default=0.0)
        last = max((span.last_time for span in spans.values()), default=0.0)
        bits = sum(1 << index for index, host in enumerate(hosts) if host in spans)
        return cls(sequence, round(first * 1e6), round(last * 1e6), size, bits)

    @classmethod
    def parse(cls, text: str) -> "Contents":
        """The inverse of `str`. Raises ValueError for anything else."""
        found = _CONTENTS.fullmatch(text)
        if found is None:
            raise ValueError(f"not a chunk's name: {text[:80]}")
        return cls(int(found[1]), int(found[2]), int(found[3]), int(found[4]), int(found[5], 16))

    def __str__(self) -> str:
        return f"{self.sequence:06d}-{self.first}-{self.last}-{self.size}-{self.hosts:x}"

    def holds(self, index: int) -> bool:
        """Whether events of the slice's host of that index are in the chunk."""
        return bool(self.hosts >> index & 1)

    @property
    def last_time(self) -> float:
        """When the last event happened, in seconds since 1970."""
        return self.last / 1e6


def invocation_prefix(namespace: str, uid: str) -> str:
    """Where all output of an invocation is."""
    return f"{namespace}/{uid}/"


def slice_prefix(namespace: str, uid: str, slice_: str) -> str:
    """Where the chunks of a slice are."""
    return f"{namespace}/{uid}/{slice_}/"


def chunk_key(namespace: str, uid: str, slice_: str, contents: Contents) -> str:
    """Where a chunk is."""
    return f"{slice_prefix(namespace, uid, slice_)}{contents}{_SUFFIX}"


def contents_of(key: str) -> Contents | None:
    """What the chunk of that key holds; None when the key is not a chunk's."""
    name = key.rpartition("/")[2]
    try:
        return Contents.parse(name.removesuffix(_SUFFIX)) if name.endswith(_SUFFIX) else None
    except ValueError:
        return None


class StoreKind(StrEnum):
    """Where output can be kept."""

    CLUSTER = "cluster"
    FILE = "file"
    OBJECT = "object"


_OBJECT_SCHEMES: Final = frozenset({"s3", "gs", "az"})
_OPTIONS: Final = frozenset({"endpoint", "region", "virtual_hosted_style_request"})


@dataclass(frozen=True, slots=True)
class StoreAddress:
    """Which store is meant: `cluster`, `file:///folder`, or `s3://bucket/prefix` and its like for GCS and Azure.

    `gs://` is Google's, `az://` Azure's. The address of an object store may end with `?endpoint=...&region=...`.
    Credentials never come this way.
    """

    kind: StoreKind
    url: str = ""
    """Without options."""
    options: tuple[tuple[str, str], ...] = ()

    @classmethod
    def parse(cls, text: str) -> "StoreAddress":
        """Reads an address. Raises ValueError with a sentence, which repeats no value of an option."""
        if text == StoreKind.CLUSTER:
            return cls(StoreKind.CLUSTER)
        address, _, query = text.partition("?")
        scheme, _, place = address.partition("://")
        options = dict(part.partition("=")[::2] for part in query.split("&") if part)
        if "@" in place or any(_SECRET.search(name) for name in options):
            raise ValueError("credentials come from the environment, not from a store's address")
        if scheme == "file" and place.startswith("/") and not options:
            return cls(StoreKind.FILE, address)
        if scheme not in _OBJECT_SCHEMES or not place.strip("/"):
            raise ValueError("an output store is `cluster`, `file:///folder` or an object store's `s3://bucket/prefix`")
        if unknown := sorted(options.keys() - _OPTIONS):
            raise ValueError(f"an output store has no option {unknown[0]!r}; there are {', '.join(sorted(_OPTIONS))}")
        return cls(StoreKind.OBJECT, address.rstrip("/"), tuple(sorted(options.items())))

    @property
    def folder(self) -> str:
        """The folder of a `file` store."""
        return self.url.removeprefix("file://")

    def __str__(self) -> str:
        return self.url or self.kind.value


_WORDS: Final = (
    re.compile(r"status code: ([0-9]{3})", re.ASCII),
    re.compile(r"<Code>([A-Za-z]{1,60})</Code>", re.ASCII),
    re.compile(r"HTTP error: ([a-z ]{1,60})", re.ASCII),
    re.compile(r"(Unable to [a-z ]{1,60})", re.ASCII),
    re.compile(r"([A-Z][A-Za-z ]{1,60}) \(os error [0-9]+\)", re.ASCII),
)


def explain(error: Exception) -> str:
    """What a store's error comes down to, as `PermissionDenied, 403, SignatureDoesNotMatch`.

    The whole text may hold a signed address, and what the server repeats of the request: only known words are taken.
    """
    text = str(error)
    found = (pattern.search(text) for pattern in _WORDS)
    words = [type(error).__name__.removesuffix("Error"), *(match[1].strip() for match in found if match)]
    return ", ".join(dict.fromkeys(words))
