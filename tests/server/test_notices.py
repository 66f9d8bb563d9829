"""What was noticed while a question was read reaches the answer; every answer and error bears its request's id."""

from __future__ import annotations

import json

import anthropic
import pytest
from anthropic import Anthropic
from openai import NotFoundError, OpenAI

CHAT = {"model": "good", "messages": [{"role": "user", "content": "hi"}]}
MESSAGES = {**CHAT, "max_tokens": 9}


@pytest.mark.parametrize("stream", [False, True])
def test_a_notice_reaches_the_headers_and_the_body(server, stream):
    """A missing version of the API is told in the answer, in one piece and streamed."""
    answer = server.ask("POST", "/v1/messages", json_body={**MESSAGES, "stream": stream})

    assert answer.status == 200
    assert answer.headers["x-osaurus-warnings"] == "version_assumed; param=anthropic-version"
    assert b'"version_assumed"' in answer.body


def test_the_vendor_s_sdk_is_not_warned_of_its_own_version(server):
    """It sends the header, and betas are named when somebody asks for them."""
    with Anthropic(base_url=server.url, api_key=server.key, max_retries=0) as client:
        plain = client.messages.with_raw_response.create(**MESSAGES)
        beta = client.beta.messages.with_raw_response.create(**MESSAGES, betas=["files-2026-01-01"])

    assert "X-Osaurus-Warnings" not in plain.headers
    assert beta.headers["X-Osaurus-Warnings"] == "beta_ignored; param=anthropic-beta"


def test_under_strict_parameters_a_notice_is_a_400(server):
    """The error names the field, in the caller's dialect."""
    answer = server.ask(
        "POST",
        "/v1/chat/completions",
        json_body={**CHAT, "stream_options": {"include_usage": True}, "strict_params": True},
    )

    assert answer.status == 400
    assert answer.json["error"]["param"] == "stream_options"


def test_a_key_that_stands_twice_is_a_400_that_names_it(server):
    """In the dialect of the path, and before anything is asked."""
    body = json.dumps(MESSAGES)[:-1] + ', "model": "s3cr3t"}'

    answer = server.ask("POST", "/v1/messages", body=body.encode(), headers={"Content-Type": "application/json"})

    assert answer.status == 400
    assert "'model' stands twice" in answer.json["error"]["message"]
    assert b"s3cr3t" not in answer.body


def test_errors_bear_the_id_of_their_request(server):
    """Both vendors' SDKs find it, and Anthropic's dialect has it in the body too."""
    with (
        Anthropic(base_url=server.url, api_key=server.key, max_retries=0) as claude,
        OpenAI(base_url=f"{server.url}/v1", api_key=server.key, max_retries=0) as gpt,
    ):
        with pytest.raises(anthropic.NotFoundError) as theirs:
            claude.messages.create(**{**MESSAGES, "model": "none"})
        with pytest.raises(NotFoundError) as ours:
            gpt.chat.completions.create(**{**CHAT, "model": "none"})

    id = theirs.value.response.headers["X-Osaurus-Request-Id"]
    assert theirs.value.body["request_id"] == theirs.value.request_id == id
    assert ours.value.request_id == ours.value.response.headers["X-Osaurus-Request-Id"]


def test_an_answer_bears_one_id_everywhere(server):
    """Header, SDK and the key `osaurus` name the same request."""
    with OpenAI(base_url=f"{server.url}/v1", api_key=server.key, max_retries=0) as gpt:
        raw = gpt.chat.completions.with_raw_response.create(**CHAT)
    answer = raw.parse()

    assert answer._request_id == raw.headers["X-Osaurus-Request-Id"]
    assert answer.model_extra["osaurus"]["request_id"] == answer._request_id


@pytest.mark.parametrize("length", [True, False])
def test_the_limit_of_a_body_is_named(serve, length):
    """With its length announced or sent in chunks, the answer says how much may come."""
    with serve(max_body=100) as served:
        if length:
            answer = served.ask("POST", "/v1/chat/completions", json_body={**CHAT, "user": "x" * 100})
        else:
            answer = _chunked(served, json.dumps({**CHAT, "user": "x" * 100}).encode())

    assert answer.status == 413
    assert "larger than 100 bytes" in answer.json["error"]["message"]


def _chunked(served, body):
    headers = {"Content-Type": "application/json", "Transfer-Encoding": "chunked"}
    return served.ask(
        "POST", "/v1/chat/completions", body=b"%x\r\n%s\r\n0\r\n\r\n" % (len(body), body), headers=headers
    )
