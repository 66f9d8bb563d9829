"""How long a prompt is, and prompts that go without a template."""

from __future__ import annotations

import asyncio
import json
import shutil
import time
from collections.abc import Iterator
from contextlib import aclosing
from dataclasses import replace
from pathlib import Path

import pytest

pytest.importorskip("mlx_lm")

from osaurus_nb.config.paths import Paths
from osaurus_nb.errors import ContextTooLong, RequestError, TooSlow, Unsupported
from osaurus_nb.events import TextDelta
from osaurus_nb.local.loading import Loaded, load
from osaurus_nb.local.prompt import count, read
from osaurus_nb.local.supervisor import WorkerSettings
from osaurus_nb.messages import Media, assistant, system, user
from osaurus_nb.ports import Counter, Timeouts
from osaurus_nb.request import ChatRequest, Sampling, Tool
from tests.local.workers import ATTEMPT, GREEDY, adapter_over, answer, ask, card, home_with, serving

RAW = {"osaurus": {"raw_prompt": True}}
LONG = replace(GREEDY, max_output_tokens=1500, logit_bias={"2": -100.0})


@pytest.fixture(scope="module")
def home(tiny_model: Path) -> Iterator[Paths]:
    with home_with(tiny_model) as paths:
        yield paths


@pytest.fixture(scope="module")
def loaded(tiny_model: Path) -> Loaded:
    return load(tiny_model, name="tiny", context=2048, fast_blas=True)


@pytest.fixture
def bare_model(tmp_path: Path, tiny_model: Path) -> Path:
    """The tiny model as one that was never made for chats: without its template."""
    folder = shutil.copytree(tiny_model, tmp_path / "bare")
    settings = json.loads((folder / "tokenizer_config.json").read_text())
    del settings["chat_template"]
    (folder / "tokenizer_config.json").write_text(json.dumps(settings))
    return folder


def raw(text: str, **options: object) -> ChatRequest:
    return ChatRequest("tiny", (user(text),), provider_metadata=RAW, **options)  # type: ignore[arg-type]


@pytest.mark.anyio
async def test_the_count_is_what_the_answer_reports(home: Paths):
    """Template, system message and tools are counted: the same number stands in the usage of the answer."""
    request = replace(
        ask([system("Be brief."), user("grüß 🦕"), assistant("hm"), user("x")]), tools=(Tool("f", "does"),)
    )
    async with adapter_over(home) as adapter:
        assert isinstance(adapter, Counter)

        counted = await adapter.count_tokens(request, card(), Timeouts())
        usage = (await answer(adapter, request)).usage

    assert usage is not None
    assert (counted.input_tokens, counted.estimated) == (usage.total_input, False)


@pytest.mark.anyio
async def test_counting_does_not_wait_for_answers(tiny_model: Path):
    """While the only place is taken by a long answer, a count comes at once."""
    async with (
        serving(tiny_model, settings=WorkerSettings(slots=1)) as adapter,
        aclosing(adapter.stream(ask("ping", sampling=LONG), card(), ATTEMPT)) as events,
    ):
        async for event in events:
            if isinstance(event, TextDelta):
                break
        begun = time.monotonic()

        counted = await adapter.count_tokens(ask("ping"), card(), Timeouts())

        assert time.monotonic() - begun < 1.0
        assert (await adapter.status())[0].running == 1
        assert counted.input_tokens > 4


@pytest.mark.anyio
async def test_many_counts_at_once(home: Paths):
    """Counts that are asked side by side, beside answers, do not mix."""
    async with adapter_over(home) as adapter:
        requests = [ask("x" * length) for length in range(1, 40)]
        base = (await adapter.count_tokens(requests[0], card(), Timeouts())).input_tokens - 1

        counted, *_ = await asyncio.gather(
            asyncio.gather(*(adapter.count_tokens(request, card(), Timeouts()) for request in requests)),
            *(answer(adapter, request) for request in requests[:4]),
        )

    assert [count.input_tokens - base for count in counted] == list(range(1, 40))


@pytest.mark.anyio
async def test_what_cannot_be_counted_is_told(home: Paths):
    """A picture is refused as in a chat; too little time is TooSlow and names the model."""
    async with adapter_over(home) as adapter:
        with pytest.raises(Unsupported):
            await adapter.count_tokens(ask([user("?", Media("image", data=b"x"))]), card(), Timeouts())
        with pytest.raises(TooSlow, match="tiny-random"):
            await adapter.count_tokens(ask("x" * 100_000), card(), Timeouts(total=1e-6))

        assert (await adapter.count_tokens(ask("ping"), card(), Timeouts())).input_tokens


def test_a_prompt_that_does_not_fit_is_counted_all_the_same(loaded: Loaded):
    """Whoever counts wants to know by how much it is too long."""
    request = ask("x" * 5000)

    assert count(request, loaded).input_tokens > 5000
    with pytest.raises(ContextTooLong):
        read(request, loaded)


def test_a_raw_prompt_is_read_as_it_stands(loaded: Loaded):
    """No template is put around a raw prompt, and its answer is text alone: no thoughts, no calls."""
    prompt = read(raw("<think>", sampling=Sampling(stop=("x",))), loaded)

    assert loaded.tokenizer.decode(prompt.tokens) == "<think>"
    assert (prompt.state, prompt.parse) == ("text", None)
    assert (prompt.marks.think_start, prompt.marks.tool_start, prompt.marks.stops) == (None, None, ("x",))
    assert count(raw("<think>"), loaded).input_tokens == len(prompt.tokens)


def test_an_empty_raw_prompt_begins_a_text(loaded: Loaded):
    """Where there is nothing to carry on, the model begins with the token that begins its texts."""
    assert read(raw(""), loaded).tokens == [loaded.tokenizer.bos_token_id]


@pytest.mark.parametrize(
    ("request_", "param"),
    [
        (replace(raw("x"), messages=(user("x"), user("y"))), "messages"),
        (replace(raw("x"), messages=(system("x"),)), "messages"),
        (raw("x", tools=(Tool("f"),)), "tools"),
        (raw("\ud800"), "prompt"),
    ],
)
def test_raw_prompts_are_one_text(loaded: Loaded, request_: ChatRequest, param: str):
    """What has no place in a raw prompt is refused, naming the field."""
    with pytest.raises(RequestError) as caught:
        read(request_, loaded)

    assert caught.value.param == param


def test_only_true_means_raw(loaded: Loaded):
    """Metadata of other dialects, or another value, changes nothing."""
    chat = count(ask("x"), loaded)

    for metadata in ({"osaurus": {"raw_prompt": "yes"}}, {"osaurus": None}, {"openai_chat": {"raw_prompt": True}}):
        assert count(replace(ask("x"), provider_metadata=metadata), loaded) == chat


@pytest.mark.anyio
async def test_a_model_without_a_template_completes_texts(bare_model: Path):
    """A model that is not made for chats refuses them, and carries on a raw prompt."""
    async with serving(bare_model) as adapter:
        with pytest.raises(Unsupported, match="no chat template"):
            await answer(adapter, ask("ping", "bare"))

        found = await answer(adapter, replace(raw("once upon"), model="bare", sampling=GREEDY))

    assert found.text
    assert found.usage is not None
    assert found.usage.input_tokens == len("once upon")
