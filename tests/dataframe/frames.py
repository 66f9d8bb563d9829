"""Frames by their shape alone, as pandas and polars have them: columns that are indexed by name, an index or none."""

from __future__ import annotations


class Series:
    """One column. With an index it is like pandas'."""

    def __init__(self, values, index=None, name="text"):
        self.cells, self.index, self.name = list(values), index, name

    def __len__(self):
        return len(self.cells)

    def __iter__(self):
        return iter(self.cells)

    def to_frame(self):
        return Frame({self.name: self.cells}, index=self.index)


class Frame:
    """Columns by name, under an index."""

    def __init__(self, columns, index=None):
        self.kept, self.index = {name: list(cells) for name, cells in columns.items()}, index

    @property
    def columns(self):
        return list(self.kept)

    def __getitem__(self, name):
        return Series(self.kept[name], getattr(self, "index", None), name)

    def __len__(self):
        return len(next(iter(self.kept.values())))


class Unindexed(Frame):
    """As polars': there is no index, and none is taken."""

    def __init__(self, columns):
        super().__init__(columns)
        del self.index


class Lazy:
    """As polars' lazy frame: it would have to work to tell its columns."""

    @property
    def columns(self):
        raise AssertionError("nobody may ask")

    def collect(self):
        return Unindexed({"text": ["x"]})
