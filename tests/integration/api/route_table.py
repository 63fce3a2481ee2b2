"""The routes of the facade, as its own OpenAPI document has them: a new one is in every test that goes over them."""

from typing import Any, Final

from rollcall_api.app import Facade, Settings

DOCUMENT: Final[dict[str, Any]] = Facade(Settings(namespace="x", ids_namespace="x")).api.openapi()
ROUTES: Final = [(method.upper(), path) for path, methods in DOCUMENT["paths"].items() for method in sorted(methods)]
GUARDED: Final = [(method, path) for method, path in ROUTES if not path.startswith("/apidoc/")]
WRITES: Final = [(method, path) for method, path in ROUTES if method in ("POST", "PUT")]
READS: Final = [path for method, path in GUARDED if method == "GET"]


def names(routes: list[tuple[str, str]]) -> list[str]:
    """What the tests of these routes are called."""
    return [" ".join(route) for route in routes]


def filled(path: str, **values: Any) -> str:
    """The path with these values in it; what is not given is named `none`."""
    parts = (part[1:-1] if part.startswith("{") else part for part in path.split("/"))
    original = path.split("/")
    return "/".join(
        str(values.get(name, "none")) if whole.startswith("{") else whole
        for name, whole in zip(parts, original, strict=True)
    )
