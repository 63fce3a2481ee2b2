"""What is packed comes out as it was, as often as it is looked at."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rollcall_operator.packed import Packed, Packer

DOCUMENT = {"metadata": {"name": "a", "labels": {"ü": "€"}}, "spec": {"at": None, "count": 2**53 - 1, "half": 0.5}}


def test_an_object_comes_out_as_it_was() -> None:
    packer = Packer()
    assert packer.unpack(packer.pack(DOCUMENT)) == DOCUMENT


def test_what_is_like_the_first_takes_little_room() -> None:
    packer = Packer()
    alike = [{**DOCUMENT, "status": {"said": "x y z" * 50, "place": place}} for place in range(3)]
    packed = [packer.pack(document) for document in alike]
    assert [packer.unpack(one) for one in packed] == alike
    assert len(packed[2]) < 50


@given(st.lists(st.dictionaries(st.text(max_size=5), st.text() | st.integers(-(2**53), 2**53) | st.none()), max_size=5))
def test_whatever_the_first_was_like(documents: list[dict[str, Any]]) -> None:
    packer = Packer()
    packed = [packer.pack(document) for document in documents]
    assert [packer.unpack(one) for one in packed] == documents


@pytest.mark.parametrize("size", [10, 8_100, 100_000])
def test_objects_that_are_larger_than_what_is_looked_back_at(size: int) -> None:
    packer = Packer()
    large = [{"said": "".join(map(str, range(place, place + size)))} for place in (0, 7)]
    packed = [packer.pack(document) for document in (*large, DOCUMENT)]
    assert [packer.unpack(one) for one in packed] == [*large, DOCUMENT]


def test_objects_come_out_in_their_order_and_each_time_anew() -> None:
    packed = Packed()
    packed.add([DOCUMENT, {"metadata": {"name": "b"}}])
    packed.add([])
    packed.add([{"metadata": {"name": "c"}}])
    assert len(packed) == 3
    for found in packed:
        found["metadata"]["name"] = "changed"
    assert [found["metadata"]["name"] for found in packed] == ["a", "b", "c"]
