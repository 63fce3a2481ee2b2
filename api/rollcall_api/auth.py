"""Who is asking: the one layer that every request passes before any route.

Bearer and `X-Auth-Token` tokens go to the cluster's TokenReview, Basic logins to the users' files. Both answers are
remembered for ten seconds under a keyed hash of the credentials, so that a revoked token or a changed password stops
working within that time. The layer knows no dialect: what a refusal looks like, the dialect says.
"""

import base64
import binascii
import hashlib
import os
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum, auto
from typing import Final

from starlette.responses import PlainTextResponse, Response
from starlette.types import ASGIApp, Receive, Scope, Send

from rollcall_api.access import AWAY_SECONDS, REMEMBER_SECONDS
from rollcall_api.bounded import AgedCache
from rollcall_api.cluster import Cluster
from rollcall_api.problems import Unavailable
from rollcall_api.throttle import Throttle, origin
from rollcall_api.users import Busy, Identity, Users

OPEN_PATHS: Final = frozenset({"/healthz", "/readyz"})
_MOST_WAITING: Final = 32
"""How many passwords from one address may wait to be verified, half of what may wait at all."""


class Reason(Enum):
    """Why a request is not let in."""

    BAD_CREDENTIALS = auto()
    DISABLED = auto()
    TOO_MANY_TRIES = auto()


@dataclass(frozen=True, slots=True)
class Refusal:
    """A request that is not let in; `login` is empty when none was sent."""

    reason: Reason
    login: str = ""


@dataclass(frozen=True, slots=True)
class _Verdict:
    """What credentials are worth; neither is set when they are worth nothing."""

    identity: Identity | None = None
    disabled: bool = False


class Authenticator:
    """Turns a request's headers into a Kubernetes identity, or a refusal."""

    def __init__(self, cluster: Cluster, users: Users, throttle: Throttle | None = None) -> None:
        self._cluster = cluster
        self._users = users
        self._throttle = throttle or Throttle()
        self._key = os.urandom(32)
        self._tokens: AgedCache[bytes, _Verdict] = AgedCache(REMEMBER_SECONDS, AWAY_SECONDS)
        self._logins: AgedCache[bytes, _Verdict] = AgedCache(REMEMBER_SECONDS)
        self._waiting: Counter[str] = Counter()

    async def identify(self, scope: Scope) -> Identity | Refusal:
        """The identity behind a request. Raises Unavailable when the cluster cannot say."""
        authorization = token = b""
        for name, value in scope["headers"]:
            if name == b"authorization":
                authorization = value
            elif name == b"x-auth-token":
                token = value
        scheme, _, credentials = authorization.partition(b" ")
        match scheme.lower():
            case b"basic":
                return await self._basic(credentials.strip(), _address(scope))
            case b"bearer":
                token = credentials.strip()
        return await self._token(token, scope) if token else Refusal(Reason.BAD_CREDENTIALS)

    def _digest(self, *parts: bytes) -> bytes:
        return hashlib.blake2b(b"\0".join(parts), key=self._key, digest_size=24).digest()

    async def _token(self, token: bytes, scope: Scope) -> Identity | Refusal:
        digest = self._digest(token)
        verdict = self._tokens.fresh(digest)
        if verdict is None:
            address = _address(scope)
            if self._throttle.blocks_token(address, digest):
                return Refusal(Reason.TOO_MANY_TRIES)
            verdict = await self._tokens.get(digest, lambda: self._review(token))
            if verdict.identity is None:
                self._throttle.token_failed(address, digest)
            else:
                self._throttle.token_succeeded(digest)
        return verdict.identity or Refusal(Reason.BAD_CREDENTIALS)

    async def _review(self, token: bytes) -> _Verdict:
        status = await self._cluster.review_token(token.decode("latin-1"))
        if not status.get("authenticated"):
            return _Verdict()
        user = status.get("user") or {}
        return _Verdict(Identity(user.get("username", ""), tuple(user.get("groups") or ())))

    async def _basic(self, credentials: bytes, address: str) -> Identity | Refusal:
        try:
            login, _, password = base64.b64decode(credentials, validate=True).decode().partition(":")
        except (binascii.Error, UnicodeDecodeError):
            return Refusal(Reason.BAD_CREDENTIALS)
        if self._throttle.blocks(address, login):
            return Refusal(Reason.TOO_MANY_TRIES, login)
        account = self._users.account(login)
        # The stored hash is part of the key: a changed password forgets what was remembered of the old one.
        digest = self._digest(credentials, account.password_hash.encode() if account else b"")
        right = self._logins.fresh(digest)
        if right is None:
            try:
                right = await self._logins.get(digest, lambda: self._verify(login, password, address))
            except Busy:
                return Refusal(Reason.TOO_MANY_TRIES, login)
        if right.identity is None:
            self._throttle.failed(address, login)
            return Refusal(Reason.BAD_CREDENTIALS, login)
        self._throttle.succeeded(address, login)
        if right.disabled:
            return Refusal(Reason.DISABLED, login)
        return right.identity

    async def _verify(self, login: str, password: str, address: str) -> _Verdict:
        """What a password is worth. Raises Busy when too many of them wait, of that address or of all."""
        if self._waiting[address] >= _MOST_WAITING:
            raise Busy
        self._waiting[address] += 1
        try:
            account = self._users.account(login)
            if not await self._users.verify(account, password) or account is None:
                return _Verdict()
            return _Verdict(account.identity, account.disabled)
        finally:
            self._waiting[address] -= 1
            if not self._waiting[address]:
                del self._waiting[address]


class Gate:
    """The ASGI layer in front of every route: only authenticated requests pass, with `scope["user"]` set.

    `canonical` gives a path the one form under which its dialect routes it, `is_public` says of such a path whether
    everybody may have it; `refuse` and `away` are the dialect's answers. HEAD is routed as GET: the server leaves the
    body out.
    """

    def __init__(
        self,
        app: ASGIApp,
        authenticator: Authenticator,
        canonical: Callable[[str], str],
        is_public: Callable[[str], bool],
        refuse: Callable[[Refusal], Response],
        away: Callable[[Unavailable], Response],
    ) -> None:
        self._app = app
        self._authenticator = authenticator
        self._canonical = canonical
        self._is_public = is_public
        self._refuse = refuse
        self._away = away

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Lets a request in, or answers it here."""
        if scope["type"] == "websocket":
            await send({"type": "websocket.close", "code": 1008})
            return
        if scope["type"] != "http" or scope["path"] in OPEN_PATHS:
            await self._app(scope, receive, send)
            return
        path = self._canonical(scope["path"])
        if not self._is_public(path):
            try:
                user = await self._authenticator.identify(scope)
            except Unavailable as problem:
                await self._away(problem)(scope, receive, send)
                return
            if isinstance(user, Refusal):
                await self._refuse(user)(scope, receive, send)
                return
            scope["user"] = user
        if scope["method"] == "HEAD":
            scope = {**scope, "method": "GET"}  # the server looks at its own scope to leave the body out
        scope["path"] = path
        await self._app(scope, receive, send)


def _address(scope: Scope) -> str:
    return origin((scope.get("client") or ("",))[0])


def probe(healthy: bool) -> Response:
    """The answer of a probe."""
    return PlainTextResponse("ok" if healthy else "not ok", 200 if healthy else 503)
