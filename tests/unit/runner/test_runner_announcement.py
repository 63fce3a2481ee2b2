"""The line by which a launcher announces itself is taken out of the output, and nothing else is."""

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rollcall_runner.announcement import Announcement

NAME = "rollcall.0123456789abcdef0123456789abcdef"
LINE = f"{NAME} 17 17 4711\n".encode()


def hear(pieces: list[bytes]) -> tuple[bytes, str | None]:
    announcement = Announcement(NAME)
    said = b"".join(announcement.hear(piece) for piece in pieces)
    return said + announcement.end(), announcement.place


@given(
    before=st.sampled_from([b"", b"Welcome\n", b"no line end", b"rollcall.", LINE[:-9], b"r" * 200]),
    after=st.sampled_from([b"", b"err\n", b"rollcall.", LINE[:20], b"\0\xff\r\n"]),
    cuts=st.lists(st.integers(0, 300), max_size=8),
)
def test_it_is_found_wherever_it_is_and_however_it_arrives(before: bytes, after: bytes, cuts: list[int]) -> None:
    whole = before + LINE + after
    ends = [0, *sorted(cuts), len(whole)]
    pieces = [whole[start:end] for start, end in itertools.pairwise(ends)]
    assert hear(pieces) == (before + after, "17 17 4711")


@given(st.lists(st.sampled_from([b"rollcall.0123", b"r", b"err\n", LINE[:-1], LINE[:41], b"x" * 100]), max_size=9))
def test_nothing_is_lost_where_there_is_none(pieces: list[bytes]) -> None:
    assert hear(pieces) == (b"".join(pieces), None)


@pytest.mark.parametrize(
    ("line", "place"),
    [
        (f"{NAME}\n", ""),
        (f"{NAME} - 17\n", "- 17"),
        (f"{NAME} 17 17\n", "17 17"),
        (f"{NAME} 17 17 4711\r\n", "17 17 4711"),
    ],
)
def test_the_place_is_what_follows_the_name(line: str, place: str) -> None:
    assert hear([line.encode()]) == (b"", place)


@pytest.mark.parametrize("rest", ["17 17 4711; reboot", "$(reboot) 17", "17", "17 17 4711 x", "-17 17"])
def test_what_is_no_place_is_not_believed(rest: str) -> None:
    line = f"{NAME} {rest}\n".encode()
    assert hear([line]) == (line, None)


def test_what_comes_after_it_is_not_held_back() -> None:
    announcement = Announcement(NAME)
    assert announcement.hear(LINE + b"roll") == b"roll"
    assert announcement.settled.is_set()
    assert announcement.hear(b"rollcall.") == b"rollcall."


def test_who_waits_for_it_learns_that_it_cannot_come_any_more() -> None:
    announcement = Announcement(NAME)
    assert announcement.hear(b"so far\nroll") == b"so far\n"
    assert not announcement.settled.is_set()
    assert announcement.end() == b"roll"
    assert announcement.settled.is_set()
    assert announcement.place is None
