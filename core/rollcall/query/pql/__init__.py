"""PQL, the Puppet Query Language, and its form as arrays (contracts/puppet.md §8): a subset of it, for host targets."""

from rollcall.query.pql.arrays import parse_arrays
from rollcall.query.pql.grammar import parse
from rollcall.query.pql.render import render

__all__ = ["parse", "parse_arrays", "render"]
