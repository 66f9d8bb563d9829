"""Coding clients that people already use, pointed at our real server and changed in address, key and model alone."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pytest

from tests.clients.coding import CODERS, EDITOR, Coder

DOCUMENT = Path(__file__).parents[2] / "docs/clients.md"
EDIT = """\
Repeat what is between <<< and >>>: <<<
notes.txt
```
The answer is 42.
```
>>>"""


@pytest.mark.nightly
@pytest.mark.parametrize("coder", [*CODERS.values(), EDITOR], ids=[*CODERS, "aider"])
def test_it_shows_the_answer(bench, obedient, coder: Coder):
    """A question without a terminal is asked as a stream, and its answer is printed."""
    printed = coder.ask(bench, "Count from 1 to 5.")

    assert "1 2 3 4 5" in printed
    assert obedient.requests[-1].delivery.stream


@pytest.mark.nightly
@pytest.mark.parametrize("coder", CODERS.values(), ids=CODERS)
def test_it_runs_what_the_model_calls(bench, obedient, coder: Coder):
    """A tool call reaches the client, which runs it; its result reaches the model, whose answer is printed."""
    printed = coder.ask(bench, coder.call)

    assert "The tool answered" in printed
    assert "from-the-42-shell" in printed
    assert obedient.requests[-1].messages[-1].role == "tool"


@pytest.mark.nightly
def test_aider_writes_the_file_that_the_model_dictates(bench):
    """Aider knows no tools: it reads a whole file out of the answer and writes it."""
    EDITOR.ask(bench, EDIT)

    assert (bench.project / "notes.txt").read_text() == "The answer is 42.\n"


@pytest.mark.parametrize("coder", [*CODERS.values(), EDITOR], ids=[*CODERS, "aider"])
def test_the_settings_that_are_driven_are_those_that_are_documented(coder: Coder):
    """A reader of our documentation copies what was tested, to the letter."""
    document = DOCUMENT.read_text()

    assert [text for text in coder.files.values() if text not in document] == []
    assert [line for line in exported(coder.env) if line not in document] == []


def exported(env: Mapping[str, str]) -> list[str]:
    return [f'export {name}="{value}"' for name, value in env.items()]
