"""Vectors without a model: the same text has the same one everywhere. Pure."""

from __future__ import annotations

import hashlib
import math
import struct


def vector(text: str, dimensions: int = 8) -> list[float]:
    """A vector of length 1, its numbers such as float32 can hold. Like texts are no more alike than others."""
    words = hashlib.shake_256(text.encode("utf-8", "surrogatepass")).digest(4 * dimensions)
    raw = [number / 2**31 - 1 for number in struct.unpack(f"<{dimensions}I", words)]
    length = math.hypot(*raw) or 1.0
    return list(struct.unpack(f"<{dimensions}f", struct.pack(f"<{dimensions}f", *(x / length for x in raw))))
