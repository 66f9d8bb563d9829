"""Whose question it is and what it may cost, from a client of ours to a server of ours."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from osaurus_nb.errors import BudgetExceeded, RequestError, Unsupported
from osaurus_nb.models import ModelCard
from osaurus_nb.ports import Terms
from osaurus_nb.request import ChatRequest, Sent
from osaurus_nb.spending import Cap, Origin
from osaurus_nb.wire import (
    _relay,
    anthropic_messages,
    google_generate,
    ollama_chat,
    openai_chat,
    openai_completions,
    openai_responses,
    terms,
)
from osaurus_nb.wire.ollama_chat import generate

_HI = [{"role": "user", "content": "hi"}]
_TEXT = st.text(max_size=40)


def _gemini(body: bytes) -> ChatRequest:
    return google_generate.decode_request(body, model="m", stream=False)


def _claude(body: bytes) -> ChatRequest:
    return anthropic_messages.decode_request(body, version="2023-06-01", betas=None)


DIALECTS = [
    pytest.param(openai_chat.decode_request, {"model": "m", "messages": _HI}, id="chat"),
    pytest.param(openai_completions.decode_request, {"model": "m", "prompt": "hi"}, id="completions"),
    pytest.param(openai_responses.decode_request, {"model": "m", "input": "hi"}, id="responses"),
    pytest.param(_claude, {"model": "m", "messages": _HI, "max_tokens": 9}, id="messages"),
    pytest.param(_gemini, {"contents": [{"parts": [{"text": "hi"}]}]}, id="gemini"),
    pytest.param(ollama_chat.decode_request, {"model": "m", "messages": _HI}, id="ollama"),
    pytest.param(generate.decode_request, {"model": "m", "prompt": "hi"}, id="generate"),
]


@pytest.mark.parametrize(("decode", "body"), DIALECTS)
@pytest.mark.parametrize("amount", [0.5, "0.5", "$0.50"])
def test_a_body_of_any_dialect_may_say_what_its_answer_may_cost(decode: Any, body: dict[str, Any], amount: Any) -> None:
    """`max_cost` is US dollars, as a number or as text, beside `fallbacks`."""
    request = decode(json.dumps(body | {"max_cost": amount}).encode())

    assert request.route.max_cost_micro == 500_000
    assert "max_cost" not in request.extra


@pytest.mark.parametrize(("decode", "body"), DIALECTS)
@pytest.mark.parametrize("amount", [-0.5, "-1", "much", True, [1], {}, ""])
def test_what_is_no_amount_is_refused_by_its_name(decode: Any, body: dict[str, Any], amount: Any) -> None:
    """A cap that cannot be read is not passed over: the call would cost more than its caller allows."""
    with pytest.raises(RequestError) as refused:
        decode(json.dumps(body | {"max_cost": amount}).encode())

    assert refused.value.param == "max_cost"
    assert "US dollars" in refused.value.message


def test_the_head_of_a_request_holds_the_cap_and_the_provider_never_sees_it() -> None:
    """A relayed body goes on without our own keys; one whose cap is odd is read with care, and refused there."""
    head = _relay.read_head(json.dumps({"model": "m", "max_cost": "0.25"}).encode())
    sent = Sent("openai", {"model": "m", "max_cost": "0.25"}, lambda: ChatRequest("m", ()))
    unchanged = _relay.unchanged(sent, ModelCard("m", "lab"), {})
    odd = _relay.read_head(b'{"model": "m", "max_cost": "much"}')

    assert head is not None
    assert head[0].route.max_cost_micro == 250_000
    assert odd is None
    assert unchanged == {"model": "m"}


@given(session=_TEXT, notebook=_TEXT, cell=_TEXT, run=_TEXT)
def test_ids_come_as_they_were_sent(session: str, notebook: str, cell: str, run: str) -> None:
    """Whatever letters a notebook's name has, headers hold plain ASCII and no line break."""
    sent = Origin(*(text.strip() for text in (session, notebook, cell, run)))

    written = terms.headers(Terms(origin=sent))

    assert all(value.isascii() and value.isprintable() and " " not in value for value in written.values())
    read = terms.origin(written, "k1")
    assert read == Origin(sent.session or None, sent.notebook or None, sent.cell or None, sent.run or None, "k1")


def test_a_long_id_is_cut() -> None:
    """Headers are anybody's text: no more than 400 characters of one are kept."""
    read = terms.origin({"X-Osaurus-Notebook": "n" * 100_000}, None)

    assert read.notebook == "n" * 400


@given(limits=st.lists(st.integers(0, 10**12), max_size=16))
def test_budgets_come_to_the_last_millionth(limits: list[int]) -> None:
    """What holds at the client holds at the server: no amount is rounded on the way."""
    sent = tuple(Cap(f"budget:b{at}", limit) for at, limit in enumerate(limits))

    assert terms.caps(terms.headers(Terms(caps=sent))) == sent


def test_a_questions_own_cap_is_told_as_what_it_is() -> None:
    """The server that refuses can say whose cap it was: the question's, or that of a block around it."""
    sent = (Cap("budget:b", 500_000), Cap("question:q", 1))

    said = terms.headers(Terms(caps=sent))

    assert said["X-Osaurus-Budget"] == "b=0.5, question:q=0.000001"
    assert terms.caps(said) == sent


@pytest.mark.parametrize(
    "text", ["", "a", "=1", "a=", "a=-1", "a b=1", "a=1,,b=2", "a:b=1", ":b=1", "question:=1", "a=1 2", f"{'a' * 65}=1"]
)
def test_a_budget_that_cannot_be_read_is_refused(text: str) -> None:
    """The refusal names the header, and does not pass over the half that can be read."""
    with pytest.raises(RequestError) as refused:
        terms.caps({"X-Osaurus-Budget": text})

    assert refused.value.param == "X-Osaurus-Budget"


def test_too_many_budgets_are_refused() -> None:
    """Each is looked up in the ledger: their number is bounded."""
    with pytest.raises(RequestError, match="16"):
        terms.caps({"X-Osaurus-Budget": ",".join(f"b{at}=1" for at in range(17))})


def test_a_cap_that_a_server_cannot_hold_is_no_secret() -> None:
    """Only budgets go over HTTP; another cap would be lost on the way, so it is refused before."""
    with pytest.raises(Unsupported, match="notebook"):
        terms.headers(Terms(caps=(Cap("notebook:a.ipynb", 1),)))


def test_a_refusal_within_a_stream_is_what_it_was() -> None:
    """Where the head of an answer could not wait, the server says behind it that a cap does not hold."""
    decoder = openai_chat.gateway_decoder(ModelCard("m", "osaurus"))
    said = openai_chat.encode_error(BudgetExceeded("It could cost $1."))

    with pytest.raises(BudgetExceeded, match="could cost"):
        list(decoder.feed(b"data: " + json.dumps(said).encode() + b"\n\n"))
