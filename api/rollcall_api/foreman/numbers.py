"""Numbers for what has only a name here and an id there: users, template inputs, features, taxonomies."""

import zlib
from functools import lru_cache


@lru_cache(maxsize=4096)
def number_of(text: str) -> int:
    """A positive 31-bit number: the CRC-32 of the text without its highest bit, the same everywhere and for ever."""
    return zlib.crc32(text.encode()) & 0x7FFF_FFFF or 1
