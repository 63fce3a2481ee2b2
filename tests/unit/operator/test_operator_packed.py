"""What is packed comes out as it was, as often as it is looked at."""

from rollcall_operator.packed import Packed, pack, unpack

DOCUMENT = {"metadata": {"name": "a", "labels": {"ü": "€"}}, "spec": {"at": None, "count": 2**53 - 1, "half": 0.5}}


def test_an_object_comes_out_as_it_was() -> None:
    assert unpack(pack(DOCUMENT)) == DOCUMENT


def test_objects_come_out_in_their_order_and_each_time_anew() -> None:
    packed = Packed()
    packed.add([DOCUMENT, {"metadata": {"name": "b"}}])
    packed.add([])
    packed.add([{"metadata": {"name": "c"}}])
    assert len(packed) == 3
    for found in packed:
        found["metadata"]["name"] = "changed"
    assert [found["metadata"]["name"] for found in packed] == ["a", "b", "c"]
