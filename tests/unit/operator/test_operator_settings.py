"""The operator's command line, and what the environment says where it is silent."""

from datetime import timedelta

import pytest

from rollcall_operator.settings import parse

IMAGE = ["--runner-image", "rollcall:1"]


@pytest.fixture(autouse=True)
def _bare_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("POD_NAMESPACE", "POD_NAME", "ROLLCALL_RUNNER_IMAGE"):
        monkeypatch.delenv(name, raising=False)


def test_an_image_is_enough() -> None:
    found = parse(IMAGE)
    assert (found.namespaces, found.own_namespace, found.verbose) == ((), "default", False)
    assert found.identity
    assert (found.runner.image, found.runner.grace_period_seconds) == ("rollcall:1", 25)
    assert found.runner.output_limit_bytes == 16 << 20
    assert found.output_limit_bytes_per_invocation == 512 << 20
    assert (found.timing.reference_grace, found.timing.pickup) == (timedelta(seconds=30), timedelta(seconds=600))


def test_the_environment_speaks_where_the_command_line_is_silent(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("POD_NAMESPACE", "rollcall-system")
    monkeypatch.setenv("POD_NAME", "operator-0")
    monkeypatch.setenv("ROLLCALL_RUNNER_IMAGE", "from-the-environment")
    found = parse([])
    assert (found.own_namespace, found.identity) == ("rollcall-system", "operator-0")
    assert found.runner.image == "from-the-environment"
    assert parse(IMAGE).runner.image == "rollcall:1"


def test_namespaces_and_times_can_be_given() -> None:
    found = parse(
        [*IMAGE, "--namespace", "a", "--namespace", "b", "--pickup-seconds", "5", "--reference-grace-seconds", "1",
         "--lease-seconds", "3", "--watch-silence-seconds", "4", "--health-port", "0", "--output-limit-bytes", "10",
         "--runner-memory-limit", "1Gi"]
    )  # fmt: skip
    assert found.namespaces == ("a", "b")
    assert (found.timing.pickup, found.timing.reference_grace) == (timedelta(seconds=5), timedelta(seconds=1))
    assert (found.lease_seconds, found.health_port, found.runner.output_limit_bytes) == (3, 0, 10)
    assert found.watch_silence_seconds == 4
    assert found.runner.memory_limit == "1Gi"


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ([], "--runner-image (or $ROLLCALL_RUNNER_IMAGE) must name the image of runner pods"),
        ([*IMAGE, "--pickup-seconds", "0"], "argument --pickup-seconds: must be at least 1"),
        ([*IMAGE, "--output-limit-bytes", "-5"], "argument --output-limit-bytes: must be at least 1"),
        ([*IMAGE, "--lease-seconds", "soon"], "argument --lease-seconds: invalid _positive value: 'soon'"),
        ([*IMAGE, "--pods-per-slice", "26"], "argument --pods-per-slice: must be at most 25"),
        ([*IMAGE, "--pods-per-slice", "0"], "argument --pods-per-slice: must be at least 1"),
        ([*IMAGE, "--odd"], "unrecognized arguments: --odd"),
        ([*IMAGE, "--output-store", "nfs"], "argument --output-store: an output store is `cluster`, "),
        (
            [*IMAGE, "--output-store", "s3://b?access_key_id=canary"],
            "argument --output-store: credentials come from the environment, not from a store's address",
        ),
    ],
)
def test_a_wrong_argument_is_said_in_a_sentence(
    arguments: list[str], sentence: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as stopped:
        parse(arguments)
    assert stopped.value.code == 2
    assert sentence in capsys.readouterr().err


def test_output_stays_in_the_cluster_as_long_as_its_invocation() -> None:
    found = parse(IMAGE).output
    assert [str(store) for store in found.stores] == ["cluster"]
    assert (found.retention, found.keep_of_deleted, found.sweep_seconds) == (None, False, 600)


def test_output_goes_to_one_store_and_is_looked_for_in_all() -> None:
    found = parse(
        [*IMAGE, "--output-store", "s3://bucket/rollcall", "--output-also-in", "file:///srv/output",
         "--output-retention-seconds", "3600", "--keep-output-of-deleted"]
    ).output  # fmt: skip
    assert [str(store) for store in found.stores] == ["s3://bucket/rollcall", "file:///srv/output", "cluster"]
    assert (found.retention, found.keep_of_deleted) == (timedelta(hours=1), True)
