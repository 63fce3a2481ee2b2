"""The filters of AWX's lists: Django's field lookups as query parameters (contracts/awx.md §5)."""

from rollcall.query.awx.models import HOST, JOB, ForbiddenFieldError, Model
from rollcall.query.awx.order import parse_order
from rollcall.query.awx.parameters import parse
from rollcall.query.awx.render import render

__all__ = ["HOST", "JOB", "ForbiddenFieldError", "Model", "parse", "parse_order", "render"]
