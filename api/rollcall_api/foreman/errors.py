"""The error bodies E1 to E6 (contract §1.6), and the answer class with the headers of every answer (§1.3)."""

from collections.abc import Mapping, Sequence
from typing import Any, Final

import orjson
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from rollcall_api.auth import Reason, Refusal
from rollcall_api.problems import BadSearch, Forbidden, NotFound, Problem, Rejected, TooManyHosts, Unavailable
from rollcall_api.whole import WHOLE

FOREMAN_VERSION: Final = "3.6.0"
HEADERS: Final[tuple[tuple[bytes, bytes], ...]] = (
    (b"content-type", b"application/json; charset=utf-8"),
    (b"foreman_version", FOREMAN_VERSION.encode()),
    (b"foreman_api_version", b"2"),
)
INTERNAL: Final = (
    "Internal Server Error: the server was unable to finish the request. This may be caused by unavailability of some "
    "required service, incorrect API call or a server-side bug. There may be more information in the server's logs."
)


class JsonBytes(Response):
    """An answer whose body is encoded already."""

    def __init__(self, body: bytes, status: int = 200) -> None:
        self.status_code = status
        self.body = body
        self.background = None
        self.raw_headers = [*HEADERS, (b"content-length", b"%d" % len(body))]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Sends the answer, as a whole where the server takes it so."""
        if WHOLE in scope.get("extensions", ()):
            await send({"type": WHOLE, "status": self.status_code, "headers": self.raw_headers, "body": self.body})
        else:
            await super().__call__(scope, receive, send)


class ForemanError(Exception):
    """An error that is answered with this status and body."""

    def __init__(self, status: int, body: dict[str, Any]) -> None:
        super().__init__(status)
        self.status = status
        self.body = body

    def response(self) -> Response:
        """The answer."""
        return JsonBytes(orjson.dumps(self.body), self.status)


def e1(status: int, message: str) -> ForemanError:
    """`{"error": {"message": ...}}`."""
    return ForemanError(status, {"error": {"message": message}})


def e2(status: int, message: str) -> ForemanError:
    """`{"message": ...}`."""
    return ForemanError(status, {"message": message})


def malformed_json(detail: str) -> ForemanError:
    """E3 with a status, for a body that is not JSON."""
    return ForemanError(400, {"status": 400, "error": f"There was a problem in the JSON you submitted: {detail}"})


def e4(message: str) -> ForemanError:
    """A search or order that is not understood."""
    return ForemanError(400, {"error": {"message": message, "class": "ScopedSearch::QueryNotSupported"}})


def e5(permission: str) -> ForemanError:
    """A permission that is missing, by Foreman's name for it."""
    details = f"Missing one of the required permissions: {permission}"
    return ForemanError(
        403, {"error": {"message": "Access denied", "details": details, "missing_permissions": [permission]}}
    )


def e6(errors: Mapping[str, Sequence[str]], id_: int | None = None) -> ForemanError:
    """What is wrong with an ordinary resource, by attribute."""
    full = [f"{name.replace('_', ' ').capitalize()} {text}" for name, texts in errors.items() for text in texts]
    return ForemanError(422, {"error": {"id": id_, "errors": dict(errors), "full_messages": full}})


def invalid(*messages: str) -> ForemanError:
    """What is wrong with a job that was to be created; always 500 (§1.6, pinned by the published documentation)."""
    return e1(500, f"Validation failed: {', '.join(messages)}")


def refused(refusal: Refusal) -> Response:
    """The 401 for a request that is not let in; without WWW-Authenticate, as Foreman's."""
    match refusal.reason:
        case Reason.DISABLED:
            message = "User account is disabled, please contact your administrator"
        case Reason.TOO_MANY_TRIES:
            message = "Too many tries, please try again in a few minutes."
        case Reason.BAD_CREDENTIALS:
            message = f"Unable to authenticate user {refusal.login}"
    return e1(401, message).response()


def away(problem: Unavailable) -> Response:
    """The 503 while the cluster does not answer."""
    return of_problem(problem).response()


def not_routed(method: str, path: str) -> Response:
    """The 404 for paths and methods that lead nowhere."""
    return e1(404, f'No route matches [{method}] "{path}"').response()


def of_problem(problem: Problem, permission: str = "create_job_invocations") -> ForemanError:
    """The error for a problem that the shared code tells of."""
    match problem:
        case Unavailable():
            return e2(503, f"The service is not available, try again later: {problem}")
        case Forbidden():
            return e5(permission)
        case Rejected():
            return invalid(str(problem))
        case BadSearch():
            return e4(str(problem))
        case TooManyHosts():
            return invalid(f"Targeting: {problem}")
        case NotFound():
            return e1(404, "The resource was deleted in the meantime")
        case _:
            return e1(500, INTERNAL)
