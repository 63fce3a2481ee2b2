"""The routes of remote execution features: labels that JobTemplates have in `spec.features` (contract §7.4)."""

from collections.abc import Sequence
from functools import partial
from typing import Any, Final

import orjson
from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response

from rollcall.names import Kind
from rollcall.query.fields import Field
from rollcall.query.fields import Kind as Values
from rollcall.query.foreman import Subject
from rollcall_api.changes import TemplateChange, change_template
from rollcall_api.foreman import lists
from rollcall_api.foreman.description import LISTING, TAXONOMIES, Action, Param, Type
from rollcall_api.foreman.errors import ForemanError, JsonBytes, e1, e6, of_problem
from rollcall_api.foreman.lookup import by_reference
from rollcall_api.foreman.numbers import number_of
from rollcall_api.foreman.requests import identifier, is_blank
from rollcall_api.foreman.routing import Backend, DialectRoute, Permission, add
from rollcall_api.problems import Problem, Unavailable
from rollcall_api.records import Template
from rollcall_api.users import Identity

_VIEW: Final = Permission("view_remote_execution_features", (("list", Kind.JOB_TEMPLATE),))
_EDIT: Final = Permission("edit_remote_execution_features", (("update", Kind.JOB_TEMPLATE),))
_FIELDS: Final = Subject(
    {
        "label": Field(("label",), free_text=True),
        "name": Field(("name",), free_text=True),
        "id": Field(("id",), Values.INTEGER),
        "job_template_id": Field(("job_template_id",), Values.INTEGER),
    }
)
KNOWN: Final = {
    "ansible_run_host": "Run Ansible roles on a host",
    "ansible_run_playbook": "Run an Ansible playbook",
    "puppet_run_host": "Run Puppet on a host",
    "run_script": "Run a script",
}
"""Features that clients ask for, which are shown also while no template serves them."""
_ROOT: Final = "/api/remote_execution_features"
_ID: Final = Param("id", "identifier or label", required=True)
_FEATURE: Final = Param(
    "remote_execution_feature",
    "The feature",
    Type.HASH,
    required=True,
    params=(Param("job_template_id", "Job template ID to be used for the feature"),),
)


def router(backend: Backend) -> APIRouter:
    """The routes of features."""
    routes = APIRouter(route_class=DialectRoute)
    endpoints = Endpoints(backend)

    def action(name: str, method: str, path: str, summary: str, *params: Param) -> Action:
        return Action("remote_execution_features", name, method, _ROOT + path, summary, (*TAXONOMIES, *params))

    add(routes, action("index", "GET", "", "List remote execution features", *LISTING[2:]), endpoints.index)
    add(routes, action("show", "GET", "/{id}", "Show remote execution feature", _ID), endpoints.show)
    add(routes, action("update", "PUT", "/{id}", "Update a job template", _ID, _FEATURE), endpoints.update)
    return routes


class Endpoints:
    """The handlers."""

    def __init__(self, backend: Backend) -> None:
        self._backend = backend
        self._templates = backend.jobs.cache.templates

    async def index(self, request: Request) -> Response:
        """`GET /api/remote_execution_features`; all of them, whatever page is asked for."""
        user, bag = await self._backend.admit(request, _VIEW)
        rights = await self._backend.rights(user, bag, edit=("update", Kind.JOB_TEMPLATE))
        known = {label: self._shown(label) for label in self._labels()}
        whole = {key: value for key, value in bag.items() if key not in ("page", "per_page")} | {"per_page": "all"}
        pace = self._backend.pace
        return await lists.listed(pace, known.items(), _FIELDS, lambda label: known[label], whole, rights=rights)

    async def show(self, request: Request) -> Response:
        """`GET /api/remote_execution_features/:id`."""
        await self._backend.admit(request, _VIEW)
        return JsonBytes(orjson.dumps(self._shown(self._find(request.path_params["id"]))))

    async def update(self, request: Request) -> Response:
        """`PUT /api/remote_execution_features/:id`: another template, and no other, serves the feature."""
        user, bag = await self._backend.admit(request, _EDIT)
        label = self._find(request.path_params["id"])
        given = bag.get("remote_execution_feature", bag)
        reference = given.get("job_template_id") if isinstance(given, dict) else None
        wanted = None
        if not is_blank(reference):
            wanted = by_reference(self._templates, str(reference), self._templates.titled)
            if wanted is None:
                raise e6({"job_template_id": ["can't be found"]}, number_of(f"feature/{label}"))
        await self._remap(label, wanted, user)
        return JsonBytes(orjson.dumps(self._shown(label)))

    async def _remap(self, label: str, wanted: Template | None, user: Identity) -> None:
        """Lets the template serve the feature, and no other. Raises a Problem, or once something is written an error
        that tells what; the same request then does the rest."""
        wrong = [each for each in self._templates if (label in each.resource.spec.features) != (each is wanted)]
        # First the new one: at no moment nobody serves the feature.
        wrong.sort(key=lambda template: template is not wanted)
        for done, template in enumerate(wrong):
            change = partial(change_template, change=TemplateChange(features={label: template is wanted}))
            try:
                await self._backend.objects.change(Kind.JOB_TEMPLATE, template.name, change, user)
            except Problem as problem:
                if done:
                    raise _half_done(label, problem, wanted, wrong[done:]) from None
                raise

    def _labels(self) -> list[str]:
        return sorted({*KNOWN, *(label for template in self._templates for label in template.resource.spec.features)})

    def _find(self, given: str) -> str:
        number = identifier(given)
        for label in self._labels():
            if given == label or number == number_of(f"feature/{label}"):
                return label
        raise e1(404, f"Resource remote_execution_feature not found by id '{given}'")

    def _shown(self, label: str) -> dict[str, Any]:
        template: Template | None = self._backend.jobs.cache.templates.for_feature(label)
        return {
            "id": number_of(f"feature/{label}"),
            "label": label,
            "name": KNOWN.get(label, label.replace("_", " ").capitalize()),
            "description": None,
            "job_template_id": template.id if template else None,
            "job_template_name": template.resource.title if template else None,
            "host_action_button": False,
        }


def _half_done(label: str, problem: Problem, wanted: Template | None, left: Sequence[Template]) -> ForemanError:
    served = "" if wanted is None else f"{wanted.resource.title!r} serves the feature now. "
    others = ", ".join(repr(template.resource.title) for template in left)
    message = f"{problem}. {served}Not taken away yet: {others}. Send the same request again to do the rest"
    if isinstance(problem, Unavailable):
        return of_problem(Unavailable(message))
    return e6({"base": [message]}, number_of(f"feature/{label}"))
