"""Notebooks executed without a front end: nbclient, and what is saved."""

from __future__ import annotations

from pathlib import Path

import pytest
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError
from nbformat import NotebookNode, v4

from tests.notebook.conftest import SETUP


@pytest.fixture(autouse=True)
def kernel_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("IPYTHONDIR", str(tmp_path / "ipython"))
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parents[2]))
    for name in ("OSAURUS_URL", "OSAURUS_KEY"):
        monkeypatch.delenv(name, raising=False)


def execute(*cells: str) -> NotebookNode:
    sources = ["%load_ext osaurus_nb\n" + SETUP, *cells]
    notebook = v4.new_notebook(cells=[v4.new_code_cell(source) for source in sources])
    NotebookClient(notebook, timeout=60, kernel_name="python3").execute()
    return notebook


def test_an_executed_notebook_holds_one_whole_output():
    """What is saved is the last frame, once."""
    notebook = execute("%%osaurus\nhi")

    outputs = notebook.cells[1].outputs
    assert [output.output_type for output in outputs] == ["display_data"]
    assert outputs[0].data["text/plain"] == "Hello **there**"


def test_a_failing_cell_stops_the_run():
    """nbclient reports the cell with the message, not a page of traceback."""
    with pytest.raises(CellExecutionError) as caught:
        execute("%%osaurus -m nope\nhi", "print('never')")

    assert caught.value.ename == "ModelNotFound"
    assert "There is no model 'nope'." in str(caught.value)
    assert "Traceback" not in str(caught.value)
