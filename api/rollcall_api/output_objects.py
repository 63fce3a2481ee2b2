"""Output in files or in an object store, as the operator has put it there."""

import asyncio
import logging
from collections.abc import Sequence
from datetime import timedelta
from typing import Any, Final

import obstore
from obstore.exceptions import BaseError
from obstore.store import LocalStore, ObjectStore, from_url

from rollcall.outputkeys import StoreAddress, StoreKind, contents_of, explain, slice_prefix
from rollcall_api.output_store import Stored
from rollcall_api.problems import Unavailable
from rollcall_api.records import Slice

logger = logging.getLogger(__name__)

_SILENT_SECONDS: Final = 60.0
"""How often at most the log is told that a store does not answer."""


class ObjectOutputs:
    """Files or objects below an address, of one namespace."""

    def __init__(self, address: StoreAddress, namespace: str) -> None:
        self._address = address
        self._namespace = namespace
        self._opened: ObjectStore | None = None
        self._silent_until = 0.0

    async def stored(self, slice_: Slice) -> Sequence[Stored]:
        prefix = slice_prefix(self._namespace, slice_.invocation_uid, slice_.name)
        try:
            keys = [entry["path"] async for page in obstore.list(self._store, prefix) for entry in page]
        except (BaseError, OSError) as error:
            raise self._away(error) from None
        return [Stored(self, contents, key, key) for key in keys if (contents := contents_of(key)) is not None]

    async def read(self, place: str) -> bytes | None:
        try:
            answer = await obstore.get_async(self._store, place)
            return bytes(await answer.bytes_async())
        except FileNotFoundError:
            return None
        except (BaseError, OSError) as error:
            raise self._away(error) from None

    @property
    def _store(self) -> ObjectStore:
        """The connection, made when it is first needed: a folder may be mounted late."""
        if self._opened is None:
            try:
                self._opened = _open(self._address)
            except (BaseError, OSError, ValueError) as error:
                raise self._away(error) from None
        return self._opened

    def _away(self, error: Exception) -> Unavailable:
        now = asyncio.get_running_loop().time()
        if now >= self._silent_until:
            self._silent_until = now + _SILENT_SECONDS
            logger.error("cannot read %s: %s", self._address, explain(error))
        return Unavailable("the output store does not answer")


def _open(address: StoreAddress) -> ObjectStore:
    """The library's store; credentials, and whatever else it knows, come from the environment."""
    if address.kind == StoreKind.FILE:
        return LocalStore(address.folder)
    options: Any = dict(address.options)
    return from_url(
        address.url,
        config=options,
        # An endpoint says by itself whether it speaks plain HTTP, as one within the cluster may.
        client_options={"allow_http": True, "timeout": "20s", "connect_timeout": "3s"},
        retry_config={"max_retries": 1, "retry_timeout": timedelta(seconds=10)},
    )
