"""Foreman's permissions on jobs, and the rights of Kubernetes that stand for them (contract §1.4)."""

from typing import Final

from rollcall.names import Kind
from rollcall_api.foreman.routing import Permission

LIST_JOBS: Final = Permission("view_job_invocations", (("list", Kind.JOB_INVOCATION),))
VIEW_JOB: Final = Permission("view_job_invocations", (("get", Kind.JOB_INVOCATION),))
VIEW_OUTPUT: Final = Permission("view_job_invocations", (("get", Kind.JOB_INVOCATION), ("get", Kind.JOB_OUTPUT)))
CREATE_JOB: Final = Permission("create_job_invocations", (("create", Kind.JOB_INVOCATION),))
CREATE_SERIES: Final = "create_recurring_logics"
"""What is missing where the API server refuses a Schedule."""
CANCEL_JOB: Final = Permission("cancel_job_invocations", (("patch", Kind.JOB_INVOCATION),))
VIEW_TEMPLATE_INVOCATIONS: Final = Permission("view_template_invocations", (("get", Kind.JOB_INVOCATION),))
