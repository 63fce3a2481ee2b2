"""JSON schemas of the bodies that the contract describes (§1.6, §1.8, §2, §7): a key that is here is in every answer.

Answers may have more keys than these, as those of later versions of Foreman do.
"""

from collections.abc import Mapping
from typing import Any, Final

Schema = dict[str, Any]

INTEGER: Final[Schema] = {"type": "integer"}
NUMBER: Final[Schema] = {"type": "number"}
TEXT: Final[Schema] = {"type": "string"}
BOOLEAN: Final[Schema] = {"type": "boolean"}
NULL: Final[Schema] = {"type": "null"}
ANYTHING: Final[Schema] = {}
HASH: Final[Schema] = {"type": "object"}


def record(keys: Mapping[str, Schema], **optional: Schema) -> Schema:
    """An object with these keys, and perhaps the others."""
    return {"type": "object", "properties": {**keys, **optional}, "required": list(keys)}


def extended(schema: Schema, keys: Mapping[str, Schema], **optional: Schema) -> Schema:
    """The same object with more keys."""
    return {
        "type": "object",
        "properties": {**schema["properties"], **keys, **optional},
        "required": [*schema["required"], *keys],
    }


def maybe(schema: Schema) -> Schema:
    """That, or null."""
    kind = schema.get("type")
    return {**schema, "type": [kind, "null"]} if isinstance(kind, str) else one_of(schema, NULL)


def one_of(*schemas: Schema) -> Schema:
    """At least one of them."""
    return {"anyOf": list(schemas)}


def many(schema: Schema) -> Schema:
    """A list of them."""
    return {"type": "array", "items": schema}


def words(*known: str) -> Schema:
    """One of these words."""
    return {"type": "string", "enum": list(known)}


def listing(row: Schema) -> Schema:
    """A page of rows (§1.8)."""
    return record(
        {
            "total": INTEGER,
            "subtotal": INTEGER,
            "page": INTEGER,
            "per_page": INTEGER,
            "search": maybe(TEXT),
            "sort": record({"by": maybe(TEXT), "order": maybe(TEXT)}),
            "results": many(row),
        },
        can_create=BOOLEAN,
        can_edit=BOOLEAN,
    )


NAMED: Final = record({"id": INTEGER, "name": TEXT})
_ID: Final = maybe(INTEGER)
"""Of something that may be gone, or that does not come from here."""
_COUNT: Final = one_of(INTEGER, words("N/A"))
_TASK_STATE: Final = words("pending", "scheduled", "planning", "planned", "running", "paused", "stopped")
_STATUS: Final = ("succeeded", "failed", "queued", "running", "cancelled")
JOB: Final = record(
    {
        "id": INTEGER,
        "description": maybe(TEXT),
        "job_category": TEXT,
        "targeting_id": INTEGER,
        "status": {"type": "integer", "enum": list(range(len(_STATUS)))},
        "start_at": maybe(TEXT),
        "status_label": words(*_STATUS),
        "ssh_user": maybe(TEXT),
        "time_to_pickup": maybe(INTEGER),
        "template_id": _ID,
        "template_name": TEXT,
        "effective_user": maybe(TEXT),
        "dynflow_task": record({"id": TEXT, "state": _TASK_STATE}),
        "succeeded": _COUNT,
        "failed": _COUNT,
        "pending": _COUNT,
        "total": _COUNT,
        "missing": INTEGER,
        "cancelled": INTEGER,
        "total_hosts": _COUNT,
        "concurrency_level": maybe(INTEGER),
        "execution_timeout_interval": maybe(INTEGER),
    },
    permissions=HASH,
)
RECURRENCE: Final = record(
    {
        "id": _ID,
        "cron_line": maybe(TEXT),
        "end_time": maybe(TEXT),
        "iteration": INTEGER,
        "task_group_id": _ID,
        "state": words("active", "disabled", "finished", "cancelled", "failed"),
        "max_iteration": maybe(INTEGER),
        "purpose": maybe(TEXT),
        "task_count": INTEGER,
        "action": TEXT,
        "last_occurence": maybe(TEXT),
        "next_occurence": maybe(TEXT),
    }
)
_JOB_STATUS: Final = words("N/A", "planned", "running", "success", "error", "cancelled")
_INPUT_VALUE: Final = record({"template_input_name": TEXT, "template_input_id": INTEGER, "value": ANYTHING})
_RUN: Final = record(
    {
        "template_id": _ID,
        "template_name": TEXT,
        "host_id": _ID,
        "template_invocation_input_values": many(_INPUT_VALUE),
    }
)
WHOLE_JOB: Final = extended(
    JOB,
    {
        "targeting": record(
            {
                "bookmark_id": _ID,
                "bookmark_name": maybe(TEXT),
                "search_query": maybe(TEXT),
                "targeting_type": words("static_query", "dynamic_query"),
                "user_id": INTEGER,
                "randomized_ordering": maybe(BOOLEAN),
            },
            hosts=many(record({"name": TEXT, "id": _ID, "display_name": TEXT}, job_status=_JOB_STATUS)),
        ),
        "task": record({"id": TEXT, "state": _TASK_STATE, "cancellable": BOOLEAN, "started_at": maybe(TEXT)}),
        "pattern_template_invocations": many(_RUN),
    },
    template_invocations=many(_RUN),
    mode=words("recurring", "future"),
    recurrence=RECURRENCE,
    scheduling=record({"start_at": TEXT, "start_before": maybe(TEXT)}),
)
_CHUNKS: Final = many(
    record({"output_type": words("stdout", "stderr", "debug"), "output": TEXT, "timestamp": NUMBER}),
)
_PROGRESS: Final[dict[str, Schema]] = {"complete": BOOLEAN, "refresh": BOOLEAN}
OUTPUT: Final = record({**_PROGRESS, "output": _CHUNKS}, delayed=BOOLEAN, start_at=maybe(TEXT))
RAW_OUTPUT: Final = record({**_PROGRESS, "output": maybe(TEXT)}, delayed=BOOLEAN, start_at=maybe(TEXT))
OUTPUTS: Final = record({"outputs": many(record({**_PROGRESS, "output": one_of(_CHUNKS, TEXT), "host_id": INTEGER}))})
CANCELLED: Final = one_of(
    record({"cancelled": BOOLEAN, "id": INTEGER}),
    record({"total": INTEGER, "cancelled": many(TEXT), "skipped": many(maybe(TEXT))}),
)
RERUN: Final = record({
    "id": INTEGER,
    "targeting_id": INTEGER,
    "job_category": TEXT,
    "task_id": TEXT,
    "task_group_id": INTEGER,
    "triggering_id": INTEGER,
    "description": maybe(TEXT),
    "concurrency_level": maybe(INTEGER),
    "time_span": maybe(INTEGER),
    "execution_timeout_interval": maybe(INTEGER),
    "password": NULL,
    "key_passphrase": NULL,
    "remote_execution_feature_id": maybe(INTEGER),
    "effective_user_password": NULL,
    "ssh_user": maybe(TEXT),
    "time_to_pickup": maybe(INTEGER),
})  # fmt: skip
HOST_OF_JOB: Final = record(
    {
        "name": TEXT,
        "operatingsystem_id": _ID,
        "operatingsystem_name": maybe(TEXT),
        "hostgroup_id": _ID,
        "hostgroup_name": maybe(TEXT),
        "id": _ID,
        "job_status": _JOB_STATUS,
        "smart_proxy_id": _ID,
        "smart_proxy_name": maybe(TEXT),
    },
    task=maybe(record({"id": TEXT, "cancellable": BOOLEAN})),
    permissions=HASH,
)
RUN_OF_JOB: Final = record({
    "id": INTEGER,
    "template_id": _ID,
    "job_invocation_id": INTEGER,
    "effective_user": maybe(TEXT),
    "host_id": _ID,
    "run_host_job_task_id": TEXT,
    "host_name": TEXT,
})  # fmt: skip
TASK: Final = record({
    "id": TEXT,
    "label": TEXT,
    "pending": BOOLEAN,
    "action": TEXT,
    "username": maybe(TEXT),
    "started_at": maybe(TEXT),
    "ended_at": maybe(TEXT),
    "duration": maybe(NUMBER),
    "state": _TASK_STATE,
    "result": words("pending", "success", "warning", "error", "cancelled"),
    "progress": {"type": "number", "minimum": 0, "maximum": 1},
    "input": HASH,
    "output": HASH,
    "humanized": record({"action": TEXT, "input": TEXT, "output": TEXT, "errors": many(TEXT)}),
    "cli_example": maybe(TEXT),
    "start_at": maybe(TEXT),
    "available_actions": record({"cancellable": BOOLEAN, "resumable": BOOLEAN}),
})  # fmt: skip
TEMPLATE: Final = record({
    "id": INTEGER,
    "name": TEXT,
    "job_category": TEXT,
    "provider_type": TEXT,
    "snippet": BOOLEAN,
    "description_format": maybe(TEXT),
    "created_at": maybe(TEXT),
    "updated_at": maybe(TEXT),
})  # fmt: skip
TEMPLATE_INPUT: Final = record({
    "id": INTEGER,
    "name": TEXT,
    "template_id": INTEGER,
    "input_type": words("user", "fact", "variable"),
    "fact_name": maybe(TEXT),
    "variable_name": maybe(TEXT),
    "description": maybe(TEXT),
    "required": BOOLEAN,
    "advanced": BOOLEAN,
    "options": maybe(TEXT),
    "default": ANYTHING,
    "hidden_value": BOOLEAN,
})  # fmt: skip
WHOLE_TEMPLATE: Final = extended(
    TEMPLATE,
    {
        "description": maybe(TEXT),
        "template": TEXT,
        "locked": BOOLEAN,
        "cloned_from_id": _ID,
        "template_inputs": many(TEMPLATE_INPUT),
        "effective_user": record({"value": maybe(TEXT), "current_user": BOOLEAN, "overridable": BOOLEAN}),
        "locations": many(HASH),
        "organizations": many(HASH),
    },
)
BOOKMARK: Final = record({
    "name": TEXT,
    "controller": TEXT,
    "query": TEXT,
    "public": BOOLEAN,
    "id": INTEGER,
    "owner_id": _ID,
    "owner_type": maybe(TEXT),
})  # fmt: skip
FEATURE: Final = record({
    "id": INTEGER,
    "label": TEXT,
    "name": TEXT,
    "description": maybe(TEXT),
    "job_template_id": _ID,
    "job_template_name": maybe(TEXT),
    "host_action_button": BOOLEAN,
})  # fmt: skip
HOST: Final = extended(
    NAMED,
    {
        "display_name": TEXT,
        "ip": maybe(TEXT),
        "mac": maybe(TEXT),
        "operatingsystem_id": _ID,
        "operatingsystem_name": maybe(TEXT),
        "hostgroup_id": _ID,
        "hostgroup_name": maybe(TEXT),
        "organization_id": _ID,
        "organization_name": maybe(TEXT),
        "location_id": _ID,
        "location_name": maybe(TEXT),
        "uuid": TEXT,
        "enabled": BOOLEAN,
        "managed": BOOLEAN,
        "build": BOOLEAN,
        "last_report": maybe(TEXT),
        "created_at": maybe(TEXT),
    },
)
TAXONOMY: Final = extended(
    NAMED,
    {
        "title": TEXT,
        "description": maybe(TEXT),
        "parent_id": _ID,
        "parent_name": maybe(TEXT),
        "created_at": maybe(TEXT),
        "updated_at": maybe(TEXT),
    },
)
SETTING: Final = extended(NAMED, {"value": ANYTHING, "description": TEXT})
USER: Final = record({"id": INTEGER, "login": TEXT, "admin": BOOLEAN, "disabled": BOOLEAN})
SERVER: Final = record({"result": words("ok"), "status": INTEGER, "version": TEXT, "api_version": INTEGER})
SERVICES: Final = record({"results": record({"foreman": HASH})})
LINKS: Final = record({"links": HASH})
