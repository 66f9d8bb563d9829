"""Verdicts in three dialects: written as the vendors' own types read them, and read back as they were."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from openai.types import Decision
from openai.types.decision_create_params import DecisionCreateParams
from pydantic import TypeAdapter

from osaurus_nb.decisions import Choice, DecisionRequest, Decisions, Option, Predicate, Question, Score, Verdict
from osaurus_nb.errors import BadAnswer
from osaurus_nb.events import Warned
from osaurus_nb.messages import Text
from osaurus_nb.models import ModelCard, Usage
from osaurus_nb.wire import decisions
from osaurus_nb.wire.decisions import google, openai, systemone

google_decisions = pytest.importorskip("google.genai.decisions")
ollama = pytest.importorskip("ollama")

CARD = ModelCard("m", "lab")
REFUND = Predicate("refund", "?")
TOPIC = Choice("topic", "?", (Option("billing"), Option("bug"), Option("other")))
ANGER = Score("anger", "?", (Option("calm"), Option("furious")))
REQUEST = DecisionRequest("m", (Text("x"),), (REFUND, TOPIC, ANGER))
DECIDED = Decisions(
    "lab",
    "real",
    (
        Verdict(REFUND, (0.75, 0.25)),
        Verdict(TOPIC, (0.25, 0.5, 0.25)),
        Verdict(ANGER, (0.25, 0.75)),
    ),
    Usage(10, 3, 4, 0, 2),
)
US = {"osaurus": {"provider": "lab", "model": "real"}}
GOLDEN: Mapping[str, dict[str, Any]] = {
    "openai": {
        "model": "real",
        "answers": [
            {"type": "predicate", "name": "refund", "probability": 0.75},
            {
                "type": "choice",
                "name": "topic",
                "choice": "bug",
                "confidence": 0.5,
                "probabilities": [
                    {"value": "billing", "probability": 0.25},
                    {"value": "bug", "probability": 0.5},
                    {"value": "other", "probability": 0.25},
                ],
            },
            {
                "type": "score",
                "name": "anger",
                "score": 0.75,
                "confidence": 0.75,
                "probabilities": [
                    {"label": "calm", "value": 0, "probability": 0.25},
                    {"label": "furious", "value": 1, "probability": 0.75},
                ],
            },
        ],
        "usage": {
            "input_tokens": 14,
            "input_tokens_details": {"cached_tokens": 4, "cache_write_tokens": 0},
            "output_tokens": 5,
            "output_tokens_details": {"reasoning_tokens": 2},
            "total_tokens": 19,
        },
        **US,
    },
    "systemone": {
        "model": "real",
        "answers": {
            "refund": {"type": "noul", "noul": 0.75},
            "topic": {
                "type": "choice",
                "choice": "bug",
                "probabilities": {"billing": 0.25, "bug": 0.5, "other": 0.25},
                "confidence": 1 - 1.5 * math.log(2) / math.log(3),
            },
            "anger": {
                "type": "score",
                "score": 0.75,
                "legend": {"0": "calm", "1": "furious"},
                "probabilities": {"0": 0.25, "1": 0.75},
                "confidence": pytest.approx(0.18872187554086717),
            },
        },
        "usage": {"input_tokens": 14, "output_tokens": 5},
        **US,
    },
    "google": {
        "answers": {
            "refund": {"type": "noul", "noul": 0.75, "confidence": 0.75},
            "topic": {
                "type": "choice",
                "choice": "bug",
                "probabilities": {"billing": 0.25, "bug": 0.5, "other": 0.25},
                "confidence": 0.5,
            },
            "anger": {
                "type": "score",
                "score": 0.75,
                "legend": {"0": "calm", "1": "furious"},
                "probabilities": {"0": 0.25, "1": 0.75},
                "confidence": 0.75,
            },
        },
        "usage": {
            "total_input_tokens": 14,
            "total_cached_tokens": 4,
            "total_output_tokens": 3,
            "total_thought_tokens": 2,
            "total_tokens": 19,
        },
        **US,
    },
}


@pytest.mark.parametrize("dialect", decisions.FORMATS)
def test_each_dialect_writes_the_same_verdicts(dialect: str):
    """Every key that the vendor's answer has, and one of ours."""
    assert decisions.load(dialect).encode_response(DECIDED) == GOLDEN[dialect]


@pytest.mark.parametrize("dialect", decisions.FORMATS)
def test_what_is_written_is_read_again(dialect: str):
    """Between servers of ours nothing is lost but, in System One, which tokens were cached."""
    codec = decisions.load(dialect)
    body = json.loads(json.dumps(codec.encode_response(DECIDED)))

    again = codec.decode_response(body, REQUEST, CARD)

    assert again.verdicts == DECIDED.verdicts
    assert (again.provider, again.model) == ("lab", "real")
    assert again.usage == (Usage(14, 5) if dialect == "systemone" else DECIDED.usage)


def test_the_vendors_own_types_read_what_we_write():
    """Strictly: nothing missing, nothing of a wrong type, our additions borne."""
    written = {
        name: json.loads(json.dumps(decisions.load(name).encode_response(DECIDED))) for name in decisions.FORMATS
    }

    from_openai = Decision.model_validate(written["openai"])
    from_ollama = ollama.SystemOneResponse.model_validate(written["systemone"])
    from_google = google_decisions.CreateDecisionResponse.model_validate(written["google"])

    assert [answer.type for answer in from_openai.answers] == ["predicate", "choice", "score"]
    assert from_ollama.answers["topic"].choice == "bug"
    assert from_google.answers["anger"].score == 0.75
    assert from_google.usage.total_tokens == 19


def test_the_vendors_own_types_read_what_we_ask():
    """The bodies that we send are bodies that their SDKs could have sent."""
    told = (Predicate("spam", "?", "ads", "talk"), TOPIC, ANGER)
    request = DecisionRequest("m", (Text("x"),), told)

    TypeAdapter(DecisionCreateParams).validate_python(openai.encode_request(request, CARD).body)
    asked = ollama.SystemOneRequest.model_validate(systemone.encode_request(request, CARD).body)
    google_decisions.CreateDecisionRequest.model_validate(google.encode_request(request, CARD).body)

    assert asked.questions["spam"].criteria == {"true": "ads", "false": "talk"}


def test_the_measure_of_system_one_is_that_of_ollamas_documentation():
    """Its example has the probabilities 0.0125, 0.9781 and 0.0093 and the confidence 0.8906."""
    confidence = systemone.certainty(Verdict(TOPIC, (0.0125, 0.9781, 0.0093)))

    assert confidence == pytest.approx(0.8906, abs=5e-4)


BARE = Decisions(
    "lab",
    "real",
    (Verdict(REFUND, (), refused="It would not say."), Verdict(TOPIC, (0.0, 1.0, 0.0), calibrated=False)),
    warnings=(Warned("uncalibrated", "Only its picks are known.", "questions"),),
)
BARE_REQUEST = DecisionRequest("m", (Text("x"),), (REFUND, TOPIC))


@pytest.mark.parametrize("dialect", decisions.FORMATS)
def test_a_bare_pick_and_a_refusal_are_told_as_what_they_are(dialect: str):
    """A pick says that it is not calibrated and claims no confidence; a refusal is no answer, and says why."""
    codec = decisions.load(dialect)
    body = json.loads(json.dumps(codec.encode_response(BARE)))

    again = codec.decode_response(body, BARE_REQUEST, CARD)

    picked = body["answers"][1] if dialect == "openai" else body["answers"]["topic"]
    assert picked["calibrated"] is False
    assert picked["confidence"] == 0.0
    assert again.verdicts == BARE.verdicts
    assert again.warnings == BARE.warnings
    assert body["usage"]["estimated"] is True


def test_the_vendors_own_types_bear_picks_and_refusals():
    """OpenAI has a word for a refusal; in a map the question has no answer."""
    written = {name: json.loads(json.dumps(decisions.load(name).encode_response(BARE))) for name in decisions.FORMATS}

    refusal, choice = Decision.model_validate(written["openai"]).answers

    assert (refusal.type, refusal.name, choice.choice) == ("refusal", "refund", "bug")
    assert list(ollama.SystemOneResponse.model_validate(written["systemone"]).answers) == ["topic"]
    assert list(google_decisions.CreateDecisionResponse.model_validate(written["google"]).answers) == ["topic"]


def test_google_blocks_the_whole_input():
    """When nothing is answered the feedback says so, and it is read as a refusal of every question."""
    refused = Decisions("lab", "m", (Verdict(REFUND, (), refused="No."), Verdict(TOPIC, (), refused="No.")))
    blocked = {"prompt_feedback": {"block_reason": "safety"}}

    assert google.encode_response(refused)["prompt_feedback"] == {
        "block_reason": "other",
        "block_reason_message": "No.",
    }
    again = google.decode_response(blocked, BARE_REQUEST, CARD)
    assert [verdict.refused for verdict in again.verdicts] == ["the input was blocked: safety"] * 2


@pytest.mark.parametrize(
    ("dialect", "body"),
    [
        ("openai", {}),
        ("openai", {"error": "Unexpected endpoint or method. (POST /v1/decisions)"}),
        ("openai", {"answers": []}),
        ("openai", {"answers": [{"type": "predicate", "probability": 2}, {}]}),
        ("openai", {"answers": [{"type": "predicate", "probability": True}, {}]}),
        ("openai", {"answers": [{"type": "predicate", "probability": 1}, {"probabilities": [{"value": ["x"]}]}]}),
        ("openai", {"answers": [None, None]}),
        ("systemone", {"answers": []}),
        ("systemone", {"answers": {"topic": {"type": "choice", "probabilities": {"billing": 1}}}}),
        (
            "systemone",
            {"answers": {"topic": {"type": "choice", "probabilities": dict.fromkeys(("billing", "bug", "other"), 0)}}},
        ),
        ("google", {"answers": {"refund": {"noul": "likely"}}}),
        ("google", {"answers": {"refund": None}}),
    ],
)
def test_an_answer_that_is_none_is_the_providers_fault(dialect: str, body: dict[str, Any]):
    """Half an answer is not completed by us."""
    with pytest.raises(BadAnswer):
        decisions.load(dialect).decode_response(body, BARE_REQUEST, CARD)


def test_rounded_probabilities_are_scaled_to_sum_to_one():
    """A vendor rounds each of them."""
    rows = {"billing": 0.33, "bug": 0.33, "other": 0.33}
    body = {"model": "m", "answers": {"topic": {"type": "choice", "choice": "bug", "probabilities": rows}}}

    [verdict] = systemone.decode_response(body, DecisionRequest("m", (), (TOPIC,)), CARD).verdicts

    assert math.fsum(verdict.probabilities) == pytest.approx(1)


shares = st.lists(st.floats(0.01, 1), min_size=2, max_size=6).map(lambda ps: tuple(p / math.fsum(ps) for p in ps))


@st.composite
def verdicts(draw: st.DrawFn) -> tuple[Verdict, ...]:
    made: list[Verdict] = []
    for at in range(draw(st.integers(1, 4))):
        drawn = draw(shares)
        options = tuple(Option(f"option {n}") for n in range(len(drawn)))
        question: Question = draw(st.sampled_from((Choice(f"q{at}", "?", options), Score(f"q{at}", "?", options))))
        whole = Verdict(question, drawn, draw(st.booleans()))
        made.append(draw(st.sampled_from((whole, Verdict(question, (), refused="why")))))
    return tuple(made)


@pytest.mark.parametrize("dialect", decisions.FORMATS)
@given(given_verdicts=verdicts())
def test_any_verdicts_survive_every_dialect(dialect: str, given_verdicts: tuple[Verdict, ...]):
    """Probabilities, refusals and what is not calibrated."""
    codec = decisions.load(dialect)
    request = DecisionRequest("m", (), tuple(verdict.question for verdict in given_verdicts))
    body = json.loads(json.dumps(codec.encode_response(Decisions("lab", "m", given_verdicts))))

    again = codec.decode_response(body, request, CARD)

    for before, after in zip(given_verdicts, again.verdicts, strict=True):
        assert after.probabilities == pytest.approx(before.probabilities)
        assert after.refused == before.refused
        assert after.calibrated == before.calibrated or before.refused is not None
