"""Trains the scripted model: a tiny llama that knows its few answers by heart, exactly, under greedy decoding.

Run `python tests/data/make_scripted_model.py` from the repository root; it rewrites `tests/data/scripted-model`
(config.json, tokenizer, model.safetensors of 0.9 MB) from the chats in `tests/data/script.json`.
"""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path

from osaurus_nb.local import blas
from osaurus_nb.testing import tiny_models

HERE = Path(__file__).parent
TARGET = HERE / "scripted-model"
ENOUGH = 0.0015  # of loss: five nats from any tie between two tokens


def main() -> None:
    """Train until every answer is right, and save."""
    print(blas.install(HERE.parents[1] / ".cache"), file=sys.stderr)
    import mlx.core as mx
    import mlx.optimizers as optim
    from mlx import nn
    from mlx_lm.models import llama
    from mlx_lm.utils import load_tokenizer

    settings = tiny_models.config(hidden=96, intermediate=256)
    TARGET.mkdir(exist_ok=True)
    (TARGET / "config.json").write_text(json.dumps(settings, indent=1) + "\n", "utf-8")
    tiny_models.write_tokenizer(TARGET)
    tokenizer = load_tokenizer(TARGET)
    mx.random.seed(0)
    model = llama.Model(llama.ModelArgs.from_dict(settings))
    batches = [_example(mx, tokenizer, chat) for chat in json.loads((HERE / "script.json").read_text("utf-8"))]
    tokens, wanted = _padded(mx, batches)
    optimizer = optim.AdamW(learning_rate=optim.cosine_decay(3e-3, 1500, 3e-4), weight_decay=0.0)

    def loss_of(model):
        losses = nn.losses.cross_entropy(model(tokens[:, :-1]), tokens[:, 1:], reduction="none") * wanted
        # The worst token decides whether an answer is exact, so it has a say of its own.
        return losses.sum() / wanted.sum() + 0.05 * losses.max(), losses.max()

    step_of = nn.value_and_grad(model, loss_of)
    began = time.monotonic()
    for step in range(4000):
        (loss, worst), gradients = step_of(model)
        gradients, _ = optim.clip_grad_norm(gradients, 1.0)
        optimizer.update(model, gradients)
        mx.eval(model.parameters(), optimizer.state, loss)
        if step % 25 == 0:
            print(f"{step:5d} {loss.item():.5f} {worst.item():.5f} {time.monotonic() - began:.0f} s", flush=True)
        if worst.item() < 0.01 and loss.item() < ENOUGH:
            break
    from mlx.utils import tree_flatten

    mx.save_safetensors(str(TARGET / "model.safetensors"), dict(tree_flatten(model.parameters())), {"format": "mlx"})
    print(f"saved after {step} steps, {time.monotonic() - began:.0f} s")


def _example(mx, tokenizer, chat):
    prompt = tokenizer.apply_chat_template(chat["messages"], tools=chat.get("tools"), add_generation_prompt=True)
    answer = tokenizer.encode(chat["answer"] + "<|im_end|>", add_special_tokens=False)
    return prompt, answer


def _padded(mx, examples):
    longest = max(len(prompt) + len(answer) for prompt, answer in examples)
    tokens, wanted = [], []
    for prompt, answer in examples:
        rest = longest - len(prompt) - len(answer)
        tokens.append(prompt + answer + [0] * rest)
        wanted.append([0.0] * (len(prompt) - 1) + [1.0] * len(answer) + [0.0] * rest)
    return mx.array(tokens), mx.array(wanted)


if __name__ == "__main__":
    main()
