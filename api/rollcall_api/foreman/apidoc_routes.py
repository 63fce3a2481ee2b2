"""The routes of the dialect's description (contract §7.1), answered without a login."""

import orjson
from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response

from rollcall_api.foreman.errors import JsonBytes
from rollcall_api.foreman.routing import DialectRoute


def router(encoded: bytes, checksum: str) -> APIRouter:
    """The routes of the description."""
    routes = APIRouter(route_class=DialectRoute, tags=["Foreman description"])

    async def description(_: Request) -> Response:
        return JsonBytes(encoded)

    async def name(_: Request) -> Response:
        return JsonBytes(orjson.dumps({"checksum": checksum}))

    # There is one language, whichever is asked for: `v2.de` is the same as `v2`.
    for path, id_ in (("/apidoc/v2", "get_apidoc"), ("/apidoc/v2.{language}", "get_apidoc_in_language")):
        routes.add_api_route(path, description, methods=["GET"], summary="Describe the API", operation_id=id_)
    routes.add_api_route("/apidoc/apipie_checksum", name, methods=["GET"], summary="Show the checksum")
    return routes
