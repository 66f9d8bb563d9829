"""A GGUF file becomes the same model in mlx's layout, or is refused by name."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import mlx.core as mx
import pytest
from tokenizers import Tokenizer

from osaurus_nb.errors import ModelRejected
from osaurus_nb.local import convert, gguf, memory
from osaurus_nb.local.library import inspect
from osaurus_nb.local.recipe import recipe
from osaurus_nb.testing import tiny_gguf

KINDS = ["F32", "F16", "Q4_0", "Q4_1", "Q8_0"]


def converted(made: tiny_gguf.Gguf, tmp_path: Path) -> Path:
    folder = tmp_path / "model"
    convert.convert(made.write(tmp_path / "model.gguf"), folder, lambda done, total: None)
    return folder


def weight(folder: Path, module: str) -> mx.array:
    """The weight of a module, unpacked by mlx."""
    arrays = mx.load(str(folder / "model.safetensors"))
    packing = json.loads((folder / "config.json").read_text()).get("quantization", {}).get(module)
    if packing is None:
        return arrays[f"{module}.weight"]
    return mx.dequantize(*(arrays[f"{module}.{field}"] for field in ("weight", "scales", "biases")), **packing)


def original(made: tiny_gguf.Gguf, name: str) -> mx.array:
    kind, shape, data = made.tensors[name]
    return mx.array(tiny_gguf.unpack(kind, data)).reshape(shape)


def twist(array: mx.array, heads: int) -> mx.array:
    """What llama.cpp's own converter does to the rows of queries and keys."""
    rows = array.shape[0]
    return array.reshape(heads, 2, rows // heads // 2, -1).swapaxes(1, 2).reshape(rows, -1)


@pytest.mark.parametrize("kind", KINDS)
def test_weights_keep_their_values(kind: str, tmp_path: Path):
    """Every kind of tensor stands for the same numbers after the conversion, as its definition has them."""
    made = tiny_gguf.llama(kind)

    folder = converted(made, tmp_path)

    for theirs, ours in [("token_embd", "model.embed_tokens"), ("blk.1.ffn_down", "model.layers.1.mlp.down_proj")]:
        expected = original(made, f"{theirs}.weight")
        assert mx.allclose(weight(folder, ours), expected, rtol=2e-3, atol=2e-3), theirs


@pytest.mark.parametrize("kind", ["F16", "Q8_0", "Q4_1"])
def test_rows_of_queries_and_keys_are_put_in_order(kind: str, tmp_path: Path):
    """The reordering that llama.cpp applies is undone, in packed tensors too."""
    made = tiny_gguf.llama(kind)

    folder = converted(made, tmp_path)

    for name, module, heads in [("attn_q", "q_proj", 4), ("attn_k", "k_proj", 2)]:
        back = twist(weight(folder, f"model.layers.0.self_attn.{module}"), heads)
        assert mx.allclose(back, original(made, f"blk.0.{name}.weight"), rtol=2e-3, atol=2e-3)


def test_qwen2_keeps_its_rows_and_its_biases(tmp_path: Path):
    """Qwen2 files are not reordered, and have biases."""
    made = tiny_gguf.llama("Q8_0", architecture="qwen2")

    folder = converted(made, tmp_path)

    found = weight(folder, "model.layers.0.self_attn.q_proj")
    bias = mx.load(str(folder / "model.safetensors"))["model.layers.0.self_attn.q_proj.bias"]
    assert mx.allclose(found, original(made, "blk.0.attn_q.weight"), rtol=2e-3, atol=2e-3)
    assert mx.allclose(bias, original(made, "blk.0.attn_q.bias"), rtol=1e-3, atol=1e-3)


def test_configuration_says_what_the_header_says(tmp_path: Path):
    """Sizes, ids and the packing of each module are taken over; no code is asked for."""
    config = inspect(converted(tiny_gguf.llama("Q4_0"), tmp_path)).config

    assert config["model_type"] == "llama"
    assert (config["hidden_size"], config["num_key_value_heads"], config["max_position_embeddings"]) == (64, 2, 512)
    assert (config["bos_token_id"], config["eos_token_id"], config["tie_word_embeddings"]) == (1, 2, True)
    assert config["quantization"]["model.layers.0.mlp.up_proj"] == {"group_size": 32, "bits": 4}


def test_memory_of_a_converted_model_is_its_unpacked_size(tmp_path: Path):
    """On the CPU the packed weights are counted as the floats that they become."""
    folder = converted(tiny_gguf.llama("Q4_0"), tmp_path)
    model = inspect(folder)
    parameters = sum(len(tiny_gguf.unpack(kind, data)) for kind, _, data in tiny_gguf.llama("Q4_0").tensors.values())
    scales = 2 * parameters // 32  # kept apart, and counted as they lie there

    need = memory.needed(model, profile="cpu", context=1)

    assert 4 * parameters < need < 4 * (parameters + scales) + model.size_bytes + 2000


def test_tokenizer_merges_and_keeps_specials_whole(tmp_path: Path):
    """Text becomes the tokens that the merges spell, specials one token each, and comes back unchanged."""
    folder = converted(tiny_gguf.llama(), tmp_path)
    tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))

    encoded = tokenizer.encode("<|im_start|>hello 12é")

    assert encoded.tokens[:3] == ["<|im_start|>", "he", "llo"]
    assert tokenizer.decode(encoded.ids, skip_special_tokens=False) == "<|im_start|>hello 12é"
    assert tokenizer.decode(encoded.ids) == "hello 12é"


def drop(key: str) -> Callable[[tiny_gguf.Gguf], object]:
    return lambda made: made.metadata.pop(key)


def put(key: str, value: Any) -> Callable[[tiny_gguf.Gguf], object]:
    return lambda made: made.metadata.update({key: value})


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (put("general.architecture", "mamba"), "architecture 'mamba' is not converted; llama and qwen2 are"),
        (lambda made: made.add("rope_freqs.weight", "F32", (8,), [1.0] * 8), "tensor 'rope_freqs.weight' is unknown"),
        (lambda made: made.tensors.pop("blk.1.attn_v.weight"), "no tensor 'blk.1.attn_v.weight'"),
        (lambda made: made.add("output_norm.weight", "F32", (32,), [1.0] * 32), r"shape \(32,\), not \(64,\)"),
        (lambda made: made.add("output_norm.weight", "Q8_0", (64,), [1.0] * 64), "'output_norm.weight' is Q8_0"),
        (put("llama.expert_count", 8), "experts"),
        (put("llama.rope.scaling.type", "yarn"), "rope scaling"),
        (put("llama.rope.dimension_count", 8), "uneven attention heads"),
        (put("llama.block_count", 1 << 30), "llama.block_count"),
        (put("llama.attention.head_count", 0), "llama.attention.head_count"),
        (drop("llama.context_length"), "llama.context_length"),
        (put("tokenizer.ggml.model", "llama"), "tokenizer 'llama' is not converted"),
        (put("tokenizer.ggml.pre", "tekken"), "splits text by 'tekken'"),
        (put("tokenizer.ggml.merges", ["h x"]), "a merge names a token that is not there"),
        (put("tokenizer.ggml.eos_token_id", 9999), "eos token"),
        (drop("tokenizer.ggml.tokens"), "tokenizer.ggml.tokens"),
    ],
)
def test_what_is_not_converted_is_named(change: Callable[[tiny_gguf.Gguf], object], reason: str, tmp_path: Path):
    """A file that we cannot convert faithfully is refused from its header, with the reason."""
    made = tiny_gguf.llama()
    change(made)
    header = gguf.read(made.write(tmp_path / "other.gguf"))

    with pytest.raises(ModelRejected, match=reason):
        recipe(header)


def run(*arguments: Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "osaurus_nb.local.convert", *map(str, arguments)]
    return subprocess.run(
        command, capture_output=True, text=True, check=False, timeout=120, env=os.environ | {"PYTHONPATH": "."}
    )


def test_command_tells_its_progress(tmp_path: Path):
    """Each line on stdout is JSON; the last one says that all is done."""
    file = tiny_gguf.llama().write(tmp_path / "tiny.gguf")

    done = run(file, tmp_path / "model")

    lines = [json.loads(line) for line in done.stdout.splitlines()]
    assert done.returncode == 0
    assert lines[-1] == {"done": 20, "total": 20}
    assert [line["done"] for line in lines] == sorted(line["done"] for line in lines)


def test_command_tells_its_refusal(tmp_path: Path):
    """A refusal is a line of JSON as well, and no folder is begun."""
    made = tiny_gguf.llama()
    made.metadata["general.architecture"] = "gemma"

    done = run(made.write(tmp_path / "gemma.gguf"), tmp_path / "model")

    assert done.returncode == 1
    assert json.loads(done.stdout)["error"] == "ModelRejected"
    assert "gemma" in json.loads(done.stdout)["message"]
    assert not (tmp_path / "model").exists()


_GENERATE = """
import sys, mlx.core as mx
from mlx_lm import load
for folder in sys.argv[1:]:
    model, tokenizer = load(folder)
    logits = model(mx.array([tokenizer.encode("hello")]))[0, -1]
    assert mx.isfinite(logits).all().item()
    print(round(logits.astype(mx.float32).max().item(), 1))
"""


def test_every_kind_loads_and_says_nearly_the_same(tmp_path: Path):
    """mlx-lm loads each result, and packing changes the numbers only a little."""
    folders = []
    for kind in KINDS:
        (tmp_path / kind).mkdir()
        folders.append(converted(tiny_gguf.llama(kind), tmp_path / kind))
    (tmp_path / "qwen").mkdir()
    qwen = converted(tiny_gguf.llama("Q8_0", architecture="qwen2"), tmp_path / "qwen")

    done = subprocess.run(
        [sys.executable, "-c", _GENERATE, *map(str, folders), str(qwen)],
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )

    assert done.returncode == 0, done.stderr
    exact, *packed = [float(line) for line in done.stdout.split()][: len(KINDS)]
    assert packed == pytest.approx([exact] * len(packed), rel=0.25)
