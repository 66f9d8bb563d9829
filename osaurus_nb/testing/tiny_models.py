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

#: Letters begin a word or go on with one, after these.
_PIECES = ("[PAD]", "[UNK]", "[CLS]", "[SEP]")
_LETTERS = "abcdefghijklmnopqrstuvwxyz0123456789.,?!"
_ENCODER: Mapping[str, Any] = {
    "architectures": ["BertModel"],
    "model_type": "bert",
    "hidden_size": 32,
    "intermediate_size": 64,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "hidden_act": "gelu",
    "layer_norm_eps": 1e-12,
    "max_position_embeddings": 64,
    "type_vocab_size": 2,
    "vocab_size": len(_PIECES) + 2 * len(_LETTERS),
    "pad_token_id": 0,
}


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


def make_encoder(folder: Path, *, seed: int = 0, context: int = 24) -> Path:
    """Write a BERT of 50 KB with random weights and a word-piece tokenizer into `folder`, laid out for sentences."""
    (folder / "1_Pooling").mkdir(parents=True, exist_ok=True)
    files: dict[str, Any] = {
        "config.json": _ENCODER,
        "1_Pooling/config.json": {
            "word_embedding_dimension": _ENCODER["hidden_size"],
            "pooling_mode_mean_tokens": True,
        },
        "sentence_bert_config.json": {"max_seq_length": context},
        "tokenizer.json": _word_pieces(),
    }
    for name, content in files.items():
        (folder / name).write_text(json.dumps(content, indent=1), "utf-8")
    _save(folder / "model.safetensors", _encoder_shapes(_ENCODER), random.Random(seed))  # noqa: S311 - noise
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


def _encoder_shapes(settings: Mapping[str, Any]) -> dict[str, tuple[int, ...]]:
    hidden, wide = settings["hidden_size"], settings["intermediate_size"]
    block = {
        "attention.self.query": (hidden, hidden),
        "attention.self.key": (hidden, hidden),
        "attention.self.value": (hidden, hidden),
        "attention.output.dense": (hidden, hidden),
        "attention.output.LayerNorm": (hidden,),
        "intermediate.dense": (wide, hidden),
        "output.dense": (hidden, wide),
        "output.LayerNorm": (hidden,),
    }
    pairs: dict[str, tuple[int, ...]] = {"embeddings.LayerNorm": (hidden,)}
    for layer in range(settings["num_hidden_layers"]):
        pairs |= {f"encoder.layer.{layer}.{name}": shape for name, shape in block.items()}
    return {
        "embeddings.word_embeddings.weight": (settings["vocab_size"], hidden),
        "embeddings.position_embeddings.weight": (settings["max_position_embeddings"], hidden),
        "embeddings.token_type_embeddings.weight": (settings["type_vocab_size"], hidden),
        **{f"{name}.weight": shape for name, shape in pairs.items()},
        **{f"{name}.bias": shape[:1] for name, shape in pairs.items()},
    }


def _word_pieces() -> dict[str, Any]:
    """A `tokenizer.json` whose pieces are letters; it pads and cuts by itself, as published ones do."""
    pieces = (*_PIECES, *_LETTERS, *(f"##{letter}" for letter in _LETTERS))
    around = [{"SpecialToken": {"id": name, "type_id": 0}} for name in ("[CLS]", "[SEP]")]
    return {
        "version": "1.0",
        "truncation": {"max_length": 8, "strategy": "LongestFirst", "stride": 0, "direction": "Right"},
        "padding": {
            "strategy": {"Fixed": 8},
            "direction": "Right",
            "pad_to_multiple_of": None,
            "pad_id": 0,
            "pad_type_id": 0,
            "pad_token": "[PAD]",
        },
        "added_tokens": [
            {"id": at, "content": name, "single_word": False, "lstrip": False, "rstrip": False}
            | {"normalized": False, "special": True}
            for at, name in enumerate(_PIECES)
        ],
        "normalizer": {
            "type": "BertNormalizer",
            "clean_text": True,
            "handle_chinese_chars": True,
            "strip_accents": None,
            "lowercase": True,
        },
        "pre_tokenizer": {"type": "BertPreTokenizer"},
        "post_processor": {
            "type": "TemplateProcessing",
            "single": [around[0], {"Sequence": {"id": "A", "type_id": 0}}, around[1]],
            "pair": [around[0], {"Sequence": {"id": "A", "type_id": 0}}, around[1]],
            "special_tokens": {
                name: {"id": name, "ids": [_PIECES.index(name)], "tokens": [name]} for name in _PIECES[2:]
            },
        },
        "decoder": {"type": "WordPiece", "prefix": "##", "cleanup": True},
        "model": {
            "type": "WordPiece",
            "unk_token": "[UNK]",
            "continuing_subword_prefix": "##",
            "max_input_chars_per_word": 100,
            "vocab": {piece: at for at, piece in enumerate(pieces)},
        },
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
