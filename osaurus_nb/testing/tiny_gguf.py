"""Tiny GGUF files for tests: a whole llama of a few kilobytes, and any broken variant of it.

Quantizes in plain Python, by the definition of each type, so that a test has a second opinion.
"""

from __future__ import annotations

import random
import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from osaurus_nb.testing.tiny_models import CHAT_TEMPLATE, SPECIALS

KINDS = {"F32": 0, "F16": 1, "Q4_0": 2, "Q4_1": 3, "Q5_0": 6, "Q8_0": 8}
_ALIGNMENT = 32


@dataclass(slots=True)
class Gguf:
    """The content of a GGUF file: change it, then `write` it."""

    metadata: dict[str, Any]
    tensors: dict[str, tuple[str, tuple[int, ...], bytes]] = field(default_factory=dict)

    def add(self, name: str, kind: str, shape: tuple[int, ...], values: Sequence[float]) -> None:
        self.tensors[name] = (kind, shape, pack(kind, values))

    def write(self, file: Path) -> Path:
        head = [b"GGUF", struct.pack("<IQQ", 3, len(self.tensors), len(self.metadata))]
        head += [_text(key) + _value(value) for key, value in self.metadata.items()]
        body = b""
        for name, (kind, shape, data) in self.tensors.items():
            sides = struct.pack(f"<I{len(shape)}Q", len(shape), *reversed(shape))
            head.append(_text(name) + sides + struct.pack("<IQ", KINDS[kind], len(body)))
            body += data + b"\0" * (-len(data) % _ALIGNMENT)
        start = b"".join(head)
        file.write_bytes(start + b"\0" * (-len(start) % _ALIGNMENT) + body)
        return file


def llama(kind: str = "Q4_1", *, architecture: str = "llama", seed: int = 0) -> Gguf:
    """A llama of two layers over single bytes, whose matrices are of that kind; or a qwen2 of the same size."""
    hidden, heads, kv_heads, wide = 64, 4, 2, 128
    made = Gguf(_metadata(architecture, hidden=hidden, heads=heads, kv_heads=kv_heads, wide=wide))
    words = len(made.metadata["tokenizer.ggml.tokens"])
    keys = hidden // heads * kv_heads
    shapes: dict[str, tuple[int, ...]] = {"token_embd": (words, hidden), "output_norm": (hidden,)}
    for layer in range(2):
        parts: Mapping[str, tuple[int, ...]] = {
            "attn_norm": (hidden,),
            "ffn_norm": (hidden,),
            "attn_q": (hidden, hidden),
            "attn_k": (keys, hidden),
            "attn_v": (keys, hidden),
            "attn_output": (hidden, hidden),
            "ffn_gate": (wide, hidden),
            "ffn_up": (wide, hidden),
            "ffn_down": (hidden, wide),
        }
        shapes |= {f"blk.{layer}.{name}": shape for name, shape in parts.items()}
    noise = random.Random(seed)  # noqa: S311 - noise, not a secret
    for name, shape in shapes.items():
        values = [noise.gauss(0, 0.2) for _ in range(shape[0] * (shape[1] if len(shape) > 1 else 1))]
        made.add(f"{name}.weight", kind if len(shape) > 1 else "F32", shape, values)
        if architecture == "qwen2" and name.endswith(("attn_q", "attn_k", "attn_v")):
            made.add(f"{name}.bias", "F32", shape[:1], values[: shape[0]])
    return made


def pack(kind: str, values: Sequence[float]) -> bytes:
    """The bytes of these values in a GGUF tensor of that kind."""
    if kind in ("F32", "F16"):
        return struct.pack(f"<{len(values)}{'f' if kind == 'F32' else 'e'}", *values)
    return b"".join(_block(kind, values[begin : begin + 32]) for begin in range(0, len(values), 32))


def unpack(kind: str, data: bytes) -> list[float]:
    """The values that such bytes stand for."""
    if kind in ("F32", "F16"):
        return [value for (value,) in struct.iter_unpack("<f" if kind == "F32" else "<e", data)]
    size = {"Q4_0": 18, "Q4_1": 20, "Q8_0": 34}[kind]
    return [value for begin in range(0, len(data), size) for value in _unblock(kind, data[begin : begin + size])]


def _block(kind: str, values: Sequence[float]) -> bytes:
    low, high = min(values), max(values)
    if kind == "Q8_0":
        scale = max(-low, high) / 127 or 1.0
        return struct.pack("<e32b", scale, *(round(value / scale) for value in values))
    if kind == "Q4_1":
        scale = (high - low) / 15 or 1.0
        return struct.pack("<ee", scale, low) + _nibbles([round((value - low) / scale) for value in values])
    scale = max(-low, high) / 7 or 1.0
    packed = struct.pack("<e", scale) + _nibbles([round(value / scale) + 8 for value in values])
    return packed + b"\0" * (4 if kind == "Q5_0" else 0)


def _nibbles(numbers: Sequence[int]) -> bytes:
    return bytes(low | high << 4 for low, high in zip(numbers[:16], numbers[16:], strict=True))


def _unblock(kind: str, block: bytes) -> list[float]:
    (scale,) = struct.unpack_from("<e", block)
    if kind == "Q8_0":
        return [scale * number for number in struct.unpack_from("<32b", block, 2)]
    low = struct.unpack_from("<e", block, 2)[0] if kind == "Q4_1" else -8 * scale
    numbers = [byte & 15 for byte in block[-16:]] + [byte >> 4 for byte in block[-16:]]
    return [scale * number + low for number in numbers]


def _metadata(architecture: str, *, hidden: int, heads: int, kv_heads: int, wide: int) -> dict[str, Any]:
    alphabet = [chr(code) for code in (*range(33, 127), *range(161, 173), *range(174, 256), *range(256, 324))]
    return {
        "general.architecture": architecture,
        f"{architecture}.embedding_length": hidden,
        f"{architecture}.block_count": 2,
        f"{architecture}.attention.head_count": heads,
        f"{architecture}.attention.head_count_kv": kv_heads,
        f"{architecture}.feed_forward_length": wide,
        f"{architecture}.context_length": 512,
        f"{architecture}.rope.freq_base": 10000.0,
        f"{architecture}.attention.layer_norm_rms_epsilon": 1e-5,
        "tokenizer.ggml.model": "gpt2",
        "tokenizer.ggml.pre": "qwen2" if architecture == "qwen2" else "smollm",
        "tokenizer.ggml.tokens": [*SPECIALS, *alphabet, "he", "llo", "ll"],
        "tokenizer.ggml.token_type": [3] * len(SPECIALS) + [1] * (len(alphabet) + 3),
        "tokenizer.ggml.merges": ["h e", "l l", "ll o"],
        "tokenizer.ggml.bos_token_id": 1,
        "tokenizer.ggml.eos_token_id": 2,
        "tokenizer.chat_template": CHAT_TEMPLATE,
    }


def _text(text: str) -> bytes:
    data = text.encode()
    return struct.pack("<Q", len(data)) + data


def _value(value: Any) -> bytes:
    match value:
        case bool():
            return struct.pack("<I?", 7, value)
        case int():
            return struct.pack("<II", 4, value)
        case float():
            return struct.pack("<If", 6, value)
        case str():
            return struct.pack("<I", 8) + _text(value)
    items = b"".join(_value(item)[4:] for item in value)
    return struct.pack("<I", 9) + _value(value[0])[:4] + struct.pack("<Q", len(value)) + items
