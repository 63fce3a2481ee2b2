"""Output beyond the kubelet's rotation of pod logs at 10 MiB."""

from e2e.release import OUTPUT_LIMIT_BYTES
from rollcall.outputs import Stream
from support.jobs import end_of, events, invocation, output, results
from support.kube import Kube, condition

SENT_BYTES = 30 * 1024 * 1024


def test_thirty_mebibytes_are_followed_to_their_end(kube: Kube, namespace: str) -> None:
    command = f"yes 0123456789abcdefghijklmnopqrstuvwxyz | head -c {SENT_BYTES}; exit 3"
    kube.create(invocation(namespace, "loud", command, ["db1"]))
    ended = end_of(kube, namespace, "loud", 300)
    assert (condition(ended, "Failed") or {})["status"] == "True"
    result = results(kube, namespace, "loud")["db1"]
    assert result["exitCode"] == 3

    said = events(kube, namespace, "loud")["db1"]
    kept = output(said)
    cut = sum(event.data for event in said if event.stream is Stream.CUT and isinstance(event.data, int))
    assert len(kept) + cut == SENT_BYTES
    assert OUTPUT_LIMIT_BYTES * 0.9 < len(kept) <= OUTPUT_LIMIT_BYTES
    assert (result["output"]["bytes"], result["output"]["cutBytes"]) == (len(kept), cut)
    assert [event.seq for event in said] == list(range(len(said)))
    assert said[-1].stream is Stream.EXIT
