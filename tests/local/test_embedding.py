"""Texts to vectors: the same as the plain formula, in the order asked, and nothing cut in silence."""

from __future__ import annotations

import asyncio
import json
import math
import os
import shutil
import time
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("mlx_lm")

import mlx.core as mx
import numpy as np

from osaurus_nb.config.paths import Paths, private_dir
from osaurus_nb.embeddings import EmbeddingRequest, Embeddings
from osaurus_nb.errors import ContextTooLong, ModelRejected, RequestError, Unsupported
from osaurus_nb.local.adapter import LocalAdapter
from osaurus_nb.local.bert import Bert, pad
from osaurus_nb.local.encoder import Encoder, load
from osaurus_nb.local.pull import MINILM, pull
from osaurus_nb.local.supervisor import WorkerSettings
from osaurus_nb.local.vectors import Vectors
from osaurus_nb.ports import Embedder, Timeouts
from osaurus_nb.request import ChatRequest
from tests.local.workers import adapter_over, answer, ask, card, home_with, pid_of, serving, until

TEXTS = ("ping", "a longer text, of words", "", "x", "Grüße 🦕", "ping")
ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def encoder(tiny_encoder: Path) -> Encoder:
    return load(tiny_encoder, name="tiny", fast_blas=True)


def embed(encoder: Encoder, *texts: str, **options: Any) -> Embeddings:
    work = Vectors(encoder, slots=4)
    work.admit("k", EmbeddingRequest("tiny", texts, **options))
    while True:
        for _, found in work.step():
            assert isinstance(found, Embeddings)
            return found


def near(found: Sequence[Sequence[float]], wanted: Sequence[Sequence[float]]) -> bool:
    return np.allclose(np.array([list(row) for row in found]), np.array(wanted), atol=1e-5)


def test_vectors_follow_the_formula(tiny_encoder: Path, encoder: Encoder):
    """Each vector is what BERT's formula gives for its text alone, computed step by step in double precision."""
    found = embed(encoder, *TEXTS)

    weights = {name: np.array(array, np.float64) for name, array in _weights(tiny_encoder).items()}
    assert near(found.vectors, [_formula(weights, encoder.tokenizer.encode(text).ids) for text in TEXTS])


def _weights(folder: Path) -> dict[str, Any]:
    return dict(mx.load(str(folder / "model.safetensors")))  # type: ignore[arg-type]


def _formula(weights: dict[str, Any], ids: list[int], *, heads: int = 4, layers: int = 2) -> Any:
    def dense(x: Any, name: str) -> Any:
        return x @ weights[f"{name}.weight"].T + weights[f"{name}.bias"]

    def norm(x: Any, name: str) -> Any:
        spread = (x - x.mean(-1, keepdims=True)) / np.sqrt(x.var(-1, keepdims=True) + 1e-12)
        return spread * weights[f"{name}.weight"] + weights[f"{name}.bias"]

    def split(x: Any) -> Any:
        return x.reshape(len(ids), heads, -1).transpose(1, 0, 2)

    places = weights["embeddings.position_embeddings.weight"][: len(ids)]
    x = weights["embeddings.word_embeddings.weight"][ids] + places
    x = norm(x + weights["embeddings.token_type_embeddings.weight"][0], "embeddings.LayerNorm")
    for layer in range(layers):
        name = f"encoder.layer.{layer}"
        q, k, v = (split(dense(x, f"{name}.attention.self.{part}")) for part in ("query", "key", "value"))
        scores = np.exp(q @ k.transpose(0, 2, 1) / math.sqrt(q.shape[-1]))
        seen = (scores / scores.sum(-1, keepdims=True)) @ v
        seen = seen.transpose(1, 0, 2).reshape(len(ids), -1)
        x = norm(x + dense(seen, f"{name}.attention.output.dense"), f"{name}.attention.output.LayerNorm")
        wide = dense(x, f"{name}.intermediate.dense")
        wide = wide * 0.5 * (1 + np.vectorize(math.erf)(wide / math.sqrt(2)))
        x = norm(x + dense(wide, f"{name}.output.dense"), f"{name}.output.LayerNorm")
    return x.mean(0) / np.linalg.norm(x.mean(0))


def test_both_ways_to_compute_agree(encoder: Encoder):
    """What the CPU has of its own gives the vectors that mlx's kernels give."""
    own = encoder.model
    plain = Bert(own._weights, own._shape)

    ids, real = pad([encoder.tokenizer.encode(text).ids for text in TEXTS])

    assert near(plain(ids, real).tolist(), Bert(own._weights, own._shape, on_cpu=True)(ids, real).tolist())


def test_order_and_company_change_nothing(encoder: Encoder):
    """A text has the same vector alone, among others, and at any place; like texts have like vectors, of length 1."""
    together = embed(encoder, *TEXTS).vectors
    turned = embed(encoder, *reversed(TEXTS)).vectors
    alone = [embed(encoder, text).vectors[0] for text in TEXTS]

    assert near(together, alone)
    assert near(turned, alone[::-1])
    assert near([together[0]], [together[-1]])
    assert all(abs(math.hypot(*vector) - 1) < 1e-5 for vector in together)


def test_many_texts_take_many_steps(encoder: Encoder):
    """What does not fit into one step is read in several, and comes out as one answer."""
    small = replace(encoder, step=20)
    texts = [f"text {number}" * (number % 3) for number in range(40)]

    assert near(embed(small, *texts).vectors, [list(vector) for vector in embed(encoder, *texts).vectors])


def test_short_requests_do_not_wait_for_long_ones(encoder: Encoder):
    """Requests take turns: a single text is answered while a long list is under way."""
    work = Vectors(replace(encoder, step=20), slots=4)
    work.admit("long", EmbeddingRequest("tiny", ("some text",) * 100))
    work.admit("short", EmbeddingRequest("tiny", ("x",)))

    done = [key for _ in range(2) for key, _ in work.step()]

    assert done == ["short"]
    assert work.running == 1
    assert work.cancel("long")
    assert not work.cancel("long")
    assert work.running == 0


def test_tokens_are_counted_as_read(encoder: Encoder):
    """The usage holds every token that went in, those around each text included, and no padding."""
    usage = embed(encoder, "ab", "abcdef").usage

    assert usage is not None
    assert (usage.input_tokens, usage.output_tokens, usage.estimated) == (4 + 8, 0, False)


def test_a_text_that_is_too_long_is_an_error(encoder: Encoder):
    """A text that the model cannot read whole is named with both sizes; it is not cut behind the caller's back."""
    with pytest.raises(ContextTooLong, match=r"Text 1 has 102 tokens and 'tiny' reads 24\.") as caught:
        embed(encoder, "short", "x" * 100)

    assert caught.value.param == "input"


def test_who_asks_for_it_gets_it_cut_with_a_warning(encoder: Encoder):
    """With `truncate` the rest is left out, the usage counts what was read, and a warning names the text."""
    found = embed(encoder, "short", "x" * 100, extra={"truncate": True})

    assert near(found.vectors[1:], [list(embed(encoder, "x" * 22).vectors[0])])
    assert [(warned.code, warned.param) for warned in found.warnings] == [("truncated", "input")]
    assert "text 1" in found.warnings[0].message
    assert found.usage is not None
    assert found.usage.input_tokens == 7 + 24


def test_unknown_settings_are_warned_of(encoder: Encoder):
    """A setting that we do not know is told, one that changes nothing is not."""
    found = embed(encoder, "x", extra={"user": "u", "task_type": "search"})

    assert [warned.param for warned in found.warnings] == ["task_type"]


@pytest.mark.parametrize(
    ("texts", "options", "error", "param"),
    [
        ((), {}, RequestError, "input"),
        (("x",), {"dimensions": 16}, Unsupported, "dimensions"),
        (("\ud800",), {}, RequestError, "input"),
    ],
)
def test_what_cannot_be_embedded_is_refused(
    encoder: Encoder, texts: tuple[str, ...], options: dict[str, Any], error: type[RequestError], param: str
):
    """No text, shorter vectors than the model makes, or half a character: an error that names the field."""
    with pytest.raises(error) as caught:
        embed(encoder, *texts, **options)

    assert caught.value.param == param


def test_its_own_width_may_be_asked_for(encoder: Encoder):
    """The model's own number of dimensions is no wish at all."""
    assert len(embed(encoder, "x", dimensions=32).vectors[0]) == 32


def edit(file: Path, **changes: object) -> None:
    file.write_text(json.dumps(json.loads(file.read_text()) | changes))


@pytest.mark.parametrize(
    ("file", "changes", "reason"),
    [
        ("1_Pooling/config.json", {"pooling_mode_mean_tokens": False}, "made by nothing"),
        ("1_Pooling/config.json", {"pooling_mode_max_tokens": True}, "max_tokens"),
        ("config.json", {"position_embedding_type": "relative_key"}, "relative_key"),
        ("config.json", {"hidden_act": "odd"}, "odd"),
        ("config.json", {"hidden_size": None}, "sizes"),
        ("config.json", {"num_hidden_layers": 3}, "encoder.layer.2"),
        ("config.json", {"num_hidden_layers": 1}, "encoder.layer.1"),
        ("config.json", {"intermediate_size": 8}, "shape"),
    ],
)
def test_other_kinds_of_models_are_refused(
    file: str, changes: dict[str, object], reason: str, tmp_path: Path, tiny_encoder: Path
):
    """What would give vectors that mean something else is not loaded, and the reason is told."""
    folder = shutil.copytree(tiny_encoder, tmp_path / "odd")
    edit(folder / file, **changes)

    with pytest.raises(ModelRejected, match=f"'odd' cannot be loaded: .*{reason}"):
        load(folder, name="odd", fast_blas=True)


def test_a_projection_behind_the_pooling_is_refused(tmp_path: Path, tiny_encoder: Path):
    """A model that sends its vectors through one more layer is not read as if it had none."""
    folder = shutil.copytree(tiny_encoder, tmp_path / "odd")
    (folder / "modules.json").write_text(json.dumps([{"type": "sentence_transformers.models.Dense"}]))

    with pytest.raises(ModelRejected, match="Dense"):
        load(folder, name="odd", fast_blas=True)


def test_the_first_token_may_stand_for_the_text(tmp_path: Path, tiny_encoder: Path, encoder: Encoder):
    """A model that is pooled by its first token gives other vectors than by the mean, of length 1 too."""
    folder = shutil.copytree(tiny_encoder, tmp_path / "cls")
    edit(folder / "1_Pooling" / "config.json", pooling_mode_mean_tokens=False, pooling_mode_cls_token=True)

    found = embed(load(folder, name="cls", fast_blas=True), "ping").vectors

    assert abs(math.hypot(*found[0]) - 1) < 1e-5
    assert not near(found, [list(embed(encoder, "ping").vectors[0])])


@pytest.fixture(scope="module")
def home(tiny_encoder: Path) -> Iterator[Paths]:
    with home_with(tiny_encoder) as paths:
        yield paths


async def vectors(adapter: LocalAdapter, *texts: str, model: str = "tiny-encoder") -> Embeddings:
    return await adapter.embed(EmbeddingRequest(model, texts), card(model), Timeouts())


@pytest.mark.anyio
async def test_an_embedding_model_is_a_model_of_the_library(home: Paths):
    """It is listed for what it can do, and embeds through the adapter as the port says."""
    async with adapter_over(home) as adapter:
        (listed,) = await adapter.models()
        found = await vectors(adapter, "ping", "pong")

        assert isinstance(adapter, Embedder)
        assert (listed.id, listed.capabilities.embeddings, listed.capabilities.tools) == ("tiny-encoder", True, False)
        assert (found.provider, found.model, len(found.vectors), len(found.vectors[0])) == (
            "local",
            "tiny-encoder",
            2,
            32,
        )
        assert json.dumps(list(found.vectors))


@pytest.mark.anyio
async def test_clients_share_its_worker(home: Paths):
    """Requests side by side, from two clients, are answered by one process, each with its own vectors."""
    async with adapter_over(home) as first, adapter_over(home) as second:
        texts = [f"text {number}" for number in range(12)]
        alone = (await vectors(first, *texts)).vectors

        found = await asyncio.gather(*(vectors((first, second)[at % 2], text) for at, text in enumerate(texts)))

        assert near([one.vectors[0] for one in found], alone)
        assert await pid_of(first) == await pid_of(second)


@pytest.mark.anyio
async def test_leaving_early_stops_the_work(home: Paths):
    """Who gives up takes the request along: the worker is soon at rest."""
    async with adapter_over(home) as adapter:
        await vectors(adapter, "warm")
        task = asyncio.create_task(vectors(adapter, *["some words of text"] * 20_000))
        while not (await adapter.status())[0].running:
            await asyncio.sleep(0.01)

        task.cancel()
        await asyncio.gather(task, return_exceptions=True)

        left = time.monotonic() + 2.0
        while (await adapter.status())[0].running:
            assert time.monotonic() < left


@pytest.mark.anyio
async def test_an_idle_worker_leaves(tiny_encoder: Path):
    """It is unloaded when nobody asks, and comes back."""
    async with serving(tiny_encoder, settings=WorkerSettings(idle_s=0.3)) as adapter:
        await vectors(adapter, "ping")
        pid = await pid_of(adapter)

        assert await until(lambda: not Path(f"/proc/{pid}").exists() if Path("/proc").exists() else not _alive(pid))
        assert len((await vectors(adapter, "ping")).vectors) == 1


def _alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


@pytest.mark.anyio
async def test_models_do_what_they_are_made_for(home: Paths):
    """An embedding model refuses chats, and a chat model embeddings, before anything is loaded; both say what to do."""
    request = ChatRequest("tiny-encoder", ask("x").messages)
    async with adapter_over(home) as adapter:
        await adapter.unload("tiny-encoder")
        with pytest.raises(Unsupported, match="cannot chat") as chatting:
            await answer(adapter, request)
        with pytest.raises(Unsupported, match="cannot chat"):
            await adapter.count_tokens(request, card("tiny-encoder"), Timeouts())

        assert (chatting.value.status, chatting.value.param) == (400, "model")
        assert await adapter.status() == []


@pytest.mark.anyio
async def test_chat_models_say_which_model_embeds(tiny_model: Path):
    """The refusal names a model that can be pulled."""
    async with serving(tiny_model) as adapter:
        with pytest.raises(Unsupported, match=f"osaurus-nb pull {MINILM.id}"):
            await vectors(adapter, "x", model="tiny-random")

        assert await adapter.status() == []


@pytest.mark.model
@pytest.mark.anyio
async def test_minilm_knows_what_is_alike(tmp_path: Path):
    """The pulled model gives the figures that its authors publish, and finds a meal close to food."""
    kept = Paths(private_dir(Path(os.environ.get("OSAURUS_TEST_HOME") or ROOT / ".cache/test-home").absolute()))
    model = pull(kept, MINILM.id)
    texts = (
        "The weather is lovely today.",
        "It's so sunny outside!",
        "He drove to the stadium.",
        "eating food",
        "having a meal",
    )
    async with serving(model.folder) as adapter:
        found = np.array((await vectors(adapter, *texts, model=MINILM.id)).vectors)

    alike = found @ found.T
    assert np.allclose(alike[0, 1:3], [0.6660, 0.1046], atol=1e-3)
    assert np.allclose(alike[1, 2], 0.1411, atol=1e-3)
    assert np.allclose(alike[3, 4], 0.7323, atol=1e-3)
    assert found.shape == (5, 384)
