"""The facade with a cache that is fed directly: as many invocations as nobody would wait for an API server to store.

Everything else is real: the server, the login, and the rights that the cluster is asked for.
"""

import asyncio
import gc
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import orjson
import uvicorn
import uvloop

from rollcall_api.app import Facade, Settings
from rollcall_api.whole import WholeAnswers
from support.load import Server
from support.usage import resident_mib

_FOLDER: Final = Path(__file__).parent.parent
CREATED: Final = "2024-05-04T10:00:00Z"
ENDED: Final = "2024-05-04T10:02:30Z"


@contextmanager
def fed_facade(kubeconfig: Path, namespace: str, port: int, invocations: int) -> Iterator[tuple[Server, float]]:
    """The server, and what an invocation takes in memory, in bytes."""
    process = subprocess.Popen(
        [sys.executable, "-m", "support.fed_facade", namespace, str(port), str(invocations)],
        cwd=_FOLDER,
        env={**os.environ, "KUBECONFIG": str(kubeconfig)},
        stdout=subprocess.PIPE,
    )
    try:
        assert process.stdout is not None
        grown = float(process.stdout.readline())
        yield Server(port, process.pid), grown * 1024 * 1024 / invocations
    finally:
        process.terminate()
        process.wait()
        if process.stdout:
            process.stdout.close()


async def _serve(namespace: str, port: int, invocations: int) -> None:
    facade = Facade(Settings(namespace=namespace, ids_namespace=namespace))
    config = uvicorn.Config(
        WholeAnswers(facade), host="127.0.0.1", port=port, loop="uvloop", http="httptools", ws="none", lifespan="on",
        log_config=None, access_log=False, server_header=False,
    )  # fmt: skip
    server = uvicorn.Server(config)
    serving = asyncio.create_task(server.serve())
    while not (server.started and facade.cache.synced):  # noqa: ASYNC110 - neither tells when
        await asyncio.sleep(0.05)
    gc.collect()
    before = resident_mib(os.getpid())
    for id_ in range(1, invocations + 1):
        facade.cache.jobs.put(orjson.loads(orjson.dumps(finished(id_))))  # with nothing in it that others share
    gc.collect()
    print(resident_mib(os.getpid()) - before, flush=True)
    await serving


def finished(id_: int) -> dict[str, Any]:
    """An invocation that has ended, as the API server tells of it."""
    conditions = [
        {"type": type_, "status": "True", "reason": type_, "message": "", "lastTransitionTime": ENDED}
        for type_ in ("Valid", "Resolved", "Complete")
    ]
    counts = {"total": 3, "pending": 0, "running": 0, "succeeded": 3, "failed": 0, "cancelled": 0}
    return {
        "metadata": {
            "name": f"job-{id_}",
            "uid": f"{id_:08x}-0000-4000-8000-{id_ * 7919:012x}",
            "resourceVersion": str(id_),
            "creationTimestamp": CREATED,
            "labels": {"rollcall.dev/id": str(id_), "rollcall.dev/template": "run-command"},
            "annotations": {"foreman.rollcall.dev/search-query": f"name ~ web{id_}"},
        },
        "spec": {
            "templateRef": {"name": "run-command"},
            "inputs": {"command": f"uptime {id_}"},
            "targeting": {"hosts": ["web1", "web2", "web3"]},
            "requestedBy": {"username": f"user-{id_ % 50}"},
        },
        "status": {
            "conditions": conditions,
            "description": f"Run uptime {id_}",
            "template": {"name": "run-command", "uid": "t", "generation": 1},
            "hosts": counts,
            "slices": 1,
            "observedGeneration": 1,
            "startTime": CREATED,
            "completionTime": ENDED,
        },
    }


if __name__ == "__main__":
    uvloop.run(_serve(sys.argv[1], int(sys.argv[2]), int(sys.argv[3])))
