"""Slows down who guesses passwords and tokens, by login and by address (contract §1.4).

Three counts are kept over a sliding window: the failures of a login from an address, those of an address with whatever
logins, and those of a login from whatever addresses. The first blocks after `most` failures; the other two after ten
times as many, and only what has not been right from there within a day: who shares an address with a guesser goes on
working, and no stranger locks a user out of the places that they usually come from. Tokens count for their address. A
wrong one counts once, however often a script that holds an expired one sends it, and one that has been right is never
refused unseen.

Whether a login is blocked never depends on its password: it could be guessed from that.
"""

import time
from collections import Counter, OrderedDict, deque
from collections.abc import Callable
from hashlib import blake2b
from ipaddress import ip_address, ip_network
from typing import Final

MAX_FAILURES: Final = 30
WINDOW_SECONDS: Final = 300.0
WIDE: Final = 10
"""How many times more failures an address may have with all logins together, and a login from all addresses."""
TRUSTED_SECONDS: Final = 86_400.0
"""For how long an address is known as one that a login comes from."""
_MOST_RECORDS: Final = 20_000
_MOST_TRUSTED: Final = 10_000
_IPV6_NETWORK: Final = 64
"""So many bits of an IPv6 address are a subscriber's, who has all the others to choose from."""

Key = bytes


class Throttle:
    """Counts failures and says who is to wait. It takes a few megabytes at most, whatever is tried."""

    def __init__(
        self,
        most: int = MAX_FAILURES,
        window: float = WINDOW_SECONDS,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._most = most
        self._window = window
        self._clock = clock
        self._failures: deque[tuple[float, tuple[Key, ...]]] = deque()
        self._counts: Counter[Key] = Counter()
        self._trusted: OrderedDict[Key, float] = OrderedDict()

    def blocks(self, address: str, login: str) -> bool:
        """Whether a login from an address has to wait."""
        self._forget()
        if not self._counts:
            return False
        pair = _key("pair", address, login)
        if self._counts[pair] >= self._most:
            return True
        many = self._most * WIDE
        busy = self._counts[_key("address", address)] >= many or self._counts[_key("login", login)] >= many
        return busy and not self._trusts(pair)

    def failed(self, address: str, login: str) -> None:
        """Counts a wrong password."""
        self._count(_key("pair", address, login), _key("address", address), _key("login", login))

    def succeeded(self, address: str, login: str) -> None:
        """Remembers that the login comes from there."""
        self._trust(_key("pair", address, login))

    def blocks_token(self, address: str, digest: bytes) -> bool:
        """Whether a token from an address has to wait; `digest` stands for it."""
        self._forget()
        if not self._counts or self._trusts(_key("token", digest)):
            return False
        tokens, all_ = self._counts[_key("tokens", address)], self._counts[_key("address", address)]
        return tokens >= self._most or all_ >= self._most * WIDE

    def token_failed(self, address: str, digest: bytes) -> None:
        """Counts a wrong token, unless it has been counted already."""
        wrong = _key("wrong", address, digest)
        if not self._counts[wrong]:
            self._count(wrong, _key("tokens", address), _key("address", address))

    def token_succeeded(self, digest: bytes) -> None:
        """Remembers that the token has been right."""
        self._trust(_key("token", digest))

    def _count(self, *keys: Key) -> None:
        self._failures.append((self._clock(), keys))
        self._counts.update(keys)
        self._forget()

    def _forget(self) -> None:
        begin = self._clock() - self._window
        while self._failures and (self._failures[0][0] <= begin or len(self._failures) > _MOST_RECORDS):
            for key in self._failures.popleft()[1]:
                self._counts[key] -= 1
                if not self._counts[key]:
                    del self._counts[key]

    def _trust(self, key: Key) -> None:
        self._trusted[key] = self._clock()
        self._trusted.move_to_end(key)
        if len(self._trusted) > _MOST_TRUSTED:
            self._trusted.popitem(last=False)

    def _trusts(self, key: Key) -> bool:
        moment = self._trusted.get(key)
        return moment is not None and moment > self._clock() - TRUSTED_SECONDS


def _key(kind: str, *parts: str | bytes) -> Key:
    """A short name for what is counted, however long a login is; logins are not kept."""
    hashed = blake2b(kind.encode(), digest_size=12)
    for part in parts:
        hashed.update(b"\0" + (part if isinstance(part, bytes) else part.encode(errors="surrogatepass")))
    return hashed.digest()


def origin(address: str) -> str:
    """What failures from an address are counted for: an IPv4 address itself, of an IPv6 address its /64.

    Behind a proxy the address is the one that a trusted proxy names, which the server has put into the scope.
    """
    try:
        found = ip_address(address)
    except ValueError:
        return address
    if found.version == 4:
        return address
    return str(found.ipv4_mapped or ip_network((found, _IPV6_NETWORK), strict=False))
