"""One question for each row of a list or a frame: `osaurus.map`. Knows frames by their shape; imports none of them."""

from osaurus_nb.dataframe.estimating import Estimate
from osaurus_nb.dataframe.mapping import map
from osaurus_nb.dataframe.progress import Progress
from osaurus_nb.dataframe.result import Mapped, Row

__all__ = ["Estimate", "Mapped", "Progress", "Row", "map"]
