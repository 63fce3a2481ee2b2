"""The operator's settings, from its command line and environment."""

import argparse
import os
import socket
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta

from rollcall.outputkeys import StoreAddress, StoreKind
from rollcall.plan.observed import Timing
from rollcall.plan.rollout import APART, PODS_PER_SLICE
from rollcall.resources.jobslice import MAX_PODS_PER_SLICE


@dataclass(frozen=True, slots=True)
class RunnerSettings:
    """The shape of runner pods, which is the administrator's choice."""

    image: str
    image_pull_policy: str
    memory_request: str
    memory_limit: str
    cpu_request: str
    output_limit_bytes: int
    ansible_image: str = ""
    """The image of those that run playbooks; `image` when empty."""
    ansible_memory_request: str = "128Mi"
    ansible_memory_limit: str = "1Gi"
    grace_period_seconds: int = 25
    """How long a runner that is told to stop may take beside the grace period of its scripts."""


@dataclass(frozen=True, slots=True)
class OutputSettings:
    """Where output is kept, and for how long."""

    stores: tuple[StoreAddress, ...] = (StoreAddress(StoreKind.CLUSTER),)
    """New output goes to the first; earlier output is looked for in all."""
    retention: timedelta | None = None
    """How long it is kept after its invocation has finished; None: as long as the invocation."""
    keep_of_deleted: bool = False
    sweep_seconds: int = 600


@dataclass(frozen=True, slots=True)
class Settings:
    """Everything that the operator is told from outside."""

    own_namespace: str
    identity: str
    namespaces: tuple[str, ...]
    runner: RunnerSettings
    timing: Timing
    output_limit_bytes_per_invocation: int
    lease_seconds: int
    watch_silence_seconds: int
    concurrent_reconciles: int
    pods_per_slice: int
    health_port: int
    verbose: bool
    output: OutputSettings = OutputSettings()


def parse(arguments: Sequence[str] | None = None) -> Settings:
    """The settings from the command line; what is not given there comes from the environment."""
    parser = argparse.ArgumentParser(
        prog="rollcall-operator", description="Runs JobInvocations: deals their hosts to runner pods, collects results."
    )
    add = parser.add_argument
    add(
        "--namespace",
        action="append",
        default=[],
        metavar="NAME",
        help="serve this namespace only; may be repeated (default: all)",
    )
    add(
        "--own-namespace",
        default=os.environ.get("POD_NAMESPACE", "default"),
        help="where the Lease and the id sequences are (default: $POD_NAMESPACE)",
    )
    add(
        "--identity",
        default=os.environ.get("POD_NAME") or socket.gethostname(),
        help="the name in the Lease; the same after a restart of the same pod (default: $POD_NAME)",
    )
    add("--runner-image", default=os.environ.get("ROLLCALL_RUNNER_IMAGE", ""), help="the image of runner pods")
    add(
        "--ansible-image",
        default=os.environ.get("ROLLCALL_ANSIBLE_IMAGE", ""),
        help="the image of runner pods for playbooks (default: $ROLLCALL_ANSIBLE_IMAGE, else that of all runner pods)",
    )
    add("--ansible-memory-request", default="128Mi")
    add("--ansible-memory-limit", default="1Gi")
    add("--runner-image-pull-policy", default="IfNotPresent")
    add("--runner-memory-request", default="64Mi")
    add("--runner-memory-limit", default="256Mi")
    add("--runner-cpu-request", default="10m")
    add(
        "--output-limit-bytes",
        type=_positive,
        default=16 * 1024 * 1024,
        metavar="N",
        help="how much of one host's output is kept (default: 16 MiB)",
    )
    add(
        "--output-limit-bytes-per-invocation",
        type=_positive,
        default=512 * 1024 * 1024,
        metavar="N",
        help="how much output of one invocation is kept (default: 512 MiB)",
    )
    _add_output_arguments(parser)
    add(
        "--reference-grace-seconds",
        type=_positive,
        default=30,
        metavar="N",
        help="how long a missing template, Host or Secret may turn up (default: 30)",
    )
    add(
        "--pickup-seconds",
        type=_positive,
        default=600,
        metavar="N",
        help="how long a runner pod may wait for a node or its image (default: 600)",
    )
    add(
        "--lease-seconds",
        type=_positive,
        default=15,
        metavar="N",
        help="how long a dead operator keeps the Lease (default: 15)",
    )
    add(
        "--watch-silence-seconds",
        type=_positive,
        default=90,
        metavar="N",
        help="how long a watch may say nothing before it is taken for lost on the way and begun anew; the API server"
        " says something every minute (default: 90)",
    )
    add(
        "--concurrent-reconciles",
        type=_positive,
        default=1,
        metavar="N",
        help="how many invocations are reconciled at the same time; the others wait for their turn, for a second at"
        " most (default: 1)",
    )
    add(
        "--pods-per-slice",
        type=_few,
        default=PODS_PER_SLICE,
        metavar="N",
        help=f"how many hosts with a pod each share a JobSlice, when there are more than {APART}; 1 gives each its own"
        f" (default: {PODS_PER_SLICE}, at most {MAX_PODS_PER_SLICE})",
    )
    add("--health-port", type=int, default=8080, help="serves /healthz, /readyz and /metrics (default: 8080)")
    add("--verbose", action="store_true", help="log every decision")
    given = parser.parse_args(arguments)
    if not given.runner_image:
        parser.error("--runner-image (or $ROLLCALL_RUNNER_IMAGE) must name the image of runner pods")
    return Settings(
        own_namespace=given.own_namespace,
        identity=given.identity,
        namespaces=tuple(given.namespace),
        runner=RunnerSettings(
            image=given.runner_image,
            image_pull_policy=given.runner_image_pull_policy,
            memory_request=given.runner_memory_request,
            memory_limit=given.runner_memory_limit,
            cpu_request=given.runner_cpu_request,
            output_limit_bytes=given.output_limit_bytes,
            ansible_image=given.ansible_image,
            ansible_memory_request=given.ansible_memory_request,
            ansible_memory_limit=given.ansible_memory_limit,
        ),
        timing=Timing(
            reference_grace=timedelta(seconds=given.reference_grace_seconds),
            pickup=timedelta(seconds=given.pickup_seconds),
        ),
        output_limit_bytes_per_invocation=given.output_limit_bytes_per_invocation,
        lease_seconds=given.lease_seconds,
        watch_silence_seconds=given.watch_silence_seconds,
        concurrent_reconciles=given.concurrent_reconciles,
        pods_per_slice=given.pods_per_slice,
        health_port=given.health_port,
        verbose=given.verbose,
        output=_output_settings(given),
    )  # fmt: skip


def _add_output_arguments(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add(
        "--output-store",
        type=_store,
        default=StoreAddress(StoreKind.CLUSTER),
        metavar="STORE",
        help="where output is kept: cluster (default), file:///folder, or s3://bucket/prefix, gs://..., az://...,"
        " also with ?endpoint=...&region=...; credentials come from the environment, as AWS_ACCESS_KEY_ID",
    )
    add(
        "--output-also-in",
        type=_store,
        action="append",
        default=[],
        metavar="STORE",
        help="where earlier output may be; may be repeated, the cluster is always looked into",
    )
    add(
        "--output-retention-seconds",
        type=int,
        default=0,
        metavar="N",
        help="how long output is kept after its invocation has finished (default: 0, as long as the invocation)",
    )
    add(
        "--keep-output-of-deleted",
        action="store_true",
        help="do not delete the files or objects of invocations that are deleted",
    )
    add(
        "--output-sweep-seconds",
        type=_positive,
        default=600,
        metavar="N",
        help="how often output that is no longer wanted is looked for (default: 600)",
    )


def _output_settings(given: argparse.Namespace) -> OutputSettings:
    stores = (given.output_store, *given.output_also_in, StoreAddress(StoreKind.CLUSTER))
    seconds = given.output_retention_seconds
    return OutputSettings(
        stores=tuple(dict.fromkeys(stores)),
        retention=timedelta(seconds=seconds) if seconds > 0 else None,
        keep_of_deleted=given.keep_output_of_deleted,
        sweep_seconds=given.output_sweep_seconds,
    )


def _store(text: str) -> StoreAddress:
    try:
        return StoreAddress.parse(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from error


def _few(text: str) -> int:
    value = _positive(text)
    if value > MAX_PODS_PER_SLICE:
        raise argparse.ArgumentTypeError(f"must be at most {MAX_PODS_PER_SLICE}")
    return value


def _positive(text: str) -> int:
    value = int(text)
    if value < 1:
        raise argparse.ArgumentTypeError("must be at least 1")
    return value
