"""A refusal says who can."""

from __future__ import annotations

import pytest

from osaurus_nb.errors import RequestError, Unsupported
from osaurus_nb.messages import image, user
from osaurus_nb.models import Capabilities, ModelCard
from osaurus_nb.request import ChatRequest
from osaurus_nb.routing.advice import advised
from osaurus_nb.runtime import Runtime
from osaurus_nb.testing.scripted import ScriptedAdapter, says

CARDS = [ModelCard("eyes", "lab", capabilities=Capabilities(vision=True)), ModelCard("blind", "lab")]


def test_a_refusal_names_the_models_that_can() -> None:
    """Only those that are known to; what is not known is not promised."""
    told = advised(Unsupported("It reads text only.", param="messages", needs="vision"), CARDS)

    assert told.message == "It reads text only. Models here that can: lab/eyes."
    assert told.param == "messages"


def test_nobody_is_named_where_nobody_is_known() -> None:
    """Then it says that."""
    told = advised(Unsupported("No sound.", needs="audio"), CARDS)

    assert told.message == "No sound. No model here is known to be able to."


def test_other_errors_stay_as_they_are() -> None:
    """A format that cannot carry something is no matter of models."""
    error = RequestError("Nothing was asked.")

    assert advised(error, CARDS) is error


@pytest.mark.anyio
async def test_the_runtime_tells_it_on_the_stream() -> None:
    """Whoever refuses, the answer's error has the names."""
    refusing = ScriptedAdapter({"blind": [[Unsupported("Text only.", needs="vision")]], "good": [says("Hi")]})
    request = ChatRequest("blind", (user("What is it?", image(b"\x89PNG\r\n\x1a\n")),))

    events = [event async for event in Runtime([refusing]).stream(request)]

    assert "No model here is known" in events[-1].error.message
