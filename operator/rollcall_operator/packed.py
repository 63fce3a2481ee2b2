"""Objects as bytes: as Python's dictionaries they take ten times the room and more."""

import zlib
from collections.abc import Iterable, Iterator
from typing import Any, Final

import orjson

Document = dict[str, Any]

_WINDOW: Final = -13
"""The logarithm of how many bytes back the same is looked for; negative: without a header and a checksum."""
_MEMORY: Final = 6
"""How much room zlib takes to look for it. Its default, of 256 KiB, takes eight times as long to clear as to use."""


class Packer:
    """Packs objects that are alike: what one of them says as the first did is not kept again."""

    def __init__(self) -> None:
        self._first = b""

    def pack(self, document: Document) -> bytes:
        """An object, for `unpack` of the same packer."""
        plain = orjson.dumps(document)
        if not self._first:
            # Without the room that the encoder leaves behind its result, which is 8 KiB.
            self._first = bytes(memoryview(plain))
        deflate = zlib.compressobj(1, zlib.DEFLATED, _WINDOW, _MEMORY, zlib.Z_DEFAULT_STRATEGY, self._first)
        return deflate.compress(plain) + deflate.flush()

    def unpack(self, packed: bytes) -> Document:
        """The object."""
        document: Document = orjson.loads(zlib.decompressobj(_WINDOW, self._first).decompress(packed))
        return document


class Packed:
    """Objects of which there can be thousands, each unpacked when its turn comes."""

    def __init__(self) -> None:
        self._packer = Packer()
        self._items: list[bytes] = []

    def add(self, documents: Iterable[Document]) -> None:
        """Take in some more."""
        self._items += map(self._packer.pack, documents)

    def __len__(self) -> int:
        return len(self._items)

    def __iter__(self) -> Iterator[Document]:
        return map(self._packer.unpack, self._items)
