"""What each route answers, and how it refuses, as OpenAPI describes it (contract §1.6)."""

from typing import Any, Final

from rollcall_api.foreman import schemas
from rollcall_api.foreman.schemas import HASH, INTEGER, TEXT, Schema, listing, many, one_of, record, words

SUCCESSES: Final[dict[tuple[str, str], Schema]] = {
    ("job_invocations", "index"): listing(schemas.JOB),
    ("job_invocations", "show"): schemas.WHOLE_JOB,
    ("job_invocations", "create"): schemas.WHOLE_JOB,
    ("job_invocations", "output"): schemas.OUTPUT,
    ("job_invocations", "raw_output"): schemas.RAW_OUTPUT,
    ("job_invocations", "outputs"): schemas.OUTPUTS,
    ("job_invocations", "cancel"): schemas.CANCELLED,
    ("job_invocations", "rerun"): schemas.RERUN,
    ("job_invocations", "hosts"): listing(schemas.HOST_OF_JOB),
    ("template_invocations", "index"): listing(schemas.RUN_OF_JOB),
    ("foreman_tasks", "index"): listing(schemas.TASK),
    ("foreman_tasks", "show"): schemas.TASK,
    ("foreman_tasks", "sub_tasks"): listing(schemas.TASK),
    ("foreman_tasks", "bulk_cancel"): record(
        {"total": INTEGER, "cancelled": many(schemas.TASK), "skipped": many(schemas.TASK)}
    ),
    ("recurring_logics", "index"): listing(schemas.RECURRENCE),
    ("recurring_logics", "show"): schemas.RECURRENCE,
    ("recurring_logics", "update"): schemas.RECURRENCE,
    ("recurring_logics", "cancel"): schemas.RECURRENCE,
    ("job_templates", "index"): listing(schemas.TEMPLATE),
    ("job_templates", "show"): schemas.WHOLE_TEMPLATE,
    ("job_templates", "create"): schemas.WHOLE_TEMPLATE,
    ("job_templates", "update"): schemas.WHOLE_TEMPLATE,
    ("job_templates", "destroy"): schemas.TEMPLATE,
    ("template_inputs", "index"): listing(schemas.TEMPLATE_INPUT),
    ("template_inputs", "show"): schemas.TEMPLATE_INPUT,
    ("template_inputs", "create"): schemas.TEMPLATE_INPUT,
    ("template_inputs", "update"): schemas.TEMPLATE_INPUT,
    ("template_inputs", "destroy"): schemas.TEMPLATE_INPUT,
    ("bookmarks", "index"): listing(schemas.BOOKMARK),
    ("bookmarks", "show"): schemas.BOOKMARK,
    ("bookmarks", "create"): schemas.BOOKMARK,
    ("bookmarks", "update"): schemas.BOOKMARK,
    ("bookmarks", "destroy"): schemas.BOOKMARK,
    ("remote_execution_features", "index"): listing(schemas.FEATURE),
    ("remote_execution_features", "show"): schemas.FEATURE,
    ("remote_execution_features", "update"): schemas.FEATURE,
    # `thin` leaves out all but the name.
    ("hosts", "index"): listing(one_of(schemas.HOST, {**schemas.NAMED, "additionalProperties": False})),
    ("hosts", "show"): schemas.HOST,
    ("hosts", "update"): schemas.HOST,
    ("organizations", "index"): listing(schemas.TAXONOMY),
    ("organizations", "show"): schemas.TAXONOMY,
    ("locations", "index"): listing(schemas.TAXONOMY),
    ("locations", "show"): schemas.TAXONOMY,
    ("settings", "index"): listing(schemas.SETTING),
    ("settings", "show"): schemas.SETTING,
    ("users", "index"): listing(schemas.USER),
    ("users", "show"): schemas.USER,
    ("users", "current"): schemas.USER,
    ("home", "index"): schemas.LINKS,
    ("home", "status"): schemas.SERVER,
    ("ping", "index"): schemas.SERVICES,
    ("ping", "statuses"): schemas.SERVICES,
}
"""The body of a success, by resource and name of the action."""

ERRORS: Final[dict[str, Schema]] = {
    "Error": record({"error": record({"message": TEXT})}),
    "Message": record({"message": TEXT}),
    "PlainError": record({"error": TEXT}),
    "MalformedJson": record({"status": INTEGER, "error": TEXT}),
    "NotUnderstood": record({"error": record({"message": TEXT, "class": words("ScopedSearch::QueryNotSupported")})}),
    "AccessDenied": record({
        "error": record({"message": TEXT, "details": TEXT, "missing_permissions": many(TEXT)}),
    }),
    "Invalid": record({
        "error": record({"id": schemas.maybe(INTEGER), "errors": HASH, "full_messages": many(TEXT)}),
    }),
}  # fmt: skip
"""The shapes of errors, which stand among the document's components."""


def responses(resource: str, name: str, method: str, status: int) -> dict[str, Any]:
    """All answers of an action, by status."""
    told = {
        status: _response("Success", SUCCESSES[resource, name]),
        400: _refusal("A parameter, search or body that is not understood", "Error", "NotUnderstood", "MalformedJson"),
        401: _refusal("No login, or one that is not right", "Error"),
        403: _refusal("A permission is missing", "AccessDenied"),
        404: _refusal("Something that is not there, or not for whoever asks", "Error", "Message", "PlainError"),
        413: _refusal("A body that is too large", "Error"),
        503: _refusal("The cluster does not answer; the same request may succeed later", "Message"),
    }
    if method != "GET":
        told[415] = _refusal("A body of another type than JSON", "Error")
        told[422] = _refusal("What is there, or what is given, does not allow it", "Error", "Message", "Invalid")
    if resource == "job_invocations" and name in ("create", "rerun"):
        told[500] = _refusal("What is wrong with the job that was to be created; 500 as Foreman has it", "Error")
    return {str(code): told[code] for code in sorted(told)}


def _refusal(description: str, *shapes: str) -> dict[str, Any]:
    references: list[Schema] = [{"$ref": f"#/components/schemas/{shape}"} for shape in shapes]
    return _response(description, references[0] if len(references) == 1 else one_of(*references))


def _response(description: str, schema: Schema) -> dict[str, Any]:
    return {"description": description, "content": {"application/json": {"schema": schema}}}
