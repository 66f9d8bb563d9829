"""What is asked beside answers: one JSON object in, one out. A new one is a row in a table of this room.

A row is a path below `/osaurus`, the dialect of its errors, and the code that does it.
"""

from __future__ import annotations

from collections.abc import Mapping

from osaurus_nb_server.operations import counting, deciding, embedding, explaining
from osaurus_nb_server.operations._operation import Operation, Outcome, Perform

#: Paths below `/osaurus`, each with what it does.
OPERATIONS: Mapping[str, Operation] = {
    **counting.ROWS,
    **deciding.ROWS,
    **embedding.ROWS,
    **explaining.ROWS,
}

__all__ = ["OPERATIONS", "Operation", "Outcome", "Perform"]
