"""All routes of the dialect, in the order in which they are matched, and the description made of them."""

from collections.abc import Iterator

from fastapi import APIRouter

from rollcall_api.foreman import (
    apidoc,
    apidoc_jobs,
    apidoc_routes,
    bookmark_routes,
    feature_routes,
    home_routes,
    host_routes,
    job_routes,
    recurring_routes,
    task_routes,
    taxonomy_routes,
    template_routes,
)
from rollcall_api.foreman.description import Action
from rollcall_api.foreman.routing import Backend, DialectRoute

_PARTS = (
    job_routes,
    task_routes,
    template_routes,
    feature_routes,
    bookmark_routes,
    host_routes,
    taxonomy_routes,
    recurring_routes,
    home_routes,
)


class Dialect:
    """The dialect: its routes, and the checksum of their description."""

    def __init__(self, backend: Backend) -> None:
        self.router = APIRouter()
        for part in _PARTS:
            self.router.routes.extend(part.router(backend).routes)
        self._describe_jobs()
        encoded = apidoc.document(action for action in self._actions() if action.documented)
        self.checksum = apidoc.checksum(encoded)
        self.router.routes.extend(apidoc_routes.router(encoded, self.checksum).routes)

    def _describe_jobs(self) -> None:
        """Gives the routes of jobs their descriptions, which OpenAPI and `/apidoc` are made of."""
        for route in self.router.routes:
            if isinstance(route, DialectRoute) and route.action is None:
                for method in route.methods or ():
                    route.action = apidoc_jobs.ACTIONS[method, route.path]
                    route.openapi_extra = route.action.openapi()

    def _actions(self) -> Iterator[Action]:
        for route in self.router.routes:
            if isinstance(route, DialectRoute) and route.action is not None:
                yield route.action
