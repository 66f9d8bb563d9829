"""How a GGUF file becomes a model for mlx-lm, decided from its header alone. Pure: no files, no mlx.

Llama and Qwen2 shapes are known. A file must hold exactly the tensors of such a model, in the right shapes:
one that is missing, unknown or uneven is refused by name, because half a model answers nonsense.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from osaurus_nb.errors import ModelRejected
from osaurus_nb.local import gguf
from osaurus_nb.local.tokenizer import SPLITTERS, Vocabulary

_ARCHITECTURES = {"llama": "LlamaForCausalLM", "qwen2": "Qwen2ForCausalLM"}
#: Their names for the parts of a layer, and ours.
_LAYER = {
    "attn_norm": "input_layernorm",
    "ffn_norm": "post_attention_layernorm",
    "attn_q": "self_attn.q_proj",
    "attn_k": "self_attn.k_proj",
    "attn_v": "self_attn.v_proj",
    "attn_output": "self_attn.o_proj",
    "ffn_gate": "mlp.gate_proj",
    "ffn_up": "mlp.up_proj",
    "ffn_down": "mlp.down_proj",
}
#: Bits of a weight in the types that stay packed; each scale is shared by `GROUP` of them.
PACKED = {"Q4_0": 4, "Q4_1": 4, "Q8_0": 8}
GROUP = 32


@dataclass(frozen=True, slots=True)
class Part:
    """Where one tensor goes. `twisted` is the number of heads whose rows llama.cpp has reordered."""

    module: str
    field: str
    shape: tuple[int, ...]
    twisted: int | None = None


@dataclass(frozen=True, slots=True)
class Recipe:
    """The new model's configuration, the place of each tensor, and the vocabulary."""

    config: Mapping[str, Any]
    parts: Mapping[str, Part]
    vocabulary: Vocabulary


def recipe(header: gguf.Header) -> Recipe:
    """What the header asks for. Raises ModelRejected, naming what we do not convert."""
    shape = _Shape(header.metadata)
    vocabulary = _vocabulary(header.metadata, shape.architecture)
    tensors = {tensor.name: tensor for tensor in header.tensors}
    parts = dict(_parts(shape, len(vocabulary.tokens), tied="output.weight" not in tensors))
    _check(tensors, parts)
    config = shape.config() | {
        "vocab_size": len(vocabulary.tokens),
        "bos_token_id": vocabulary.bos,
        "eos_token_id": vocabulary.eos,
        "tie_word_embeddings": "output.weight" not in tensors,
    }
    return Recipe(config | _quantization(tensors, parts), parts, vocabulary)


class _Shape:
    """The numbers of the architecture, each checked as it is read."""

    def __init__(self, metadata: Mapping[str, Any]) -> None:
        self._metadata = metadata
        self.architecture = str(metadata.get("general.architecture"))
        if self.architecture not in _ARCHITECTURES:
            known = " and ".join(_ARCHITECTURES)
            raise ModelRejected(f"The architecture {self.architecture[:80]!r} is not converted; {known} are.")
        self.hidden = self._count("embedding_length")
        self.layers = self._count("block_count", most=1024)
        self.heads = self._count("attention.head_count")
        self.kv_heads = self._count("attention.head_count_kv", default=self.heads)
        self.head_dim = self._count("attention.key_length", default=max(1, self.hidden // self.heads))
        self.wide = self._count("feed_forward_length")
        self._refuse_variants()

    def config(self) -> dict[str, Any]:
        return {
            "architectures": [_ARCHITECTURES[self.architecture]],
            "model_type": self.architecture,
            "hidden_size": self.hidden,
            "intermediate_size": self.wide,
            "num_hidden_layers": self.layers,
            "num_attention_heads": self.heads,
            "num_key_value_heads": self.kv_heads,
            "head_dim": self.head_dim,
            "max_position_embeddings": self._count("context_length", most=1 << 30),
            "rms_norm_eps": self._real("attention.layer_norm_rms_epsilon", 1e-5),
            "rope_theta": self._real("rope.freq_base", 10000.0),
        }

    def rows(self) -> dict[str, tuple[int, ...]]:
        """The shape of each part of a layer."""
        queries, keys = self.heads * self.head_dim, self.kv_heads * self.head_dim
        return {
            "attn_norm": (self.hidden,),
            "ffn_norm": (self.hidden,),
            "attn_q": (queries, self.hidden),
            "attn_k": (keys, self.hidden),
            "attn_v": (keys, self.hidden),
            "attn_output": (self.hidden, queries),
            "ffn_gate": (self.wide, self.hidden),
            "ffn_up": (self.wide, self.hidden),
            "ffn_down": (self.hidden, self.wide),
        }

    def _count(self, key: str, *, default: int | None = None, most: int = 1 << 24) -> int:
        value = self._metadata.get(f"{self.architecture}.{key}", default)
        if not isinstance(value, int) or not 0 < value <= most:
            raise ModelRejected(f"The file gives no usable {self.architecture}.{key}.")
        return value

    def _real(self, key: str, default: float) -> float:
        value = self._metadata.get(f"{self.architecture}.{key}", default)
        if not isinstance(value, int | float) or not 0 < value < 1e12:
            raise ModelRejected(f"The file gives no usable {self.architecture}.{key}.")
        return float(value)

    def _refuse_variants(self) -> None:
        prefix, metadata = self.architecture, self._metadata
        if metadata.get(f"{prefix}.expert_count", 0):
            raise ModelRejected("Models made of experts are not converted.")
        if metadata.get(f"{prefix}.rope.scaling.type", "none") != "none":
            raise ModelRejected("Models with a stretched context (rope scaling) are not converted.")
        turned = self._count("rope.dimension_count", default=self.head_dim)
        valued = self._count("attention.value_length", default=self.head_dim)
        if {turned, valued} != {self.head_dim} or self.head_dim % 2 or self.heads % self.kv_heads:
            raise ModelRejected("Models with uneven attention heads are not converted.")
        if self.architecture == "qwen2" and self.heads * self.head_dim != self.hidden:
            raise ModelRejected("Qwen2 models whose heads do not fill the hidden size are not converted.")


def _parts(shape: _Shape, words: int, *, tied: bool) -> Iterator[tuple[str, Part]]:
    """Every tensor that such a model has, with the shape that it must have."""
    yield "token_embd.weight", Part("model.embed_tokens", "weight", (words, shape.hidden))
    yield "output_norm.weight", Part("model.norm", "weight", (shape.hidden,))
    if not tied:
        yield "output.weight", Part("lm_head", "weight", (words, shape.hidden))
    # llama.cpp turns pairs of rows for its own rotary embedding, in the llama architecture only.
    twisted = {"attn_q": shape.heads, "attn_k": shape.kv_heads} if shape.architecture == "llama" else {}
    biased = ("attn_q", "attn_k", "attn_v") if shape.architecture == "qwen2" else ()
    rows = shape.rows()
    for layer in range(shape.layers):
        for theirs, ours in _LAYER.items():
            name, module = f"blk.{layer}.{theirs}", f"model.layers.{layer}.{ours}"
            yield f"{name}.weight", Part(module, "weight", rows[theirs], twisted.get(theirs))
            if theirs in biased:
                yield f"{name}.bias", Part(module, "bias", rows[theirs][:1])


def _check(tensors: Mapping[str, gguf.Tensor], parts: Mapping[str, Part]) -> None:
    for name in tensors:
        if name not in parts:
            raise ModelRejected(f"The tensor {name[:80]!r} is unknown; the file is not converted without it.")
    for name, part in parts.items():
        tensor = tensors.get(name)
        if tensor is None:
            raise ModelRejected(f"The file has no tensor {name!r}.")
        if tensor.shape != part.shape:
            raise ModelRejected(f"The tensor {name!r} has the shape {tensor.shape}, not {part.shape}.")
        if len(part.shape) == 1 and tensor.kind in PACKED:
            raise ModelRejected(f"The tensor {name!r} is {tensor.kind}; of its kind only F16 and F32 are converted.")


def _quantization(tensors: Mapping[str, gguf.Tensor], parts: Mapping[str, Part]) -> dict[str, Any]:
    bits = {part.module: PACKED[tensors[name].kind] for name, part in parts.items() if tensors[name].kind in PACKED}
    if not bits:
        return {}
    usual = Counter(bits.values()).most_common(1)[0][0]
    modules = {module: {"group_size": GROUP, "bits": own} for module, own in bits.items()}
    return {"quantization": {"group_size": GROUP, "bits": usual, **modules}}


def _vocabulary(metadata: Mapping[str, Any], architecture: str) -> Vocabulary:
    model = metadata.get("tokenizer.ggml.model")
    if model != "gpt2":
        raise ModelRejected(f"The tokenizer {str(model)[:80]!r} is not converted; byte-level BPE ('gpt2') is.")
    splitter = str(metadata.get("tokenizer.ggml.pre", "qwen2" if architecture == "qwen2" else "default"))
    if splitter not in SPLITTERS:
        known = ", ".join(sorted(SPLITTERS))
        raise ModelRejected(f"The tokenizer splits text by {splitter[:80]!r}; only {known} are known.")
    tokens = _texts(metadata, "tokenizer.ggml.tokens")
    types = metadata.get("tokenizer.ggml.token_type", [1] * len(tokens))
    if len(set(tokens)) != len(tokens) or not isinstance(types, list) or len(types) != len(tokens):
        raise ModelRejected("The vocabulary does not add up: tokens are repeated or have no type.")
    template = metadata.get("tokenizer.chat_template")
    return Vocabulary(
        tokens=tokens,
        types=types,
        merges=_merges(_texts(metadata, "tokenizer.ggml.merges"), set(tokens)),
        splitter=splitter,
        bos=_token(metadata, "bos", len(tokens)),
        eos=_token(metadata, "eos", len(tokens)),
        pad=_token(metadata, "padding", len(tokens)),
        unknown=_token(metadata, "unknown", len(tokens)),
        add_bos=metadata.get("tokenizer.ggml.add_bos_token") is True,
        chat_template=template if isinstance(template, str) else None,
    )


def _texts(metadata: Mapping[str, Any], key: str) -> list[str]:
    found = metadata.get(key)
    if not isinstance(found, list) or not found or not isinstance(found[0], str):
        raise ModelRejected(f"The file gives no usable {key}.")
    return found


def _merges(lines: list[str], tokens: set[str]) -> list[tuple[str, str]]:
    pairs = [(left, right) for left, _, right in (line.partition(" ") for line in lines)]
    if not all(left in tokens and right in tokens and left + right in tokens for left, right in pairs):
        raise ModelRejected("The vocabulary does not add up: a merge names a token that is not there.")
    return pairs


def _token(metadata: Mapping[str, Any], role: str, count: int) -> int | None:
    number = metadata.get(f"tokenizer.ggml.{role}_token_id")
    if number is not None and not (isinstance(number, int) and 0 <= number < count):
        raise ModelRejected(f"The {role} token is not in the vocabulary.")
    return number
