"""What every route of the dialect is made with: its errors, permissions, documentation and streams."""

import logging
import traceback
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Final

from fastapi import APIRouter
from fastapi.routing import APIRoute
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response, StreamingResponse

from rollcall_api.access import Access, Reach, Right
from rollcall_api.foreman import errors
from rollcall_api.foreman.description import Action
from rollcall_api.foreman.errors import ForemanError, e1, e5
from rollcall_api.foreman.requests import Bag, boolean, read_bag
from rollcall_api.foreman.search import HostSearch
from rollcall_api.foreman.taxonomies import Taxonomies
from rollcall_api.jobs import Jobs
from rollcall_api.objects import Objects
from rollcall_api.output import Outputs
from rollcall_api.pace import Pace
from rollcall_api.problems import Problem
from rollcall_api.series import Series
from rollcall_api.users import Identity

logger = logging.getLogger(__name__)

Handler = Callable[[Request], Coroutine[Any, Any, Response]]

_PREFIXES: Final = ("/api", "/apidoc", "/foreman_tasks/api")
_PUBLIC: Final = "/apidoc/"
_SHORT_PATH: Final = 200
_PERMISSION: Final = "rollcall.foreman.permission"
"""In a request's scope: the permission that was asked for, for when the API server refuses what RBAC allows."""


def canonical(path: str) -> str:
    """The one form in which a path of ours is routed: without `/v2`, `.json` and a slash at the end (§1.1)."""
    return (_known_canonical if len(path) <= _SHORT_PATH else _canonical)(path)


def _canonical(path: str) -> str:
    if path == "/api/v2" or path.startswith("/api/v2/"):
        path = "/api" + path[len("/api/v2") :]
    elif path.startswith("/foreman_tasks/api/v2/"):
        path = "/foreman_tasks/api" + path[len("/foreman_tasks/api/v2") :]
    if not path.startswith(_PREFIXES):
        return path
    return path.removesuffix("/").removesuffix(".json")


# Who polls asks for the same again and again.
_known_canonical = lru_cache(1_000)(_canonical)


def is_public(path: str) -> bool:
    """Whether a path is answered without a login: the description of the dialect, which clients fetch before all."""
    return path.startswith(_PUBLIC)


class DialectRoute(APIRoute):
    """A route whose handler takes the request as it is, and whose errors have Foreman's shape.

    FastAPI's own parameter handling is left out: it cannot express the one bag of parameters, and costs as much time
    as the rest of a request.
    """

    action: Action | None = None
    """What `/apidoc` says of the route."""

    def get_route_handler(self) -> Handler:
        """The endpoint, with its exceptions turned into answers."""
        endpoint: Callable[[Request], Awaitable[Response]] = self.endpoint

        async def handle(request: Request) -> Response:
            try:
                return await endpoint(request)
            except ForemanError as error:
                return error.response()
            except Problem as problem:
                permission = request.scope.get(_PERMISSION, "create_job_invocations")
                return errors.of_problem(problem, permission).response()
            except ClientDisconnect:
                return Response(status_code=400)  # nobody is there to read it
            except Exception as error:  # the edge: no traceback reaches a client
                log_defect(error)
                return e1(500, errors.INTERNAL).response()

        return handle


def log_defect(error: Exception) -> None:
    """Logs where a defect is, without its message, which may hold what the client sent."""
    where = "".join(traceback.format_tb(error.__traceback__))
    logger.error("%s in a request\n%s", type(error).__name__, where)


@dataclass(frozen=True, slots=True)
class Permission:
    """One of Foreman's permissions, and the rights of Kubernetes that together stand for it (§1.4)."""

    name: str
    rights: tuple[Right, ...]


@dataclass(frozen=True, slots=True)
class Backend:
    """What the routes ask."""

    jobs: Jobs
    outputs: Outputs
    access: Access
    objects: Objects
    taxonomies: Taxonomies
    series: Series
    pace: Pace
    hosts: HostSearch

    async def permit(self, user: Identity, permission: Permission) -> Reach:
        """For which jobs the user has the permission: those for which they have all of its rights.

        Raises E5 where they have it for none, and 503 until there is something to read.
        """
        reach = await self.access.narrowest(user, permission.rights)
        if reach is Reach.NONE:
            raise e5(permission.name)
        self.jobs.cache.require_sync()
        return reach

    async def rights(
        self, user: Identity, bag: Bag, create: Right | None = None, edit: Right | None = None
    ) -> Mapping[str, bool] | None:
        """What a list says of making and changing what is in it, by these rights; None unless it is asked for (§1.8).

        What nobody can make or change through the dialect has no right for it.
        """
        if not boolean(bag, "include_permissions"):
            return None
        return {
            "can_create": create is not None and await self.access.reach(user, *create) is not Reach.NONE,
            "can_edit": edit is not None and await self.access.reach(user, *edit) is not Reach.NONE,
        }

    async def admit(self, request: Request, permission: Permission) -> tuple[Identity, Bag]:
        """The user, who has the permission, and the parameters. Raises the contract's errors in their order (§1.4)."""
        user: Identity = request.scope["user"]
        request.scope[_PERMISSION] = permission.name
        await self.permit(user, permission)
        return user, await read_bag(request)


def add(routes: APIRouter, action: Action, endpoint: Handler) -> None:
    """Adds the route of an action, described to OpenAPI and to `/apidoc` alike."""
    routes.add_api_route(
        action.path,
        endpoint,
        methods=[action.method],
        status_code=action.status,
        summary=action.summary,
        operation_id=f"{action.method.lower()}_{action.resource}_{action.name}",
        tags=[f"Foreman {action.resource.replace('_', ' ')}"],
        openapi_extra=action.openapi(),
    )
    route = routes.routes[-1]
    if isinstance(route, DialectRoute):
        route.action = action


async def begun(parts: AsyncIterator[bytes]) -> Response:
    """An answer whose parts are made as they are read.

    The first one is made before the answer begins, so that a cluster that is away can still be told of.
    """
    response = StreamingResponse(_chain(await anext(parts), parts))
    response.raw_headers = list(errors.HEADERS)
    return response


async def _chain(first: bytes, rest: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    yield first
    async for part in rest:
        yield part


def compact(body: bytes) -> bytes:
    """A copy without the room that the encoder leaves behind its result, which is 8 KiB: kept results are many."""
    return bytes(memoryview(body))
