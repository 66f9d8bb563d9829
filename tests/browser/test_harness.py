"""The browser harness itself, on a notebook that needs nothing of ours."""

from __future__ import annotations

from pathlib import Path

import nbformat
import pytest
from nbformat import v4

pytestmark = pytest.mark.browser


@pytest.fixture(scope="module")
def embedded_home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Empty here: these notebooks ask no model."""
    return tmp_path_factory.mktemp("home")


def save_notebook(path: Path, *sources: str) -> Path:
    # Without a kernelspec JupyterLab asks for one in a dialog that blocks the page.
    kernel = {"kernelspec": {"name": "python3", "display_name": "Python 3", "language": "python"}}
    nbformat.write(v4.new_notebook(cells=[v4.new_code_cell(source) for source in sources], metadata=kernel), path)
    return path


def test_a_notebook_runs_from_top_to_bottom(open_notebook, tmp_path):
    """Run All executes every cell; outputs are read back from the page, and the browser has nothing to complain of."""
    notebook = open_notebook(save_notebook(tmp_path / "sum.ipynb", "x = 1 + 1", "print('two'); x"))

    notebook.run_all()

    assert notebook.errors() == []
    assert notebook.text(1) == "two\n2"
    assert notebook.complaints == []
    assert notebook.screenshot("harness").stat().st_size > 10_000


def test_a_failing_cell_is_reported(open_notebook, tmp_path):
    """An exception ends Run All at once and is told by name and message."""
    # The kernel gives up what is queued when a cell fails, so the next one must have come by then.
    cells = ("import time; time.sleep(2); 1 / 0", "print('never')")
    notebook = open_notebook(save_notebook(tmp_path / "broken.ipynb", *cells))

    notebook.run_all()

    assert notebook.errors() == ["ZeroDivisionError: division by zero"]
    assert notebook.text(1) == ""


def test_a_running_cell_can_be_interrupted(open_notebook, tmp_path):
    """The stop button's command reaches the kernel while a cell runs."""
    notebook = open_notebook(save_notebook(tmp_path / "long.ipynb", "import time; time.sleep(60)"))
    notebook.start_all()

    notebook.command("notebook:interrupt-kernel")
    notebook.wait_until_idle(seconds=20)

    assert notebook.errors() == ["KeyboardInterrupt: "]
