"""What clients of Foreman find described: the actions of each resource (contract §7.1)."""

from typing import Final

ACTIONS: Final[dict[str, set[str]]] = {
    "home": {"index", "status"},
    "hosts": {"index", "show", "update"},
    "job_templates": {"index", "show", "create", "update", "destroy"},
    "template_inputs": {"index", "show", "create", "update", "destroy"},
    "job_invocations": {
        "index",
        "show",
        "create",
        "output",
        "raw_output",
        "outputs",
        "cancel",
        "rerun",
        "hosts",
    },
    "template_invocations": {"index"},
    "bookmarks": {"index", "show", "create", "update", "destroy"},
    "remote_execution_features": {"index", "show", "update"},
    "organizations": {"index", "show"},
    "locations": {"index", "show"},
    "settings": {"index", "show"},
    "users": {"index", "show", "current"},
    "foreman_tasks": {"index", "show", "sub_tasks", "bulk_cancel"},
    "recurring_logics": {"index", "show", "update", "cancel"},
}
