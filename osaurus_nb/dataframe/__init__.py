"""One question, or one vector, for each row of a list or a frame. Knows frames by their shape; imports none of them."""

from osaurus_nb.dataframe.estimating import Estimate
from osaurus_nb.dataframe.mapping import map
from osaurus_nb.dataframe.progress import Progress
from osaurus_nb.dataframe.result import Mapped, Row
from osaurus_nb.dataframe.vectors import Embedded, Hit, embed, search

__all__ = ["Embedded", "Estimate", "Hit", "Mapped", "Progress", "Row", "embed", "map", "search"]
