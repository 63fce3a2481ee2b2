"""`rollcall-operator`: waits for its Lease, then works until it is told to stop or loses it."""

import asyncio
import json
import logging
import signal
import sys
from datetime import UTC, datetime
from typing import Final

import kopf
import uvloop

from rollcall_operator.application import Application
from rollcall_operator.cluster import Cluster, ClusterError
from rollcall_operator.definitions import wait_for_definitions
from rollcall_operator.framework import kopf_settings
from rollcall_operator.garbage import collect_garbage
from rollcall_operator.handlers import register
from rollcall_operator.health import Health
from rollcall_operator.lease import LEASES, Lease
from rollcall_operator.settings import Settings, parse

logger = logging.getLogger(__name__)

LEASE: Final = "rollcall-operator"
START_RETRY_SECONDS: Final = 2.0
ORPHAN_SECONDS: Final = 5.0


def main() -> int:
    """Run the operator; exit code 0 after SIGTERM, 1 when the Lease was lost."""
    settings = parse()
    _log_as_json(verbose=settings.verbose)
    return uvloop.run(_run(settings))


async def _run(settings: Settings) -> int:
    stop = asyncio.Event()
    _stop_on_signals(stop)
    health = Health()
    server = await health.serve(settings.health_port)
    async with await Cluster.connect(settings.watch_silence_seconds) as cluster:
        lease = Lease(cluster, settings.own_namespace, LEASE, settings.identity, settings.lease_seconds)
        leading = asyncio.create_task(lease.hold(lambda: _lead(cluster, settings, health, stop)))
        stopping = asyncio.create_task(_wait_for(stop))
        await asyncio.wait({leading, stopping}, return_when=asyncio.FIRST_COMPLETED)
        for task in (leading, stopping):
            task.cancel()
        for result in await asyncio.gather(leading, stopping, return_exceptions=True):
            if isinstance(result, Exception):
                logger.error("the operator failed", exc_info=result)
        if stop.is_set():
            await lease.release()
    await server.cleanup()
    return 0 if stop.is_set() else 1


async def _lead(cluster: Cluster, settings: Settings, health: Health, stop: asyncio.Event) -> None:
    """Work as the leader until cancelled. Whatever ends unexpectedly ends all of it: the process starts anew."""
    logger.info("leading as %s", settings.identity)
    application = Application(cluster, settings)
    await _fill(application)
    health.lead(application)
    application.reconciler.restore_locks()
    registry = kopf.OperatorRegistry()
    register(registry, application)
    ready = asyncio.Event()
    parts = [
        application.numbering.run(),
        application.expiry.run(),
        application.inventories.run(),
        application.judge.run(),
        application.reconciler.contacts.run(),
        application.schedules.run(),
        application.watch(),
        health.watch_the_watches(application),
        collect_garbage(lambda: cluster.asked),
        _release_orphans(application),
        _sweep(application),
        _take_signals_back(ready, stop),
        kopf.operator(
            registry=registry,
            settings=kopf_settings(settings.watch_silence_seconds),
            standalone=True,
            clusterwide=not settings.namespaces,
            namespaces=settings.namespaces,
            ready_flag=ready,
        ),
    ]
    tasks = [asyncio.create_task(part) for part in parts]
    try:
        done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        for task in done:
            task.result()
    except Exception:
        logger.exception("a part of the operator failed")
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def _release_orphans(application: Application) -> None:
    while True:
        await asyncio.sleep(ORPHAN_SECONDS)
        await application.reconciler.release_orphans()


async def _sweep(application: Application) -> None:
    """Delete unwanted output, in the name of the Lease: no two installations share one."""
    while True:
        try:
            lease = await application.cluster.get(LEASES, application.settings.own_namespace, LEASE)
            break
        except ClusterError as error:
            logger.warning("cannot read the Lease yet: %s", error)
            await asyncio.sleep(START_RETRY_SECONDS)
    await application.sweep.run(lease["metadata"]["uid"])


def _stop_on_signals(stop: asyncio.Event) -> None:
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)


async def _take_signals_back(ready: asyncio.Event, stop: asyncio.Event) -> None:
    """Handle signals here again: kopf installs handlers of its own, which then wait five seconds for tasks of ours."""
    await ready.wait()
    _stop_on_signals(stop)
    await asyncio.Event().wait()


async def _fill(application: Application) -> None:
    while True:
        try:
            await wait_for_definitions(application.cluster)
            return await application.fill()
        except ClusterError as error:
            logger.warning("cannot read the cluster's state yet: %s", error)
            await asyncio.sleep(START_RETRY_SECONDS)


async def _wait_for(event: asyncio.Event) -> None:
    await event.wait()


class _JsonFormatter(logging.Formatter):
    """One JSON object per line."""

    def format(self, record: logging.LogRecord) -> str:
        document = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
        }
        if record.exc_info:
            document["exception"] = self.formatException(record.exc_info)
        return json.dumps(document, ensure_ascii=False)


def _log_as_json(*, verbose: bool) -> None:
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(_JsonFormatter())
    logging.basicConfig(level=logging.INFO, handlers=[handler])
    logging.getLogger("rollcall_operator").setLevel(logging.DEBUG if verbose else logging.INFO)
    logging.getLogger("kopf").setLevel(logging.WARNING)
    logging.getLogger("kubernetes").setLevel(logging.WARNING)


if __name__ == "__main__":
    sys.exit(main())
