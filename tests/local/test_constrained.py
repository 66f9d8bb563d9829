"""Answers that are held to a format: valid whatever the model would like to say, and refused where that cannot be."""

from __future__ import annotations

import json
import shutil
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("mlx_lm")
pytest.importorskip("llguidance")

import mlx.core as mx

from osaurus_nb.config.paths import Paths
from osaurus_nb.errors import OsaurusError, RequestError, Unsupported
from osaurus_nb.events import (
    Answer,
    Event,
    Fold,
    PartEnded,
    TextDelta,
    ToolCallDelta,
    ToolCallStarted,
    Warned,
)
from osaurus_nb.local.batch import Batch
from osaurus_nb.local.grammar import Constraint, Grammars, Thinking
from osaurus_nb.local.loading import Loaded, load
from osaurus_nb.local.profiles import capabilities
from osaurus_nb.local.rules import rule
from osaurus_nb.messages import assistant, system, tool_result, user
from osaurus_nb.request import ChatRequest, NamedTool, ResponseFormat, Sampling, Tool
from tests.local.workers import adapter_over, answer, ask

#: Never ends by itself but where the format ends; a random model would otherwise stop anywhere.
GREEDY = Sampling(temperature=0.0, max_output_tokens=200)
DRAWN = Sampling(temperature=1.0, seed=5, max_output_tokens=200)
CITY = {
    "type": "object",
    "properties": {
        "city": {"type": "string", "maxLength": 5},
        "days": {"type": "integer", "minimum": 1, "maximum": 9},
        "sure": {"enum": ["yes", "no"]},
    },
    "required": ["city", "days", "sure"],
}
WEATHER = Tool(
    "get_weather", "The weather", {"type": "object", "properties": {"days": {"enum": [1, 2]}}, "required": ["days"]}
)
TIME = Tool("get_time", "The time", {"properties": {"zone": {"enum": ["CET", "UTC"]}}, "required": ["zone"]})


@pytest.fixture(scope="module")
def loaded(tiny_model: Path) -> Loaded:
    return load(tiny_model, name="tiny", context=2048, fast_blas=True)


@pytest.fixture(scope="module")
def untrained(tiny_model: Path, tmp_path_factory: pytest.TempPathFactory) -> Loaded:
    """The tiny model as one that knows of no tools."""
    folder = shutil.copytree(tiny_model, tmp_path_factory.mktemp("untrained") / "plain")
    settings = json.loads((folder / "tokenizer_config.json").read_text())
    del settings["tool_parser_type"]
    settings["chat_template"] = (
        "{% for message in messages %}{{ '<|im_start|>' + message.role + '\\n' + message.content + '<|im_end|>\\n' }}"
        "{% endfor %}{{ '<|im_start|>assistant\\n' }}"
    )
    (folder / "tokenizer_config.json").write_text(json.dumps(settings))
    return load(folder, name="plain", context=2048, fast_blas=True)


#: As single tokens, in the places of letters that nobody needs here.
MARKS = ("<tool_call>", "</tool_call>", "<think>", "</think>")


@pytest.fixture(scope="module")
def marked(tiny_model: Path, tmp_path_factory: pytest.TempPathFactory) -> Loaded:
    """The tiny model with a vocabulary like that of models that think and call: each mark is one token."""
    folder = shutil.copytree(tiny_model, tmp_path_factory.mktemp("marked") / "marked")
    file = folder / "tokenizer.json"
    settings = json.loads(file.read_text())
    letters = {number: letter for letter, number in settings["model"]["vocab"].items()}
    for number, mark in enumerate(MARKS, 150):
        settings["model"]["vocab"][mark] = settings["model"]["vocab"].pop(letters[number])
        settings["added_tokens"].append(
            {**settings["added_tokens"][0], "id": number, "content": mark, "special": False}
        )
    file.write_text(json.dumps(settings))
    return load(folder, name="marked", context=2048, fast_blas=True)


def schema(value: dict[str, Any]) -> ResponseFormat:
    return ResponseFormat("json_schema", name="answer", schema=value)


def request(sampling: Sampling = GREEDY, **options: Any) -> ChatRequest:
    return ChatRequest("tiny", (user("ping"),), sampling=sampling, **options)


def run(loaded: Loaded, *requests: ChatRequest) -> list[list[Event]]:
    batch = Batch(loaded, slots=8, cache_bytes=64 << 20)
    streams = {key: list(batch.admit(key, one)) for key, one in enumerate(requests)}
    while batch.running:
        for key, found in batch.step():
            if isinstance(found, OsaurusError):
                raise found
            assert isinstance(found, tuple)
            streams[key] += found  # type: ignore[index]
    return list(streams.values())


def fold(events: Sequence[Event]) -> Answer:
    folding = Fold()
    for event in events:
        folding.add(event)
    return folding.answer()


def told(loaded: Loaded, one: ChatRequest) -> Answer:
    return fold(run(loaded, one)[0])


@pytest.mark.parametrize("sampling", [GREEDY, DRAWN, replace(DRAWN, top_p=0.5, logit_bias={"2": 50.0})])
def test_an_answer_has_the_shape_of_its_schema(loaded: Loaded, sampling: Sampling):
    """However tokens are drawn, even a model of noise answers with the JSON that was asked for, and stops by itself."""
    found = told(loaded, request(sampling, response_format=schema(CITY)))

    value = json.loads(found.text)
    assert set(value) == {"city", "days", "sure"}
    assert len(value["city"]) <= 5
    assert value["days"] in range(1, 10)
    assert value["sure"] in ("yes", "no")
    assert found.finish_reason == "stop"


def test_any_object_will_do(loaded: Loaded):
    """json_object gives an object; cut short by its limit, it says so."""
    found = told(loaded, request(replace(DRAWN, max_output_tokens=1), response_format=ResponseFormat("json_object")))

    assert (found.text, found.finish_reason) == ("{", "length")


def test_free_and_held_answers_side_by_side(loaded: Loaded):
    """In one batch each answer is as it is alone: the format of one holds no other."""
    requests = [request(), request(response_format=schema(CITY)), request(DRAWN, response_format=schema(CITY))]
    alone = [told(loaded, one).text for one in requests]

    together = [fold(events).text for events in run(loaded, *requests)]

    assert together == alone
    with pytest.raises(ValueError):
        json.loads(together[0])


def test_every_choice_is_held(loaded: Loaded):
    """Several choices follow the format each on its own way."""
    found = told(loaded, request(replace(DRAWN, n=3), response_format=schema(CITY)))

    assert len({json.dumps(json.loads(choice.message.text)) for choice in found.choices}) == 3


def test_a_format_streams(loaded: Loaded):
    """What is held to a format comes in pieces like any other answer."""
    (events,) = run(loaded, request(response_format=schema(CITY)))

    assert sum(isinstance(event, TextDelta) for event in events) > 10


def test_objects_have_no_properties_that_nobody_named(loaded: Loaded):
    """A schema that leaves it open is read narrowly, also inside; one that says otherwise is followed."""
    inner = {"type": "object", "properties": {"a": {"enum": [1]}}, "required": ["a"]}
    nested = {"type": "object", "properties": {"list": {"type": "array", "items": inner, "minItems": 2, "maxItems": 2}}}

    found = told(loaded, request(DRAWN, response_format=schema({**nested, "required": ["list"]})))

    assert json.loads(found.text) == {"list": [{"a": 1}, {"a": 1}]}


def test_an_answer_that_the_caller_began_is_held_too(loaded: Loaded):
    """The begun part and the rest together are what was asked for; a beginning that does not fit is refused."""
    begun = '{"city": "Bo", "days": '
    one = request(response_format=schema(CITY))

    rest = told(loaded, replace(one, messages=(user("ping"), assistant(begun)))).text

    assert json.loads(begun + rest)["city"] == "Bo"
    with pytest.raises(RequestError, match="does not fit"):
        told(loaded, replace(one, messages=(user("ping"), assistant("Sure: "))))


@pytest.mark.parametrize(
    ("bad", "named"),
    [
        ({"type": "object", "unevaluatedProperties": False}, "unevaluatedProperties"),
        ({"type": "string", "pattern": "(?=a)b"}, "look-around"),
        ({"type": "odd"}, "odd"),
        ({"$ref": "#/nowhere"}, "nowhere"),
        ({"$ref": "https://example.invalid/schema.json"}, "example.invalid"),
        ({"type": "string", "minLength": 5, "maxLength": 2}, "minLength"),
    ],
)
def test_a_schema_that_cannot_be_enforced_is_refused(loaded: Loaded, bad: dict[str, Any], named: str):
    """What the grammar engine cannot hold an answer to is an error that names it, before anything is said."""
    with pytest.raises(Unsupported, match=named) as caught:
        told(loaded, request(response_format=schema({**bad, "description": "canary"})))

    assert caught.value.param == "response_format"
    assert "canary" not in caught.value.message


@pytest.mark.parametrize("depth", [130, 450])
def test_schemas_of_any_depth_hurt_nobody(loaded: Loaded, untrained: Loaded, depth: int):
    """A schema nested beyond reason is refused, as a format and as a tool's, and the engine lives on."""
    deep: dict[str, Any] = {"type": "string"}
    for _ in range(depth):
        deep = {"type": "object", "properties": {"a": deep}}

    for model in (loaded, untrained):
        for options in (
            {"response_format": schema(deep)},
            {"tools": (Tool("f", "", deep),), "tool_choice": "required"},
        ):
            with pytest.raises(RequestError):
                told(model, request(**options))


def test_a_call_that_must_be_made_is_made(loaded: Loaded):
    """With `required` a model of noise calls one of the tools, with arguments of its schema, and says nothing else."""
    (events,) = run(loaded, request(DRAWN, tools=(WEATHER, TIME), tool_choice="required", parallel_tool_calls=False))

    found = fold(events)
    (call,) = found.choices[0].message.tool_calls
    assert (found.text, found.finish_reason) == ("", "tool_calls")
    assert json.loads(call.arguments) in ({"days": 1}, {"days": 2}, {"zone": "CET"}, {"zone": "UTC"})
    assert (call.name == "get_time") == ("zone" in call.arguments)
    kinds = [type(event) for event in events if isinstance(event, ToolCallStarted | ToolCallDelta | PartEnded)]
    assert kinds == [ToolCallStarted, ToolCallDelta, PartEnded]


@pytest.mark.parametrize("tool", [WEATHER, TIME])
def test_a_named_tool_is_called(loaded: Loaded, tool: Tool):
    """Exactly the named tool is called, once."""
    found = told(loaded, request(DRAWN, tools=(WEATHER, TIME), tool_choice=NamedTool(tool.name)))

    assert [call.name for call in found.choices[0].message.tool_calls] == [tool.name]


def test_several_calls_where_they_are_wanted(loaded: Loaded):
    """With parallel calls allowed there may be more than one, each whole and held to its schema."""
    one = request(
        replace(DRAWN, max_output_tokens=400), tools=(TIME,), tool_choice="required", parallel_tool_calls=True
    )

    found = told(loaded, one)

    calls = found.choices[0].message.tool_calls
    assert calls
    assert all(json.loads(call.arguments)["zone"] in ("CET", "UTC") for call in calls)


@pytest.mark.parametrize(
    ("options", "param"),
    [
        ({"tool_choice": "required"}, "tool_choice"),
        ({"tools": (WEATHER,), "tool_choice": NamedTool("other")}, "tool_choice"),
    ],
)
def test_a_call_that_nobody_can_make_is_refused(loaded: Loaded, options: dict[str, Any], param: str):
    """To force a call of no tool, or of one that is not offered, is the caller's error."""
    with pytest.raises(RequestError) as caught:
        told(loaded, request(**options))

    assert caught.value.param == param


ODD = Tool(
    "odd", "", {"type": "object", "properties": {"n": {"enum": [1]}}, "required": ["n"], "not": {"type": "null"}}
)


def test_the_schema_of_a_tool_may_be_followed_in_part(loaded: Loaded):
    """A tool that is not strict is held to as much of its schema as can be, and a warning says what was left out."""
    found = told(loaded, request(DRAWN, tools=(ODD,), tool_choice="required"))

    (call,) = found.choices[0].message.tool_calls
    assert json.loads(call.arguments) == {"n": 1}
    assert [(warned.code, warned.param) for warned in found.warnings] == [("schema_loosened", "tools")]
    assert "'odd'" in found.warnings[0].message


def test_a_strict_tool_is_held_to_all_of_its_schema(loaded: Loaded):
    """For a strict tool a schema that cannot be enforced is an error that names the tool."""
    with pytest.raises(Unsupported, match="'odd'.*not") as caught:
        told(loaded, request(tools=(replace(ODD, strict=True),), tool_choice="required"))

    assert caught.value.param == "tools"


def test_calls_that_are_no_json_are_not_forced(loaded: Loaded):
    """A model that spells its calls otherwise cannot be held to one; it may still choose to call."""
    other = replace(loaded, spelling=None)

    for options, param in (
        ({"tool_choice": "required"}, "tool_choice"),
        ({"response_format": schema(CITY)}, "response_format"),
    ):
        with pytest.raises(Unsupported) as caught:
            told(other, request(tools=(WEATHER,), **options))
        assert caught.value.param == param
    assert told(other, request(tools=(WEATHER,))).text


def test_a_format_and_tools_are_either_or(loaded: Loaded):
    """With both, the answer is a call or has the format; nothing else."""
    tools = (replace(WEATHER, parameters={"type": "object", "properties": {}}),)
    for seed in range(4):
        found = told(loaded, request(replace(DRAWN, seed=seed), tools=tools, response_format=schema(CITY)))

        calls = found.choices[0].message.tool_calls
        assert bool(calls) != bool(found.text)
        assert calls or json.loads(found.text)["days"]


def test_untrained_models_call_by_convention(untrained: Loaded):
    """A model without tools in its template is told of them in words, calls when it must, and a warning says so."""
    found = told(untrained, request(DRAWN, tools=(WEATHER, TIME), tool_choice="required"))

    (call,) = found.choices[0].message.tool_calls
    assert call.name in ("get_weather", "get_time")
    assert json.loads(call.arguments)
    assert (found.text, found.finish_reason) == ("", "tool_calls")
    assert [(warned.code, warned.param) for warned in found.warnings] == [("untrained_tools", "tools")]


def test_untrained_models_may_answer_in_words(untrained: Loaded):
    """Under `auto` such a model may say what it likes; but a call that begins is one that ends, and is of its tool."""
    found = told(untrained, request(tools=(WEATHER,)))
    grammars = Grammars(untrained)
    asked = request(tools=(WEATHER,))
    chosen = rule(asked, spelling=untrained.spelling, told=untrained.told, check=grammars.problem)
    assert chosen is not None

    def after(said: str) -> str:
        held = grammars.constraint(chosen.lark, prompt_length=3, thinking=Thinking())
        return "".join(
            untrained.tokenizer.decode([token])
            for token in _allowed(held, untrained.tokenizer.encode(said, add_special_tokens=False))
        )

    assert found.text
    assert not found.choices[0].message.tool_calls
    assert after("<tool_call>") == "\n"
    assert after('<tool_call>\n{"name": "get_') == "w"
    assert after('<tool_call>\n{"name": "get_weather", "arguments": {"days": ') == "12"
    assert after('<tool_call>\n{"name": "get_weather", "arguments": {"days": 1}}\n</tool_call>') == "<|im_end|>"
    assert {"x", "<", "<|im_end|>"[0]} <= set(after("<tool")) & set(after("")) & set(after("plain words"))


def test_untrained_models_read_calls_and_results(untrained: Loaded):
    """Calls and results of earlier turns are in the prompt as words: the template would pass over them."""
    from osaurus_nb.local.prompt import render

    called = told(untrained, request(DRAWN, tools=(TIME,), tool_choice="required")).choices[0].message
    (call,) = called.tool_calls
    chat = (system("Be brief."), user("ping"), called, tool_result(call, "noon"), tool_result(call, "midnight"))

    for tools in ((TIME,), ()):
        words = render(ChatRequest("plain", chat, tools=tools), untrained).words
        assert json.dumps({"name": call.name, "arguments": json.loads(call.arguments)}) in words
        assert "<tool_response>\nnoon\n</tool_response>\n<tool_response>\nmidnight\n</tool_response>" in words
        assert words.startswith("<|im_start|>system\nBe brief.")
        assert ("The time" in words) == bool(tools)


def test_marks_that_are_tokens_are_drawn_as_tokens(marked: Loaded):
    """A forced call is between the model's own marks, not between letters that look like them."""
    one = request(DRAWN, tools=(WEATHER, TIME), tool_choice="required", reasoning_effort="none")

    found = told(marked, one)

    assert marked.spelling is not None
    assert "<[150]>" in marked.spelling.before
    assert len(found.choices[0].message.tool_calls) == 1
    assert (found.text, found.finish_reason) == ("", "tool_calls")


def test_a_model_that_thinks_may_think_first(marked: Loaded):
    """A thinking model that opens its thoughts may; its answer behind them has the format. Unasked, it may not."""
    likes_to_think = {"152": 40.0, "153": 40.0}
    one = request(replace(DRAWN, logit_bias=likes_to_think, max_output_tokens=400), response_format=schema(CITY))

    thought, direct = told(marked, one), told(marked, replace(one, reasoning_effort="none"))

    kinds = [type(part).__name__ for part in thought.choices[0].message.parts]
    assert kinds == ["Reasoning", "Text"]
    assert [type(part).__name__ for part in direct.choices[0].message.parts] == ["Text"]
    for found in (thought, direct):
        assert json.loads(found.text)["days"]


def test_thoughts_are_free_and_the_answer_is_held(loaded: Loaded):
    """Between the tokens that open and close its thoughts a model may say anything; what follows is held again."""
    opening, closing, letter, end = 10, 11, 12, 2
    held = _constraint(loaded, Thinking(opening, (closing,)))
    assert set(_allowed(held, [])) == {opening, *_first(loaded)}

    assert len(_allowed(held, [opening])) == loaded.vocab
    assert len(_allowed(held, [opening, letter])) == loaded.vocab
    assert set(_allowed(held, [opening, letter, closing])) == _first(loaded)

    direct = _constraint(loaded, Thinking(opening, (closing,)))
    _allowed(direct, [])
    body = [*loaded.tokenizer.encode('"x"', add_special_tokens=False)]
    assert opening not in _allowed(direct, body[:1])
    assert set(_allowed(direct, body)) == {end}
    assert len(_allowed(direct, [*body, end])) == loaded.vocab


def test_thoughts_that_the_template_opened_are_free_at_once(loaded: Loaded):
    """Where the prompt ends inside the thoughts, the format waits for their end."""
    held = _constraint(loaded, Thinking(10, (11, 12), open=True))

    assert len(_allowed(held, [])) == loaded.vocab
    assert len(_allowed(held, [11, 13, 12])) == loaded.vocab
    assert set(_allowed(held, [11, 13, 12, 11, 12])) == _first(loaded)


def _constraint(loaded: Loaded, thinking: Thinking) -> Constraint:
    lark = 'start: %json {"enum": ["x"]}'
    return Grammars(loaded).constraint(lark, prompt_length=3, thinking=thinking)


def _first(loaded: Loaded) -> set[int]:
    return set(loaded.tokenizer.encode('"', add_special_tokens=False))


def _allowed(held: Constraint, said: list[int]) -> list[int]:
    """The tokens that may follow a prompt of three tokens and these."""
    logits = held(mx.array([1, 1, 1, *said]), mx.zeros((1, 259)))
    return [at for at, value in enumerate(logits[0].tolist()) if value == 0]  # type: ignore[union-attr, arg-type]


def test_a_format_that_goes_wrong_on_the_way_is_an_error(loaded: Loaded, monkeypatch: pytest.MonkeyPatch):
    """Where the engine gives up in the middle, the answer ends in an error: nothing unheld is passed off as held."""
    monkeypatch.setattr(Constraint, "_take", lambda self, token: setattr(self, "failed", "too complex"))

    with pytest.raises(Unsupported, match="too complex"):
        run(loaded, request(replace(DRAWN, n=2), response_format=schema(CITY)))


def test_models_say_that_they_can(tiny_model: Path):
    """A model's card tells that answers can be held to a schema."""
    assert capabilities(tiny_model).json_schema


EMBEDDED = "smollm2-135m-instruct"


@pytest.mark.model
@pytest.mark.anyio
async def test_the_embedded_model_is_held(embedded_home: Path):
    """The real model answers in the shape that is asked for, calls the tool that it must, and reads the result."""
    async with adapter_over(Paths(embedded_home)) as adapter:
        shaped = await answer(adapter, replace(ask("Where is Rome?", EMBEDDED, GREEDY), response_format=schema(CITY)))
        asked = replace(ask("What is the weather in Paris?", EMBEDDED, GREEDY), tools=(PARIS,), tool_choice="required")
        called = await answer(adapter, asked)
        (call,) = called.choices[0].message.tool_calls
        chat = (*asked.messages, called.choices[0].message, tool_result(call, "18 degrees, sunny"))
        final = await answer(adapter, replace(asked, messages=chat, tool_choice="auto"))

    assert set(json.loads(shaped.text)) == {"city", "days", "sure"}
    assert (call.name, json.loads(call.arguments)["city"]) == ("get_weather", "Paris")
    assert any(isinstance(warned, Warned) and warned.code == "untrained_tools" for warned in called.warnings)
    assert final.text


PARIS = Tool(
    "get_weather",
    "The weather in a city",
    {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
)
