"""All routes of the dialect, in the order in which they are matched."""

from fastapi import APIRouter

from rollcall_api.foreman import job_routes
from rollcall_api.foreman.routing import Backend


def router(backend: Backend) -> APIRouter:
    """The routes of the dialect."""
    routes = APIRouter()
    for part in (job_routes,):
        routes.routes.extend(part.router(backend).routes)
    return routes
