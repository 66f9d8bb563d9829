"""`mlx_lm.stream_generate` with nothing around it, in a process of its own: the reference for the local engine.

    python benchmarks/_plain_mlx.py MODEL_FOLDER CACHE_FOLDER NAME

Same model, same numbers (float32 on a CPU), same fast BLAS, same prefill step as the worker. Reads a JSON line
`{"messages": ..., "max_tokens": ...}`, writes a JSON line with the text and the tokens a second after the first token.
"""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path
from typing import Any

from osaurus_nb.local import blas


def answer(loaded: Any, ask: dict[str, Any]) -> dict[str, Any]:
    from mlx_lm import stream_generate  # behind the BLAS

    prompt = loaded.tokenizer.apply_chat_template(ask["messages"], add_generation_prompt=True)
    times, text = [], ""
    for response in stream_generate(
        loaded.model, loaded.tokenizer, prompt, max_tokens=ask["max_tokens"], prefill_step_size=loaded.prefill_step
    ):
        times.append(time.perf_counter())
        text += response.text
    return {"rate": (len(times) - 1) / (times[-1] - times[0]), "tokens": len(times), "text": text}


def main(folder: str, cache: str, name: str) -> None:
    status = blas.install(Path(cache))

    from osaurus_nb.local.loading import load

    loaded = load(Path(folder), name=name, context=None, fast_blas=status.fast)
    print(json.dumps({"profile": loaded.profile, "blas_fast": status.fast, "step": loaded.prefill_step}), flush=True)
    for line in sys.stdin:
        print(json.dumps(answer(loaded, json.loads(line))), flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
