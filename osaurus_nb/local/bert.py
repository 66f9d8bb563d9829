"""BERT read forwards once: token ids in, one vector for each text out. Runs on the engine's thread only.

The plain model with absolute positions, as most sentence-embedding models have it; what differs is refused by name.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import mlx.core as mx
import mlx.nn as nn

from osaurus_nb.errors import ModelRejected
from osaurus_nb.local import cpu_math

Pooling = Literal["mean", "cls"]
_nn: Any = nn  # its annotations do not name what its decorators made
_ACTIVATIONS: Mapping[str, Callable[[mx.array], mx.array]] = {
    "gelu": _nn.gelu,
    "gelu_new": _nn.gelu_approx,
    "gelu_pytorch_tanh": _nn.gelu_approx,
    "relu": _nn.relu,
}
#: Parts of checkpoints that play no role for a text's vector.
_UNUSED = ("pooler.", "cls.", "embeddings.position_ids")


@dataclass(frozen=True, slots=True)
class Shape:
    """The sizes that a BERT's `config.json` names."""

    vocab: int
    hidden: int
    wide: int
    layers: int
    heads: int
    positions: int
    kinds: int
    epsilon: float
    activation: str

    @classmethod
    def from_config(cls, config: Mapping[str, Any]) -> Shape:
        """Raises ModelRejected for what is missing or not built like this."""
        if config.get("position_embedding_type", "absolute") != "absolute":
            raise ModelRejected(f"its positions are {config['position_embedding_type']!r}; absolute ones are read")
        try:
            shape = cls(
                vocab=int(config["vocab_size"]),
                hidden=int(config["hidden_size"]),
                wide=int(config["intermediate_size"]),
                layers=int(config["num_hidden_layers"]),
                heads=int(config["num_attention_heads"]),
                positions=int(config["max_position_embeddings"]),
                kinds=int(config.get("type_vocab_size", 2)),
                epsilon=float(config.get("layer_norm_eps", 1e-12)),
                activation=str(config.get("hidden_act", "gelu")),
            )
        except (KeyError, TypeError, ValueError) as fault:
            raise ModelRejected(f"its config.json does not tell its sizes ({fault})") from fault
        if shape.activation not in _ACTIVATIONS:
            raise ModelRejected(f"its activation is {shape.activation!r}; {', '.join(_ACTIVATIONS)} are read")
        if shape.heads < 1 or shape.hidden % shape.heads:
            raise ModelRejected(f"{shape.hidden} numbers cannot be shared by {shape.heads} heads")
        return shape


class Bert:
    """The weights of one model. Call it with ids that are padded to one length, and a mask that says which are real."""

    def __init__(
        self, weights: Mapping[str, mx.array], shape: Shape, *, pooling: Pooling = "mean", on_cpu: bool = False
    ) -> None:
        self._on_cpu = on_cpu
        self._activate = cpu_math.gelu if on_cpu and shape.activation == "gelu" else _ACTIVATIONS[shape.activation]
        self._shape = shape
        self._pooling = pooling
        self._weights = _sound({name.removeprefix("bert."): array for name, array in weights.items()}, shape)

    @property
    def width(self) -> int:
        """Numbers in a vector."""
        return self._shape.hidden

    def __call__(self, ids: mx.array, real: mx.array) -> mx.array:
        """One vector of length 1 for each row of `ids`."""
        state = self._embed(ids)
        mask = real[:, None, None, :]
        for layer in range(self._shape.layers):
            state = self._layer(state, mask, f"encoder.layer.{layer}")
        pooled = state[:, 0] if self._pooling == "cls" else _mean(state, real)
        return pooled / mx.maximum(mx.linalg.norm(pooled, axis=-1, keepdims=True), 1e-12)

    def _embed(self, ids: mx.array) -> mx.array:
        words, places, kinds = (
            self._weights[f"embeddings.{name}_embeddings.weight"] for name in ("word", "position", "token_type")
        )
        # Each text is a first sentence, of kind 0.
        return self._norm(words[ids] + places[: ids.shape[1]] + kinds[0], "embeddings.LayerNorm")

    def _layer(self, state: mx.array, mask: mx.array, name: str) -> mx.array:
        seen = self._attend(state, mask, f"{name}.attention")
        wide = self._activate(self._dense(seen, f"{name}.intermediate.dense"))
        return self._norm(seen + self._dense(wide, f"{name}.output.dense"), f"{name}.output.LayerNorm")

    def _attend(self, state: mx.array, mask: mx.array, name: str) -> mx.array:
        rows, length, hidden = state.shape
        size = hidden // self._shape.heads
        queries, keys, values = (
            self._dense(state, f"{name}.self.{part}").reshape(rows, length, -1, size).transpose(0, 2, 1, 3)
            for part in ("query", "key", "value")
        )
        if self._on_cpu:
            scores = mx.where(mask, (queries * size**-0.5) @ keys.swapaxes(-1, -2), -1e9)
            seen = cpu_math.softmax(scores) @ values
        else:
            seen = mx.fast.scaled_dot_product_attention(queries, keys, values, scale=size**-0.5, mask=mask)
        seen = seen.transpose(0, 2, 1, 3).reshape(rows, length, hidden)
        return self._norm(state + self._dense(seen, f"{name}.output.dense"), f"{name}.output.LayerNorm")

    def _dense(self, state: mx.array, name: str) -> mx.array:
        return mx.addmm(self._weights[f"{name}.bias"], state, self._weights[f"{name}.weight"].T)

    def _norm(self, state: mx.array, name: str) -> mx.array:
        weight, bias = self._weights[f"{name}.weight"], self._weights[f"{name}.bias"]
        return mx.fast.layer_norm(state, weight, bias, self._shape.epsilon)


def pad(texts: Sequence[Sequence[int]]) -> tuple[mx.array, mx.array]:
    """Ids of texts as one array, with the mask of those that are real."""
    longest = max(map(len, texts))
    ids = mx.array([[*text, *[0] * (longest - len(text))] for text in texts])
    return ids, mx.arange(longest)[None] < mx.array([len(text) for text in texts])[:, None]


def _mean(state: mx.array, real: mx.array) -> mx.array:
    counted = real[..., None].astype(state.dtype)
    return (state * counted).sum(axis=1) / counted.sum(axis=1)


def _sound(weights: Mapping[str, mx.array], shape: Shape) -> dict[str, mx.array]:
    """The weights that are used, all there and of the right shape. Raises ModelRejected for anything else."""
    wanted = dict(_wanted(shape))
    unknown = [name for name in weights if name not in wanted and not name.startswith(_UNUSED)]
    if unknown:
        raise ModelRejected(f"it holds {unknown[0]!r}, which a BERT has not")
    for name, sides in wanted.items():
        if name not in weights:
            raise ModelRejected(f"{name!r} is missing")
        if weights[name].shape != sides:
            raise ModelRejected(f"{name!r} has the shape {weights[name].shape}; its configuration says {sides}")
    return {name: weights[name] for name in wanted}


def _wanted(shape: Shape) -> Iterator[tuple[str, tuple[int, ...]]]:
    hidden, wide = shape.hidden, shape.wide
    yield "embeddings.word_embeddings.weight", (shape.vocab, hidden)
    yield "embeddings.position_embeddings.weight", (shape.positions, hidden)
    yield "embeddings.token_type_embeddings.weight", (shape.kinds, hidden)
    yield from _pair("embeddings.LayerNorm", (hidden,))
    for layer in range(shape.layers):
        name = f"encoder.layer.{layer}"
        for part in ("self.query", "self.key", "self.value", "output.dense"):
            yield from _pair(f"{name}.attention.{part}", (hidden, hidden))
        yield from _pair(f"{name}.attention.output.LayerNorm", (hidden,))
        yield from _pair(f"{name}.intermediate.dense", (wide, hidden))
        yield from _pair(f"{name}.output.dense", (hidden, wide))
        yield from _pair(f"{name}.output.LayerNorm", (hidden,))


def _pair(name: str, weight: tuple[int, ...]) -> Iterator[tuple[str, tuple[int, ...]]]:
    yield f"{name}.weight", weight
    yield f"{name}.bias", weight[:1]
