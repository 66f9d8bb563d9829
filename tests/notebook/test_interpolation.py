"""Values in a prompt, and braces that are none."""

from __future__ import annotations

import pytest

from osaurus_nb.notebook.interpolation import expand

VALUES = {"name": "Ada", "a.b": "dotted", "f(x)": 3, "d['k']": None, "a": "A", "b": "B"}


@pytest.mark.parametrize(
    ("text", "expanded"),
    [
        ("Hi {{name}}!", "Hi Ada!"),
        ("Hi {{ name }}{{name}}", "Hi AdaAda"),
        ("$`name` and $`a.b`", "Ada and dotted"),
        ("file{{f(x)}}.txt {{d['k']}}", "file3.txt None"),
        (r"\{{name}}", "{{name}}"),
        ("é{{name}}\nsecond {{name}}", "éAda\nsecond Ada"),
    ],
)
def test_places_are_filled(text, expanded):
    """Braces around an expression, ticks around a name; a backslash keeps the braces."""
    assert expand(text, VALUES.__getitem__) == expanded


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{name}",
        "{'a': 1}",
        '{"a": {"b": {"c": 1}}}',
        "{{}}",
        "{{ }}",
        "{{1, 2}}",
        '{{"a": 1}}',
        "{{name",
        "name}}",
        "{{{name}}}",
        "{% for x in y %}",
        "{%{{name}}%}",
        r"\frac{{a}}{{b}}",
        r"\mathbb{{a}}",
        "x^{{a}} y_{{b}}",
        "$name ${name} $HOME",
        "`name`",
        "$`x^2`$",
        "costs $`1",
        "{{not valid python}}",
        "a {{\nname\n}} b",
    ],
)
def test_everything_else_stays_as_it_is(text):
    """Dicts, JSON, LaTeX, templates, shell variables and GitHub's math are sent as written."""
    assert expand(text, VALUES.__getitem__) == text


def test_what_evaluation_raises_passes_through():
    """The caller decides how an unknown name is told."""
    with pytest.raises(KeyError):
        expand("{{nobody}}", VALUES.__getitem__)


def test_a_value_is_not_expanded_again():
    """What a value holds is text, whatever it looks like."""
    assert expand("{{name}}", lambda _: "{{a}} $`b`") == "{{a}} $`b`"
