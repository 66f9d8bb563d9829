"""Decisions over HTTP: the vendors' own SDKs, connected mode, refusals in the caller's words."""

from __future__ import annotations

import json
import math
import socket
import time
from collections.abc import Iterator, Sequence
from typing import Any

import pytest
from openai import BadRequestError, NotFoundError, OpenAI

from osaurus_nb.client import Client
from osaurus_nb.decisions import Option, choice, predicate, score
from osaurus_nb.errors import ModelNotFound
from osaurus_nb.events import Event, Finished, PartEnded, TextDelta, TokenLogprob, UsageReported
from osaurus_nb.messages import image
from osaurus_nb.models import Usage
from osaurus_nb.runtime import Runtime
from osaurus_nb.testing.scripted import ScriptedAdapter, says

genai = pytest.importorskip("google.genai")
ollama = pytest.importorskip("ollama")

PNG = b"\x89PNG\r\n\x1a\n"
PNG64 = "iVBORw0KGgo="


def tells(**shares: float) -> Sequence[Event]:
    """An answer of one token with the probabilities of these labels."""
    top = tuple((label, math.log(share)) for label, share in shares.items())
    said = TextDelta(top[0][0], logprobs=(TokenLogprob(*top[0], top),))
    return [said, PartEnded(), UsageReported(Usage(input_tokens=10, output_tokens=1)), Finished("stop")]


@pytest.fixture
def adapter() -> ScriptedAdapter:
    return ScriptedAdapter(
        {
            "good": [tells(A=0.75, B=0.25)],
            "bare": [says('{"answer": "B"}')],
            "mute": [says("I would rather not")],
            "slow": [[30.0, *says("A")]],
        }
    )


@pytest.fixture
def openai(server) -> Iterator[OpenAI]:
    made = OpenAI(base_url=f"{server.url}/v1", api_key=server.key, max_retries=0, _strict_response_validation=True)
    with made:
        yield made


def google(server) -> Any:
    return genai.Client(api_key=server.key, http_options={"base_url": server.url})


def ollama_client(server) -> Any:
    return ollama.Client(host=server.url, headers={"Authorization": f"Bearer {server.key}"})


def test_openais_sdk_decides(openai, adapter):
    """Every kind of question, read strictly by its own types, with the tokens of all of them."""
    answer = openai.decisions.create(
        model="good",
        input=[{"role": "user", "content": [{"type": "input_text", "text": "I was charged twice!"}]}],
        questions=[
            {"type": "predicate", "name": "refund", "instructions": "Do they want their money back?"},
            {"type": "choice", "instructions": "What is it?", "choices": [{"value": True}, {"value": "true"}]},
            {
                "type": "score",
                "name": "anger",
                "instructions": "How angry?",
                "levels": [{"label": "no"}, {"label": "yes"}],
            },
        ],
    )

    refund, kind, anger = answer.answers
    assert (refund.name, refund.probability) == ("refund", pytest.approx(0.75))
    assert (kind.name, kind.choice, kind.confidence) == (None, True, pytest.approx(0.75))
    assert [(row.value, round(row.probability, 6)) for row in kind.probabilities] == [(True, 0.75), ("true", 0.25)]
    assert (anger.score, anger.probabilities[1].label) == (pytest.approx(0.25), "yes")
    assert (answer.model, answer.usage.input_tokens, answer.usage.total_tokens) == ("good", 30, 33)
    assert "I was charged twice!" in adapter.requests[0].messages[1].text


def test_openais_sdk_reads_a_refusal_and_a_bare_pick(openai):
    """A refusal has its own type there; a pick says beside the vendor's keys that it is not calibrated."""
    question: Any = {"type": "choice", "name": "q", "instructions": "?", "choices": [{"value": "a"}, {"value": "b"}]}

    [refusal] = openai.decisions.create(model="mute", input="x", questions=[question]).answers
    [pick] = openai.decisions.create(model="bare", input="x", questions=[question]).answers

    assert (refusal.type, refusal.name) == ("refusal", "q")
    assert (pick.choice, pick.confidence, pick.calibrated) == ("b", 0.0, False)


def test_ollamas_client_decides(server):
    """As with Ollama itself, whose legend and measure of confidence it has."""
    answer = ollama_client(server).systemone(
        model="good",
        state={"mail": "I was charged twice!"},
        questions={
            "refund": {"type": "noul", "instructions": "Refund?", "criteria": {"true": "asks for it"}},
            "topic": {
                "type": "choice",
                "instructions": {"ask": "topic"},
                "criteria": {"billing": "Money", "bug": None},
            },
            "anger": {"type": "score", "instructions": "How angry?", "criteria": ["calm", "furious"]},
        },
    )

    assert answer.answers["refund"].noul == pytest.approx(0.75)
    assert answer.answers["topic"].probabilities == pytest.approx({"billing": 0.75, "bug": 0.25})
    assert answer.answers["topic"].confidence == pytest.approx(0.1887, abs=1e-3)
    assert answer.answers["anger"].legend == {"0": "calm", "1": "furious"}
    assert (answer.model, answer.usage.input_tokens) == ("good", 30)


@pytest.mark.parametrize("version", ["v1", "v1beta"])
def test_googles_sdk_decides(server, adapter, version: str):
    """On the path that OpenAI has too, told apart by the shape of the questions, and on its older one."""
    client = genai.Client(api_key=server.key, http_options={"base_url": server.url, "api_version": version})

    answer = client.decisions.create(
        model="models/good",
        input=[{"type": "text", "text": "What is it?"}, {"type": "image", "data": PNG64, "mime_type": "image/png"}],
        questions={
            "cat": {"type": "noul", "instructions": "A cat?", "criteria": {"true_description": "it purrs"}},
            "kind": {
                "type": "choice",
                "instructions": [{"type": "text", "text": "Kind?"}],
                "criteria": {"a": "", "b": "B"},
            },
        },
    )

    assert (answer.answers["cat"].noul, answer.answers["cat"].confidence) == (pytest.approx(0.75), pytest.approx(0.75))
    assert answer.answers["kind"].choice == "a"
    assert (answer.usage.total_input_tokens, answer.usage.total_tokens) == (20, 22)
    assert adapter.requests[0].messages[1].parts[1].data == PNG


def test_connected_mode_is_as_embedded_mode(server, adapter):
    """Through the server nothing is lost: booleans, meanings, pictures, refusals, warnings, usage and names."""
    questions = {
        "refund": predicate("Refund?", true="asks for it", false="only complains"),
        "kind": choice("Which?", [Option(True, "yes"), Option("true")]),
        "anger": score("How angry?", {"calm": "no complaint", "furious": None}),
    }
    subject = ["I was charged twice!", image(PNG)]

    with Client(url=server.url, key=server.key) as connected, Client(backend=Runtime([adapter])) as here:
        for model in ("good", "bare", "mute"):
            there = connected.decide(subject, questions, model=model)
            asked = len(adapter.requests)
            same = here.decide(subject, questions, model=model)

            assert there == same
            assert adapter.requests[asked - 1].messages[1].parts[1] == adapter.requests[-1].messages[1].parts[1]
        with pytest.raises(ModelNotFound):
            connected.decide("x", {"q": "?"}, model="nowhere")


def test_headers_say_who_decided_and_with_which_warnings(server):
    """As with an answer to a chat."""
    body = {"model": "bare", "input": "x", "questions": [{"type": "predicate", "instructions": "?"}]}

    answer = server.ask("POST", "/v1/decisions", json_body=body)

    assert answer.headers["x-osaurus-provider"] == "scripted"
    assert answer.headers["x-osaurus-upstream-model"] == "bare"
    assert answer.headers["x-osaurus-warnings"] == "uncalibrated; param=questions"
    assert answer.json["osaurus"]["warnings"][0]["code"] == "uncalibrated"


def test_openais_errors_are_its_own(openai):
    """A wrong body is a 400 that names its field, an unknown model a 404."""
    question: Any = {"type": "predicate", "instructions": "?"}

    with pytest.raises(BadRequestError) as wrong:
        openai.decisions.create(model="good", input="x", questions=[])
    with pytest.raises(NotFoundError):
        openai.decisions.create(model="goood", input="x", questions=[question])

    assert wrong.value.param == "questions"


def test_google_and_ollama_get_their_own_errors(server):
    """Each SDK raises what it raises with its vendor."""
    with pytest.raises(ollama.ResponseError) as from_ollama:
        ollama_client(server).systemone(model="good", state="x", questions={})
    client = google(server)  # it closes its connection when it is forgotten
    with pytest.raises(Exception, match=r"questions\.q\.criteria") as from_google:
        client.decisions.create(
            model="good",
            input="x",
            questions={"q": {"type": "choice", "instructions": "?", "criteria": {"a": ""}}},
        )

    assert from_ollama.value.status_code == 400
    assert "INVALID_ARGUMENT" in str(from_google.value)


@pytest.mark.parametrize(
    ("headers", "error"),
    [({}, {"type", "message", "param", "code"}), ({"x-goog-api-client": "x"}, {"code", "message", "status"})],
)
def test_a_body_of_no_shape_is_refused_as_its_headers_suggest(server, headers: dict[str, str], error: set[str]):
    """Neither an array nor an object of questions."""
    answer = server.ask("POST", "/v1/decisions", json_body={"model": "good", "input": "x"}, headers=headers)

    assert answer.status == 400
    assert set(answer.json["error"]) >= error
    assert "questions" in answer.json["error"]["message"]


def test_who_goes_away_stops_the_questions(server, adapter):
    """A client that hangs up leaves no stream at the model."""
    questions = {"a": {"type": "noul", "instructions": "?"}, "b": {"type": "noul", "instructions": "?"}}
    body = json.dumps({"model": "slow", "state": "x", "questions": questions}).encode()
    head = (
        f"POST {server.path}/v1/systemone HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: Bearer {server.key}\r\n"
        f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
    )
    with socket.create_connection(("127.0.0.1", server.port), timeout=10) as link:
        link.sendall(head.encode() + body)
        while len(adapter.requests) < 2:
            time.sleep(0.005)

    until = time.monotonic() + 5
    while adapter.closed < 2 and time.monotonic() < until:
        time.sleep(0.005)

    assert adapter.closed == 2
