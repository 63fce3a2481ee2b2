"""Output waits for its store, and people are told when it has to wait for long."""

from typing import Any, cast

import pytest

from rollcall.outputkeys import Contents
from rollcall.outputs import Chunk, Event, Span, Stream
from rollcall.plan.units import units
from rollcall.resources.jobslice import JobSlice
from rollcall_operator import output_keeper
from rollcall_operator.output_keeper import Keeper
from rollcall_operator.output_store import OutputError, OutputStore, Stored, TakenError, UnwantedError
from unit.core.objects import slice_, slices_with_pods


class Moody:
    """A store that does what it is asked when it has failed often enough."""

    def __init__(self, failures: list[Exception], data: bytes = b"") -> None:
        self.failures = failures
        self.data = data
        self.puts = 0

    async def put(self, *_: Any) -> None:
        if self.failures:
            raise self.failures.pop(0)
        self.puts += 1

    async def stored(self, _: JobSlice) -> list[Stored]:
        if self.failures:
            raise self.failures.pop(0)
        return [Stored(Contents(int(self.data[:1] or b"0"), 0, 0, 0, 1), "chunk")]

    async def get(self, *_: Any) -> bytes | None:
        return self.data

    follows_owner = True


class Events:
    """Takes the Events that are emitted."""

    def __init__(self) -> None:
        self.notes: list[str] = []

    async def create(self, _: str, document: dict[str, Any]) -> None:
        self.notes.append(f"{document['reason']}: {document['note']}")


@pytest.fixture(autouse=True)
def _no_patience(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(output_keeper, "RETRY_SECONDS", (0.0,))


def keeper(events: Events, *stores: Moody) -> Keeper:
    return Keeper(cast(Any, events), cast(list[OutputStore], list(stores)), "operator-0")


CHUNK: tuple[Contents, dict[str, Span], bytes] = (Contents(0, 0, 0, 0, 1), {}, b"")


async def test_a_chunk_is_offered_until_it_is_taken_and_one_event_tells_of_a_long_wait() -> None:
    events, store = Events(), Moody([OutputError("cannot write to s3://b: 503")] * 10)
    await keeper(events, store).put(slice_(0, "a"), *CHUNK)
    assert store.puts == 1
    assert events.notes == ["OutputNotStored: cannot write to s3://b: 503"]


async def test_a_short_wait_is_nobodys_business() -> None:
    events, store = Events(), Moody([OutputError("busy")] * 3)
    await keeper(events, store).put(slice_(0, "a"), *CHUNK)
    assert (store.puts, events.notes) == (1, [])


async def test_output_of_a_namespace_that_goes_away_is_let_go() -> None:
    store = Moody([UnwantedError("being terminated")])
    await keeper(Events(), store).put(slice_(0, "a"), *CHUNK)
    assert store.puts == 0


async def test_somebody_elses_chunk_is_not_overlooked() -> None:
    with pytest.raises(TakenError):
        await keeper(Events(), Moody([TakenError("another's")])).put(slice_(0, "a"), *CHUNK)


async def test_what_is_stored_is_found_in_all_stores_by_its_place() -> None:
    first, second = Moody([OutputError("busy")], b"1"), Moody([], b"0")
    found = await keeper(Events(), first, second).stored(slice_(0, "a"))
    assert [(entry[0], entry[1].contents.sequence) for entry in found] == [(second, 0), (first, 1)]


async def test_a_damaged_chunk_is_a_hole_and_not_the_end() -> None:
    chunk = Chunk()
    chunk.add(Event("a", 0, 1.0, Stream.STDOUT, b"x"))
    stored = Stored(CHUNK[0], "chunk")
    for data, events in ((b"damaged", []), (chunk.finish()[:-4], []), (b"", [])):
        store = Moody([], data)
        assert list(await keeper(Events(), store).events(slice_(0, "a"), (cast(Any, store), stored))) == events


def test_only_little_output_that_belongs_into_the_cluster_fits_into_its_slice() -> None:
    inside, outside = Moody([]), Moody([])
    outside.follows_owner = False
    alone = slice_(0, "a")
    assert keeper(Events(), inside, outside).fits_into(alone, 4_096)
    assert not keeper(Events(), inside, outside).fits_into(alone, 4_097)
    assert not keeper(Events(), outside, inside).fits_into(alone, 1)


def test_a_slice_that_shares_an_object_has_room_for_less() -> None:
    inside = Moody([])
    sharing = units(slices_with_pods(0, "a", "b"))[1]
    assert keeper(Events(), inside).fits_into(sharing, 1_024)
    assert not keeper(Events(), inside).fits_into(sharing, 1_025)
