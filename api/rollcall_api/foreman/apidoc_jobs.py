"""What the routes of job invocations take (contract §2): the parameters of the published documentation, and some more.

Which of them are served, `job_routes` says; `/apidoc` shows those that are both here and there.
"""

from typing import Final

from rollcall_api.foreman.description import LISTING, PERMISSIONS, TAXONOMIES, Action, Param, Type

_RESOURCE: Final = "job_invocations"
_ROOT: Final = "/api/job_invocations"
_ID: Final = Param("id", "identifier", required=True)
_HOST_ID: Final = Param("host_id", "identifier", required=True)
_SINCE: Final = Param("since", "Shows only what was said after this time, as the timestamps of the output have it")

_SSH: Final = Param(
    "ssh",
    "SSH provider specific options",
    Type.HASH,
    params=(
        Param(
            "effective_user",
            "What user should be used to run the script (using sudo-like mechanisms). Defaults to a template parameter "
            "or global setting.",
        ),
        Param(
            "effective_user_password",
            "Set password for effective user (using sudo-like mechanisms). Use this if the effective user needs a "
            "password.",
        ),
    ),
)
_RECURRENCE: Final = Param(
    "recurrence",
    "Create a recurring job",
    Type.HASH,
    params=(
        Param("cron_line", "How often the job should occur, in the cron format"),
        Param("max_iteration", "Repeat a maximum of N times", Type.NUMERIC),
        Param("end_time", "Perform no more executions after this time"),
        Param("purpose", "Designation of a special purpose"),
    ),
)
_SCHEDULING: Final = Param(
    "scheduling",
    "Schedule the job to start at a later time",
    Type.HASH,
    params=(
        Param("start_at", "Schedule the job for a future time"),
        Param(
            "start_before",
            "Indicates that the action should be cancelled if it cannot be started before this time.",
        ),
    ),
)
_CONCURRENCY: Final = Param(
    "concurrency_control",
    "Control concurrency level and distribution over time",
    Type.HASH,
    params=(
        Param("time_span", "Distribute tasks over given number of seconds", Type.NUMERIC),
        Param("concurrency_level", "Maximum jobs to be executed at once", Type.NUMERIC),
    ),
)
_TARGETING: Final = (
    Param("targeting_type", "Invocation type, one of static_query, dynamic_query", required=True),
    Param("randomized_ordering", "Whether to order the selected hosts randomly", Type.BOOLEAN),
    Param("bookmark_id", "A bookmark with the search query that selects the hosts", Type.NUMERIC),
    Param("search_query", "A search query that selects the hosts"),
    Param("host_ids", "The hosts, by id or name, or a search query", Type.ANY),
)
_CREDENTIALS: Final = (
    Param("ssh_user", "Set SSH user"),
    Param("password", "Set SSH password"),
    Param("key_passphrase", "Set SSH key passphrase"),
    Param("effective_user", "As in ssh"),
    Param("effective_user_password", "As in ssh"),
)
_JOB: Final = Param(
    "job_invocation",
    "The job",
    Type.HASH,
    required=True,
    params=(
        Param("job_template_id", "The job template to use, parameter is required unless feature was specified"),
        Param("feature", "Remote execution feature label that should be triggered, job template is assigned to it"),
        Param("remote_execution_feature_id", "The same feature by its id", Type.NUMERIC),
        *_TARGETING,
        Param("inputs", "Inputs to use", Type.HASH),
        _SSH,
        *_CREDENTIALS,
        _RECURRENCE,
        _SCHEDULING,
        _CONCURRENCY,
        Param("description_format", "Override the description format from the template for this invocation only"),
        Param(
            "execution_timeout_interval",
            "Override the timeout interval from the template for this invocation only",
            Type.NUMERIC,
        ),
        Param("time_to_pickup", "Override the global time to pickup interval for this invocation only", Type.NUMERIC),
    ),
)
_OUTPUTS: Final = (
    *TAXONOMIES,
    _ID,
    Param("search_query", "A search query that selects hosts of the job"),
    _SINCE,
    Param("raw", "Whether the output is one text", Type.BOOLEAN),
)
_CANCEL: Final = (
    *TAXONOMIES,
    _ID,
    Param("force", "Whether hosts are given up at once", Type.BOOLEAN),
    Param("search", "Cancels only the hosts of the job that this search query selects"),
)
_RERUN: Final = (
    *TAXONOMIES,
    _ID,
    Param("failed_only", "Whether only hosts that did not succeed are run again", Type.BOOLEAN),
    Param("succeeded_only", "Whether only hosts that succeeded are run again", Type.BOOLEAN),
    Param("host_ids", "Which of the job's hosts are run again, by id", Type.ARRAY),
)
_INCLUDE_HOSTS: Final = Param("include_hosts", "Whether the hosts are shown; true when absent", Type.BOOLEAN)
_SHOW: Final = (
    *TAXONOMIES,
    _ID,
    Param("host_status", "Show Job status for the hosts", Type.BOOLEAN),
    _INCLUDE_HOSTS,
    PERMISSIONS,
)


def _action(name: str, method: str, path: str, summary: str, *params: Param, documented: bool = True) -> Action:
    status = 201 if name in ("create", "rerun") else 200
    return Action(_RESOURCE, name, method, _ROOT + path, summary, params, status, documented)


_ALL: Final = (
    _action("index", "GET", "", "List job invocations", *LISTING),
    _action("show", "GET", "/{id}", "Show job invocation", *_SHOW),
    _action("create", "POST", "", "Create a job invocation", *TAXONOMIES, _INCLUDE_HOSTS, _JOB),
    _action("output", "GET", "/{id}/hosts/{host_id}", "Get output for a host", *TAXONOMIES, _ID, _HOST_ID, _SINCE),
    _action(
        "raw_output", "GET", "/{id}/hosts/{host_id}/raw", "Get raw output for a host", *TAXONOMIES, _ID, _HOST_ID
    ),
    _action("cancel", "POST", "/{id}/cancel", "Cancel job invocation", *_CANCEL),
    _action("rerun", "POST", "/{id}/rerun", "Rerun job on failed hosts", *_RERUN),
    _action("outputs", "GET", "/{id}/outputs", "Get outputs of hosts in a job", *_OUTPUTS),
    _action("outputs", "POST", "/{id}/outputs", "Get outputs of hosts in a job", *_OUTPUTS, documented=False),
    _action("hosts", "GET", "/{id}/hosts", "List hosts belonging to job invocation", *LISTING, _ID,
            Param("awaiting", "Whether only hosts that wait for their turn are shown", Type.BOOLEAN)),
    Action(
        "template_invocations",
        "index",
        "GET",
        f"{_ROOT}/{{id}}/template_invocations",
        "List template invocations belonging to job invocation",
        (*LISTING, _ID),
    ),
)  # fmt: skip
ACTIONS: Final = {(action.method, action.path): action for action in _ALL}
"""By method and path."""
