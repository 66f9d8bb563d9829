"""How the next token is drawn. Runs in the worker only.

Each request owns its random key, so that a seed gives the same answer alone and in a batch. Presence and frequency
penalties count what was generated, as OpenAI defines them; the repetition penalty counts the prompt too, as Hugging
Face defines it.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import mlx.core as mx
from mlx_lm import sample_utils

from osaurus_nb.errors import RequestError
from osaurus_nb.request import Sampling

Sampler = Callable[[mx.array], mx.array]
Processor = Callable[[mx.array, mx.array], mx.array]

#: For models that bring no generation_config.json: lively, but on topic.
DEFAULT_TEMPERATURE = 0.7
_WHOLE_CONTEXT = 1 << 30


@dataclass(frozen=True, slots=True)
class Defaults:
    """What the model's authors recommend, for what the caller leaves open."""

    temperature: float = DEFAULT_TEMPERATURE
    top_p: float | None = None
    top_k: int | None = None
    min_p: float | None = None

    @classmethod
    def from_config(cls, config: Mapping[str, Any]) -> Defaults:
        """From the model's generation_config.json; odd values count as absent."""
        if config.get("do_sample") is False:
            return cls(temperature=0.0)
        known = {name: _number(config.get(name)) for name in ("temperature", "top_p", "top_k", "min_p")}
        found = cls(**{name: value for name, value in known.items() if value is not None})
        return replace(found, top_k=int(found.top_k)) if found.top_k is not None else found


def fill(sampling: Sampling, defaults: Defaults) -> Sampling:
    """`sampling` with the model's defaults where it says nothing. Raises RequestError for a value out of range."""
    filled = replace(
        sampling,
        temperature=defaults.temperature if sampling.temperature is None else sampling.temperature,
        top_p=defaults.top_p if sampling.top_p is None else sampling.top_p,
        top_k=defaults.top_k if sampling.top_k is None else sampling.top_k,
        min_p=defaults.min_p if sampling.min_p is None else sampling.min_p,
    )
    for name, (low, high) in _RANGES.items():
        value = getattr(filled, name)
        if value is not None and not low <= value <= high:
            raise RequestError(f"{name} must be between {low:g} and {high:g}; it is {value!r}.", param=name)
    return filled


def make_sampler(sampling: Sampling, *, vocab: int, choice: int = 0) -> Sampler:
    """Draws one token from log-probabilities. Greedy at temperature 0."""
    temperature = sampling.temperature or 0.0
    if temperature == 0:
        greedy: Sampler = sample_utils.greedy_sampler
        return greedy
    filters = _filters(sampling, vocab)
    seed = sampling.seed if sampling.seed is not None else int.from_bytes(os.urandom(7), "big")
    key = mx.random.key((seed + choice) % (1 << 63))

    def draw(logprobs: mx.array) -> mx.array:
        nonlocal key
        for keep in filters:
            logprobs = keep(logprobs)
        key, own = mx.random.split(key)
        return mx.random.categorical(logprobs * (1.0 / temperature), key=own)

    return draw


def make_processors(sampling: Sampling, *, vocab: int, prompt_length: int) -> list[Processor]:
    """What changes the logits before a token is drawn."""
    made: list[Processor] = []
    if sampling.logit_bias:
        made.extend(sample_utils.make_logits_processors(logit_bias=_bias(sampling.logit_bias, vocab)))
    if sampling.repetition_penalty not in (None, 1.0):
        made.append(sample_utils.make_repetition_penalty(sampling.repetition_penalty, _WHOLE_CONTEXT))
    if sampling.presence_penalty or sampling.frequency_penalty:
        made.append(_penalty(sampling.presence_penalty or 0.0, sampling.frequency_penalty or 0.0, prompt_length))
    return made


_RANGES = {
    "temperature": (0.0, 5.0),
    "top_p": (0.0, 1.0),
    "top_k": (0, 1 << 31),
    "min_p": (0.0, 1.0),
    "presence_penalty": (-2.0, 2.0),
    "frequency_penalty": (-2.0, 2.0),
    "repetition_penalty": (0.01, 10.0),
    "n": (1, 16),
    "top_logprobs": (0, 20),
    "max_output_tokens": (1, 1 << 31),
}


def _filters(sampling: Sampling, vocab: int) -> list[Sampler]:
    top_p, min_p, top_k = sampling.top_p, sampling.min_p, sampling.top_k
    filters: list[Sampler] = []
    if top_p is not None and top_p < 1.0:
        filters.append(lambda logprobs: sample_utils.apply_top_p(logprobs, max(top_p, 1e-6)))
    if min_p:
        filters.append(lambda logprobs: sample_utils.apply_min_p(logprobs, min_p))
    if top_k and top_k < vocab:
        filters.append(lambda logprobs: sample_utils.apply_top_k(logprobs, top_k))
    return filters


def _bias(bias: Mapping[str, float], vocab: int) -> dict[int, float]:
    try:
        found = {int(token): float(value) for token, value in bias.items()}
    except (TypeError, ValueError):
        raise RequestError("logit_bias must map token ids to numbers.", param="logit_bias") from None
    if any(not 0 <= token < vocab or not -100 <= value <= 100 for token, value in found.items()):
        raise RequestError(f"logit_bias takes token ids below {vocab} and values from -100 to 100.", param="logit_bias")
    return found


def _penalty(presence: float, frequency: float, prompt_length: int) -> Processor:
    def penalise(tokens: mx.array, logits: mx.array) -> mx.array:
        said = tokens[prompt_length:]
        if said.size == 0:
            return logits
        logits = logits.at[:, said].subtract(frequency)
        logits[:, said] -= presence
        return logits

    return penalise


def _number(value: Any) -> Any:
    return value if isinstance(value, int | float) and not isinstance(value, bool) and value >= 0 else None
