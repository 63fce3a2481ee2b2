"""What a route is called, and which parameters it takes: written once, next to the route, for every document.

`/apidoc/v2.json` (contract §7.1) and the OpenAPI document are both made from it. Clients send only the parameters that
they find there, so that one that is missing here does not work at all.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final

from rollcall_api.foreman import answers


class Type(StrEnum):
    """The types of Apipie."""

    STRING = "string"
    NUMERIC = "numeric"
    BOOLEAN = "boolean"
    HASH = "hash"
    ARRAY = "array"
    ANY = "any_type"


_SENTENCES: Final[Mapping[Type, str]] = {
    Type.STRING: "Must be a String",
    Type.NUMERIC: "Must be a number.",
    Type.BOOLEAN: "Must be one of: <code>true</code>, <code>false</code>, <code>1</code>, <code>0</code>.",
    Type.HASH: "Must be a Hash",
    Type.ARRAY: "Must be an array of any type",
    Type.ANY: "",
}
_SCHEMAS: Final[Mapping[Type, dict[str, Any]]] = {
    Type.STRING: {"type": "string"},
    Type.NUMERIC: {"type": "integer"},
    Type.BOOLEAN: {"type": "boolean"},
    Type.HASH: {"type": "object"},
    Type.ARRAY: {"type": "array", "items": {}},
    Type.ANY: {},
}


@dataclass(frozen=True, slots=True)
class Param:
    """A parameter; a hash may say which entries it has."""

    name: str
    description: str
    type: Type = Type.STRING
    required: bool = False
    params: tuple["Param", ...] = ()

    def apidoc(self, within: str = "") -> dict[str, Any]:
        """The parameter as Apipie describes it; `within` is the full name of the hash that it belongs to."""
        full_name = f"{within}[{self.name}]" if within else self.name
        described: dict[str, Any] = {
            "name": self.name,
            "full_name": full_name,
            "description": f"<p>{self.description}</p>",
            "required": self.required,
            "allow_nil": not self.required,
            "allow_blank": not self.required,
            "validator": _SENTENCES[self.type],
            "expected_type": self.type.value,
            "metadata": None,
            "show": True,
            "validations": [],
            "deprecated": False,
        }
        if self.params:
            described["params"] = [param.apidoc(full_name) for param in self.params]
        return described

    def schema(self) -> dict[str, Any]:
        """The JSON schema of its values."""
        schema = {**_SCHEMAS[self.type], "description": self.description}
        if self.params and self.type is Type.ARRAY:
            schema["items"] = _object(self.params)
        elif self.params:
            schema |= _object(self.params)
        return schema


def _object(params: Sequence[Param]) -> dict[str, Any]:
    schema: dict[str, Any] = {"type": "object", "properties": {param.name: param.schema() for param in params}}
    required = [param.name for param in params if param.required]
    return schema | ({"required": required} if required else {})


@dataclass(frozen=True, slots=True)
class Action:
    """A route: the name of its resource and its own, the method, the path with `{...}` for what is in it, and what it
    does. `params` are those of the query or of the body; those of the path are among them only to be described."""

    resource: str
    name: str
    method: str
    path: str
    summary: str
    params: tuple[Param, ...] = ()
    status: int = 200
    documented: bool = True
    """Whether `/apidoc` shows it; Foreman documents one of several routes that do the same."""

    @property
    def in_path(self) -> tuple[str, ...]:
        """The names of the parameters in the path."""
        return tuple(part[1:-1] for part in self.path.split("/") if part.startswith("{"))

    @property
    def api_url(self) -> str:
        """The path as Apipie writes it: `/api/hosts/:id`."""
        return "/".join(f":{part[1:-1]}" if part.startswith("{") else part for part in self.path.split("/"))

    def apidoc(self) -> dict[str, Any]:
        """The route as Apipie describes it."""
        known = {param.name for param in self.params}
        path = [Param(name, f"identifier ({name})", required=True) for name in self.in_path if name not in known]
        return {
            "doc_url": f"/apidoc/v2/{self.resource}/{self.name}",
            "name": self.name,
            "apis": [
                {
                    "api_url": self.api_url,
                    "http_method": self.method,
                    "short_description": self.summary,
                    "deprecated": None,
                }
            ],
            "formats": None,
            "full_description": "",
            "errors": [],
            "params": [param.apidoc() for param in (*path, *self.params)],
            "examples": [],
            "metadata": None,
            "see": [],
            "headers": [],
            "show": True,
        }

    def openapi(self) -> dict[str, Any]:
        """The parameters as OpenAPI describes them, in the query where there is no body, else in the body; and the
        answers."""
        described: dict[str, Any] = {"parameters": list(self._openapi_parameters())}
        described["responses"] = answers.responses(self.resource, self.name, self.method, self.status)
        body = [param for param in self.params if param.name not in self.in_path]
        if self.method in ("POST", "PUT") and body:
            described["requestBody"] = {"content": {"application/json": {"schema": _object(body)}}}
        return described

    def _openapi_parameters(self) -> Iterator[dict[str, Any]]:
        for name in self.in_path:
            yield {"name": name, "in": "path", "required": True, "schema": {"type": "string"}}
        if self.method in ("GET", "DELETE"):
            for param in self.params:
                if param.name not in self.in_path:
                    yield {
                        "name": param.name,
                        "in": "query",
                        "required": param.required,
                        "description": param.description,
                        "schema": _SCHEMAS[param.type],
                    }


TAXONOMIES: Final = (
    Param("location_id", "Set the current location context for the request", Type.NUMERIC),
    Param("organization_id", "Set the current organization context for the request", Type.NUMERIC),
)
SEARCHING: Final = (
    Param("search", "filter results"),
    Param("order", "Sort and order by a searchable field, e.g. '<field> DESC'"),
)
PAGING: Final = (
    Param("page", "Page number, starting at 1", Type.NUMERIC),
    Param("per_page", "Number of results per page to return, 'all' to return all results"),
)
PERMISSIONS: Final = Param("include_permissions", "Whether it is told what the user may do", Type.BOOLEAN)
LISTING: Final = (*TAXONOMIES, *SEARCHING, *PAGING, PERMISSIONS)
"""What every list takes."""
IDENTIFIER: Final = Param("id", "identifier or name", required=True)
