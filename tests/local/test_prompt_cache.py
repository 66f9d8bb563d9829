"""The memory of what was read: never more than allowed, never written by two."""

from __future__ import annotations

import pytest

pytest.importorskip("mlx_lm")

import mlx.core as mx
from mlx_lm.models.cache import ArraysCache, KVCache

from osaurus_nb.local.prompt_cache import PromptCache


def layers_of(tokens: list[int]) -> list[KVCache]:
    """A cache of one layer whose keys are the tokens themselves."""
    layer = KVCache()
    values = mx.array(tokens, dtype=mx.float32).reshape(1, 1, -1, 1)
    layer.update_and_fetch(values, values)
    return [layer]


def content(layers: list[KVCache] | None) -> list[float]:
    assert layers is not None
    return [float(value) for value in layers[0].state[0][0, 0, : layers[0].offset, 0].tolist()]


def test_the_longest_common_prefix_is_found():
    """Of several chats the one that shares most is used, cut to what it shares."""
    cache = PromptCache(1 << 20)
    cache.store([1, 2, 3, 4], layers_of([1, 2, 3, 4]))
    cache.store([1, 2, 9], layers_of([1, 2, 9]))

    prefix = cache.longest([1, 2, 3, 7, 8])

    assert prefix.length == 3
    assert content(prefix.layers) == [1, 2, 3]


def test_the_last_token_is_always_left_to_read():
    """A prompt that is wholly known still leaves its last token: an answer starts from it."""
    cache = PromptCache(1 << 20)
    cache.store([1, 2, 3], layers_of([1, 2, 3]))

    assert cache.longest([1, 2, 3]).length == 2
    assert cache.longest([1]).layers is None


def test_what_is_handed_out_is_a_copy():
    """A request that goes on writing changes nothing for the next one."""
    cache = PromptCache(1 << 20)
    cache.store([1, 2, 3], layers_of([1, 2, 3]))
    first = cache.longest([1, 2, 5])
    assert first.layers is not None

    first.layers[0].update_and_fetch(mx.full((1, 1, 4, 1), 7.0), mx.full((1, 1, 4, 1), 7.0))

    assert content(cache.longest([1, 2, 3, 4]).layers) == [1, 2, 3]


def test_the_bytes_are_bounded():
    """The least recently used entry goes first, and one that never fits is not kept."""
    one = layers_of([1, 2])[0].nbytes
    cache = PromptCache(2 * one)
    for start in (10, 20):
        cache.store([start, 2], layers_of([start, 2]))
    cache.longest([10, 2, 3])

    cache.store([30, 2], layers_of([30, 2]))
    cache.store([40] * 600, layers_of([40] * 600))

    assert cache.nbytes <= 2 * one
    assert [cache.longest([start, 2, 3]).length for start in (10, 20, 30, 40)] == [2, 0, 2, 0]


def test_a_longer_chat_replaces_its_beginning():
    """The next turn of a chat takes the place of the turn before."""
    cache = PromptCache(1 << 20)

    cache.store([1, 2], layers_of([1, 2]))
    cache.store([1, 2, 3], layers_of([1, 2, 3]))

    assert len(cache) == 1


def test_recurrent_caches_are_used_whole_or_not_at_all():
    """A state that cannot be cut back serves only a prompt that contains all of it."""
    state = ArraysCache(1)
    state[0] = mx.zeros((1, 4))
    cache = PromptCache(1 << 20)
    cache.store([1, 2, 3], [state])

    assert cache.longest([1, 2, 9, 9]).length == 0
    assert cache.longest([1, 2, 3, 4]).length == 3
