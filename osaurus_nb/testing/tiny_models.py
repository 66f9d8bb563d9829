"""Tiny local models for tests: made in milliseconds, loaded like any other, with nothing sensible to say.

No mlx is needed to make one: the weights are seeded noise, written straight into a safetensors file.
"""

from __future__ import annotations

import json
import random
import struct
from array import array
from collections.abc import Mapping
from pathlib import Path
from typing import Any

#: Every byte is a token, after these three.
SPECIALS = ("<|endoftext|>", "<|im_start|>", "<|im_end|>")

#: ChatML, with tools told in the system turn and calls spelt as `<tool_call>` JSON.
CHAT_TEMPLATE = """\
{%- if tools %}{{ '<|im_start|>system\\n' }}
{%- if messages and messages[0].role == 'system' %}{{ messages[0].content + '\\n' }}{% endif %}
{{- 'Tools:' }}{% for tool in tools %}{{ '\\n' + (tool | tojson) }}{% endfor %}{{ '<|im_end|>\\n' }}
{%- elif messages and messages[0].role == 'system' %}
{{- '<|im_start|>system\\n' + messages[0].content + '<|im_end|>\\n' }}{% endif %}
{%- for message in messages %}{% if not (loop.first and message.role == 'system') %}
{{- '<|im_start|>' + message.role + '\\n' }}
{%- if message.content %}{{ message.content }}{% endif %}
{%- for call in message.tool_calls or [] %}
{{- '<tool_call>\\n{"name": "' + call.function.name + '", "arguments": ' }}
{%- if call.function.arguments is string %}{{ call.function.arguments }}
{%- else %}{{ call.function.arguments | tojson }}{% endif %}{{ '}\\n</tool_call>' }}{% endfor %}
{{- '<|im_end|>\\n' }}{% endif %}{% endfor %}
{%- if add_generation_prompt %}{{ '<|im_start|>assistant\\n' }}{% endif %}"""

_ROWS = len(SPECIALS) + 256


def config(*, hidden: int = 64, intermediate: int = 128, context: int = 2048) -> dict[str, Any]:
    """The `config.json` of a two-layer llama over single bytes."""
    return {
        "architectures": ["LlamaForCausalLM"],
        "model_type": "llama",
        "hidden_size": hidden,
        "intermediate_size": intermediate,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "num_key_value_heads": 2,
        "rms_norm_eps": 1e-5,
        "rope_theta": 10000.0,
        "max_position_embeddings": context,
        "vocab_size": _ROWS,
        "bos_token_id": 1,
        "eos_token_id": 2,
        "tie_word_embeddings": True,
    }


def make_random(folder: Path, *, seed: int = 0, context: int = 2048) -> Path:
    """Write a llama of 380 KB with random weights into `folder`: same seed, same model."""
    folder.mkdir(parents=True, exist_ok=True)
    settings = config(context=context)
    (folder / "config.json").write_text(json.dumps(settings, indent=1), "utf-8")
    write_tokenizer(folder, context=context)
    _save(folder / "model.safetensors", _shapes(settings), random.Random(seed))  # noqa: S311 - noise, not a secret
    return folder


def write_tokenizer(folder: Path, *, context: int = 2048) -> None:
    """Put the byte tokenizer with its ChatML template and tool parser into `folder`."""
    from tokenizers import pre_tokenizers  # noqa: PLC0415 - half a second that few callers need

    from osaurus_nb.local import tokenizer  # noqa: PLC0415

    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    vocabulary = tokenizer.Vocabulary(
        tokens=(*SPECIALS, *alphabet),
        types=(*[tokenizer.SPECIAL] * len(SPECIALS), *[tokenizer.NORMAL] * len(alphabet)),
        bos=1,
        eos=2,
        pad=0,
        unknown=0,
        chat_template=CHAT_TEMPLATE,
    )
    tokenizer.write(vocabulary, folder, context_length=context, extra={"tool_parser_type": "json_tools"})


def _shapes(settings: Mapping[str, Any]) -> dict[str, tuple[int, ...]]:
    hidden, wide = settings["hidden_size"], settings["intermediate_size"]
    keys = hidden // settings["num_attention_heads"] * settings["num_key_value_heads"]
    block = {
        "input_layernorm": (hidden,),
        "post_attention_layernorm": (hidden,),
        "self_attn.q_proj": (hidden, hidden),
        "self_attn.k_proj": (keys, hidden),
        "self_attn.v_proj": (keys, hidden),
        "self_attn.o_proj": (hidden, hidden),
        "mlp.gate_proj": (wide, hidden),
        "mlp.up_proj": (wide, hidden),
        "mlp.down_proj": (hidden, wide),
    }
    layers = range(settings["num_hidden_layers"])
    return {
        "model.embed_tokens.weight": (settings["vocab_size"], hidden),
        "model.norm.weight": (hidden,),
        **{f"model.layers.{layer}.{name}.weight": shape for layer in layers for name, shape in block.items()},
    }


def _save(file: Path, shapes: Mapping[str, tuple[int, ...]], noise: random.Random) -> None:
    header: dict[str, Any] = {"__metadata__": {"format": "mlx"}}
    body = array("f")
    for name, shape in shapes.items():
        begin = 4 * len(body)
        body.extend(_values(shape, noise))
        header[name] = {"dtype": "F32", "shape": list(shape), "data_offsets": [begin, 4 * len(body)]}
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    file.write_bytes(struct.pack("<Q", len(text)) + text + body.tobytes())


def _values(shape: tuple[int, ...], noise: random.Random) -> list[float]:
    if len(shape) == 1:
        return [1.0] * shape[0]
    return [noise.gauss(0.0, shape[1] ** -0.5) for _ in range(shape[0] * shape[1])]
