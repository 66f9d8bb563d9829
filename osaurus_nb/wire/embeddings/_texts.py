"""The texts in a body: a string or an array of strings. Refuses by the name of the field, never its value."""

from __future__ import annotations

from typing import Any

from osaurus_nb.errors import RequestError, Unsupported

#: So many texts may come in one request; it is OpenAI's own limit.
MAX_TEXTS = 2048


def texts(value: Any, field: str) -> tuple[str, ...]:
    """The texts under this field. Raises RequestError where there are none, too many, or something else."""
    if isinstance(value, str):
        return (_text(value, field),)
    if not isinstance(value, list):
        raise RequestError(f"'{field}' must be a string or an array of strings.", param=field)
    if not value:
        raise RequestError(f"'{field}' holds no text.", param=field)
    if isinstance(value[0], int | list) and not isinstance(value[0], bool):
        raise Unsupported(f"'{field}' holds token ids, which mean something to one model only; send text.", param=field)
    if len(value) > MAX_TEXTS:
        raise RequestError(f"'{field}' holds {len(value)} texts; {MAX_TEXTS} may come at once.", param=field)
    return tuple(_text(item, f"{field}[{at}]") for at, item in enumerate(value))


def _text(value: Any, field: str) -> str:
    if not isinstance(value, str):
        raise RequestError(f"'{field}' must be a string.", param=field)
    if not value:
        raise RequestError(f"'{field}' is empty; an empty text has no vector.", param=field)
    return value
