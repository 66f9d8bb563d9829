"""`docs/compatibility.md` holds what the code does: its table of what providers are sent, and its list of refusals."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, get_args

import pytest

from osaurus_nb import wire
from osaurus_nb.errors import Unsupported
from osaurus_nb.messages import (
    Media,
    Message,
    Reasoning,
    Text,
    ToolCall,
    ToolResult,
    assistant,
    image,
    system,
    tool_result,
    user,
)
from osaurus_nb.models import ModelCard, Quirk
from osaurus_nb.request import ChatRequest, NamedTool, ResponseFormat, Sampling, Tool
from osaurus_nb.routes import MODES, Requirements
from osaurus_nb.wire import _opaque, _routing
from tests.server.conftest import Served

ROOT = Path(__file__).parents[2]
ROOMS = ("osaurus_nb", "jupyter_ext", "widgets")
DOCUMENT = (ROOT / "docs/compatibility.md").read_text()
FORMATS = ("openai", "openResponses", "anthropic", "gemini", "ollama")
#: A model of which nothing is known.
CARD = ModelCard("some-model", "somebody")

HELLO = ChatRequest("m", (user("hi"),))
SEEN = replace(HELLO, messages=(user("hi", image(b"\x89PNG\r\n\x1a\n")),))
TOOL = Tool("f", "d", {"type": "object", "properties": {"a": {"type": "string"}}})
TOOLS = replace(HELLO, tools=(TOOL,))
CALL = ToolCall("call_1", "f", '{"a": "b"}')
CALLED = replace(TOOLS, messages=(user("hi"), assistant(CALL), tool_result(CALL, "x")))
SCHEMA = {"type": "object", "properties": {}, "additionalProperties": False}
SHAPED = replace(HELLO, response_format=ResponseFormat("json_schema", "n", SCHEMA))
LATER = replace(HELLO, messages=(user("hi"), assistant("so"), user("on")))


def sampled(**knobs: Any) -> tuple[ChatRequest, ChatRequest]:
    return HELLO, replace(HELLO, sampling=Sampling(**knobs))


def showing(media: Media) -> tuple[ChatRequest, ChatRequest]:
    return HELLO, replace(HELLO, messages=(user("hi", media),))


def thinking(reasoning: Reasoning) -> tuple[ChatRequest, ChatRequest]:
    return LATER, replace(LATER, messages=(user("hi"), assistant(reasoning, "so"), user("on")))


def extra(**fields: Any) -> tuple[ChatRequest, ChatRequest]:
    return HELLO, replace(HELLO, extra=fields)


#: For each row of the table: a question, and the same with the feature of the row.
ROWS: Mapping[str, tuple[ChatRequest, ChatRequest]] = {
    "system prompt": (HELLO, replace(HELLO, messages=(system("s"), user("hi")))),
    "system prompt between turns": (
        LATER,
        replace(LATER, messages=(user("hi"), assistant("so"), system("s"), user("on"))),
    ),
    "answer begun by the caller": (HELLO, replace(HELLO, messages=(user("hi"), assistant("so")))),
    "name of a speaker": (HELLO, replace(HELLO, messages=(replace(user("hi"), name="Bob"),))),
    "limit of output tokens": sampled(max_output_tokens=5),
    "stop sequences": sampled(stop=("x",)),
    "temperature, top_p": sampled(temperature=0.5, top_p=0.5),
    "top_k": sampled(top_k=5),
    "min_p": sampled(min_p=0.1),
    "seed": sampled(seed=1),
    "presence and frequency penalty": sampled(presence_penalty=0.1, frequency_penalty=0.1),
    "repetition penalty": sampled(repetition_penalty=1.1),
    "logit_bias": sampled(logit_bias={"1": 1.0}),
    "logprobs": sampled(logprobs=True, top_logprobs=2),
    "several answers (n)": sampled(n=2),
    "tools": (HELLO, TOOLS),
    "a tool must be called": (TOOLS, replace(TOOLS, tool_choice="required")),
    "this tool must be called": (TOOLS, replace(TOOLS, tool_choice=NamedTool("f"))),
    "no tool may be called": (TOOLS, replace(TOOLS, tool_choice="none")),
    "one call at a time": (TOOLS, replace(TOOLS, parallel_tool_calls=False)),
    "strict tool": (TOOLS, replace(TOOLS, tools=(replace(TOOL, strict=True),))),
    "result of a tool": (TOOLS, CALLED),
    "failed result": (CALLED, replace(CALLED, messages=(*CALLED.messages[:2], tool_result(CALL, "x", is_error=True)))),
    "image in a result": (
        CALLED,
        replace(
            CALLED,
            messages=(
                *CALLED.messages[:2],
                Message("tool", (ToolResult("call_1", (Text("x"), image(b"\x89PNG\r\n\x1a\n"))),)),
            ),
        ),
    ),
    "JSON object": (HELLO, replace(HELLO, response_format=ResponseFormat("json_object"))),
    "JSON by a schema": (HELLO, SHAPED),
    "description of the schema": (
        SHAPED,
        replace(SHAPED, response_format=ResponseFormat("json_schema", "n", SCHEMA, description="d")),
    ),
    "effort of thinking": (HELLO, replace(HELLO, reasoning_effort="low")),
    "effort `max`": (HELLO, replace(HELLO, reasoning_effort="max")),
    "thoughts that nobody signed": thinking(Reasoning("hm")),
    "thoughts signed by another provider": thinking(Reasoning("hm", {"somebody": {"signature": "x"}})),
    "image, its bytes": (HELLO, SEEN),
    "image, its address": showing(image("https://example.org/a.png")),
    "detail of an image": (SEEN, showing(image(b"\x89PNG\r\n\x1a\n", detail="high"))[1]),
    "document, its bytes": showing(Media("document", "application/pdf", b"%PDF-")),
    "document, its address": showing(Media("document", url="https://example.org/a.pdf")),
    "sound": showing(Media("audio", "audio/wav", b"abc")),
    "film": showing(Media("video", "video/mp4", b"abc")),
    "raw prompt": (HELLO, replace(HELLO, provider_metadata=_opaque.raw())),
    "raw prompt of /v1/completions": (HELLO, replace(HELLO, provider_metadata=_opaque.raw(or_chat=True))),
    "user, metadata": extra(user="u", metadata={"a": "b"}),
    "prompt_cache_key, verbosity": extra(prompt_cache_key="k", verbosity="low"),
    "answer in sound (modalities)": extra(modalities=["text", "audio"]),
    "web_search_options": extra(web_search_options={}),
    "functions (before tools)": extra(functions=[{"name": "f"}]),
    "a key that nobody knows": extra(somebody_knows=1),
}


@pytest.mark.parametrize("row", ROWS)
def test_the_table_says_what_each_provider_is_sent(row: str):
    """Carried, warned or refused, as written down; a feature that changes nothing and says nothing is none of these."""
    assert written().get(row) == [verdict(name, *ROWS[row]) for name in FORMATS]


def test_the_table_has_no_row_that_nobody_checks():
    """What is written there is tested here."""
    assert written().keys() == ROWS.keys()


def verdict(name: str, plain: ChatRequest, asked: ChatRequest) -> str:
    codec = wire.load(name)
    try:
        sent = codec.encode_request(asked, CARD)
    except Unsupported as refusal:
        return str(refusal.status)
    if {warned.message for warned in sent.warnings} - {w.message for w in codec.encode_request(plain, CARD).warnings}:
        return "warned"
    before = codec.encode_request(plain, CARD)
    return "carried" if replace(sent, warnings=()) != replace(before, warnings=()) else "silent"


def written() -> dict[str, list[str]]:
    """The rows of the table under its heading, by their first cell."""
    return {name: cells for name, *cells in rows("## What providers are sent")}


def section(heading: str) -> str:
    return DOCUMENT.partition(heading)[2].partition("\n## ")[0]


def rows(heading: str) -> list[list[str]]:
    """The table below a heading, without its own head."""
    lines = re.findall(r"^\|(.*)\|$", section(heading), re.MULTILINE)
    return [[cell.strip() for cell in line.split("|")] for line in lines[2:]]


CHAT = {"model": "o3-obedient", "messages": [{"role": "user", "content": "hi"}]}
PLAIN = {"model": "o3-obedient", "prompt": "hi"}
ITEMS = {"model": "o3-obedient", "input": "hi"}
CLAUDE = {**CHAT, "max_tokens": 9}
GEMINI = {"contents": [{"role": "user", "parts": [{"text": "hi"}]}]}
GENERATE = "/v1beta/models/…:generateContent"
EMBED = "/v1beta/models/…:embedContent"


def content(*parts: Any) -> dict[str, Any]:
    return {"messages": [{"role": "user", "content": list(parts)}]}


#: For each row of the list of refusals: the body that is refused.
REFUSALS: Mapping[tuple[str, str], Mapping[str, Any]] = {
    ("/v1/chat/completions", "tools[0].type"): {**CHAT, "tools": [{"type": "custom", "custom": {"name": "f"}}]},
    ("/v1/chat/completions", "tool_choice.type"): {
        **CHAT,
        "tool_choice": {"type": "allowed_tools", "allowed_tools": {"mode": "auto", "tools": []}},
    },
    ("/v1/chat/completions", "messages[0].content[0].file.file_data"): {
        **CHAT,
        **content({"type": "file", "file": {"file_id": "file-1"}}),
    },
    ("/v1/completions", "suffix"): {**PLAIN, "suffix": "x"},
    ("/v1/completions", "best_of"): {**PLAIN, "best_of": 3},
    ("/v1/completions", "echo"): {**PLAIN, "echo": True, "logprobs": 1},
    ("/v1/completions", "prompt"): {**PLAIN, "prompt": [1, 2]},
    ("/v1/completions", "messages"): {**PLAIN, "messages": CHAT["messages"]},
    ("/v1/responses", "tools[0].type"): {**ITEMS, "tools": [{"type": "web_search"}]},
    ("/v1/responses", "tool_choice.type"): {**ITEMS, "tool_choice": {"type": "file_search"}},
    ("/v1/responses", "input[0].type"): {**ITEMS, "input": [{"type": "computer_call_output", "call_id": "c"}]},
    ("/v1/responses", "input[0]"): {**ITEMS, "input": [{"type": "item_reference", "id": "msg_gone"}]},
    ("/v1/responses", "previous_response_id"): {**ITEMS, "previous_response_id": "resp_gone"},
    ("/v1/responses", "background"): {**ITEMS, "background": True},
    ("/v1/responses", "conversation"): {**ITEMS, "conversation": "conv_1"},
    ("/v1/responses", "prompt"): {**ITEMS, "prompt": {"id": "pmpt_1"}},
    ("/v1/responses", "moderation"): {**ITEMS, "moderation": {"model": "m"}},
    ("/v1/messages", "max_tokens"): CHAT,
    ("/v1/messages", "tools[0].type"): {**CLAUDE, "tools": [{"type": "web_search_20250305", "name": "web_search"}]},
    ("/v1/messages", "container"): {**CLAUDE, "container": "c"},
    ("/v1/messages", "mcp_servers"): {**CLAUDE, "mcp_servers": [{"type": "url", "name": "n", "url": "u"}]},
    ("/v1/messages", "messages[0].content[0].source"): {
        **CLAUDE,
        **content({"type": "image", "source": {"type": "file", "file_id": "f"}}),
    },
    ("/v1/messages", "messages[0].content[0]"): {
        **CLAUDE,
        **content({"type": "container_upload", "file_id": "f"}),
    },
    (GENERATE, "tools[0].googleSearch"): {**GEMINI, "tools": [{"googleSearch": {}}]},
    (GENERATE, "cachedContent"): {**GEMINI, "cachedContent": "cachedContents/1"},
    (GENERATE, "generationConfig.responseModalities"): {
        **GEMINI,
        "generationConfig": {"responseModalities": ["IMAGE"]},
    },
    (GENERATE, "generationConfig.responseMimeType"): {
        **GEMINI,
        "generationConfig": {"responseMimeType": "text/x.enum"},
    },
    ("/api/generate", "suffix"): {**PLAIN, "suffix": "x"},
    ("/api/generate", "template"): {**PLAIN, "template": "x"},
    ("/api/generate", "context"): {**PLAIN, "context": [1]},
    ("/api/generate", "system"): {**PLAIN, "raw": True, "system": "x"},
    ("/v1/embeddings", "input"): {**ITEMS, "input": [1, 2]},
    (EMBED, "content"): {"content": {"parts": [{"inlineData": {"mimeType": "image/png", "data": "AAAA"}}]}},
    ("/v1/decisions", "stream"): {**ITEMS, "questions": [{"type": "predicate", "instructions": "?"}], "stream": True},
}


@pytest.mark.parametrize(("path", "field"), REFUSALS)
def test_what_the_list_says_is_refused(served: Served, path: str, field: str):
    """A 400 that names the field, in the caller's own dialect."""
    answer = served.ask("POST", path.replace("…", "o3-obedient"), json_body=REFUSALS[path, field])

    assert answer.status == 400
    assert field in json.dumps(answer.json["error"])
    assert (f"`{path}`", f"`{field}`") in listed()


def test_the_list_has_no_refusal_that_nobody_checks():
    """What is written there is tested here."""
    assert listed() == {(f"`{path}`", f"`{field}`") for path, field in REFUSALS}


def listed() -> set[tuple[str, str]]:
    """Path and field of each row of the list under its heading."""
    return {(path, field) for path, field, _ in rows("## What callers are refused")}


def test_every_key_of_ours_is_told():
    """What our server reads in a body is written there, and nothing else."""
    told = {key for cells in rows("## How a question is routed") for key in re.findall(r"`(\w+)`", cells[0])}

    flags = {f"requires{flag[0].upper()}{flag[1:]}" for flag in _routing.FLAGS}
    assert told == {*_routing.OURS, *_routing.EFFORT, *flags}


def test_every_demand_and_mode_is_told():
    """With its name, as our server reads it."""
    told = section("## How a question is routed")

    assert all(f"`{name}`" in told for name in (*MODES, *Requirements.__dataclass_fields__))


def test_every_header_of_an_answer_is_told():
    """What our server writes is written there, and nothing else."""
    code = (ROOT / "jupyter_ext/osaurus_nb_server/handlers/route.py").read_text()
    told = {
        name for cells in rows("## What an answer says of its route") for name in re.findall(r"`(X-[\w-]+)`", cells[0])
    }

    assert told == set(re.findall(r'"(X-Osaurus-[\w-]+)"', code))


def test_every_oddity_of_a_family_is_told():
    """A new quirk has a row that says what we do about it."""
    assert [quirk for quirk, *_ in rows("## Families of models")] == [f"`{quirk}`" for quirk in get_args(Quirk)]


def test_every_code_of_a_warning_is_told():
    """Who finds a code in a header finds it there."""
    code = "\n".join(file.read_text() for room in ROOMS for file in (ROOT / room).rglob("*.py"))

    missing = set(re.findall(r'Warned\(\s*"(\w+)"', code)) - set(re.findall(r"`(\w+)`", section("## Warnings")))

    assert missing == set()


if __name__ == "__main__":
    for row, pair in ROWS.items():
        print("|", " | ".join([row, *(verdict(name, *pair) for name in FORMATS)]), "|")
