"""The question of each row: `{column}` in a template, or a function of the row. Pure.

What a row holds is put in as it is and never read as a template again; braces around anything that is no name stay.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any

from osaurus_nb.dataframe.rows import Rows, missing
from osaurus_nb.errors import RequestError
from osaurus_nb.options import Prompt

Template = str | Callable[[Any], Prompt]

#: `{{name}}` stands for `{name}` itself; a list's item may also be meant by `{}`.
_FIELD = re.compile(r"\{\{(\w*)\}\}|\{([^\W\d]\w*|)\}")


class Questions:
    """The prompt for a row of these. Raises RequestError for a template that names what no row has."""

    def __init__(self, template: Template, rows: Rows) -> None:
        self._template = template
        self._frame = rows.kind == "frame"
        self.fields = _fields(template, rows) if isinstance(template, str) else None

    def ask(self, row: Any) -> Prompt:
        """Raises RequestError where the row lacks what is asked about."""
        if callable(self._template):
            return self._template(row)
        return _FIELD.sub(lambda found: self._filled(found, row), self._template)

    def _filled(self, found: re.Match[str], row: Any) -> str:
        name = found[2]
        if name is None:
            return f"{{{found[1]}}}"
        value = row.get(name) if isinstance(row, Mapping) else row
        if missing(value):
            raise RequestError(f"This row has no '{name or 'text'}'.", param=name or "data")
        return str(value)


def _fields(template: str, rows: Rows) -> frozenset[str]:
    fields = frozenset(found[2] for found in _FIELD.finditer(template) if found[2] is not None)
    if not fields:
        raise RequestError('The prompt has no place for a row. Name a column, e.g. "Classify: {text}".', param="prompt")
    if rows.kind == "frame":
        if unknown := sorted(fields - set(rows.columns)):
            known = ", ".join(rows.columns)
            raise RequestError(
                f"There is no column '{unknown[0]}'; there are {known}. For braces write {{{{{unknown[0]}}}}}.",
                param="prompt",
            )
    elif len(fields) > 1 and not all(isinstance(row, Mapping) for row in rows.values()):
        raise RequestError("A row is one text here, so that the prompt can have one place for it.", param="prompt")
    return fields
