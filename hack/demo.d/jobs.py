"""Jobs started by `kubectl apply`: their progress, their results, and what their hosts said."""

import base64
import gzip
import json
import time
from collections.abc import Iterator

from commands import Object, get, items, kubectl
from names import JOBS, RELEASE, SYSTEM
from terminal import Progress, Trouble

EXAMPLES = (
    "examples/02-run-command.yaml",
    "examples/03-uptime.yaml",
    "examples/04-disk-usage.yaml",
    "examples/05-disk-usage-web.yaml",
)
INVOCATIONS = ("uptime", "disk-usage-web")
PATIENCE_SECONDS = 180


def start() -> str:
    """Apply the examples; returns what kubectl says. An invocation runs once, so earlier ones are removed first."""
    kubectl("delete", "jobinvocations", "-n", JOBS, *INVOCATIONS, "--ignore-not-found", "--timeout=120s")
    return kubectl("apply", "-n", JOBS, *(f"-f={path}" for path in EXAMPLES))


def wait() -> None:
    """Wait for the end of the invocations and show how far they are."""
    progress = Progress()
    deadline = time.monotonic() + PATIENCE_SECONDS
    while True:
        found = [get("jobinvocation", JOBS, name) or {} for name in INVOCATIONS]
        progress.show(",  ".join(_progress(invocation) for invocation in found))
        if all(finished(invocation) for invocation in found):
            progress.end()
            return
        if time.monotonic() > deadline:
            progress.end()
            raise Trouble(_late(next(entry for entry in found if not finished(entry))))
        time.sleep(0.5)


def finished(invocation: Object) -> bool:
    conditions = invocation.get("status", {}).get("conditions", [])
    return any(entry["type"] in ("Complete", "Failed") and entry["status"] == "True" for entry in conditions)


def results() -> list[list[str]]:
    """A table of the hosts of all invocations."""
    rows = [["JOB", "HOST", "STATE", "EXIT", "LAST LINE"]]
    for name in INVOCATIONS:
        for slice_ in items("jobslices", JOBS, f"rollcall.dev/invocation={name}"):
            for host in slice_["status"]["hosts"]:
                last = host.get("message") or (host.get("output", {}).get("tail", "").splitlines() or [""])[-1]
                rows.append([name, host["name"], host["state"], str(host.get("exitCode", "-")), last.strip()])
    return rows


def output(invocation: str, host: str) -> str:
    """All that a host said in an invocation, from the stored events (core/rollcall/outputs.py has their format)."""
    return "".join(event["data"] for event in _events(invocation) if _is_said(event, host))


def _is_said(event: Object, host: str) -> bool:
    return event["host"] == host and event["stream"] in ("stdout", "stderr") and "b64" not in event


def _events(invocation: str) -> Iterator[Object]:
    """Those of little output are in the slices, the others in JobOutputs."""
    mine = f"rollcall.dev/invocation={invocation}"
    chunks = items("joboutputs", JOBS, mine)
    chunks.sort(key=lambda chunk: (chunk["spec"]["sliceRef"]["name"], chunk["spec"]["sequence"]))
    inside = [slice_["status"].get("output") for slice_ in items("jobslices", JOBS, mine)]
    for packed in [*filter(None, inside), *(chunk["data"] for chunk in chunks)]:
        for line in gzip.decompress(base64.b64decode(packed)).splitlines():
            yield json.loads(line)


def _late(invocation: Object) -> str:
    """Where to look for the reason that an invocation has not ended."""
    name = invocation["metadata"]["name"]
    where = f"kubectl -n {JOBS} describe jobinvocation {name}"
    if "status" not in invocation:
        where = f"kubectl -n {SYSTEM} logs deployment/{RELEASE}-operator"
    return f"{name} has not finished after {PATIENCE_SECONDS} s; see why with `{where}`"


def _progress(invocation: Object) -> str:
    hosts = invocation.get("status", {}).get("hosts") or {}
    if not hosts:
        return f"{invocation['metadata']['name']}: waiting for the operator"
    done = hosts["total"] - hosts["pending"] - hosts["running"]
    return f"{invocation['metadata']['name']}: {done}/{hosts['total']} hosts done"
