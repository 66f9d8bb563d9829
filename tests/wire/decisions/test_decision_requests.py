"""Questions in three dialects: read as they are meant, refused by the name of the field, written to survive."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from osaurus_nb.decisions import Choice, DecisionRequest, Option, Predicate, Question, Score
from osaurus_nb.errors import RequestError, Unsupported
from osaurus_nb.messages import Media, Text
from osaurus_nb.models import ModelCard
from osaurus_nb.wire import decisions
from osaurus_nb.wire.decisions import google, openai, systemone

CARD = ModelCard("m", "lab")
PNG = b"\x89PNG\r\n\x1a\n"
PNG64 = "iVBORw0KGgo="

QUESTIONS: tuple[Question, ...] = (
    Predicate("refund", "Do they want their money back?"),
    Choice("topic", "What is it about?", (Option("billing", "Money"), Option("bug"))),
    Score("anger", "How angry?", (Option("calm"), Option("furious"))),
)
BODIES: dict[str, dict[str, Any]] = {
    "openai": {
        "model": "m",
        "input": "I was charged twice!",
        "questions": [
            {"type": "predicate", "name": "refund", "instructions": "Do they want their money back?"},
            {
                "type": "choice",
                "name": "topic",
                "instructions": "What is it about?",
                "choices": [{"value": "billing", "description": "Money"}, {"value": "bug"}],
            },
            {
                "type": "score",
                "name": "anger",
                "instructions": "How angry?",
                "levels": [{"label": "calm"}, {"label": "furious"}],
            },
        ],
    },
    "systemone": {
        "model": "m",
        "state": "I was charged twice!",
        "questions": {
            "refund": {"type": "noul", "instructions": "Do they want their money back?"},
            "topic": {
                "type": "choice",
                "instructions": "What is it about?",
                "criteria": {"billing": "Money", "bug": None},
            },
            "anger": {"type": "score", "instructions": "How angry?", "criteria": ["calm", "furious"]},
        },
    },
    "google": {
        "model": "models/m",
        "input": "I was charged twice!",
        "questions": {
            "refund": {"type": "noul", "instructions": "Do they want their money back?"},
            "topic": {
                "type": "choice",
                "instructions": "What is it about?",
                "criteria": {"billing": "Money", "bug": ""},
            },
            "anger": {"type": "score", "instructions": "How angry?", "criteria": ["calm", "furious"]},
        },
    },
}


def encoded(body: Any) -> bytes:
    return json.dumps(body).encode()


@pytest.mark.parametrize("dialect", decisions.FORMATS)
def test_each_dialect_reads_and_writes_the_same_three_questions(dialect: str):
    """What is read from a body is neutral, and written again it is that body."""
    codec = decisions.load(dialect)

    request = codec.decode_request(encoded(BODIES[dialect]))
    sent = codec.encode_request(request, CARD)

    assert request.model == "m"
    assert request.subject == (Text("I was charged twice!"),)
    assert request.questions == QUESTIONS
    assert sent.body == BODIES[dialect]
    assert sent.warnings == ()


@pytest.mark.parametrize(
    ("dialect", "change", "param"),
    [
        ("openai", {"questions": []}, "questions"),
        ("openai", {"questions": [{"type": "predicate", "instructions": "?"}] * 401}, "questions"),
        ("openai", {"questions": [{"type": "maybe", "instructions": "?"}]}, "questions[0]"),
        ("openai", {"questions": [{"type": "predicate"}]}, "questions[0].instructions"),
        ("openai", {"questions": [{"type": "predicate", "instructions": " "}]}, "questions[0].instructions"),
        ("openai", {"questions": [{"type": "predicate", "instructions": "?", "weight": 2}]}, "questions[0].weight"),
        (
            "openai",
            {"questions": [{"type": "choice", "instructions": "?", "choices": [{"value": "a"}]}]},
            "questions[0].choices",
        ),
        (
            "openai",
            {
                "questions": [
                    {"type": "choice", "instructions": "?", "choices": [{"value": str(n)} for n in range(256)]}
                ]
            },
            "questions[0].choices",
        ),
        (
            "openai",
            {"questions": [{"type": "choice", "instructions": "?", "choices": [{"value": "a"}, {"value": "a"}]}]},
            "questions[0].choices[1].value",
        ),
        (
            "openai",
            {"questions": [{"type": "choice", "instructions": "?", "choices": [{"value": "a"}, {"value": 1}]}]},
            "questions[0].choices[1].value",
        ),
        (
            "openai",
            {"questions": [{"type": "score", "instructions": "?", "levels": [{"label": "a"}, {"label": "a"}]}]},
            "questions[0].levels[1].label",
        ),
        (
            "openai",
            {"questions": [{"type": "predicate", "name": "a", "instructions": "?"}] * 2},
            "questions[1].name",
        ),
        ("openai", {"input": 3}, "input"),
        ("openai", {"input": [{"type": "reasoning", "summary": []}]}, "input[0].type"),
        (
            "openai",
            {"input": [{"role": "user", "content": [{"type": "input_json", "data": "text"}]}]},
            "input[0].content[0].data",
        ),
        ("openai", {"input": [{"type": "function_call_output", "call_id": "c", "output": "x"}]}, "input"),
        ("openai", {"stream": True}, "stream"),
        ("openai", {"model": ""}, "model"),
        ("systemone", {"questions": {}}, "questions"),
        ("systemone", {"questions": {"q": {"type": "predicate", "instructions": "?"}}}, "questions.q"),
        ("systemone", {"questions": {"": {"type": "noul", "instructions": "?"}}}, "questions"),
        (
            "systemone",
            {"questions": {"q": {"type": "choice", "instructions": "?", "criteria": {"a": None}}}},
            "questions.q.criteria",
        ),
        (
            "systemone",
            {"questions": {"q": {"type": "score", "instructions": "?", "criteria": ["a", "a"]}}},
            "questions.q.criteria[1]",
        ),
        ("systemone", {"state": None}, "state"),
        ("systemone", {"assets": {"img-1": {"url": "x"}}}, "assets"),
        ("systemone", {"images": ["not base64!"]}, "images[0]"),
        ("google", {"questions": []}, "questions"),
        (
            "google",
            {"questions": {"q": {"type": "noul", "instructions": "?", "criteria": {"true": "x"}}}},
            "questions.q.criteria.true",
        ),
        ("google", {"input": [{"type": "image", "uri": "gs://bucket/x"}]}, "input[0].uri"),
        ("google", {"input": [{"type": "smell"}]}, "input[0]"),
    ],
)
def test_a_wrong_body_is_refused_by_the_name_of_its_field(dialect: str, change: dict[str, Any], param: str):
    """The error says where, in the caller's own words for it."""
    with pytest.raises(RequestError) as caught:
        decisions.load(dialect).decode_request(encoded({**BODIES[dialect], **change}))

    assert caught.value.param == param


def test_openai_choices_may_be_booleans_beside_strings_of_the_same_name():
    """`true` and `"true"` are two values."""
    choices = [{"value": True}, {"value": "true"}, {"value": "True"}, {"value": False}]
    question = {"type": "choice", "instructions": "?", "choices": choices}

    request = openai.decode_request(encoded({**BODIES["openai"], "questions": [question]}))

    assert [option.value for option in request.questions[0].options] == [True, "true", "True", False]
    with pytest.raises(Unsupported):
        systemone.encode_request(request, CARD)


def test_openai_instructions_in_parts_are_one_text_and_never_a_picture():
    """Text and JSON are read; a picture has no place in a question here, and is not left out in silence."""
    parts: list[dict[str, Any]] = [{"type": "input_text", "text": "Is it"}, {"type": "input_json", "data": {"a": 1}}]
    body = {**BODIES["openai"], "questions": [{"type": "predicate", "instructions": parts}]}
    picture = {"type": "input_image", "image_url": "https://example.org/a.png"}

    request = openai.decode_request(encoded(body))

    assert request.questions[0].instructions == 'Is it\n{"a": 1}'
    with pytest.raises(Unsupported, match=r"instructions\[2\]"):
        openai.decode_request(
            encoded({**body, "questions": [{"type": "predicate", "instructions": [*parts, picture]}]})
        )


def test_one_user_message_is_the_subject_and_a_conversation_becomes_a_transcript():
    """Who said what stays known; the vendor itself gets the items as they came."""
    one = [{"role": "user", "content": [{"type": "input_json", "data": [{"n": 1}]}, picture()]}]
    many = [
        {"role": "developer", "content": "Be fair."},
        {"role": "user", "content": "Refund me."},
        {"type": "custom_tool_call", "call_id": "c", "name": "lookup", "input": "order 7"},
        {"type": "custom_tool_call_output", "call_id": "c", "output": "paid"},
        {"role": "assistant", "content": [{"type": "output_text", "text": "It was paid."}]},
    ]

    single = openai.decode_request(encoded({**BODIES["openai"], "input": one}))
    talk = openai.decode_request(encoded({**BODIES["openai"], "input": many}))

    assert single.subject == (Text('[{"n": 1}]'), Media("image", "image/png", data=PNG, detail="low"))
    assert "".join(part.text for part in talk.subject if isinstance(part, Text)) == (
        "developer: Be fair.\nuser: Refund me.\nassistant calls lookup: order 7\ntool answers: paid\n"
        "assistant: It was paid.\n"
    )
    assert openai.encode_request(talk, CARD).body["input"] == many


def picture() -> dict[str, Any]:
    return {"type": "input_image", "image_url": f"data:image/png;base64,{PNG64}", "detail": "low"}


def test_pictures_travel_between_the_dialects():
    """Bytes of an image are an image everywhere."""
    request = DecisionRequest("m", (Text("What is it?"), Media("image", "image/png", data=PNG)), QUESTIONS)

    for dialect in decisions.FORMATS:
        codec = decisions.load(dialect)
        again = codec.decode_request(encoded(codec.encode_request(request, CARD).body))

        assert again.subject == request.subject


def test_media_that_a_dialect_cannot_carry_are_refused():
    """Sound goes to Google alone, a picture by its address not to System One."""
    sound = DecisionRequest("m", (Media("audio", "audio/wav", data=b"RIFF"),), QUESTIONS)
    linked = DecisionRequest("m", (Media("image", url="https://example.org/a.png"),), QUESTIONS)

    assert google.encode_request(sound, CARD).body["input"][0]["type"] == "audio"
    assert google.encode_request(linked, CARD).body["input"] == [{"type": "image", "uri": "https://example.org/a.png"}]
    for refused in (lambda: openai.encode_request(sound, CARD), lambda: systemone.encode_request(linked, CARD)):
        with pytest.raises(Unsupported):
            refused()


def test_json_state_is_text_for_others_and_stays_json_for_its_own_dialect():
    """System One takes JSON as it is."""
    state = {"message": "hi", "tags": ["a"]}

    request = systemone.decode_request(encoded({**BODIES["systemone"], "state": state}))

    assert request.subject == (Text('{"message": "hi", "tags": ["a"]}'),)
    assert systemone.encode_request(request, CARD).body["state"] == state
    assert openai.encode_request(request, CARD).body["input"] == '{"message": "hi", "tags": ["a"]}'


def test_what_true_and_false_mean_survives_every_dialect():
    """OpenAI has no place for it, so it is told with the question; a server of ours keeps it apart."""
    question = Predicate("spam", "Is it spam?", "Unsolicited ads", "A real conversation")
    request = DecisionRequest("m", (Text("x"),), (question,))

    [vendor] = openai.encode_request(request, CARD).body["questions"]
    ours = openai.encode_request(request, CARD, ours=True)

    assert vendor["instructions"] == "Is it spam?\nTrue: Unsolicited ads\nFalse: A real conversation"
    for codec, body in (
        (openai, ours.body),
        (systemone, systemone.encode_request(request, CARD).body),
        (google, google.encode_request(request, CARD).body),
    ):
        assert codec.decode_request(encoded(body)).questions == (question,)


def test_knobs_of_one_dialect_are_kept_for_it_and_told_to_be_missing_elsewhere():
    """Nothing is dropped in silence; keys that nobody knows go along."""
    tuned = {**BODIES["openai"], "prompt_cache_key": "k", "new_key": 1}
    kept = {**BODIES["systemone"], "keep_alive": "5m"}

    first = openai.decode_request(encoded(tuned))
    second = systemone.decode_request(encoded(kept))

    assert openai.encode_request(first, CARD).body == tuned
    assert systemone.encode_request(second, CARD).body == kept
    assert [warning.param for warning in systemone.encode_request(first, CARD).warnings] == ["prompt_cache_key"]
    assert [warning.param for warning in google.encode_request(second, CARD).warnings] == ["keep_alive"]
    assert google.encode_request(first, CARD).body["new_key"] == 1


def test_a_hint_for_the_vendors_cache_stays_with_the_vendor():
    """It is in the input as it came, and told to be missing elsewhere."""
    hinted = {"type": "input_text", "text": "x", "prompt_cache_breakpoint": {"mode": "explicit"}}
    body = {**BODIES["openai"], "input": [{"role": "user", "content": [hinted]}]}

    request = openai.decode_request(encoded(body))

    assert openai.encode_request(request, CARD).body == body
    assert [w.param for w in systemone.encode_request(request, CARD).warnings] == ["prompt_cache_breakpoint"]


def test_questions_without_a_name_get_one_where_a_dialect_needs_it():
    """A made name never meets one of the caller's."""
    asked = (Predicate("", "First?"), Predicate("question_1", "Second?"), Predicate("", "Third?"))

    body = systemone.encode_request(DecisionRequest("m", (Text("x"),), asked), CARD).body

    assert list(body["questions"]) == ["question_2", "question_1", "question_3"]


words = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=12).filter(lambda text: text.strip())
meanings = st.none() | words


def options(values: st.SearchStrategy[Any], told: st.SearchStrategy[Any] = meanings) -> Any:
    unique = st.lists(values, min_size=2, max_size=6, unique_by=lambda value: (type(value), value))
    return unique.flatmap(lambda found: st.tuples(*(st.builds(Option, st.just(value), told) for value in found)))


def asked(values: st.SearchStrategy[Any], levels: st.SearchStrategy[Any]) -> Any:
    kinds = (
        st.builds(Predicate, words, words, meanings, meanings)
        | st.builds(Choice, words, words, options(values))
        | st.builds(Score, words, words, options(words, levels))
    )
    return st.lists(kinds, min_size=1, max_size=5, unique_by=lambda question: question.name).map(tuple)


@given(asked(words | st.booleans(), meanings))
def test_any_questions_survive_openai_between_servers_of_ours(questions: tuple[Question, ...]):
    """Written by our client and read by our server they are the same."""
    request = DecisionRequest("m", (Text("x"),), questions)

    again = openai.decode_request(encoded(openai.encode_request(request, CARD, ours=True).body))

    assert again.questions == questions


@pytest.mark.parametrize("dialect", ["systemone", "google"])
@given(questions=asked(words, st.none()))
def test_any_questions_survive_the_dialects_of_maps(dialect: str, questions: tuple[Question, ...]):
    """Levels are texts there, and options strings; within that nothing changes."""
    codec = decisions.load(dialect)
    request = DecisionRequest("m", (Text("x"),), questions)

    again = codec.decode_request(encoded(codec.encode_request(request, CARD).body))

    assert again.questions == questions
