"""The local engine as a provider like any other."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

pytest.importorskip("mlx_lm")

from osaurus_nb.config.paths import Paths
from osaurus_nb.errors import ModelNotFound, Unsupported
from osaurus_nb.events import Started, Warned
from osaurus_nb.local.profiles import capabilities
from osaurus_nb.messages import Media, tool_result, user
from osaurus_nb.ports import Adapter
from osaurus_nb.request import Sampling, Tool
from tests.local.workers import ATTEMPT, adapter_over, answer, ask, card, collect, home_with, serving

pytestmark = pytest.mark.anyio

#: As the scripted model has learnt it.
WEATHER = Tool(
    "get_weather",
    "The weather in a city",
    {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
)
FREE = Sampling(temperature=0.0)


async def test_models_are_listed_as_cards(tiny_model: Path):
    """Each model of the library is a card of this machine, with what its files tell."""
    async with serving(tiny_model) as adapter:
        (found,) = await adapter.models()

    assert (found.id, found.name, found.provider, found.endpoint) == ("tiny-random", "tiny-random", "local", "process")
    assert found.context_length == 2048
    assert found.size_bytes is not None
    assert found.capabilities.tools
    assert found.capabilities.vision is False


async def test_no_library_is_no_error(tmp_path: Path):
    """Without a models folder there are no models, and no failure."""
    async with adapter_over(Paths(tmp_path / "nothing")) as adapter:
        assert list(await adapter.models()) == []
        assert await adapter.status() == []


async def test_an_unknown_model_is_not_found(tiny_model: Path):
    """A model that is not there is named with its near matches; no other one answers."""
    async with serving(tiny_model) as adapter:
        with pytest.raises(ModelNotFound) as caught:
            await collect(adapter, ask("x", "tiny-randon"))

        assert caught.value.near == ("tiny-random",)


async def test_pictures_are_refused_before_anything_is_loaded(tiny_model: Path):
    """A picture is an unsupported feature; no process is started to find that out."""
    async with serving(tiny_model) as adapter:
        with pytest.raises(Unsupported):
            await collect(adapter, ask([user("what is it?", Media("image", data=b"x"))]))

        assert await adapter.status() == []


async def test_it_is_an_adapter(tiny_model: Path):
    """It has the shape of the port, and its first event names provider and model."""
    async with serving(tiny_model) as made:
        adapter: Adapter = made

        events = [event async for event in adapter.stream(ask("ping"), card(), ATTEMPT)]

    assert events[0] == Started("local", "tiny-random")
    assert not any(isinstance(event, Warned) for event in events)


async def test_a_real_answer(scripted_model: Path):
    """The scripted model says what it learnt, stops by itself, and counts its tokens."""
    async with serving(scripted_model) as adapter:
        found = await answer(adapter, ask("ping", scripted_model.name, FREE))

    assert (found.text, found.finish_reason) == ("pong", "stop")
    assert found.usage is not None
    assert found.usage.output_tokens == 4


async def test_a_tool_call_and_its_result(scripted_model: Path):
    """A call is told with its name and arguments as JSON; with the result sent back the model answers."""
    async with serving(scripted_model) as adapter:
        request = replace(ask("What is the weather in Paris?", scripted_model.name, FREE), tools=(WEATHER,))
        asked = await answer(adapter, request)
        (call,) = asked.choices[0].message.tool_calls
        result = tool_result(call, "18 degrees, sunny")
        told = await answer(adapter, replace(request, messages=(*request.messages, asked.choices[0].message, result)))

    assert (call.name, json.loads(call.arguments)) == ("get_weather", {"city": "Paris"})
    assert (asked.text, asked.finish_reason) == ("", "tool_calls")
    assert (told.text, told.finish_reason) == ("It is 18 degrees and sunny in Paris.", "stop")


async def test_without_tools_there_are_no_calls(scripted_model: Path):
    """Who offers no tools, or forbids them, gets words and no call."""
    async with serving(scripted_model) as adapter:
        plain = ask("What is the weather in Paris?", scripted_model.name, FREE)
        without = await answer(adapter, plain)
        forbidden = await answer(adapter, replace(plain, tools=(WEATHER,), tool_choice="none"))

    assert without.text == forbidden.text == "I cannot look that up."


def test_capabilities_come_from_the_files(tmp_path: Path, tiny_model: Path):
    """Tools and thinking are read from the template; a folder without one promises neither."""
    (tmp_path / "chat_template.jinja").write_text("{{ '<think>' }} [TOOL_CALLS]")

    told, bare = capabilities(tmp_path), capabilities(tmp_path / "nothing")

    assert (told.tools, told.reasoning) == (True, True)
    assert (bare.tools, bare.reasoning) == (False, False)
    assert capabilities(tiny_model).tools


async def test_stop_strings_on_real_words(scripted_model: Path):
    """Stop strings match text wherever tokens begin and end."""
    count = "Count from one to ten."
    async with serving(scripted_model) as adapter:
        request = ask(count, scripted_model.name, replace(FREE, stop=("fou", "e, tw")))
        found = await answer(adapter, request)

    assert (found.text, found.choices[0].stop_sequence) == ("on", "e, tw")


async def test_two_models_two_workers(tiny_model: Path, scripted_model: Path):
    """Each model has a worker of its own."""
    with home_with(tiny_model, scripted_model) as paths:
        async with adapter_over(paths) as adapter:
            await answer(adapter, ask("ping"))
            await answer(adapter, ask("ping", scripted_model.name))

            assert len({health.pid for health in await adapter.status()}) == 2
