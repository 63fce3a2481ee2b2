"""The chart gives the operator and the facade the same output stores, and no more than they need."""

import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

CHART = Path(__file__).parent.parent.parent / "charts" / "rollcall"
BUCKET = "s3://bucket/rollcall?endpoint=http://minio:9000&region=eu"


def template(*settings: str) -> dict[str, Any]:
    """The pod specs of the operator and of the facade."""
    command = ["helm", "template", "r", str(CHART), "--kube-version", "1.34.0"]
    for setting in settings:
        command += ["--set", setting]
    made = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    deployments = [d for d in yaml.safe_load_all(made) if d and d["kind"] == "Deployment"]
    specs = {d["metadata"]["labels"]["app.kubernetes.io/component"]: d["spec"]["template"]["spec"] for d in deployments}
    assert set(specs) == {"operator", "api"}
    return specs


def output_arguments(spec: dict[str, Any]) -> list[str]:
    return [argument for argument in spec["containers"][0]["args"] if "output" in argument and "limit" not in argument]


def test_output_stays_in_the_cluster_by_default() -> None:
    specs = template()
    assert output_arguments(specs["operator"]) == ["--output-store=cluster", "--output-retention-seconds=0"]
    assert output_arguments(specs["api"]) == []
    for spec in specs.values():
        assert "volumes" not in spec
        assert "envFrom" not in spec["containers"][0]


def test_a_volume_is_mounted_by_both_and_written_by_one() -> None:
    specs = template("output.store=file", "output.file.persistentVolumeClaim=vol", "output.retentionSeconds=60")
    address = "file:///var/lib/rollcall/output"
    assert output_arguments(specs["operator"]) == [f"--output-store={address}", "--output-retention-seconds=60"]
    assert output_arguments(specs["api"]) == [f"--output-store={address}"]
    for component, read_only in (("operator", None), ("api", True)):
        spec = specs[component]
        assert [volume["persistentVolumeClaim"]["claimName"] for volume in spec["volumes"]] == ["vol"]
        (mount,) = spec["containers"][0]["volumeMounts"]
        assert (mount["mountPath"], mount.get("readOnly")) == ("/var/lib/rollcall/output", read_only)


def test_a_bucket_is_reached_with_keys_from_secrets_and_the_old_volume_is_still_read() -> None:
    specs = template(
        "output.store=object", f"output.object.url={BUCKET}", "output.object.secretName=keys",
        "output.object.readerSecretName=reader", "output.file.persistentVolumeClaim=vol", "output.keepOfDeleted=true",
    )  # fmt: skip
    assert output_arguments(specs["operator"]) == [
        f"--output-store={BUCKET}", "--output-also-in=file:///var/lib/rollcall/output",
        "--output-retention-seconds=0", "--keep-output-of-deleted",
    ]  # fmt: skip
    assert sorted(output_arguments(specs["api"])) == [
        "--output-store=file:///var/lib/rollcall/output", f"--output-store={BUCKET}"
    ]  # fmt: skip
    secrets = {name: spec["containers"][0]["envFrom"] for name, spec in specs.items()}
    assert secrets == {
        "operator": [{"secretRef": {"name": "keys"}}],
        "api": [{"secretRef": {"name": "reader"}}],
    }


@pytest.mark.parametrize(
    ("setting", "said"),
    [
        ("output.store=file", "output.store file needs output.file.persistentVolumeClaim"),
        ("output.store=object", "output.store object needs output.object.url"),
        ("output.object.url=s3://key:secret@bucket", "does not match pattern"),
        ("output.object.url=/folder", "does not match pattern"),
    ],
)
def test_a_store_that_lacks_something_is_refused(setting: str, said: str) -> None:
    with pytest.raises(subprocess.CalledProcessError) as caught:
        template(setting)
    assert said in caught.value.stderr
