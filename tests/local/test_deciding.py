"""Probabilities read off a model: of the options alone, the same in any order, and between other people's answers."""

from __future__ import annotations

import asyncio
import json
import math
import shutil
import time
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("mlx_lm")

import mlx.core as mx

from osaurus_nb.config.paths import Paths
from osaurus_nb.decisions import Choice, DecisionRequest, Decisions, Option, Predicate, Question, Score
from osaurus_nb.errors import ContextTooLong, OsaurusError, RequestError, Unsupported
from osaurus_nb.local import deciding
from osaurus_nb.local.loading import Loaded, load
from osaurus_nb.local.questions import sheet
from osaurus_nb.local.talking import Talking
from osaurus_nb.messages import Media, Part, Text, ToolCall, ToolResult, user
from osaurus_nb.ports import Decider, Timeouts
from osaurus_nb.request import ChatRequest, Sampling
from tests.local.workers import adapter_over, answer, ask, card, home_with, serving

SUBJECT = "A whale is a mammal that lives in the sea. " * 6
MANY = 40
QUESTIONS: tuple[Question, ...] = (
    Predicate("mammal", "It is a mammal.", true="it feeds its young with milk"),
    Choice("place", "Where does it live?", (Option("sea"), Option("land", "dry ground"), Option(True))),
    Score("size", "How large is it?", tuple(Option(level) for level in ("small", "medium", "large"))),
    Choice("number", "Which number?", tuple(Option(f"number {at}") for at in range(MANY))),
)


@pytest.fixture(scope="module")
def loaded(tiny_model: Path) -> Loaded:
    return load(tiny_model, name="tiny", context=2048, fast_blas=True)


def request(*questions: Question, subject: str | Sequence[Part] = SUBJECT, **options: Any) -> DecisionRequest:
    parts = (Text(subject),) if isinstance(subject, str) else tuple(subject)
    return DecisionRequest("tiny", parts, questions or QUESTIONS, **options)


def work_of(loaded: Loaded) -> Talking:
    return Talking(loaded, slots=8, cache_bytes=64 << 20)


def run(work: Talking, asked: DecisionRequest) -> Decisions:
    work.admit("k", asked)
    while True:
        for _, found in work.step():
            if isinstance(found, OsaurusError):
                raise found
            assert isinstance(found, Decisions)
            return found


def near(found: Decisions, wanted: Decisions) -> bool:
    pairs = zip(found.verdicts, wanted.verdicts, strict=True)
    return all(
        left.question == right.question
        and all(math.isclose(*both, abs_tol=1e-5) for both in zip(left.probabilities, right.probabilities, strict=True))
        for left, right in pairs
    )


def test_each_verdict_is_a_distribution_over_its_options(loaded: Loaded):
    """One probability for each option, in their order; they sum to 1 and are read off the model."""
    found = run(work_of(loaded), request())

    assert [verdict.question for verdict in found.verdicts] == list(QUESTIONS)
    assert [len(verdict.probabilities) for verdict in found.verdicts] == [2, 3, 3, MANY]
    assert all(math.isclose(math.fsum(verdict.probabilities), 1.0) for verdict in found.verdicts)
    assert all(0 < probability < 1 for verdict in found.verdicts for probability in verdict.probabilities)
    assert all(verdict.calibrated and verdict.refused is None for verdict in found.verdicts)


def test_probabilities_are_the_models_own(loaded: Loaded):
    """A label's weight is what the model gives its tokens behind the prompt, each after those before it."""
    (verdict,) = run(work_of(loaded), request(QUESTIONS[3])).verdicts

    asked = deciding._in_tokens(sheet(SUBJECT, QUESTIONS[3]), loaded)
    weights = _weights(loaded, asked.tokens, asked.labels)
    total = math.fsum(map(math.exp, weights))
    assert all(
        math.isclose(found, math.exp(weight) / total, rel_tol=1e-3)
        for found, weight in zip(verdict.probabilities, weights, strict=True)
    )


def _weights(loaded: Loaded, tokens: list[int], labels: Sequence[tuple[int, ...]]) -> list[float]:
    logits = loaded.model(mx.array([[*tokens, *label] for label in labels]))[:, len(tokens) - 1 :]
    logprobs = logits - mx.logsumexp(logits, axis=-1, keepdims=True)
    return [sum(float(logprobs[row, at, token]) for at, token in enumerate(label)) for row, label in enumerate(labels)]


def planted(folder: Path, likes: dict[str, float]) -> Path:
    """The tiny model, made to like letters by these logits whatever it reads: one number of its state never moves."""
    weights: dict[str, Any] = dict(mx.load(str(folder / "model.safetensors")))  # type: ignore[arg-type]
    rows, hidden = weights["model.embed_tokens.weight"].shape
    settings = json.loads((folder / "tokenizer.json").read_text())
    ids = settings["model"]["vocab"]
    push = mx.zeros((hidden,)).at[0].add(1e4)
    weights["model.embed_tokens.weight"] = weights["model.embed_tokens.weight"] + push
    logits = mx.full((rows,), -5.0)
    for letter, value in likes.items():
        logits = logits.at[ids[letter]].add(value + 5.0)
    weights["lm_head.weight"] = mx.zeros((rows, hidden)).at[:, 0].add(logits / math.sqrt(hidden))
    mx.save_safetensors(str(folder / "model.safetensors"), weights, metadata={"format": "mlx"})
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({**config, "tie_word_embeddings": False}))
    return folder


def test_planted_preferences_come_out(tmp_path: Path, tiny_model: Path):
    """A model that likes B twice as much as A, and Yes three times as much as No, says just that."""
    likes = {"A": 1.0, "B": 1.0 + math.log(2), "Y": 2.0, "N": 2.0 - math.log(3), "Z": 9.0}
    folder = planted(shutil.copytree(tiny_model, tmp_path / "planted"), likes)
    questions = (
        Choice("c", "?", (Option("one"), Option("two"))),
        # Behind the first letter of Yes come two more, of No one: all of them are counted.
        Score("s", "?", (Option("low"), Option("high"))),
    )

    found = run(work_of(load(folder, name="planted", context=2048, fast_blas=True)), request(*questions))

    for verdict in found.verdicts:
        assert math.isclose(verdict.probabilities[0], 1 / 3, abs_tol=1e-3)
        assert math.isclose(verdict.probabilities[1], 2 / 3, abs_tol=1e-3)
        assert verdict.pick == 1


def test_questions_do_not_see_each_other(loaded: Loaded):
    """Each is answered by itself: alone, in company and in any order it gets the same probabilities."""
    together = run(work_of(loaded), request())
    turned = run(work_of(loaded), request(*reversed(QUESTIONS)))
    alone = [run(work_of(loaded), request(question)) for question in QUESTIONS]

    assert near(replace(turned, verdicts=turned.verdicts[::-1]), together)
    assert near(replace(together, verdicts=tuple(found.verdicts[0] for found in alone)), together)


def test_the_same_again_is_the_same(loaded: Loaded):
    """Nothing is drawn: the same question twice has the same answer, on a fresh model and on a warm one."""
    work = work_of(loaded)
    first, warm = run(work, request()), run(work, request())

    assert run(work_of(loaded), request()).verdicts == first.verdicts
    assert near(warm, first)
    assert warm.usage is not None
    assert warm.usage.cache_read_input_tokens > warm.usage.input_tokens


def test_the_subject_is_read_once(loaded: Loaded):
    """What the questions share is read once and counted as read from the cache for the rest; nothing is generated."""
    one, both = (run(work_of(loaded), request(*questions)).usage for questions in (QUESTIONS[:1], QUESTIONS[:2]))

    assert one is not None
    assert both is not None
    assert one.cache_read_input_tokens == 0
    assert both.cache_read_input_tokens > len(SUBJECT)
    assert both.input_tokens - one.input_tokens < len(SUBJECT)
    assert one.output_tokens == both.output_tokens == 0


def test_caches_that_cannot_be_cut_give_the_same(loaded: Loaded, monkeypatch: pytest.MonkeyPatch):
    """For models with such caches an earlier state is copied instead; the answers and the saving are alike."""
    wanted = run(work_of(loaded), request())
    for module in ("deciding", "prompt_cache"):
        monkeypatch.setattr(f"osaurus_nb.local.{module}.can_trim_prompt_cache", lambda layers: False)

    found = run(work_of(loaded), request())

    assert near(found, wanted)
    assert found.usage is not None
    assert wanted.usage is not None
    assert found.usage.input_tokens < wanted.usage.input_tokens * 1.1


def test_a_model_without_a_template_decides_too(tmp_path: Path, tiny_model: Path):
    """Then the question is a plain text that ends where the answer would stand."""
    folder = shutil.copytree(tiny_model, tmp_path / "bare")
    settings = json.loads((folder / "tokenizer_config.json").read_text())
    del settings["chat_template"]
    (folder / "tokenizer_config.json").write_text(json.dumps(settings))

    found = run(work_of(load(folder, name="bare", context=2048, fast_blas=True)), request())

    assert all(math.isclose(math.fsum(verdict.probabilities), 1.0) for verdict in found.verdicts)


def test_everything_in_the_subject_is_read():
    """Tool calls and results in a subject are words of it; descriptions stand beside their options."""
    from osaurus_nb.local.questions import subject

    parts = (Text("t"), ToolCall("c", "f", '{"a": 1}'), ToolResult("c", (Text("r"),)))

    assert subject(request(subject=parts)) == 't\n\nf({"a": 1})\n\nr'
    assert "B: land (dry ground)\nC: true" in sheet("s", QUESTIONS[1]).text
    assert "Yes: it feeds its young with milk" in sheet("s", QUESTIONS[0]).text


@pytest.mark.parametrize("count", [2, 26, 27, 99, 100, 255])
def test_no_label_begins_another(count: int):
    """However many options there are, their labels differ and none is the beginning of another."""
    labels = sheet("", Choice("c", "?", tuple(Option(str(at)) for at in range(count)))).labels

    assert len(set(labels)) == count
    assert not any(a != b and b.startswith(a) for a in labels for b in labels)


@pytest.mark.parametrize(
    ("asked", "error", "param"),
    [
        (request(subject=(Media("image", data=b"x"),)), Unsupported, "input"),
        (request(subject=(ToolResult("c", (Media("image", data=b"x"),)),)), Unsupported, "input"),
        (DecisionRequest("tiny", (Text("x"),), ()), RequestError, "questions"),
        (request(Choice("c", "?", ())), RequestError, "questions"),
        (request(subject="x" * 3000), ContextTooLong, "input"),
        (request(subject="\ud800"), RequestError, "messages"),
    ],
)
def test_what_cannot_be_decided_is_refused(
    loaded: Loaded, asked: DecisionRequest, error: type[OsaurusError], param: str
):
    """Pictures, no question, no option, or a subject beyond the window: an error that names the field."""
    with pytest.raises(error) as caught:
        run(work_of(loaded), asked)

    assert caught.value.param == param


def test_unknown_settings_are_warned_of(loaded: Loaded):
    """A setting that we do not know is told."""
    found = run(work_of(loaded), request(QUESTIONS[0], extra={"user": "u", "temperature": 0.5}))

    assert [warned.param for warned in found.warnings] == ["temperature"]


def test_answers_go_on_while_questions_are_read(loaded: Loaded):
    """Between two pieces of a long question an answer under way gets its next token, and both end."""
    work = work_of(loaded)
    work.admit("talk", ChatRequest("tiny", (user("ping"),), sampling=Sampling(temperature=0.0, max_output_tokens=40)))
    work.step()
    work.step()
    work.admit("decide", request(subject="x" * 1500))
    seen: list[Any] = []

    while work.running:
        seen += [key for key, _ in work.step()]

    assert seen.index("decide") - seen.index("talk") > 10
    assert seen.count("decide") == 1


@pytest.fixture(scope="module")
def home(tiny_model: Path) -> Iterator[Paths]:
    with home_with(tiny_model) as paths:
        yield paths


@pytest.mark.anyio
async def test_decisions_cross_the_line(home: Paths):
    """Through the adapter come the same verdicts as from the model itself, with questions as they were asked."""
    asked = replace(request(), model="tiny-random")
    async with adapter_over(home) as adapter:
        assert isinstance(adapter, Decider)

        found, spoken = await asyncio.gather(adapter.decide(asked, card(), Timeouts()), answer(adapter, ask("ping")))

    assert spoken.text
    assert (found.provider, found.model) == ("local", "tiny-random")
    assert [verdict.question for verdict in found.verdicts] == list(QUESTIONS)


@pytest.mark.anyio
async def test_many_questions_and_leaving_early(home: Paths):
    """Four hundred questions are one request; who leaves takes it along."""
    asked = replace(request(*(replace(QUESTIONS[0], name=str(at)) for at in range(400))), model="tiny-random")
    async with adapter_over(home) as adapter:
        task = asyncio.create_task(adapter.decide(asked, card(), Timeouts()))
        while not (health := await adapter.status()) or not health[0].running:
            await asyncio.sleep(0.01)

        task.cancel()
        await asyncio.gather(task, return_exceptions=True)

        left = time.monotonic() + 2.0
        while (await adapter.status())[0].running:
            assert time.monotonic() < left
        found = await adapter.decide(asked, card(), Timeouts())
    assert len(found.verdicts) == 400
    first = found.verdicts[0].probabilities
    assert all(math.isclose(verdict.probabilities[0], first[0], rel_tol=1e-5) for verdict in found.verdicts)


@pytest.mark.anyio
async def test_pictures_and_embedders_are_refused_before_anything_is_loaded(tiny_encoder: Path):
    """No process is started for what cannot be decided."""
    async with serving(tiny_encoder) as adapter:
        for asked in (request(subject=(Media("image", data=b"x"),)), request()):
            with pytest.raises(Unsupported):
                await adapter.decide(asked, card("tiny-encoder"), Timeouts())

        assert await adapter.status() == []


@pytest.mark.model
@pytest.mark.anyio
async def test_the_embedded_model_decides(embedded_home: Path):
    """The real model gives every question of a request a distribution, and the same one again."""
    asked = replace(request(), model="smollm2-135m-instruct")
    async with adapter_over(Paths(embedded_home)) as adapter:
        first, second = [await adapter.decide(asked, card(asked.model), Timeouts()) for _ in range(2)]

    assert all(math.isclose(math.fsum(verdict.probabilities), 1.0) for verdict in first.verdicts)
    assert near(first, second)
    assert len(first.verdicts[3].probabilities) == MANY
