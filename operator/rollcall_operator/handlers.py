"""What kopf calls: events of what changes rarely, and for every unfinished invocation the daemon that reconciles it."""

from functools import partial
from typing import Any

import kopf

from rollcall.names import GROUP, VERSION, Kind
from rollcall.resources.jobinvocation import FINAL_CONDITIONS
from rollcall_operator.application import Application
from rollcall_operator.invocations import exiting

RETRY_SECONDS = 5.0
"""When a daemon that failed for a reason nobody foresaw begins again; kopf logs what it was."""
FINISHED = frozenset(type_.value for type_ in FINAL_CONDITIONS)


def unfinished(body: kopf.Body, **_: Any) -> bool:
    """Whether an invocation still has something to be done."""
    conditions = body.get("status", {}).get("conditions") or ()
    return not any(c.get("type") in FINISHED and c.get("status") == "True" for c in conditions)


def register(registry: kopf.OperatorRegistry, application: Application) -> None:
    """Add the handlers of the application to a registry."""

    @kopf.on.login(registry=registry)
    async def login(**_: Any) -> kopf.ConnectionInfo:
        return await application.cluster.login()

    @kopf.on.event(GROUP, VERSION, Kind.HOST.plural, registry=registry)
    async def host_event(event: kopf.RawEvent, **_: Any) -> None:
        await application.host_event(event)

    @kopf.on.event(GROUP, VERSION, Kind.INVENTORY.plural, registry=registry)
    async def inventory_event(event: kopf.RawEvent, **_: Any) -> None:
        application.inventory_event(event)

    @kopf.on.event(GROUP, VERSION, Kind.JOB_TEMPLATE.plural, registry=registry)
    async def template_event(event: kopf.RawEvent, **_: Any) -> None:
        application.template_event(event)

    @kopf.on.event(GROUP, VERSION, Kind.JOB_INVOCATION.plural, registry=registry)
    async def invocation_event(event: kopf.RawEvent, **_: Any) -> None:
        application.invocation_event(event)

    @kopf.daemon(GROUP, VERSION, Kind.JOB_INVOCATION.plural, when=unfinished, backoff=RETRY_SECONDS, registry=registry)
    async def invocation_daemon(
        namespace: str | None, name: str, uid: str | None, stopped: kopf.DaemonStopped, **_: Any
    ) -> None:
        await application.reconciler.run((namespace or "", name), uid or "", stopped)
        await application.schedules.until_told((namespace or "", name), partial(exiting, stopped))
