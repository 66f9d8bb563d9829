"""Remembers what the model has read, so that the next turn of a chat reads only what is new. Bounded in bytes.

Holds the key-value caches of finished answers by the tokens that they stand for. What it hands out is a copy, cut to
the prompt: no request ever writes into what another one reads.
"""

from __future__ import annotations

import copy
from dataclasses import dataclass
from typing import Any

import numpy as np
from mlx_lm.models.cache import can_trim_prompt_cache, trim_prompt_cache


@dataclass(frozen=True, slots=True)
class Prefix:
    """The first `length` tokens of a prompt, already read."""

    length: int
    layers: list[Any] | None = None


@dataclass(eq=False, slots=True)
class _Entry:
    tokens: np.ndarray[Any, np.dtype[np.int64]]
    layers: list[Any]
    nbytes: int


class PromptCache:
    """The caches that fit into `max_bytes`, the latest used ones first."""

    def __init__(self, max_bytes: int) -> None:
        self.max_bytes = max_bytes
        self._entries: list[_Entry] = []

    @property
    def nbytes(self) -> int:
        return sum(entry.nbytes for entry in self._entries)

    def __len__(self) -> int:
        return len(self._entries)

    def longest(self, prompt: list[int]) -> Prefix:
        """The longest prefix of `prompt` that is known, always at least one token short of it.

        The model must read the last token itself: its answer to it is what the first new token is drawn from.
        """
        wanted = np.asarray(prompt[:-1], dtype=np.int64)
        best, length = None, 0
        for entry in self._entries:
            shared = _usable(entry, wanted)
            if shared > length:
                best, length = entry, shared
        if best is None:
            return Prefix(0)
        self._entries.remove(best)
        self._entries.append(best)
        return Prefix(length, _cut(best, length))

    def store(self, tokens: list[int], layers: list[Any]) -> None:
        """Keep `layers`, which have read exactly `tokens`. Entries that it makes superfluous go."""
        entry = _Entry(np.asarray(tokens, dtype=np.int64), layers, sum(layer.nbytes for layer in layers))
        if not tokens or entry.nbytes > self.max_bytes:
            return
        self._entries = [old for old in self._entries if not _covers(entry, old)]
        self._entries.append(entry)
        while self.nbytes > self.max_bytes:
            del self._entries[0]


def _shared(a: np.ndarray[Any, Any], b: np.ndarray[Any, Any]) -> int:
    length = min(len(a), len(b))
    differ = np.flatnonzero(a[:length] != b[:length])
    return int(differ[0]) if len(differ) else length


def _usable(entry: _Entry, wanted: np.ndarray[Any, Any]) -> int:
    """How many tokens of `wanted` this entry spares. Recurrent and rotated caches cannot be cut, so all or nothing."""
    shared = _shared(entry.tokens, wanted)
    return shared if shared == len(entry.tokens) or can_trim_prompt_cache(entry.layers) else 0


def _cut(entry: _Entry, length: int) -> list[Any]:
    layers: list[Any] = copy.deepcopy(entry.layers)
    surplus = len(entry.tokens) - length
    if surplus:
        trim_prompt_cache(layers, surplus)
    return layers


def _covers(new: _Entry, old: _Entry) -> bool:
    """Can everything that `old` is good for be cut from `new`?"""
    same = len(old.tokens) == len(new.tokens)
    inside = len(old.tokens) <= len(new.tokens) and _shared(old.tokens, new.tokens) == len(old.tokens)
    return inside and (same or can_trim_prompt_cache(new.layers))
