"""Template texts in ERB, and what they become."""

import pytest

from rollcall_api.foreman.templating import TemplateTextError, converted


@pytest.mark.parametrize(
    ("text", "script"),
    [
        ("echo hello\n", "echo hello\n"),
        ("echo {{ inputs.a }}", "echo {{ inputs.a }}"),
        ("<%= input('command') %>", "{{ inputs.command | raw }}"),
        ('a <%= input("x") %>\nb', "a {{ inputs.x | raw }}\nb"),
        ("a <%= input(:x) -%>\nb", "a {{ inputs.x | raw }}b"),
        ("<%#\nname: Run\nprovider_type: script\n%>\ntrue\n", "true\n"),
    ],
)
def test_what_is_understood(text: str, script: str) -> None:
    assert converted(text) == script


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("<% if @host %>x<% end %>", "Ruby that this server does not run: <% if @host %>"),
        ("<%= @host.name %>", "Ruby that this server does not run"),
        ("<%= input('a') + 'b' %>", "Ruby that this server does not run"),
        ("<%= input('a') %> {{ inputs.b }}", "mixes ERB"),
    ],
)
def test_what_is_refused(text: str, said: str) -> None:
    with pytest.raises(TemplateTextError, match=said):
        converted(text)


def test_tags_that_never_end_are_text() -> None:
    assert converted("<%" * 100_000) == "<%" * 100_000
