"""The golden files of the older completions, which we serve and never call: read and written as the vendor has them."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from osaurus_nb import events as ev
from osaurus_nb import request as ask
from osaurus_nb.models import Usage
from osaurus_nb.wire import openai_completions

FILES = Path(__file__).parent / "openai_completions"

COMPLETION: list[ev.Event] = [
    ev.Started("lab", "fern-base-1"),
    ev.TextDelta(" mist it", logprobs=(ev.TokenLogprob(" mist it", -0.5, ((" wait", -2.0),)),)),
    ev.TextDelta(" — weekly.", logprobs=(ev.TokenLogprob(" — weekly.", -0.75, ((" — weekly.", -0.75),)),)),
    ev.PartEnded(),
    ev.UsageReported(Usage(8, 5, cache_read_input_tokens=4, reasoning_output_tokens=2)),
    ev.Finished("stop"),
]


def content(name: str) -> bytes:
    """The bytes of a file without the comment at its head."""
    body = (FILES / name).read_bytes()
    while body.startswith(b"#"):
        body = body.partition(b"\n")[2]
    return body


def test_a_completion_request_is_read() -> None:
    """The older API is served, not called: each of its knobs has its place."""
    request = openai_completions.decode_request(content("request.json"))

    assert (request.model, request.messages[0].text) == ("fern-base-1", "To water a fern in winter,")
    assert request.sampling == ask.Sampling(
        max_output_tokens=48,
        temperature=0.7,
        top_p=0.8,
        stop=("\n\n", "END"),
        seed=3,
        presence_penalty=0.5,
        frequency_penalty=0.25,
        logit_bias={"50256": -100},
        logprobs=True,
        top_logprobs=1,
        n=2,
    )
    assert (request.delivery, request.extra, request.warnings) == (ask.Delivery(True, True), {"user": "mara"}, ())


def test_a_completion_is_written_as_the_vendor_writes_it() -> None:
    """In one piece and as a stream it is the file, but for our key `osaurus` and the chunk that tells who writes."""
    body = json.loads(content("answer.json"))
    request = openai_completions.decode_request(content("request.json"))
    made = {"id": body["id"].removeprefix("cmpl-"), "created": body["created"]}
    encoder = openai_completions.event_encoder(request, **made)

    stream = b"".join(map(encoder.encode, COMPLETION)) + encoder.close()

    assert _bare(openai_completions.event_encoder(request, **made).body(ev.fold(COMPLETION))) == body
    assert _chunks(stream)[1:] == _chunks(content("stream.sse"))
    assert _chunks(stream)[0]["choices"] == [{"index": 0, "text": "", "logprobs": None, "finish_reason": None}]


def _chunks(stream: bytes) -> list[dict[str, Any]]:
    frames = [frame.removeprefix(b"data: ") for frame in stream.strip().split(b"\n\n")]
    assert frames.pop() == b"[DONE]"
    return [_bare(json.loads(frame)) for frame in frames]


def _bare(body: Mapping[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in body.items() if key != "osaurus"}
