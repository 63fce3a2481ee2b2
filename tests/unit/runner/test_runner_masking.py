"""Secret values are found in every common form and however reads tear them, and nothing else changes."""

import base64
import json
import re
import shlex
from collections.abc import Callable
from itertools import pairwise
from urllib.parse import quote, quote_plus

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from rollcall.names import HostState
from rollcall.outputs import MAX_DATA_BYTES, Exit, Stream, parse_line
from rollcall.work import Credentials
from rollcall_runner.emitter import Emitter
from rollcall_runner.masking import MASK, Mask, MaskedStream, secrets_of
from rollcall_runner.playbook_events import Story

VALUE = "tröub4dor &3'$+/?"
TEXTS = st.text("abAB01+/ %&\n", min_size=4, max_size=12)


def masked(mask: Mask, *reads: bytes) -> bytes:
    stream = MaskedStream(mask)
    return b"".join([*(stream.feed(read) for read in reads), stream.finish()])


def torn(data: bytes, cuts: list[int]) -> list[bytes]:
    bounds = sorted({0, len(data), *(cut % (len(data) + 1) for cut in cuts)})
    return [data[start:end] for start, end in pairwise(bounds)]


@pytest.mark.parametrize(
    "shown",
    [
        VALUE,
        json.dumps(VALUE)[1:-1],
        json.dumps(VALUE, ensure_ascii=False)[1:-1],
        shlex.quote(VALUE)[1:-1],
        VALUE.replace("'", "'\\''"),
        r"tröub4dor\ \&3\'\$+/\?",
        quote(VALUE),
        quote(VALUE, safe=""),
        quote_plus(VALUE),
        quote(VALUE, safe="").replace("%C3%B6", "%c3%b6").replace("%2B", "%2b").replace("%2F", "%2f").replace(
            "%3F", "%3f"
        ),
    ],
)  # fmt: skip
def test_a_value_is_masked_in_every_form_in_which_it_is_printed(shown: str) -> None:
    assert masked(Mask([VALUE]), f"before={shown}&after".encode()) == b"before=********&after"


@given(st.binary(min_size=4, max_size=40), st.binary(max_size=7), st.binary(max_size=7), st.booleans())
def test_in_base64_a_value_is_masked_wherever_it_begins(
    raw: bytes, before: bytes, after: bytes, url_safe: bool
) -> None:
    value = base64.b32encode(raw).decode()
    encode = base64.urlsafe_b64encode if url_safe else base64.b64encode
    encoded = encode(before + value.encode() + after)
    rest = masked(Mask([value]), encoded)
    assert MASK in rest
    # What is left tells at most the bits that the value shares a character with.
    assert len(rest) - len(MASK) <= len(encode(before)) + len(encode(after)) + 4


SECRETS = ("abcd", "hunter2", "s3cr3t/Value+9", "a long secret " * 14 + "ends")
ENDS = ("\n", "\r\n", "\\n", "\\r\\n", "\n    ", '", "', "', '", '",\n        "')


def in_lines(encoded: str, width: int, end: str) -> str:
    return end.join(encoded[start : start + width] for start in range(0, len(encoded), width))


def seen(output: bytes) -> bytes:
    """All that somebody can read who decodes what is left, at any alignment and without regard to masks and lines."""
    letters = re.sub(rb"\\[rn]|[^A-Za-z0-9+/_-]", b"", output).translate(bytes.maketrans(b"-_", b"+/"))
    aligned = (letters[start : start + (len(letters) - start) // 4 * 4] for start in range(4))
    return b"|".join(base64.b64decode(text) for text in aligned)


@pytest.mark.parametrize("secret", SECRETS)
@pytest.mark.parametrize("end", ENDS)
def test_a_value_in_base64_is_masked_wherever_a_line_ends(secret: str, end: str) -> None:
    mask = Mask([secret])
    for before in range(60):
        for width in (64, 76):
            for encode in (base64.b64encode, base64.urlsafe_b64encode):
                encoded = encode(b"~" * before + secret.encode() + b"~" * 7).decode()
                rest = masked(mask, in_lines(encoded, width, end).encode())
                assert rest.count(MASK) == 1
                assert secret.encode() not in seen(rest)
                # Of the value, what shares a character with a neighbour, and one whose line ends after it.
                letters = len(re.sub(rb"\\[rn]|[^A-Za-z0-9+/_=-]", b"", rest))
                assert letters <= len(encode(b"~" * before)) + len(encode(b"~" * 7)) + 5


@pytest.mark.parametrize("width", [2, 3, 5, 19])
@pytest.mark.parametrize("end", ENDS)
def test_lines_may_be_of_any_width_from_two_on(width: int, end: str) -> None:
    for before in range(3):
        encoded = base64.b64encode(b"~" * before + b"hunter2hunter2").decode()
        for offset in range(width):
            text = encoded[:offset] + end + in_lines(encoded[offset:], width, end)
            rest = masked(Mask(["hunter2hunter2"]), text.encode())
            assert MASK in rest
            assert b"hunter2hunter2" not in seen(rest)


@pytest.mark.parametrize("end", ENDS)
@pytest.mark.parametrize("secret", SECRETS)
def test_a_value_in_lines_is_masked_however_reads_tear_it(secret: str, end: str) -> None:
    mask = Mask([secret, "other secret"])
    for before in (50, 51, 52):
        encoded = in_lines(base64.b64encode(b"~" * before + secret.encode() + b"~" * 7).decode(), 76, end)
        data = f"begin {encoded}{end}{encoded} other secret".encode()
        whole = masked(mask, data)
        assert whole.count(MASK) == 3
        assert masked(mask, *(bytes([byte]) for byte in data)) == whole
        for cut in range(len("begin "), len(f"begin {encoded}{end}") + 8):
            assert masked(mask, data[:cut], data[cut:]) == whole


@pytest.mark.parametrize("encode", [base64.encodebytes, lambda raw: base64.encodebytes(raw).replace(b"\n", b"\r\n")])
def test_what_encoders_write_around_a_value_stays(encode: Callable[[bytes], bytes]) -> None:
    before, after = b"x" * 300, b"y" * 300
    lines = masked(Mask(["correct horse"]), encode(before + b"correct horse" + after)).splitlines()
    assert lines[:5] == encode(before).splitlines()[:5]
    assert lines[-5:] == encode(before + b"correct horse" + after).splitlines()[-5:]


@given(
    st.sampled_from(SECRETS), st.binary(max_size=120), st.binary(max_size=60), st.sampled_from(ENDS),
    st.integers(2, 80), st.lists(st.integers(0, 800), max_size=8), st.text("anr\\\n\"', Mn", max_size=6),
)  # fmt: skip
@example("s3cr3t/Value+9", b"", b"", "\\n", 4, [3, 4, 5], "\\")
def test_no_decoding_yields_a_value_that_was_said_in_lines(
    secret: str, before: bytes, after: bytes, end: str, width: int, cuts: list[int], around: str
) -> None:
    encoded = in_lines(base64.b64encode(before + secret.encode() + after).decode(), width, end)
    data = f"{around}{encoded}{around}".encode()
    mask = Mask([secret])
    whole = masked(mask, data)
    assert MASK in whole
    assert masked(mask, *torn(data, cuts)) == whole
    assert secret.encode() not in seen(whole)


@given(st.text("anr\\\n\"', NGz5", max_size=40), st.lists(st.integers(0, 60), max_size=6))
def test_no_tearing_changes_the_result_where_line_breaks_are_odd(text: str, cuts: list[int]) -> None:
    mask = Mask(["nana", "\U0005f3da", "anan"])
    parts = [base64.b64encode(value.encode()).decode() for value in ("nana", "\U0005f3da", "anan")]
    data = f"{text}{parts[0][:3]}{text}{parts[0][3:]}\\n{text}".encode()
    assert masked(mask, *torn(data, cuts)) == masked(mask, data)


def test_what_waits_is_bounded_whatever_is_said() -> None:
    secret = "0123456789" * 30
    stream = MaskedStream(Mask([secret]))
    encoded = base64.b64encode(secret.encode())
    taken = given = 0
    for end in (b"\n" + b" " * 16, b"\n" * 2, b"\n" + b" " * 5_000, b'",' + b"\n" * 5_000):
        for letter in encoded[:-3]:
            data = bytes([letter]) + end
            taken, given = taken + len(data), given + len(stream.feed(data))
            assert taken - given <= 22 * len(encoded)


@pytest.mark.parametrize("line", [b"first\n", b"line\r\n", b'"quoted"\n', b"{'a': 'b',\n", b"\n"])
def test_a_line_does_not_wait_for_the_next(line: bytes) -> None:
    stream = MaskedStream(Mask(["hunter2", "correct horse battery", "\x06t!\x17st"]))
    assert stream.feed(line) == line


def events_of(emitter: Emitter, lines: list[bytes]) -> bytes:
    emitter.end(Exit(HostState.SUCCEEDED, 0))
    return b"".join(event.data for line in lines if isinstance((event := parse_line(line)).data, bytes))


@pytest.mark.parametrize("padding", [0, MAX_DATA_BYTES - 40])
def test_over_ssh_a_value_in_lines_is_in_no_event(padding: int) -> None:
    lines: list[bytes] = []
    emitter = Emitter("web-1", lines.append, 1 << 20, mask=Mask(SECRETS))
    raw = b"~" * 40 + SECRETS[3].encode() + b"~" * 30 + SECRETS[1].encode()
    data = b"-" * padding + b"\n" + base64.encodebytes(raw)
    for start in range(0, len(data), 77):
        emitter.output(Stream.STDOUT, data[start : start + 77])
        emitter.flush()
    said = events_of(emitter, lines)
    assert said.count(MASK) == 2
    assert not any(secret.encode() in seen(said) for secret in SECRETS)


def test_of_a_playbook_a_value_in_lines_is_in_no_text_and_no_record() -> None:
    lines: list[bytes] = []
    emitter = Emitter("web-1", lines.append, 1 << 20, mask=Mask(SECRETS))
    printed = base64.encodebytes(b"~" * 40 + SECRETS[3].encode() + b"~" * 30).decode().rstrip("\n")
    result = {"stdout": printed, "rc": 1}
    shown = f"fatal: [web-1]: FAILED! => {json.dumps({**result, 'stdout_lines': printed.splitlines()})}"
    data = {"host": "web-1", "task": "t", "task_uuid": "u", "task_action": "command", "res": result}
    for kind in ("runner_on_failed", "runner_on_ok"):
        for said in Story.of(["web-1"]).take({"event": kind, "uuid": kind, "stdout": shown, "event_data": data}):
            emitter.output(Stream.STDOUT, said.text.encode())
            assert said.record is not None
            emitter.record(said.record)
    text = events_of(emitter, lines)
    assert text.count(MASK) == 6, "twice in JSON, once as printed, for each of two tasks"
    everything = b"".join(lines)
    for line in printed.splitlines()[1:-1]:
        assert line.encode() not in everything


def test_a_value_of_several_lines_is_masked_line_by_line() -> None:
    mask = Mask(["first line\r\n  second line  \nend\n"])
    assert masked(mask, b"first line / second line\nend") == b"******** / ********\nend"


@pytest.mark.parametrize("value", ["", "abc", "  abc  ", "a\nb\nc", "****"])
def test_what_is_too_short_is_not_masked(value: str) -> None:
    assert not Mask([value])
    assert masked(Mask([value]), b"abc **** a\nb\nc") == b"abc **** a\nb\nc"


def test_of_several_values_the_leftmost_and_then_the_longest_is_masked() -> None:
    mask = Mask(["pass", "password", "wordy thing"])
    assert masked(mask, b"password") == b"********"
    assert masked(mask, b"passwor") == b"********wor"
    assert masked(mask, b"passwordy thing") == b"********y thing"


@given(st.lists(TEXTS, max_size=3), st.lists(TEXTS, max_size=6), st.lists(st.integers(0, 200), max_size=8))
@example(["aaaa", "aaaaab"], ["aaaaa", "aaaaab"], [3, 5, 8])
@example(["abab", "babb"], ["ababb"], [4])
def test_no_tearing_changes_the_result_and_no_value_is_left(
    values: list[str], parts: list[str], cuts: list[int]
) -> None:
    mask = Mask(values)
    data = "".join(parts + values + parts).encode()
    whole = masked(mask, data)
    assert masked(mask, *torn(data, cuts)) == whole
    assert mask.text(data.decode()).encode() == whole
    for value in values:
        if len(value.strip()) >= 4 and "\n" not in value:
            assert value.encode() not in whole


@given(st.binary(max_size=300), st.lists(st.integers(0, 300), max_size=5))
def test_output_without_a_value_stays_as_it_is(data: bytes, cuts: list[int]) -> None:
    mask = Mask(["correct horse battery", "hunter2hunter2"])
    assert masked(mask, *torn(data, cuts)) == data


@given(st.text("ab", max_size=60), st.integers(0, 60))
def test_only_what_may_become_a_value_waits(text: str, cut: int) -> None:
    value = "abaabb"
    stream = MaskedStream(Mask([value]))
    data = text.encode()
    given = stream.feed(data[:cut]) + stream.feed(data[cut:])
    unmasked = data.rpartition(value.encode())[2]
    longest = max(n for n in range(len(value)) if unmasked.endswith(value[:n].encode()))
    assert len(stream.finish()) == longest
    assert given.replace(MASK, value.encode()) == data[: len(data) - longest]


def test_a_mask_shows_no_value() -> None:
    assert "hunter2" not in repr(Mask(["hunter2"]))


def test_the_secrets_of_credentials_are_what_somebody_may_print() -> None:
    credentials = Credentials("key", "certificate", "passphrase", "password", "become")
    assert secrets_of(credentials) == ("passphrase", "password", "become")
    assert secrets_of(Credentials()) == ()
