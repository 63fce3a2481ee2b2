"""Foreman's search language, scoped_search (contracts/foreman.md §6)."""

from rollcall.query.foreman.fields import HOSTS, JOBS, TASKS, Subject
from rollcall.query.foreman.grammar import parse
from rollcall.query.foreman.order import parse_order
from rollcall.query.foreman.render import render

__all__ = ["HOSTS", "JOBS", "TASKS", "Subject", "parse", "parse_order", "render"]
