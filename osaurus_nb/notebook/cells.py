"""Which cell runs, as the request says that the shell is answering. Asks nobody; keeps nothing of the cell's text."""

from __future__ import annotations

from typing import Any

from IPython.core.interactiveshell import InteractiveShell

from osaurus_nb import origin
from osaurus_nb.origin import Run


class Cells:
    """Finds the cell on whose behalf the caller runs. A kernel remembers its request for each task and subshell."""

    def __init__(self, shell: InteractiveShell) -> None:
        self._shell = shell

    def __call__(self) -> Run | None:
        parent = getattr(self._shell, "get_parent", None)  # a kernel's shell has it
        if parent is None:
            return origin.run_of(f"{origin.process().session} {self._shell.execution_count}", None)
        return _run(parent())


def _run(request: Any) -> Run | None:
    """None for what is no cell: a click in a widget, say. JupyterLab tells the cell's id, other front ends may not."""
    header = request.get("header", {})
    if header.get("msg_type") != "execute_request":
        return None
    cell = (request.get("metadata") or {}).get("cellId")
    return origin.run_of(str(header.get("msg_id", "")), cell if isinstance(cell, str) else None)
