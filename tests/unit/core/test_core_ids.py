"""Ids come from one sequence per kind, and none is used twice."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rollcall.ids import read, take
from rollcall.names import LABEL_ID, Kind


def test_the_first_id_is_one_and_the_other_kinds_keep_theirs() -> None:
    assert take({"jobinvocations": "7"}, Kind.HOST) == (range(1, 2), {"jobinvocations": "7", "hosts": "1"})


@given(st.lists(st.tuples(st.sampled_from(Kind), st.integers(1, 40)), max_size=12))
def test_no_id_of_a_kind_is_given_twice_nor_left_out(requests: list[tuple[Kind, int]]) -> None:
    data: dict[str, str] = {}
    given_: dict[Kind, list[int]] = {}
    for kind, count in requests:
        ids, data = take(data, kind, count)
        assert len(ids) == count
        given_.setdefault(kind, []).extend(ids)
    assert all(ids == list(range(1, len(ids) + 1)) for ids in given_.values())


@pytest.mark.parametrize("text", ["", "-1", "1.0", " 1", "none", "0x1"])
def test_an_edited_sequence_is_refused_rather_than_guessed(text: str) -> None:
    with pytest.raises(ValueError, match="ConfigMap rollcall-ids: hosts must be the last id given, not"):
        take({"hosts": text}, Kind.HOST)


@pytest.mark.parametrize(
    ("label", "expected"),
    [
        ("1", 1), ("900719925474099", 900719925474099), ("007", 7),
        (None, None), ("", None), ("0", None), ("-1", None), ("1.5", None), ("abc", None), ("9" * 19, None),
    ],
)  # fmt: skip
def test_a_label_that_is_no_id_counts_as_none(label: str | None, expected: int | None) -> None:
    assert read({} if label is None else {LABEL_ID: label}) == expected
