"""What is seen in a prompt: words by their meaning, code apart from prose, and a bound on what is read."""

from __future__ import annotations

import re
import time

import pytest

from osaurus_nb.routing.intent import classify
from osaurus_nb.routing.intent_features import HEAD, TAIL, clip, features, gathered


@pytest.mark.parametrize("word", ["recode", "contest", "encoded", "decoder", "testament", "classy", "fixture", "apis2"])
def test_a_word_inside_another_is_not_seen(word: str):
    """Letters are no words: `recode` holds no `code`."""
    assert "n.code" not in features(f"about the {word}")


def test_the_thing_asked_for_is_what_follows_the_verb():
    """In `write a poem about a script` the poem is what is to be written; in the reverse, the script."""
    poem, script = features("write a poem about a script"), features("write a script about a poem")

    assert "to:n.creative" in poem
    assert "to:n.creative" not in script
    assert "to:n.code" in script


def test_in_chinese_and_japanese_the_thing_comes_last():
    """What stands before it describes it."""
    assert "to:n.creative" in features("写一首关于代码的诗")
    assert "to:n.creative" in features("コードについての詩を書いて")


def test_accents_may_be_left_out():
    """`refactorisation` and `résumer` are typed with and without."""
    assert "v.text" in features("resumer la page")
    assert "v.text" in features("résumer la page")
    assert "v.text" in features("re\u0301sumer la page")


def test_what_is_quoted_is_not_asked_for():
    """A longer quotation is taken out before words are looked up."""
    assert "n.code" not in features('Translate "the function of this method in the class" for me')


@pytest.mark.parametrize(
    "code", ["```python\nclass Story: pass\n```", "```\nclass Story: pass", "def poem(story):\n    return story"]
)
def test_code_is_taken_out_of_the_prose(code: str):
    """Names in code are not what is talked about, fenced or not, closed or not."""
    found = features(f"What does it do, please?\n{code}")

    assert "code>=1" in found
    assert "n.creative" not in found


def test_a_feature_is_named_once():
    """Names are a set in an order that is always the same."""
    text = "Write a test, write a test, write a test for `f(x)` in app/main.py?"

    found = features(text)

    assert len(found) == len(set(found))
    assert found == features(text)


def test_head_and_tail_of_a_long_text_are_read():
    """The middle of a long text is left out, its ends are not."""
    text = "a" * HEAD + "middle" + "z" * TAIL

    assert "middle" not in clip(text)
    assert clip(text).startswith("a" * HEAD)
    assert clip(text).endswith("z" * TAIL)
    assert clip("short") == "short"


@pytest.mark.parametrize(
    "piece",
    ["word ", "a" * 50, "(", "```", '"', "`", "x = (", "写", "select a from ", "-'", "{;\n", "\u0301", "_a", "1.1"],
)
def test_a_megabyte_costs_no_more_than_a_page(piece: str):
    """However long and odd a text is, the time for it is bounded."""
    text = piece * (1_000_000 // len(piece))
    classify(piece)

    start = time.process_time()
    classify(text)

    assert time.process_time() - start < 0.1


def test_entries_of_the_word_table_are_words_stems_or_pairs():
    """A stem ends with a star, a pair has an underscore, Chinese and Japanese have neither."""
    table = gathered(
        {"v.a": {"en": "go stem* give_me", "fr": "né"}, "v.b": {"en": "go"}, "n.c": {"zh": "诗 诗歌"}},
    )

    assert table.whole == {"go": ("v.a", "v.b"), "né": ("v.a",), "ne": ("v.a",)}
    assert table.stems == {"ste": [("stem", ("v.a",))]}
    assert table.pairs == {"give": {"me": ("v.a",)}}
    assert table.dense == {"诗": [("诗歌", ("n.c",)), ("诗", ("n.c",))]}
    assert re.fullmatch(r"\w+", "né")
