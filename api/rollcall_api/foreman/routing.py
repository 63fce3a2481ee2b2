"""What every route of the dialect is made with: its errors, permissions, documentation and streams."""

import logging
import traceback
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Sequence
from dataclasses import dataclass
from typing import Any, Final

from fastapi.routing import APIRoute
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response, StreamingResponse

from rollcall.names import Kind
from rollcall_api.access import Access
from rollcall_api.foreman import errors
from rollcall_api.foreman.errors import ForemanError, e1, e5
from rollcall_api.jobs import Jobs
from rollcall_api.output import Outputs
from rollcall_api.problems import Problem
from rollcall_api.users import Identity

logger = logging.getLogger(__name__)

Handler = Callable[[Request], Coroutine[Any, Any, Response]]

_ROOT: Final = "/api/job_invocations"
_ROOT_V2: Final = "/api/v2/job_invocations"


def canonical(path: str) -> str:
    """The one form in which a path of ours is routed: without `/v2`, `.json` and a slash at the end (§1.1)."""
    if path.startswith(_ROOT_V2):
        path = "/api" + path[len("/api/v2") :]
    if not path.startswith(_ROOT):
        return path
    return path.removesuffix("/").removesuffix(".json")


class DialectRoute(APIRoute):
    """A route whose handler takes the request as it is, and whose errors have Foreman's shape.

    FastAPI's own parameter handling is left out: it cannot express the one bag of parameters, and costs as much time
    as the rest of a request.
    """

    def get_route_handler(self) -> Handler:
        """The endpoint, with its exceptions turned into answers."""
        endpoint: Callable[[Request], Awaitable[Response]] = self.endpoint

        async def handle(request: Request) -> Response:
            try:
                return await endpoint(request)
            except ForemanError as error:
                return error.response()
            except Problem as problem:
                return errors.of_problem(problem).response()
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
    rights: tuple[tuple[str, Kind], ...]


@dataclass(frozen=True, slots=True)
class Backend:
    """What the routes ask."""

    jobs: Jobs
    outputs: Outputs
    access: Access

    async def permit(self, user: Identity, permission: Permission) -> None:
        """Raises E5 when the user lacks the permission, and 503 until there is something to read."""
        for verb, kind in permission.rights:
            if not await self.access.allows(user, verb, kind):
                raise e5(permission.name)
        self.jobs.cache.require_sync()


def parameters(*query: str, path: Sequence[str] = ()) -> dict[str, Any]:
    """The OpenAPI description of a route's parameters."""
    text = {"type": "string"}
    return {
        "parameters": [
            *({"name": name, "in": "path", "required": True, "schema": text} for name in path),
            *({"name": name, "in": "query", "schema": text} for name in query),
        ]
    }


def streamed(parts: AsyncIterator[bytes]) -> Response:
    """An answer whose parts are made as they are read."""
    response = StreamingResponse(parts)
    response.raw_headers = list(errors.HEADERS)
    return response


async def chain(first: bytes, rest: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    """The first part and then the others."""
    yield first
    async for part in rest:
        yield part


def compact(body: bytes) -> bytes:
    """A copy without the room that the encoder leaves behind its result, which is 8 KiB: kept results are many."""
    return bytes(memoryview(body))
