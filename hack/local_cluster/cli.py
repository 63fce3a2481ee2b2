"""The command line of hack/cluster."""

import argparse
import fcntl
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType

from . import bare, current, environment, go_programs, images, kind
from .docker import Docker
from .layout import Layout, here
from .shell import ClusterError, say

DESCRIPTION = """\
Gives this checkout a real Kubernetes cluster on this machine.

  hack/cluster up && source .cluster/env && kubectl get nodes

Which kind of cluster, the variable CLUSTER says:
  auto     (the default) kind where a Docker engine answers, else bare
  kind     `kind create cluster`, in Docker
  bare     Kubernetes' own programs in namespaces of their own; needs Debian or a relative of it, and root
  current  the cluster of the current context of KUBECONFIG, whatever it is; never chosen by itself

Everything but cached programs and base images (in $XDG_CACHE_HOME/rollcall) is in `.cluster/` of the checkout. Each
checkout has a cluster of its own, and several can be up at a time. Apart from CLUSTER=current, only clusters that this
tool made are used.

In a bare cluster there is no DNS, no storage class, no load balancer, and network policies are stored but not enforced.
No pod can reach beyond the machine. The machine reaches the node ($ROLLCALL_NODE_ADDRESS), pods and services by
address; pods reach servers that listen on the machine at $ROLLCALL_HOST_ADDRESS.
"""

BACKENDS: dict[str, ModuleType] = {"bare": bare, "kind": kind, "current": current}


def main(arguments: list[str]) -> int:
    """Runs one subcommand; returns the exit code of the process."""
    options = parser().parse_args(arguments)
    layout = here()
    try:
        code: int = options.action(layout, options)
        return code
    except ClusterError as reason:
        say(f"hack/cluster: {reason}")
        return 1
    except KeyboardInterrupt:
        return 130


def parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        "hack/cluster", description=DESCRIPTION, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    command = commands.add_parser("up", help="start the cluster; at once if it is up already")
    command.set_defaults(action=up)

    command = commands.add_parser(
        "down", help="stop the cluster and remove all it has made, but for its log and the cache"
    )
    command.set_defaults(action=down)

    command = commands.add_parser("status", help="tell how the cluster is; exit code 1 if it is not up and healthy")
    command.set_defaults(action=status)

    command = commands.add_parser("build", help="build an image from a Dockerfile, with Docker or else with buildah")
    command.add_argument(
        "-t",
        "--tag",
        required=True,
        metavar="NAME:TAG",
        help="the image's name; a tag other than `latest` is never pulled",
    )
    command.add_argument("-f", "--file", type=Path, metavar="DOCKERFILE", help="by default, Dockerfile in the context")
    command.add_argument("--target", metavar="STAGE", help="the stage to stop at")
    command.add_argument("--build-arg", action="append", default=[], metavar="KEY=VALUE")
    command.add_argument("--load", action="store_true", help="then load it into the cluster")
    command.add_argument("context", type=Path, metavar="CONTEXT", help="the folder that COPY copies from")
    command.set_defaults(action=build)

    command = commands.add_parser("load", help="bring images into the cluster")
    command.add_argument(
        "images", nargs="+", metavar="IMAGE", help="a docker-archive file, or the name of an image that was built"
    )
    command.set_defaults(action=load)

    command = commands.add_parser("s3-server", help="build the S3 server that tests use, and print where it is")
    command.set_defaults(action=s3_server)

    command = commands.add_parser("env", help="print .cluster/env, or add variables to it")
    command.add_argument(
        "assignments",
        nargs="*",
        metavar="KEY=VALUE",
        help="variables to set in the file (`env set KEY=VALUE` works too)",
    )
    command.set_defaults(action=show_or_set_environment)
    return parser


def up(layout: Layout, _: argparse.Namespace) -> int:
    mode = wanted_mode(layout)
    made = made_mode(layout)
    if made not in (None, mode):
        raise ClusterError(f"a cluster of the kind {made} is up in this checkout: stop it first with hack/cluster down")
    with only_one(layout):
        BACKENDS[mode].up(layout)
    return 0


def down(layout: Layout, _: argparse.Namespace) -> int:
    with only_one(layout):
        BACKENDS[made_mode(layout) or wanted_mode(layout)].down(layout)
    return 0


def status(layout: Layout, _: argparse.Namespace) -> int:
    mode = made_mode(layout) or wanted_mode(layout)
    trouble = BACKENDS[mode].describe(layout)
    print(f"{layout.name} ({mode}): {trouble or 'up'}")
    if trouble is None:
        for name, value in environment.values(layout).items():
            print(f"  {name}={value}")
    return 0 if trouble is None else 1


def build(layout: Layout, options: argparse.Namespace) -> int:
    file = options.file or options.context / "Dockerfile"
    settings = [f"--build-arg={argument}" for argument in options.build_arg]
    settings += [f"--target={options.target}"] if options.target else []
    images.store(layout).build(options.tag, options.context, file, settings)
    if options.load:
        images.load(layout, options.tag)
    return 0


def load(layout: Layout, options: argparse.Namespace) -> int:
    for image in options.images:
        images.load(layout, image)
    return 0


def s3_server(layout: Layout, _: argparse.Namespace) -> int:
    print(go_programs.require(layout, go_programs.OBJECTS) / "versitygw")
    return 0


def show_or_set_environment(layout: Layout, options: argparse.Namespace) -> int:
    assignments = options.assignments[1:] if options.assignments[:1] == ["set"] else options.assignments
    for assignment in assignments:
        environment.set_value(layout, assignment)
    if not assignments:
        if not layout.environment.exists():
            raise ClusterError("no cluster: run hack/cluster up first")
        print(layout.environment.read_text(), end="")
    return 0


def wanted_mode(layout: Layout) -> str:
    """Returns the backend that CLUSTER asks for; raises ClusterError if this machine cannot have it."""
    mode = os.environ.get("CLUSTER", "auto")
    if mode == "auto":
        mode = made_mode(layout) or ("kind" if Docker().answers() else "bare")
    if mode not in BACKENDS:
        raise ClusterError(f"CLUSTER={mode}: not one of auto, {', '.join(BACKENDS)}")
    if mode == "bare" and not (sys.platform == "linux" and os.geteuid() == 0):
        raise ClusterError("no Docker engine answers, and a cluster without one needs Linux and root")
    return mode


def made_mode(layout: Layout) -> str | None:
    """Returns the backend of the cluster that this checkout has, or None if it has none."""
    return environment.values(layout).get("ROLLCALL_CLUSTER") if layout.environment.exists() else None


@contextmanager
def only_one(layout: Layout) -> Iterator[None]:
    """Lets runs of `up` and `down` in one checkout wait for each other."""
    layout.state.mkdir(exist_ok=True)
    folder = os.open(layout.state, os.O_RDONLY)
    try:
        fcntl.flock(folder, fcntl.LOCK_EX)
        yield
    finally:
        os.close(folder)
