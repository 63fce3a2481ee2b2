"""One evaluator for all languages: it selects what a plain look at each row selects, also after rows have changed."""

import json
from collections.abc import Mapping
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rollcall.patterns import PatternError
from rollcall.query import ansible
from rollcall.query.ast import (
    EACH,
    And,
    Constant,
    Entry,
    Has,
    Not,
    Or,
    Path,
    Query,
    SomeEntry,
    SomeItem,
    Statement,
    parts,
)
from rollcall.query.evaluate import rows
from rollcall.query.explain import explain, why
from rollcall.query.index import MOST_COLUMNS, Index, bits_of, slots_of, values_at
from rollcall.query.predicates import (
    Bound,
    Compares,
    Equals,
    Glob,
    Holds,
    Like,
    Matches,
    Predicate,
    Present,
    Which,
    key,
)
from unit.core.query.selecting import index, selected

scalars = st.sampled_from([0, 1, 1.0, 2.5, -3, True, False, "", "1", "true", "a", "ab", "AB", "b"])
values = st.recursive(
    scalars | st.none(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["a", "b", "os"]), inner, max_size=3),
    max_leaves=6,
)
documents = st.dictionaries(st.sampled_from(["facts", "tags", "x"]), values, max_size=3)
paths = st.lists(st.sampled_from(["facts", "tags", "x", "a", "b", "os", 0, -1, EACH]), min_size=1, max_size=3).map(
    tuple
)
texts = st.sampled_from(["", "a", "b", "ab", "1"])
predicates: st.SearchStrategy[Predicate] = st.one_of(
    st.just(Present()),
    st.lists(scalars, max_size=3).map(lambda drawn: Equals(tuple(drawn))),
    st.builds(Compares, st.sampled_from(Bound), st.sampled_from([0, 1, 1.5, "a", "ab"])),
    st.builds(Like, st.lists(texts, min_size=1, max_size=3).map(tuple), st.booleans()),
    st.builds(Matches, st.sampled_from(["a", "^a", "b$", "(a|1)", "."]), st.booleans()),
    st.builds(Glob, st.sampled_from(["*", "a*", "?", "[ab]", "[!a]*", "t*e"])),
    st.builds(Holds, st.sampled_from(Which), st.lists(scalars, max_size=2).map(tuple)),
)
entries = st.one_of(
    st.builds(Has, st.just((Entry.NAME,)), predicates),
    st.builds(Has, st.sampled_from([(Entry.VALUE,), (Entry.VALUE, "a")]), predicates),
)
items = st.builds(Has, st.sampled_from([(Entry.VALUE,), (Entry.VALUE, "a")]), predicates)


def grown(leaf: st.SearchStrategy[Query]) -> st.SearchStrategy[Query]:
    return st.recursive(
        leaf,
        lambda inner: st.one_of(
            st.builds(Not, inner),
            st.builds(And, st.lists(inner, max_size=3).map(tuple)),
            st.builds(Or, st.lists(inner, max_size=3).map(tuple)),
        ),
        max_leaves=6,
    )


queries = grown(
    st.one_of(
        st.builds(Constant, st.booleans()),
        st.builds(Has, paths, predicates),
        st.builds(SomeEntry, st.sampled_from([("facts",), ("x",)]), grown(entries)),
        st.builds(SomeItem, st.sampled_from([("tags",), ("facts", "a")]), grown(items)),
    )
)


def holds(query: Query, row: Mapping[str, Any]) -> bool:
    """Whether a row is selected, looked at by itself, without any index."""
    match query:
        case Constant(value):
            return value
        case Has(path, predicate):
            return any(predicate.accepts(value) for value in values_at(row, path))
        case Not(part):
            return not holds(part, row)
        case And(inner):
            return all(holds(part, row) for part in inner)
        case Or(inner):
            return any(holds(part, row) for part in inner)
        case SomeEntry(path, part):
            found = [entry for value in values_at(row, path) if isinstance(value, dict) for entry in value.items()]
            return any(of_entry(part, row, name, value) for name, value in found if value is not None)
        case SomeItem(path, part):
            return any(of_entry(part, row, "", item) for item in values_at(row, (*path, EACH)))
        case _:
            raise AssertionError(query)


def of_entry(query: Query, row: Mapping[str, Any], name: str, value: Any) -> bool:
    match query:
        case Has((Entry.NAME,), predicate):
            return predicate.accepts(name)
        case Has((Entry.VALUE, *rest), predicate):
            return any(predicate.accepts(found) for found in values_at({"": value}, ("", *rest)))
        case Not(part):
            return not of_entry(part, row, name, value)
        case And(inner):
            return all(of_entry(part, row, name, value) for part in inner)
        case Or(inner):
            return any(of_entry(part, row, name, value) for part in inner)
        case _:
            return holds(query, row)


@given(st.lists(documents, max_size=12), st.lists(queries, min_size=1, max_size=3))
def test_the_index_selects_what_a_look_at_each_row_selects(found: list[dict[str, Any]], asked: list[Query]) -> None:
    all_rows = {f"h{number}": {**document, "name": f"h{number}"} for number, document in enumerate(found)}
    built = Index(all_rows)
    for query in asked:
        assert selected(query, built) == sorted(name for name, row in all_rows.items() if holds(query, row))


changes = st.lists(st.tuples(st.sampled_from(["h0", "h1", "h2", "h3"]), st.none() | documents), max_size=15)


@given(changes, st.lists(queries, min_size=1, max_size=2))
def test_an_index_that_has_seen_changes_is_as_good_as_a_new_one(
    told: list[tuple[str, dict[str, Any] | None]], asked: list[Query]
) -> None:
    kept = Index()
    now: dict[str, dict[str, Any]] = {}
    for name, document in told:
        for query in asked:
            rows(query, kept)  # what it keeps from here on has to follow the changes
        if document is None:
            kept.remove(name)
            now.pop(name, None)
        else:
            kept.put(name, {**document, "name": name})
            now[name] = {**document, "name": name}
        for query in asked:
            assert selected(query, kept) == selected(query, Index(now))
    assert len(kept) == len(now)


@given(queries, st.lists(documents, min_size=1, max_size=4))
def test_every_query_can_be_explained(query: Query, found: list[dict[str, Any]]) -> None:
    built = index(*({**document, "name": f"h{number}"} for number, document in enumerate(found)))
    assert len(explain(Statement(query)).splitlines()) == len(list(parts(query)))
    verdict = why(query, "h0", built).splitlines()[0]
    assert ("[yes" in verdict) == ("h0" in selected(query, built))


@given(st.sets(st.integers(0, 300)))
def test_sets_of_rows(slots: set[int]) -> None:
    assert list(slots_of(bits_of(slots, 301))) == sorted(slots)


@given(values, values)
def test_keys_are_equal_where_values_are(left: Any, right: Any) -> None:
    same = json.dumps(normal(left), sort_keys=True) == json.dumps(normal(right), sort_keys=True)
    assert (key(left) == key(right)) == same


def normal(value: Any) -> Any:
    """The value with whole numbers in one form."""
    if isinstance(value, float) and value.is_integer():
        return int(value)
    if isinstance(value, list):
        return [normal(item) for item in value]
    return {name: normal(inner) for name, inner in value.items()} if isinstance(value, dict) else value


@pytest.mark.parametrize(
    "pattern", ["(a+)+$", "(a|aa)+$", "(a|a?)+$", "(.*a){20}", "([a-zA-Z]+)*$", "a" * 50 + "?" * 10]
)
def test_no_regular_expression_takes_long(pattern: str) -> None:
    try:
        predicate = Matches(pattern)
    except PatternError:
        return  # too large is refused, which is quick too
    text = "a" * 30_000 + "!"
    assert predicate.accepts(text) in (True, False)


@pytest.mark.parametrize(
    ("pattern", "text", "fits"),
    [
        ("web*", "web1", True),
        ("web*", "aweb", False),
        ("w?b", "web", True),
        ("w?b", "wb", False),
        ("[abc]x", "bx", True),
        ("[!abc]x", "bx", False),
        ("[a-c]x", "bx", True),
        ("[]a]x", "]x", True),
        ("[!]]x", "ax", True),
        ("[", "[", True),
        ("a[", "a[", True),
        ("a.b", "axb", False),
        ("a+(b)$^|\\d", "a+(b)$^|\\d", True),
        ("é*", "éa", True),
        ("*", "a\nb", True),
        ("[a^]", "^", True),
        ("[^a]", "^", True),
    ],
)
def test_shell_patterns(pattern: str, text: str, fits: bool) -> None:
    assert Glob(pattern).accepts(text) is fits


def test_a_path_of_a_host_in_words() -> None:
    path: Path = ("facts", "a b", "disks", 0, EACH)
    query = And((Has(path, Equals(("x", 1))), Not(Has(("name",), Matches("^w")))))
    assert explain(Statement(query)) == (
        'all of:\n  facts."a b".disks[0] (each) is one of "x", 1\n  not:\n    name matches /^w/'
    )
    hosts = index({"name": "web", "facts": {"a b": {"disks": [["x", "y"]]}}})
    assert why(query, "web", hosts) == (
        'all of:  [no]\n  facts."a b".disks[0] (each) is one of "x", 1  [yes: it has "x", "y"]\n'
        '  not:  [no]\n    name matches /^w/  [yes: it has "web"]'
    )


def test_of_a_group_it_says_which_one() -> None:
    hosts = index({"name": "web1", "groups": ["web", "rack01", "rack02"]}, {"name": "web2", "groups": []})
    asked = ansible.parse("rack*")
    assert why(asked, "web1", hosts).endswith('fits "rack*"  [yes: it is in "rack01", "rack02"]')
    assert why(asked, "web2", hosts).endswith('fits "rack*"  [no: it is in no such group]')


def test_what_was_not_asked_about_for_long_is_forgotten_and_found_again() -> None:
    built = index({"name": "a", "x": {f"f{number}": number for number in range(200)}}, {"name": "b", "x": {"f0": 0}})
    for number in (*range(200), 0):
        assert selected(Has(("x", f"f{number}"), Equals((number,))), built) == (["a"] if number else ["a", "b"])
    assert len(built._columns) == MOST_COLUMNS


def test_a_value_of_very_many_rows_follows_their_changes() -> None:
    names = [f"h{number:03}" for number in range(400)]
    built = Index({name: {"name": name, "x": "old"} for name in names})
    old, new = (Has(("x",), Equals((value,))) for value in ("old", "new"))
    for gone in (0, 100, 390, 400):
        for name in names[:gone]:
            built.put(name, {"name": name, "x": "new"})
        assert (selected(old, built), selected(new, built)) == (names[gone:], names[:gone])
    built.remove("h007")
    assert selected(new, built) == [name for name in names if name != "h007"]
