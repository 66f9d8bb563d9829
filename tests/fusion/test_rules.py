"""The pure rules of fusion: when answers agree, who sits on a panel, what is worth one."""

from __future__ import annotations

import pytest

from osaurus_nb.routes import Analysis
from osaurus_nb.routing.fusion import agreement, asked, brief, panel


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("42", "**42.**"),
        ("The Danube", "danube"),
        ("1,000", "1000"),
        ("It's Paris!", "it's paris"),
        ("The lake is deep, cold and clear in winter.", "The lake is deep, cold and very clear in winter."),
        ("日本の首都は東京です。", "日本の首都は東京です"),
    ],
)
def test_the_same_in_other_clothes_agrees(one: str, other: str):
    """Case, marks, articles and a word more make no difference."""
    assert agreement.similarity(agreement.words(one), agreement.words(other)) >= agreement.AGREED


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("42", "43"),
        ("Yes", "No"),
        ("Paris", "Rome"),
        ("The tower is 300 metres high and stands in Paris.", "The tower is 330 metres high and stands in Paris."),
        (
            "You should deploy this change to production today.",
            "You should not deploy this change to production today.",
        ),
        ("You can deploy this change to production today.", "You can't deploy this change to production today."),
        ("", ""),
    ],
)
def test_what_differs_in_substance_does_not_agree(one: str, other: str):
    """Another number or a denial turns a sentence round, however alike the rest is."""
    assert agreement.similarity(agreement.words(one), agreement.words(other)) < agreement.AGREED


def test_two_of_three_are_enough_and_two_of_five_are_not():
    """The rest could still outvote them."""
    assert agreement.enough(["42", "42."], panel=3, at_least=2)
    assert not agreement.enough(["42", "42."], panel=5, at_least=2)
    assert not agreement.enough(["42", "42."], panel=3, at_least=3)
    assert not agreement.enough(["42"], panel=2, at_least=2)


def test_each_answer_has_its_agreement_with_the_others():
    """Its mean; a single answer has none."""
    assert agreement.agreements(["42", "42", "seven"]) == [0.5, 0.5, 0.0]
    assert agreement.agreements(["42"]) == [None]


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("Compare these two", "comparison"),
        ("Vergleiche die beiden Entwürfe", "comparison"),
        ("please review my plan", "review"),
        ("What are the risks of this?", "risk"),
        ("Should we migrate?", "decision"),
        ("应该选择哪个方案", "decision"),
        ("The preview is brisk", None),
        ("Print a list of primes", None),
    ],
)
def test_what_is_asked_for_is_told_by_whole_words(text: str, kind: str | None):
    """In several languages, and never by a piece of another word."""
    assert asked.kind(text) == kind


@pytest.mark.parametrize("said", ["", "{", "[]", '{"consensus": "all"}', '{"consensus": []}', "{" * 100_000])
def test_findings_that_are_none_are_none(said: str):
    """Whatever a model says."""
    assert brief.read(said) is None


def test_findings_are_read_out_of_a_fence():
    """As small models write them."""
    keys = ", ".join(f'"{name}": ["x"]' for name in brief.KINDS)

    assert brief.read(f"Here:\n```json\n{{{keys}}}\n```") == Analysis(("x",), ("x",), ("x",), ("x",), ("x",))


def test_the_order_of_answers_is_the_steps_own():
    """The same for the same step, whatever order they came in; another one for some other step."""
    items = [(f"m{n}", n) for n in range(6)]

    first = panel.shuffled(items, "s1")

    assert first == panel.shuffled(items[::-1], "s1")
    assert len({tuple(panel.shuffled(items, f"s{n}")) for n in range(20)}) > 10


@pytest.mark.parametrize("id", ["osaurus/fusion", "sage-router/fusion", "fusion", "peer/osaurus/my-fusion"])
def test_fusions_are_known_by_name(id: str):
    """Wherever they are listed."""
    assert panel.is_fusion(id)


@pytest.mark.parametrize("id", ["fusion-7b", "vendor/fusionnet", "llama-3"])
def test_a_model_that_is_merely_called_so_is_none(id: str):
    """It may sit there as any other."""
    assert not panel.is_fusion(id)
