"""The ledger as a user meets it: what each cell cost, a cap, sums and orphans, with a server and without."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from nbclient import NotebookClient
from nbformat import read

from tests.browser.harness import OpenNotebook

pytestmark = [pytest.mark.browser, pytest.mark.model]
ROOT = Path(__file__).parents[2]
LEDGER = ROOT / "notebooks" / "ledger.ipynb"


def test_the_ledger_notebook_works_from_top_to_bottom(open_notebook: Callable[[Path], OpenNotebook]) -> None:
    """Connected: costs below answers, a cap that refuses in one sentence, sums by model, and no orphan."""
    notebook = open_notebook(LEDGER)

    notebook.run_all(seconds=180)

    shown = {cell["source"]: notebook.text(at) for at, cell in enumerate(notebook.cells())}
    assert notebook.errors() == []
    assert notebook.complaints == []
    assert_shown(shown)


def test_the_ledger_notebook_works_without_a_server(
    embedded_home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Embedded: the same cells, the same answers."""
    monkeypatch.setenv("OSAURUS_HOME", str(embedded_home))
    monkeypatch.setenv("IPYTHONDIR", str(tmp_path / "ipython"))
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    for name in ("OSAURUS_URL", "OSAURUS_KEY", "OSAURUS_MODEL"):
        monkeypatch.delenv(name, raising=False)
    notebook = read(LEDGER, as_version=4)

    NotebookClient(notebook, timeout=120, kernel_name="python3").execute()

    assert_shown({cell.source: "".join(map(text, cell.outputs)) for cell in notebook.cells if cell.cell_type == "code"})


def assert_shown(shown: dict[str, str]) -> None:
    def below(part: str) -> str:
        return next(text for source, text in shown.items() if part in source)

    assert below("%%osaurus") == "Hello from the loopback upstream."
    assert "source='user'" in below("print(paid.cost)")
    assert "was not asked: it could cost" in below("osaurus.budget(")
    assert "<Budget $0.00" in below("osaurus.budget(")
    assert "shop/loopback" in below('sum("model")')
    assert "There are no orphans" in below("--orphans")


def text(output: Any) -> str:
    return output["text"] if output["output_type"] == "stream" else output["data"].get("text/plain", "")
