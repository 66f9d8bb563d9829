"""The first thing that a new user sees: the quickstart, top to bottom, with real answers in a real browser."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.browser.harness import OpenNotebook

pytestmark = [pytest.mark.browser, pytest.mark.model]
QUICKSTART = Path(__file__).parents[2] / "notebooks" / "quickstart.ipynb"


def test_the_quickstart_answers_from_top_to_bottom(open_notebook: Callable[[Path], OpenNotebook]) -> None:
    """Every cell runs, the model answers here and over HTTP, and the browser has nothing to complain of."""
    notebook = open_notebook(QUICKSTART)

    notebook.run_all(seconds=240)

    shown = {cell["source"]: notebook.text(at) for at, cell in enumerate(notebook.cells())}
    assert notebook.errors() == []
    assert notebook.complaints == []
    assert text_below(shown, "client.chat(").startswith("The capital of France is Paris.")
    assert "connected" in text_below(shown, "%osaurus status")
    assert "Paris" in text_below(shown, "urllib.request")
    notebook.page.get_by_role("log").scroll_into_view_if_needed()
    notebook.screenshot("quickstart-end")


def text_below(shown: dict[str, str], part: str) -> str:
    """The output of the first cell that holds `part`."""
    return next(text for source, text in shown.items() if part in source)
