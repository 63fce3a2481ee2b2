"""The table of languages in docs/targeting.md: what stands in a row asks the same."""

import json
import re
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final
from urllib.parse import parse_qsl

import pytest

from rollcall.query import ansible, awx, cdrouter, foreman, pql
from rollcall.query.ast import Query, Statement
from rollcall.query.evaluate import select
from rollcall.query.hostrows import TARGETS, HostRow
from rollcall.query.index import Index
from rollcall.resources.host import Host

PAGE: Final = Path(__file__).parents[3] / "docs" / "targeting.md"
NOW: Final = datetime(2026, 11, 22, 12, tzinfo=UTC)


def host(name: str, *groups: str, **facts: Any) -> tuple[str, HostRow]:
    return name, HostRow(Host.model_validate({"metadata": {"name": name}, "spec": {"groups": groups, "facts": facts}}))


HOSTS: Final = Index(
    dict([
        host("app1", "web", "prod", os={"family": "RedHat"}, cpus=2),
        host("db1", "db", "prod", os={"family": "RedHat"}, cpus=16),
        host("db3", "db", os={"family": "Debian"}, cpus=2),
        host("mail1", "prod"),
        host("web1", "web", "prod", os={"family": "Debian"}, cpus=4),
        host("web2", "web", os={"family": "Debian"}, cpus=8),
        host("webmail", os={"family": "RedHat"}, cpus=1),
    ])
)  # fmt: skip


def job(number: int, name: str, status: str, user: str, *tags: str, ended: float | None = None) -> dict[str, Any]:
    """As the lists of three dialects have it."""
    return {
        "name": name, "id": number, "description": name, "package_name": name, "status": status, "statuses": [status],
        "user": user, "created_by": {"id": 1, "username": user}, "options": {"tags": list(tags)},
        "labels": [{"id": place, "name": tag} for place, tag in enumerate(tags)], "ended": ended, "finished": ended,
    }  # fmt: skip


JOBS: Final = Index({
    found["name"]: found
    for found in (
        job(7, "Patch web", "failed", "ann", "nightly", ended=1.0),
        job(8, "Patch db", "completed", "ann", "nightly", "lab", ended=2.0),
        job(9, "Reboot web", "completed", "bob", "lab", ended=3.0),
        job(10, "Clean up", "running", "ann"),
    )
})  # fmt: skip
LANGUAGES: Final[Mapping[str, tuple[Index, Callable[[str], Query | Statement]]]] = {
    "Foreman": (HOSTS, lambda text: foreman.parse(text, TARGETS, NOW, targeting=True)),
    "Ansible": (HOSTS, ansible.parse),
    "PQL": (HOSTS, pql.parse),
    "PQL as arrays": (HOSTS, lambda text: pql.parse_arrays(json.loads(text))),
    "Foreman, of jobs": (JOBS, lambda text: foreman.parse(text, foreman.JOBS, NOW)),
    "CDRouter": (JOBS, lambda text: cdrouter.parse([text], cdrouter.JOBS)),
    "AWX": (JOBS, lambda text: awx.parse(parse_qsl(text), awx.JOB)),
}


def table() -> tuple[list[str], dict[str, list[str]]]:
    """The languages, and for each question what they say, as a reader sees it."""
    lines = PAGE.read_text().partition("## Ten questions")[2].partition("\n## ")[0].splitlines()
    head, _, *body = (
        [cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]] for line in lines if line[:1] == "|"
    )
    shown = {question: [cell.strip("`").replace(r"\|", "|") for cell in cells] for question, *cells in body}
    return head[1:], shown


def selected(language: str, text: str) -> list[str]:
    index, read = LANGUAGES[language]
    found = read(text)
    return select(found if isinstance(found, Statement) else Statement(found), index)


def test_the_table_asks_ten_questions_in_seven_languages() -> None:
    languages, questions = table()
    assert languages == [*LANGUAGES]
    assert len(questions) == 10


@pytest.mark.parametrize("question", table()[1])
def test_all_languages_say_the_same(question: str) -> None:
    languages, questions = table()
    said = {language: text for language, text in zip(languages, questions[question], strict=True) if text != "-"}
    for index in (HOSTS, JOBS):
        answers = {
            language: selected(language, text) for language, text in said.items() if LANGUAGES[language][0] is index
        }
        assert answers, question
        wanted = next(iter(answers.values()))
        assert answers == dict.fromkeys(answers, wanted)
        assert wanted
        assert question == "all" or len(wanted) < len(index)


def test_the_questions_differ() -> None:
    languages, questions = table()
    answers = [
        tuple(selected("Foreman", cells[0])) for cells in questions.values() if cells[languages.index("Foreman")] != "-"
    ]
    assert len(set(answers)) == len(answers)


def test_the_error_on_the_page_is_the_one_that_is_shown(capsys: pytest.CaptureFixture[str]) -> None:
    from unit.cli.program import rollcall

    text = PAGE.read_text()
    query, shown = re.findall(r"\$ rollcall query explain --language pql '(.*web1.*)'\n((?:.+\n)+)```", text)[0]
    assert rollcall("query", "explain", "--language", "pql", query).err == shown
