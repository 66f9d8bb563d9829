"""Rows of whatever was given, and a frame of the same kind and index for what came of them.

A frame is known by its shape (`columns`, `index`), so neither pandas nor polars is ever imported for one.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from importlib import import_module
from typing import Any, Literal

from osaurus_nb.errors import ConfigError, RequestError

Kind = Literal["list", "series", "frame"]


class Rows:
    """`columns` are a frame's, in order; a list or a series has none. `values` can be read again and again."""

    def __init__(self, data: Any) -> None:
        self._data = data
        self.kind: Kind = _kind(data)
        self.columns: tuple[str, ...] = tuple(_texts(data.columns)) if self.kind == "frame" else ()
        if self.kind == "list":
            self._data = list(data)
        self.count = len(self._data)
        self.name = getattr(data, "name", None) if self.kind == "series" else None

    def values(self, wanted: Iterable[str] | None = None) -> Iterator[Any]:
        """Each row: of a frame a mapping, with the wanted columns alone; else the item itself."""
        if self.kind != "frame":
            yield from self._data
            return
        names = [name for name in self._data.columns if wanted is None or str(name) in wanted]
        if not names:
            yield from ({} for _ in range(self.count))
            return
        for cells in zip(*(self._data[name] for name in names), strict=True):
            yield dict(zip(_texts(names), cells, strict=True))

    def frame(self, columns: Mapping[str, Sequence[Any]]) -> Any:
        """These columns as a frame of the given data's library, with its index. For a list whichever is installed."""
        if self.kind == "list":
            return _library().DataFrame(dict(columns))
        maker = type(self._data if self.kind == "frame" else self._data.to_frame())
        index = getattr(self._data, "index", None)
        return maker(dict(columns)) if index is None else maker(dict(columns), index=index)


def missing(value: object) -> bool:
    """Nothing is there: None, NaN, or what a frame's library has for it."""
    if isinstance(value, float):
        return math.isnan(value)
    return value is None or type(value).__name__ in ("NAType", "NaTType")


def _texts(names: Iterable[Any]) -> list[str]:
    return [str(name) for name in names]


def _kind(data: Any) -> Kind:
    if isinstance(data, str | bytes | Mapping):
        raise RequestError("Give a list of rows, a series or a frame.", param="data")
    if hasattr(data, "collect") and hasattr(type(data), "columns"):  # asking it for them would make it work
        raise RequestError("A lazy frame has no rows yet; call its `collect()` first.", param="data")
    if hasattr(data, "columns") and hasattr(data, "__getitem__"):
        return "frame"
    if hasattr(data, "to_frame") and hasattr(data, "__len__"):
        return "series"
    if isinstance(data, Iterable):
        return "list"
    raise RequestError("Give a list of rows, a series or a frame.", param="data")


def _library() -> Any:
    for name in ("pandas", "polars"):
        try:
            return import_module(name)
        except ModuleNotFoundError:
            continue
    raise ConfigError("There is neither pandas nor polars here to make a frame with. `.values` has the same as a list.")
