"""Output in files or in an object store: one object per chunk, whose key says what it holds.

A put never destroys anything, because keys with different contents differ; so no store needs conditional writes. The
library retries a request a few times by itself; whoever calls retries for as long as it takes.
"""

from collections.abc import AsyncIterator, Mapping, Sequence
from datetime import timedelta
from typing import Any, Final

import obstore
from obstore.exceptions import AlreadyExistsError, BaseError
from obstore.store import LocalStore, ObjectStore, from_url

from rollcall.names import Kind
from rollcall.outputkeys import (
    Contents,
    StoreAddress,
    StoreKind,
    chunk_key,
    contents_of,
    explain,
    invocation_prefix,
    slice_prefix,
)
from rollcall.outputs import Span
from rollcall.resources.jobslice import JobSlice
from rollcall_operator.output_store import OutputError, Owner, Stored

INSTALLATION_KEY: Final = "installation"
"""Holds the name of the installation that deletes what is no longer wanted here."""
_DELETE_AT_ONCE: Final = 1_000


class ObjectOutputs:
    """Keeps output below a folder, or below a prefix in a bucket."""

    follows_owner = False

    def __init__(self, address: StoreAddress) -> None:
        self._address = address
        self._opened: ObjectStore | None = None

    def __str__(self) -> str:
        return str(self._address)

    async def put(
        self,
        slice_: JobSlice,
        contents: Contents,
        spans: Mapping[str, Span],  # noqa: ARG002 - the key says enough
        data: bytes,
    ) -> None:
        key = chunk_key(slice_.metadata.namespace, invocation_uid(slice_), slice_.metadata.name, contents)
        try:
            await obstore.put_async(self._store, key, data, use_multipart=False)
        except (BaseError, OSError) as error:
            raise self._error("write to", error) from None

    async def stored(self, slice_: JobSlice) -> list[Stored]:
        prefix = slice_prefix(slice_.metadata.namespace, invocation_uid(slice_), slice_.metadata.name)
        keys = await self._keys(prefix)
        found = [Stored(contents, key) for key in keys if (contents := contents_of(key)) is not None]
        return sorted(found, key=lambda stored: stored.contents)

    def place(self, slice_: JobSlice, count: int) -> str:
        prefix = slice_prefix(slice_.metadata.namespace, invocation_uid(slice_), slice_.metadata.name)
        return f"{count} objects in the operator's output store, below {prefix}"

    async def get(self, slice_: JobSlice, stored: Stored) -> bytes | None:  # noqa: ARG002 - the name is the whole key
        return await self._read(stored.name)

    async def owners(self, namespaces: Sequence[str]) -> AsyncIterator[Owner]:
        for namespace in namespaces or await self._folders(None):
            for folder in await self._folders(f"{namespace}/"):
                yield Owner(namespace, uid=folder.rpartition("/")[2])

    async def delete(self, owner: Owner) -> None:
        keys = await self._keys(invocation_prefix(owner.namespace, owner.uid))
        for first in range(0, len(keys), _DELETE_AT_ONCE):
            try:
                await obstore.delete_async(self._store, keys[first : first + _DELETE_AT_ONCE])
            except FileNotFoundError:
                continue  # somebody else was faster; what is left of these is found again
            except (BaseError, OSError) as error:
                raise self._error("delete from", error) from None

    async def claim(self, installation: str) -> bool:
        try:
            await obstore.put_async(
                self._store, INSTALLATION_KEY, installation.encode(), mode="create", use_multipart=False
            )
        except (AlreadyExistsError, FileExistsError):
            return await self._read(INSTALLATION_KEY) == installation.encode()
        except (BaseError, OSError) as error:
            raise self._error("write to", error) from None
        return True

    async def _read(self, key: str) -> bytes | None:
        try:
            answer = await obstore.get_async(self._store, key)
            return bytes(await answer.bytes_async())
        except FileNotFoundError:
            return None
        except (BaseError, OSError) as error:
            raise self._error("read", error) from None

    async def _keys(self, prefix: str) -> list[str]:
        try:
            return [entry["path"] async for page in obstore.list(self._store, prefix) for entry in page]
        except (BaseError, OSError) as error:
            raise self._error("list", error) from None

    async def _folders(self, prefix: str | None) -> Sequence[str]:
        try:
            return (await obstore.list_with_delimiter_async(self._store, prefix))["common_prefixes"]
        except (BaseError, OSError) as error:
            raise self._error("list", error) from None

    @property
    def _store(self) -> ObjectStore:
        """The connection, made when it is first needed: a folder may be mounted late."""
        if self._opened is None:
            try:
                self._opened = _open(self._address)
            except (BaseError, OSError, ValueError) as error:
                raise self._error("open", error) from None
        return self._opened

    def _error(self, verb: str, error: Exception) -> OutputError:
        return OutputError(f"cannot {verb} {self._address}: {explain(error)}")


def invocation_uid(slice_: JobSlice) -> str:
    """The uid of the invocation that the slice is a part of; empty for a slice that somebody else made."""
    kind = Kind.JOB_INVOCATION.value
    return next((owner.uid for owner in slice_.metadata.owner_references if owner.kind == kind), "")


def _open(address: StoreAddress) -> ObjectStore:
    """The library's store; credentials, and whatever else it knows, come from the environment."""
    if address.kind == StoreKind.FILE:
        return LocalStore(address.folder, automatic_cleanup=True, mkdir=True)
    options: Any = dict(address.options)
    return from_url(
        address.url,
        config=options,
        # An endpoint says by itself whether it speaks plain HTTP, as one within the cluster may.
        client_options={"allow_http": True, "timeout": "30s", "connect_timeout": "5s"},
        retry_config={"max_retries": 2, "retry_timeout": timedelta(seconds=20)},
    )
