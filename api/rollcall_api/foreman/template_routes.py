"""The routes of job templates and their inputs (contract §7.3)."""

from functools import partial
from typing import Any, Final

import orjson
from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response

from rollcall.names import Kind
from rollcall.query.ast import Order
from rollcall.query.fields import Field
from rollcall.query.fields import Kind as Values
from rollcall.query.foreman import Subject
from rollcall_api.changes import KEEP, InputChange, Keep, TemplateChange, change_template, new_script
from rollcall_api.foreman import job_templates, lists
from rollcall_api.foreman.description import (
    IDENTIFIER,
    LISTING,
    PAGING,
    PERMISSIONS,
    SEARCHING,
    TAXONOMIES,
    Action,
    Param,
    Type,
)
from rollcall_api.foreman.errors import JsonBytes, e1, e6
from rollcall_api.foreman.lookup import by_reference
from rollcall_api.foreman.requests import Bag, identifier
from rollcall_api.foreman.routing import Backend, DialectRoute, Permission, add
from rollcall_api.objects import Object
from rollcall_api.parsing import parse_template
from rollcall_api.problems import Rejected
from rollcall_api.records import Template
from rollcall_api.users import Identity

_VIEW: Final = Permission("view_job_templates", (("list", Kind.JOB_TEMPLATE),))
_CREATE: Final = Permission("create_job_templates", (("create", Kind.JOB_TEMPLATE),))
_EDIT: Final = Permission("edit_job_templates", (("update", Kind.JOB_TEMPLATE),))
_DESTROY: Final = Permission("destroy_job_templates", (("delete", Kind.JOB_TEMPLATE),))
_FIELDS: Final = Subject(
    {
        "name": Field(("title",), free_text=True),
        "id": Field(("id",), Values.INTEGER),
        "job_category": Field(("category",)),
        "provider_type": Field(("provider",)),
        "snippet": Field(("snippet",), Values.BOOLEAN),
        "feature.label": Field(("features",), Values.TEXTS),
        "feature.name": Field(("features",), Values.TEXTS),
    }
)
_BY_TITLE: Final = (Order(("title",)),)
_INPUT_FIELDS: Final = Subject(
    {
        "name": Field(("name",), free_text=True),
        "id": Field(("id",), Values.INTEGER),
        "input_type": Field(("input_type",)),
    }
)
_INPUT: Final = (
    Param("name", "Input name"),
    Param("description", "Input description"),
    Param("required", "Input is required", Type.BOOLEAN),
    Param("advanced", "Input is advanced; taken and left out", Type.BOOLEAN),
    Param("input_type", "Input type: user, fact or variable"),
    Param("fact_name", "Fact name, used when input type is fact"),
    Param("variable_name", "Variable name, used when input type is variable"),
    Param("puppet_class_name", "Puppet class name; refused"),
    Param("puppet_parameter_name", "Puppet parameter name; refused"),
    Param("options", "Selectable values for user inputs", Type.ANY),
    Param("value_type", "Value type; taken and left out"),
    Param("resource_type", "For values of type search; taken and left out"),
    Param("hidden_value", "The value contains sensitive information and should not be normally visible", Type.BOOLEAN),
    Param("default", "Default value for user input"),
)
_TEMPLATE: Final = (
    Param("name", "Template name"),
    Param("job_category", "Job category"),
    Param("description_format", "This template is used to generate the description"),
    Param("provider_type", "Provider type: script"),
    Param("snippet", "Whether it is a snippet; only false", Type.BOOLEAN),
    Param("template", "The script, in ERB with comments and input('name') only, or with {{ inputs.name }}"),
    Param("locked", "Whether or not the template is locked for editing; only false", Type.BOOLEAN),
    Param("audit_comment", "taken and left out"),
    Param("location_ids", "taken and left out", Type.ARRAY),
    Param("organization_ids", "taken and left out", Type.ARRAY),
    Param(
        "effective_user_attributes",
        "Effective user options",
        Type.HASH,
        params=(
            Param("value", "What user should be used to run the script"),
            Param("overridable", "Whether it should be allowed to override the effective user", Type.BOOLEAN),
            Param("current_user", "taken and left out", Type.BOOLEAN),
        ),
    ),
    Param("template_inputs_attributes", "The inputs", Type.ARRAY, params=_INPUT),
)
_JOB_TEMPLATE: Final = Param("job_template", "The template", Type.HASH, required=True, params=_TEMPLATE)
_TEMPLATE_INPUT: Final = Param("template_input", "The input", Type.HASH, required=True, params=_INPUT)
_OF_TEMPLATE: Final = Param("template_id", "The template, by id or name", required=True)
_ROOT: Final = "/api/job_templates"
_INPUTS: Final = "/api/templates/{template_id}/template_inputs"


def router(backend: Backend) -> APIRouter:
    """The routes of job templates and their inputs."""
    routes = APIRouter(route_class=DialectRoute)
    templates, inputs = TemplateEndpoints(backend), InputEndpoints(backend)

    def action(name: str, method: str, path: str, summary: str, *params: Param, status: int = 200) -> Action:
        return Action("job_templates", name, method, _ROOT + path, summary, (*TAXONOMIES, *params), status)

    def of_input(name: str, method: str, path: str, summary: str, *params: Param, status: int = 200) -> Action:
        params = (*TAXONOMIES, _OF_TEMPLATE, *params)
        return Action("template_inputs", name, method, _INPUTS + path, summary, params, status)

    add(routes, action("index", "GET", "", "List job templates", *LISTING[2:]), templates.index)
    add(routes, action("show", "GET", "/{id}", "Show job template details", IDENTIFIER), templates.show)
    add(routes, action("create", "POST", "", "Create a job template", _JOB_TEMPLATE, status=201), templates.create)
    add(routes, action("update", "PUT", "/{id}", "Update a job template", IDENTIFIER, _JOB_TEMPLATE), templates.update)
    add(routes, action("destroy", "DELETE", "/{id}", "Delete a job template", IDENTIFIER), templates.destroy)
    add(routes, of_input("index", "GET", "", "List template inputs", *SEARCHING, *PAGING, PERMISSIONS), inputs.index)
    add(routes, of_input("show", "GET", "/{id}", "Show template input details", IDENTIFIER), inputs.show)
    add(routes, of_input("create", "POST", "", "Create a template input", _TEMPLATE_INPUT, status=201), inputs.create)
    add(
        routes,
        of_input("update", "PUT", "/{id}", "Update a template input", IDENTIFIER, _TEMPLATE_INPUT),
        inputs.update,
    )
    add(routes, of_input("destroy", "DELETE", "/{id}", "Delete a template input", IDENTIFIER), inputs.destroy)
    return routes


def row(template: Template) -> dict[str, Any]:
    """A template as searches see it."""
    shown = job_templates.item(template)
    return {
        "title": shown["name"],
        "id": template.id,
        "category": shown["job_category"],
        "provider": shown["provider_type"],
        "snippet": False,
        "features": list(template.resource.spec.features),
    }


class _Templates:
    def __init__(self, backend: Backend) -> None:
        self._backend = backend
        self._table = backend.jobs.cache.templates

    def _find(self, given: str) -> Template:
        found = by_reference(self._table, given, self._table.titled)
        if found is None:
            raise e1(404, f"Resource job_template not found by id '{given}'")
        return found

    async def _change(self, template: Template, change: TemplateChange, user: Identity) -> Object:
        try:
            put = partial(change_template, change=change)
            return await self._backend.objects.change(Kind.JOB_TEMPLATE, template.name, put, user)
        except Rejected as problem:
            raise e6({"base": [str(problem)]}, template.id) from None

    def _taken(self, title: str, but: Template | None = None) -> bool:
        return any(template.resource.title == title and template is not but for template in self._table)


class TemplateEndpoints(_Templates):
    """The handlers of job templates."""

    async def index(self, request: Request) -> Response:
        """`GET /api/job_templates`."""
        user, bag = await self._backend.admit(request, _VIEW)
        rights = await self._backend.rights(user, bag, ("create", Kind.JOB_TEMPLATE), ("update", Kind.JOB_TEMPLATE))
        known = {template.name: template for template in self._table if template.id is not None}
        rows = ((name, row(template)) for name, template in known.items())
        pace, render = self._backend.pace, lambda name: job_templates.item(known[name])
        return await lists.listed(pace, rows, _FIELDS, render, bag, _BY_TITLE, rights)

    async def show(self, request: Request) -> Response:
        """`GET /api/job_templates/:id`."""
        user, _ = await self._backend.admit(request, _VIEW)
        template = self._find(request.path_params["id"])
        raw = await self._backend.objects.read(Kind.JOB_TEMPLATE, template.name, user)
        return _shown(job_templates.full(template, raw))

    async def create(self, request: Request) -> Response:
        """`POST /api/job_templates`."""
        user, bag = await self._backend.admit(request, _CREATE)
        given = _hash(bag, "job_template")
        change = job_templates.created(given)
        title = str(given["name"])
        if self._taken(title):
            raise e6({"name": ["has already been taken"]})
        body = new_script()
        change_template(body, change)
        names = partial(job_templates.object_name, title)
        try:
            raw = await self._backend.objects.create(Kind.JOB_TEMPLATE, names, body, user)
        except Rejected as problem:
            raise e6({"base": [str(problem)]}) from None
        return _shown(job_templates.full(parse_template(raw), raw), 201)

    async def update(self, request: Request) -> Response:
        """`PUT /api/job_templates/:id`."""
        user, bag = await self._backend.admit(request, _EDIT)
        template = self._find(request.path_params["id"])
        given = _hash(bag, "job_template")
        if self._taken(str(given.get("name")), template):
            raise e6({"name": ["has already been taken"]}, template.id)
        raw = await self._backend.objects.read(Kind.JOB_TEMPLATE, template.name, user)
        change = job_templates.wanted(given, job_templates.full(parse_template(raw), raw))
        raw = await self._change(template, change, user)
        return _shown(job_templates.full(parse_template(raw), raw))

    async def destroy(self, request: Request) -> Response:
        """`DELETE /api/job_templates/:id`; answers what was deleted."""
        user, _ = await self._backend.admit(request, _DESTROY)
        template = self._find(request.path_params["id"])
        await self._backend.objects.delete(Kind.JOB_TEMPLATE, template.name, template.uid, user)
        return _shown(job_templates.item(template))


class InputEndpoints(_Templates):
    """The handlers of template inputs, which are entries of `spec.inputs`."""

    async def index(self, request: Request) -> Response:
        """`GET /api/templates/:template_id/template_inputs`."""
        user, bag = await self._backend.admit(request, _VIEW)
        writes = ("update", Kind.JOB_TEMPLATE)
        rights = await self._backend.rights(user, bag, writes, writes)
        shown = self._inputs(self._find(request.path_params["template_id"]))
        pace = self._backend.pace
        return await lists.listed(pace, shown.items(), _INPUT_FIELDS, lambda name: shown[name], bag, rights=rights)

    async def show(self, request: Request) -> Response:
        """`GET /api/templates/:template_id/template_inputs/:id`."""
        await self._backend.admit(request, _VIEW)
        template = self._find(request.path_params["template_id"])
        return _shown(self._input(template, request.path_params["id"]))

    async def create(self, request: Request) -> Response:
        """`POST /api/templates/:template_id/template_inputs`."""
        user, bag = await self._backend.admit(request, _EDIT)
        template = self._find(request.path_params["template_id"])
        entry = job_templates.declared(_hash(bag, "template_input"))
        if entry.name in self._inputs(template):
            raise e6({"name": ["has already been taken"]})
        return _shown(await self._changed(template, entry, user), 201)

    async def update(self, request: Request) -> Response:
        """`PUT /api/templates/:template_id/template_inputs/:id`."""
        user, bag = await self._backend.admit(request, _EDIT)
        template = self._find(request.path_params["template_id"])
        old = self._input(template, request.path_params["id"])
        entry = job_templates.declared(_hash(bag, "template_input"), old)
        if entry.name is not KEEP and entry.name in self._inputs(template):
            raise e6({"name": ["has already been taken"]}, old["id"])
        return _shown(await self._changed(template, entry, user))

    async def destroy(self, request: Request) -> Response:
        """`DELETE /api/templates/:template_id/template_inputs/:id`."""
        user, _ = await self._backend.admit(request, _EDIT)
        template = self._find(request.path_params["template_id"])
        old = self._input(template, request.path_params["id"])
        await self._change(template, TemplateChange(inputs=(InputChange(was=old["name"], removed=True),)), user)
        return _shown(old)

    async def _changed(self, template: Template, change: InputChange, user: Identity) -> dict[str, Any]:
        """The input as it is shown after the change."""
        raw = await self._change(template, TemplateChange(inputs=(change,)), user)
        name = change.was if isinstance(change.name, Keep) else change.name
        return self._inputs(parse_template(raw))[str(name)]

    @staticmethod
    def _inputs(template: Template) -> dict[str, dict[str, Any]]:
        return {entry.name: job_templates.template_input(template, entry) for entry in template.resource.spec.inputs}

    def _input(self, template: Template, given: str) -> dict[str, Any]:
        inputs = self._inputs(template)
        number = identifier(given)
        found = inputs.get(given) or next((shown for shown in inputs.values() if shown["id"] == number), None)
        if found is None:
            raise e1(404, f"Resource template_input not found by id '{given}'")
        return found


def _hash(bag: Bag, name: str) -> dict[str, Any]:
    """The hash of that name, or all parameters where there is none. Raises E6 for what is not a hash."""
    given = bag.get(name, bag)
    if not isinstance(given, dict):
        raise e6({name: ["must be a hash"]})
    return given


def _shown(body: Any, status: int = 200) -> JsonBytes:
    return JsonBytes(orjson.dumps(body), status)
