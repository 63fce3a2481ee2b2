"""The name of a chunk tells what it holds, and the address of a store says no secret."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rollcall.outputkeys import Contents, StoreAddress, StoreKind, chunk_key, contents_of, explain
from rollcall.outputs import Span

HOSTS = tuple(f"host-{number}" for number in range(250))


@given(
    st.integers(0, 999_999),
    st.dictionaries(st.sampled_from(HOSTS), st.tuples(st.floats(0, 4e9), st.floats(0, 4e9)), min_size=1, max_size=20),
    st.integers(0, 200_000),
)
def test_a_key_says_what_its_chunk_holds(place: int, said: dict[str, tuple[float, float]], size: int) -> None:
    spans = {host: Span(0, 1, min(times), max(times)) for host, times in said.items()}
    contents = Contents.of(place, spans, size, HOSTS)
    key = chunk_key("fleet", "1b4f", "job-0", contents)
    assert contents_of(key) == contents
    assert [host for index, host in enumerate(HOSTS) if contents.holds(index)] == sorted(spans, key=HOSTS.index)
    assert contents.last_time == pytest.approx(max(span.last_time for span in spans.values()), abs=1e-6)
    assert len(key.rpartition("/")[2]) < 200, "a file's name has at most 255 bytes"


def test_keys_are_in_the_order_of_the_output() -> None:
    keys = [chunk_key("fleet", "1b4f", "job-0", Contents(place, 5, 6, 7, 1)) for place in (0, 9, 10, 100_000)]
    assert keys == sorted(keys)
    assert keys[1] == "fleet/1b4f/job-0/000009-5-6-7-1.jsonl.gz"


@pytest.mark.parametrize("key", ["", "a/b", "a/000001-5-6-7-1", "a/x-5-6-7-1.jsonl.gz", "a/000001-5-6-1.jsonl.gz"])
def test_what_is_no_chunk_is_left_alone(key: str) -> None:
    assert contents_of(key) is None


@pytest.mark.parametrize(
    ("text", "kind", "url", "options"),
    [
        ("cluster", StoreKind.CLUSTER, "", {}),
        ("file:///var/lib/rollcall", StoreKind.FILE, "file:///var/lib/rollcall", {}),
        ("s3://bucket/a/b/", StoreKind.OBJECT, "s3://bucket/a/b", {}),
        ("gs://bucket", StoreKind.OBJECT, "gs://bucket", {}),
        (
            "s3://bucket/a?endpoint=http://minio:9000&region=eu-1",
            StoreKind.OBJECT,
            "s3://bucket/a",
            {"endpoint": "http://minio:9000", "region": "eu-1"},
        ),
    ],
)
def test_a_store_has_an_address(text: str, kind: StoreKind, url: str, options: dict[str, str]) -> None:
    found = StoreAddress.parse(text)
    assert (found.kind, found.url, dict(found.options)) == (kind, url, options)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "an output store is"),
        ("file://folder", "an output store is"),
        ("/folder", "an output store is"),
        ("ftp://host/folder", "an output store is"),
        ("s3://", "an output store is"),
        ("s3://bucket?colour=red", "has no option 'colour'"),
        ("s3://user:canary@bucket", "credentials come from the environment"),
        ("s3://bucket?secret_access_key=canary", "credentials come from the environment"),
        ("az://container?sas_token=canary", "credentials come from the environment"),
    ],
)
def test_a_wrong_address_is_said_without_what_may_be_secret(text: str, said: str) -> None:
    with pytest.raises(ValueError, match=said) as caught:
        StoreAddress.parse(text)
    assert "canary" not in str(caught.value)


def test_an_error_comes_down_to_words_without_addresses() -> None:
    class PermissionDeniedError(Exception):
        pass

    text = (
        "Error performing PUT https://account.example/c?sig=canary in 3ms - Server returned non-2xx status code: 403"
        " Forbidden: <Error><Code>SignatureDoesNotMatch</Code><StringToSign>canary</StringToSign></Error>"
    )
    assert explain(PermissionDeniedError(text)) == "PermissionDenied, 403, SignatureDoesNotMatch"
    assert explain(OSError("x: Permission denied (os error 13)\n\nDebug")) == "OS, Permission denied"
