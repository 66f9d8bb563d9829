"""Opens a model for generation, by the profile that suits the machine. Runs on the engine's thread only.

Nothing is fetched and no code of the model is run: the hub is off, and what asks for trust is refused.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import mlx.core as mx
import mlx_lm
from mlx_lm.models.cache import make_prompt_cache
from mlx_lm.utils import dequantize_model

from osaurus_nb.errors import ModelRejected
from osaurus_nb.local.memory import Profile
from osaurus_nb.local.rules import Spelling
from osaurus_nb.local.sampling import Defaults
from osaurus_nb.local.text_stream import Marks
from osaurus_nb.local.told_tools import CALL_END, CALL_START

#: Its result type depends on an argument in a way that its annotation does not tell.
_mlx_load: Any = mlx_lm.load
#: Where neither the caller nor the model's files know the window.
DEFAULT_CONTEXT = 4096
#: Tokens read in one go, by profile. On a CPU smaller ones are faster and can be interrupted sooner.
_PREFILL: Mapping[Profile, int] = {"cpu": 256, "metal": 2048, "cuda": 2048}
_PREFILL_SLOW_BLAS = 64


@dataclass(frozen=True, slots=True)
class Loaded:
    """A model, ready to generate."""

    name: str
    model: Any
    tokenizer: Any
    profile: Profile
    context: int
    vocab: int
    prefill_step: int
    marks: Marks
    #: How it writes calls of tools; None where that is no JSON.
    spelling: Spelling | None
    defaults: Defaults = field(default_factory=Defaults)
    #: Held while a prompt is rendered and cut into tokens, which two threads may want at once.
    reading: threading.Lock = field(default_factory=threading.Lock, repr=False, compare=False)

    @property
    def told(self) -> bool:
        """Must it be told of tools in words, because its template and its training know none?"""
        return self.marks.tool_start is None


def load(folder: Path, *, name: str, context: int | None, fast_blas: bool) -> Loaded:
    """The model in `folder`. Raises ModelRejected when its files are not what mlx_lm can read."""
    profile = profile_here()
    try:
        model, tokenizer = _mlx_load(
            str(folder), tokenizer_config={"trust_remote_code": False}, trust_remote_code=False
        )
    except (ValueError, KeyError, TypeError, AttributeError, ImportError, FileNotFoundError, RuntimeError) as fault:
        raise ModelRejected(f"{name!r} cannot be loaded: {type(fault).__name__}: {str(fault)[:300]}") from fault
    if profile == "cpu":
        model = _for_cpu(model)
    if not all(hasattr(layer, "merge") for layer in make_prompt_cache(model)):
        raise ModelRejected(f"{name!r} cannot be served: its kind of cache has no batches.")
    return Loaded(
        name=name,
        model=model,
        tokenizer=tokenizer,
        profile=profile,
        context=context or DEFAULT_CONTEXT,
        vocab=_vocab(model, len(tokenizer)),
        prefill_step=_PREFILL[profile] if fast_blas or profile != "cpu" else _PREFILL_SLOW_BLAS,
        marks=_marks(tokenizer),
        spelling=_spelling(tokenizer),
        defaults=Defaults.from_config(_json(folder / "generation_config.json")),
    )


def profile_here() -> Profile:
    """What this machine computes on."""
    if mx.metal.is_available():
        return "metal"
    return "cuda" if mx.cuda.is_available() else "cpu"


def _for_cpu(model: Any) -> Any:
    # Half precision and packed weights are scalar loops in mlx's CPU backend: 40 times slower (seen 2026-11).
    model.set_dtype(mx.float32)
    model = dequantize_model(model)
    mx.eval(model.parameters())
    return model


def _vocab(model: Any, fallback: int) -> int:
    rows = getattr(getattr(model, "args", None), "vocab_size", None)
    return rows if isinstance(rows, int) else fallback


def _marks(tokenizer: Any) -> Marks:
    return Marks(
        think_start=tokenizer.think_start,
        think_end=tokenizer.think_end,
        tool_start=tokenizer.tool_call_start,
        tool_end=tokenizer.tool_call_end,
    )


def _spelling(tokenizer: Any) -> Spelling | None:
    if not tokenizer.tool_call_start:
        return Spelling(f'"{CALL_START}\\n"', f'"\\n{CALL_END}"', CALL_START)
    if not tokenizer.tool_parser.__module__.endswith(".json_tools"):
        return None
    start, end = tokenizer.tool_call_start, tokenizer.tool_call_end
    before = _term(start, tokenizer.tool_call_start_tokens)
    return Spelling(f'{before} "\\n"', f'"\\n" {_term(end, tokenizer.tool_call_end_tokens)}', start)


def _term(mark: str, tokens: Sequence[int]) -> str:
    """A mark as grammars name it: by its one token, which no text can spell, or by its letters."""
    return f"<[{tokens[0]}]>" if len(tokens) == 1 else json.dumps(mark)


def _json(file: Path) -> Mapping[str, Any]:
    try:
        value = json.loads(file.read_bytes())
    except (OSError, ValueError):
        return {}
    return value if isinstance(value, dict) else {}
