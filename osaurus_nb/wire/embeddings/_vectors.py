"""Vectors as they come and go: numbers, or float32 in base64. What is no vector is no answer."""

from __future__ import annotations

import base64
import math
import struct
from array import array
from collections.abc import Iterable, Sequence
from typing import Any

from osaurus_nb.embeddings import EmbeddingRequest
from osaurus_nb.errors import BadAnswer, ProviderError, Unsupported
from osaurus_nb.models import ModelCard


def pack(vector: Sequence[float]) -> str:
    """Little-endian float32 in base64."""
    return base64.b64encode(struct.pack(f"<{len(vector)}f", *vector)).decode()


def unpack(word: str) -> list[float]:
    """The numbers of such a word. Raises ValueError when it is none."""
    data = base64.b64decode(word, validate=True)
    if len(data) % 4:
        raise ValueError("not whole numbers")
    return list(struct.unpack(f"<{len(data) // 4}f", data))


def checked(vectors: Iterable[Any], card: ModelCard, request: EmbeddingRequest) -> tuple[Sequence[float], ...]:
    """A provider's vectors, if there is one of finite numbers for each text and all are as long as was asked."""
    found = tuple(_vector(vector, card) for vector in vectors)
    if len(found) != len(request.inputs):
        raise bad(f"sent {len(found)} vectors for {len(request.inputs)} texts", card)
    widths = {len(vector) for vector in found}
    if len(widths) != 1 or 0 in widths:
        raise bad("sent vectors of different lengths" if widths != {0} else "sent empty vectors", card)
    [width] = widths
    if request.dimensions not in (None, width):
        said = f"'{card.name}' gave {width} numbers for each text, not the {request.dimensions} asked for."
        raise Unsupported(f"{said} It cannot shorten its vectors.", param="dimensions")
    return found


def bad(what: str, card: ModelCard) -> ProviderError:
    return BadAnswer(f"{card.provider} {what}.", provider=card.provider, model=card.id)


def _vector(value: Any, card: ModelCard) -> Sequence[float]:
    try:
        numbers = unpack(value) if isinstance(value, str) else _numbers(value)
    except (TypeError, ValueError, OverflowError):
        raise bad("sent something that is no vector", card) from None
    if not math.isfinite(sum(numbers)):
        raise bad("sent a vector with numbers that are none", card)
    return numbers


def _numbers(value: Any) -> list[float]:
    """JSON's numbers as float32 could carry them. Raises TypeError or OverflowError when they are none."""
    if not isinstance(value, list):
        raise TypeError
    if not math.isfinite(sum(array("f", value))):  # what is too large turns infinite
        raise OverflowError
    return list(map(float, value))
