"""Opens a sentence-embedding model: BERT weights, a tokenizer, and how sentences become one vector.

Reads the folder layout of Sentence Transformers. Ways of pooling that we do not have are refused, because another
one would give vectors that mean something else.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import mlx.core as mx
from tokenizers import Tokenizer

from osaurus_nb.errors import ModelRejected
from osaurus_nb.local.bert import Bert, Pooling, Shape
from osaurus_nb.local.loading import profile_here
from osaurus_nb.local.memory import Profile

#: Tokens that go through the model in one step. Fewer keep the steps short where computing is slow.
_STEP: Mapping[Profile, int] = {"cpu": 1024, "metal": 16384, "cuda": 16384}
_STEP_SLOW_BLAS = 256
_MODES = frozenset(
    f"pooling_mode_{name}"
    for name in ("cls_token", "mean_tokens", "max_tokens", "mean_sqrt_len_tokens", "weightedmean_tokens", "lasttoken")
)


@dataclass(frozen=True, slots=True)
class Encoder:
    """An embedding model, ready to read. `context` is the most tokens that it reads of one text."""

    name: str
    model: Bert
    tokenizer: Tokenizer = field(repr=False)
    profile: Profile
    context: int
    step: int


def load(folder: Path, *, name: str, fast_blas: bool) -> Encoder:
    """The model in `folder`. Raises ModelRejected when its files are not what we can read."""
    profile = profile_here()
    try:
        shape = Shape.from_config(_json(folder / "config.json"))
        model = Bert(_weights(folder, profile), shape, pooling=_pooling(folder), on_cpu=profile == "cpu")
        return Encoder(
            name=name,
            model=model,
            tokenizer=_tokenizer(folder),
            profile=profile,
            context=_context(folder, shape.positions),
            step=_STEP[profile] if fast_blas or profile != "cpu" else _STEP_SLOW_BLAS,
        )
    except ModelRejected as refused:
        raise ModelRejected(f"{name!r} cannot be loaded: {refused.message}.") from refused


def _weights(folder: Path, profile: Profile) -> dict[str, mx.array]:
    weights: dict[str, mx.array] = {}
    for file in sorted(folder.glob("model*.safetensors")):
        try:
            weights.update(mx.load(str(file)))  # type: ignore[arg-type]  # a mapping, for this format
        except RuntimeError as fault:
            raise ModelRejected(f"{file.name} cannot be read") from fault
    if profile == "cpu":  # half precision is a scalar loop there
        weights = {key: array.astype(mx.float32) for key, array in weights.items()}
    mx.eval(weights)
    return weights


def _tokenizer(folder: Path) -> Tokenizer:
    try:
        tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
    except Exception as fault:
        raise ModelRejected("its tokenizer.json is missing or cannot be read") from fault
    # What does not fit is our decision to tell, and padding is added where texts meet.
    tokenizer.no_truncation()
    tokenizer.no_padding()
    return tokenizer


def _pooling(folder: Path) -> Pooling:
    for module in _array(folder / "modules.json"):
        kind = str(module.get("type")).rpartition(".")[2]
        if kind not in ("Transformer", "Pooling", "Normalize"):
            raise ModelRejected(f"its vectors go through {kind!r}, which we do not have")
    settings = _json(folder / "1_Pooling" / "config.json")
    chosen = [key.removeprefix("pooling_mode_") for key, on in settings.items() if on is True and key in _MODES]
    match chosen:
        case ["mean_tokens"]:
            return "mean"
        case ["cls_token"]:
            return "cls"
    how = " and ".join(chosen) or "nothing that 1_Pooling/config.json names"
    raise ModelRejected(f"its vectors are made by {how}; mean_tokens and cls_token are known")


def _context(folder: Path, positions: int) -> int:
    length = _json(folder / "sentence_bert_config.json").get("max_seq_length")
    return min(length, positions) if isinstance(length, int) and length > 0 else positions


def _json(file: Path) -> Mapping[str, Any]:
    value = _value(file)
    return value if isinstance(value, dict) else {}


def _array(file: Path) -> list[Mapping[str, Any]]:
    value = _value(file)
    return [item for item in value if isinstance(item, dict)] if isinstance(value, list) else []


def _value(file: Path) -> Any:
    try:
        return json.loads(file.read_bytes())
    except (OSError, ValueError):
        return None
