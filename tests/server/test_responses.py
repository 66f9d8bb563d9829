"""Stored responses, with the official SDK: continued, retrieved, listed, deleted and compacted."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import openai
import pytest
from openai import OpenAI

from osaurus_nb import messages as msg
from osaurus_nb.errors import BadAnswer
from osaurus_nb.events import Finished, PartEnded, ReasoningDelta, TextDelta, ToolCallDelta, ToolCallStarted
from osaurus_nb.gateway.responses import Bounds, ResponseStore
from osaurus_nb.messages import Reasoning, ToolCall, ToolResult
from osaurus_nb.testing.scripted import ScriptedAdapter, says

CANARY = "heliotrope-fjord"
TOOL = {"type": "function", "name": "weather", "parameters": {"type": "object", "properties": {}}, "strict": False}
CALL = [
    ReasoningDelta("hm", 0),
    PartEnded(0, provider_metadata={"anthropic": {"signature": "s"}}),
    ToolCallStarted("call_1", "weather", 1),
    ToolCallDelta("{}", 1),
    PartEnded(1),
    Finished("tool_calls"),
]
CUT = [TextDelta("half"), BadAnswer("cut", provider="scripted")]
CUT_CALL = [ToolCallStarted("call_1", "weather"), ToolCallDelta('{"ci'), Finished("length")]


@pytest.fixture
def adapter() -> ScriptedAdapter:
    return ScriptedAdapter(
        {
            "good": [says("Hello", " there", ".")],
            "tools": [CALL, says("Sunny.")],
            "cut": [CUT],
            "cut-call": [CUT_CALL],
            "slow": [[TextDelta("One"), 30.0, Finished("stop")]],
            "sums": [says("They greeted each other.")],
            "short": [[TextDelta("They"), PartEnded(), Finished("length")]],
        }
    )


def connect(server, *, key: str | None = None, strict: bool = True) -> OpenAI:
    return OpenAI(
        base_url=f"{server.url}/v1",
        api_key=key or server.key,
        max_retries=0,
        timeout=20,
        _strict_response_validation=strict,
    )


@pytest.fixture(params=[False, True], ids=["lenient", "strict"])
def client(server, request) -> Iterator[OpenAI]:
    """The SDK, also with every answer checked against its own types."""
    with connect(server, strict=request.param) as made:
        yield made


def said(adapter: ScriptedAdapter) -> list[tuple[str, str]]:
    """What the model was asked last."""
    return [(message.role, message.text) for message in adapter.requests[-1].messages]


def test_a_conversation_goes_on_by_id(client, adapter):
    """Each turn sends its own words alone; the model gets all that was said, whole and streamed alike."""
    first = client.responses.create(model="good", input="Hi, I am Ann.", instructions="Rhyme.")
    with client.responses.stream(model="good", input="Who am I?", previous_response_id=first.id) as stream:
        second = stream.get_final_response()
    third = client.responses.create(model="good", input="Sure?", previous_response_id=second.id, instructions="Brief.")

    assert (first.store, second.store, third.store) == (True, True, True)
    assert (second.previous_response_id, third.previous_response_id) == (first.id, second.id)
    assert said(adapter) == [
        ("system", "Brief."),
        ("user", "Hi, I am Ann."),
        ("assistant", "Hello there."),
        ("user", "Who am I?"),
        ("assistant", "Hello there."),
        ("user", "Sure?"),
    ]
    assert adapter.requests[-1].extra.get("store") is False
    assert "previous_response_id" not in adapter.requests[-1].extra


def test_a_conversation_may_part(client, adapter):
    """Two answers may go on from the same one; neither hears of the other."""
    first = client.responses.create(model="good", input="Hi.")
    client.responses.create(model="good", input="Left?", previous_response_id=first.id)
    client.responses.create(model="good", input="Right?", previous_response_id=first.id)

    assert said(adapter) == [("user", "Hi."), ("assistant", "Hello there."), ("user", "Right?")]


@pytest.mark.parametrize("stream", [False, True])
def test_tools_and_state_are_kept_exactly(client, adapter, stream):
    """After a tool call only its result is sent: the call and the signed thought before it are still there."""
    asked = {"model": "tools", "input": "Weather?", "tools": [TOOL]}
    if stream:
        with client.responses.stream(**asked) as events:
            first = events.get_final_response()
    else:
        first = client.responses.create(**asked)
    result = {"type": "function_call_output", "call_id": "call_1", "output": "sun"}

    second = client.responses.create(model="tools", input=[result], tools=[TOOL], previous_response_id=first.id)

    assert second.output_text == "Sunny."
    assert adapter.requests[-1].messages[1].parts == (
        Reasoning("hm", {"anthropic": {"signature": "s"}}),
        ToolCall("call_1", "weather", "{}"),
    )
    assert adapter.requests[-1].messages[2].parts == (ToolResult("call_1", (msg.Text("sun"),)),)


def test_what_was_answered_can_be_retrieved(client):
    """A stored response is the one that its caller got, whole or streamed."""
    whole = client.responses.create(model="good", input="Hi.", metadata={"a": "b"})
    with client.responses.stream(model="good", input="Hi.") as stream:
        streamed = stream.get_final_response()

    for answered in (whole, streamed):
        again, was = (made.to_dict(mode="json") for made in (client.responses.retrieve(answered.id), answered))
        for body in (again, was):
            assert body.pop("completed_at") - body["created_at"] in (0, 1)
            body["output"][0]["content"][0].pop("parsed", None)  # the SDK's own
        assert again == was


def test_a_deleted_response_is_gone(client, adapter):
    """It is not found, not listed, and cannot be continued; what went on from it still knows what was said."""
    first = client.responses.create(model="good", input="Hi.")
    second = client.responses.create(model="good", input="And?", previous_response_id=first.id)

    client.responses.delete(first.id)

    for ask in (client.responses.retrieve, client.responses.delete, client.responses.input_items.list):
        with pytest.raises(openai.NotFoundError):
            ask(first.id)
    with pytest.raises(openai.BadRequestError) as gone:
        client.responses.create(model="good", input="And?", previous_response_id=first.id)
    assert (gone.value.code, gone.value.param) == ("previous_response_not_found", "previous_response_id")
    client.responses.create(model="good", input="More.", previous_response_id=second.id)
    assert [text for _, text in said(adapter)] == ["Hi.", "Hello there.", "And?", "Hello there.", "More."]


def test_deletion_is_told_as_the_vendor_tells_it(server, client):
    """Who reads the body of a deletion finds what was deleted."""
    made = client.responses.create(model="good", input="Hi.")

    answer = server.ask("DELETE", f"/v1/responses/{made.id}")

    assert answer.json == {"id": made.id, "object": "response", "deleted": True}


def test_input_is_listed_in_pages(client):
    """The SDK walks over all items that a response was made of, either way, two at a time."""
    first = client.responses.create(model="good", input=[{"role": "user", "content": text} for text in "abc"])
    second = client.responses.create(model="good", input="d", previous_response_id=first.id)

    up = [item.content[0].text for item in client.responses.input_items.list(second.id, limit=2, order="asc")]
    down = [item.content[0].text for item in client.responses.input_items.list(second.id, limit=2)]
    page = client.responses.input_items.list(second.id, limit=2, order="asc")

    assert up == ["a", "b", "c", "Hello there.", "d"]
    assert down == up[::-1]
    assert page.has_more
    for wrong in ({"limit": 0}, {"limit": 101}, {"order": "up"}, {"after": "item_none"}):
        with pytest.raises(openai.BadRequestError) as refused:
            client.responses.input_items.list(second.id, **wrong)
        assert refused.value.param == next(iter(wrong))


def test_items_may_be_named_instead_of_sent(client, adapter):
    """An item_reference means the stored item of that id."""
    first = client.responses.create(model="good", input="Hi.")

    client.responses.create(
        model="good",
        input=[{"type": "item_reference", "id": first.output[0].id}, {"role": "user", "content": "Again."}],
    )

    assert said(adapter) == [("assistant", "Hello there."), ("user", "Again.")]
    with pytest.raises(openai.BadRequestError, match="not stored here"):
        client.responses.create(model="good", input=[{"type": "item_reference", "id": "msg_none"}])


@pytest.mark.parametrize("kind", [{"type": "item_reference"}, {}])
def test_items_may_be_named_by_who_stores_nothing(client, adapter, kind):
    """An answer that is not to be stored may still be asked for with stored items."""
    first = client.responses.create(model="good", input="Hi.")

    client.responses.create(model="good", store=False, input=[{**kind, "id": first.output[0].id}])

    assert said(adapter) == [("assistant", "Hello there.")]


def test_nothing_is_said_twice(client):
    """An item that the stored conversation has already is refused, as the vendor does."""
    first = client.responses.create(model="good", input="Hi.")

    with pytest.raises(openai.BadRequestError) as twice:
        client.responses.create(model="good", input=[first.output[0].to_dict()], previous_response_id=first.id)

    assert twice.value.param == "input[0]"


@pytest.mark.parametrize("stream", [False, True])
def test_what_is_not_to_be_stored_is_not(client, stream):
    """With `store: false` the answer says so and is nowhere to be found."""
    if stream:
        with client.responses.stream(model="good", input="Hi.", store=False) as events:
            answered = events.get_final_response()
    else:
        answered = client.responses.create(model="good", input="Hi.", store=False)

    assert answered.store is False
    with pytest.raises(openai.NotFoundError):
        client.responses.retrieve(answered.id)


def test_another_key_finds_nothing(server, client):
    """What one key made does not exist for another, and not for the login of Jupyter either."""
    made = client.responses.create(model="good", input="Hi.")
    other = server.service.keys.issue("other", expires_in=None)[0]

    for key in (other, server.token):
        with connect(server, key=key) as stranger:
            for ask in (stranger.responses.retrieve, stranger.responses.delete, stranger.responses.input_items.list):
                with pytest.raises(openai.NotFoundError):
                    ask(made.id)
            with pytest.raises(openai.BadRequestError) as refused:
                stranger.responses.create(model="good", input="And?", previous_response_id=made.id)
            assert refused.value.code == "previous_response_not_found"
            with pytest.raises(openai.BadRequestError, match="not stored here"):
                stranger.responses.create(model="good", input=[{"type": "item_reference", "id": made.output[0].id}])
    assert client.responses.retrieve(made.id).id == made.id


def test_the_login_of_jupyter_is_one_owner(server):
    """Whoever has the server's token finds again what it made, although Jupyter names it anew each time."""
    with connect(server, key=server.token) as client:
        made = client.responses.create(model="good", input="Hi.")

        assert client.responses.retrieve(made.id).output_text == "Hello there."


def test_without_a_key_nothing_is_shown(server, client):
    """Every path of stored responses asks who is there."""
    made = client.responses.create(model="good", input="Hi.")

    for method, path in (("GET", ""), ("DELETE", ""), ("GET", "/input_items"), ("POST", "/cancel")):
        assert server.ask(method, f"/v1/responses/{made.id}{path}", key=None).status in (401, 403)
    narrow = server.service.keys.issue("narrow", scopes=["models"], expires_in=None)[0]
    assert server.ask("GET", f"/v1/responses/{made.id}", key=narrow).status == 403


def test_a_failed_answer_is_kept_as_one(server):
    """What broke off after its first words can be looked at, but not continued."""
    with connect(server) as client:
        answer = server.ask("POST", "/v1/responses", json_body={"model": "cut", "input": "Hi.", "stream": True})
        [id] = {json.loads(line[6:])["response"]["id"] for line in answer.body.split(b"\n") if b'"response":{' in line}

        kept = client.responses.retrieve(id)
        with pytest.raises(openai.BadRequestError, match="broke off"):
            client.responses.create(model="good", input="And?", previous_response_id=id)

    assert (kept.status, kept.output_text) == ("failed", "half")
    assert kept.error is not None


def test_a_cut_call_is_kept_but_not_continued(client):
    """An incomplete answer says so; one that ends in a cut tool call is no ground to go on from."""
    made = client.responses.create(model="cut-call", input="Hi.", tools=[TOOL])

    assert client.responses.retrieve(made.id).status == "incomplete"
    with pytest.raises(openai.BadRequestError, match="broke off"):
        client.responses.create(model="good", input="And?", previous_response_id=made.id)


def test_an_answer_that_its_caller_stopped_is_kept_as_far_as_it_came(server):
    """Closing the connection leaves a cancelled response with the words that had come."""
    with connect(server) as client:
        stream = client.responses.create(model="slow", input="Hi.", stream=True)
        for event in stream:
            if event.type == "response.created":
                id = event.response.id
            if event.type == "response.output_text.delta":
                break
        stream.close()
        ends = time.monotonic() + 10
        while True:
            try:
                kept = client.responses.retrieve(id)
                break
            except openai.NotFoundError:
                assert time.monotonic() < ends
                time.sleep(0.02)

    assert (kept.status, kept.output_text) == ("cancelled", "One")


def test_only_the_vendor_runs_in_the_background(client):
    """`background` and `conversation` are refused by name, and so is cancelling."""
    made = client.responses.create(model="good", input="Hi.")

    for name, value in (("background", True), ("conversation", "conv_1")):
        with pytest.raises(openai.BadRequestError) as refused:
            client.responses.create(model="good", input="Hi.", **{name: value})
        assert refused.value.param == name
    with pytest.raises(openai.BadRequestError, match="background"):
        client.responses.cancel(made.id)
    with pytest.raises(openai.NotFoundError):
        client.responses.cancel("resp_none")


def test_a_stored_response_is_not_streamed(client):
    """Asking for it as a stream is refused with what to do."""
    made = client.responses.create(model="good", input="Hi.")

    with pytest.raises(openai.BadRequestError, match="leave 'stream' out"):
        client.responses.retrieve(made.id, stream=True)


def test_a_compacted_conversation_goes_on(client, adapter):
    """The user's words stay, all else is the model's summary; the one item that holds both is input again."""
    first = client.responses.create(model="tools", input="Hi, I am Ann.", tools=[TOOL])

    compacted = client.responses.compact(
        model="sums",
        input=[{"type": "function_call_output", "call_id": "call_1", "output": "sun"}],
        previous_response_id=first.id,
    )
    asked = said(adapter)
    sent = [item.to_dict() for item in compacted.output]
    client.responses.create(model="good", input=[*sent, {"role": "user", "content": "Who am I?"}])

    assert compacted.object == "response.compaction"
    assert [item.type for item in compacted.output] == ["compaction"]
    assert compacted.usage.total_tokens == 4
    assert asked[:3] == [
        ("user", "Hi, I am Ann."),
        ("assistant", "[Called the tool weather with {}]"),
        ("user", "[The tool weather answered:]\nsun"),
    ]
    assert said(adapter) == [
        ("user", "Hi, I am Ann."),
        ("user", "Summary of the conversation so far:\n\nThey greeted each other."),
        ("user", "Who am I?"),
    ]


def test_compacting_twice_keeps_one_summary(client, adapter):
    """The second summary takes the place of the first; what the user said is still word for word."""
    once = client.responses.compact(model="sums", input="Hi, I am Ann.")
    sent = [item.to_dict() for item in once.output]
    twice = client.responses.compact(model="sums", input=[*sent, {"role": "user", "content": "Tea?"}])

    client.responses.create(model="good", input=[item.to_dict() for item in twice.output])

    assert [text for _, text in said(adapter)] == [
        "Hi, I am Ann.",
        "Tea?",
        "Summary of the conversation so far:\n\nThey greeted each other.",
    ]


def test_a_summary_must_be_whole(server):
    """A summary that was cut is an error, not a conversation that lost its end."""
    with connect(server) as client:
        with pytest.raises(openai.APIStatusError, match="no whole summary"):
            client.responses.compact(model="short", input="Hi.")
        with pytest.raises(openai.BadRequestError, match="model"):
            client.post("/responses/compact", cast_to=object, body={"input": "Hi."})


def test_what_compacting_does_not_know_is_said(server):
    """A key without a meaning there is named in the warnings."""
    body = {"model": "sums", "input": "Hi.", "tools": [TOOL], "image": {"context_compression": "enabled"}}

    answer = server.ask("POST", "/v1/responses/compact", json_body=body)

    assert answer.status == 200
    assert "param=tools" in answer.headers["x-osaurus-warnings"]
    assert "param=image" in answer.headers["x-osaurus-warnings"]


def test_a_server_that_keeps_nothing_says_so(serve):
    """Without a store answers say `store: false`, and an id is refused with the way out."""
    with serve(response_ttl=0.0) as server, connect(server) as client:
        made = client.responses.create(model="good", input="Hi.", store=True)

        assert made.store is False
        with pytest.raises(openai.NotFoundError, match="keeps no responses"):
            client.responses.retrieve(made.id)
        with pytest.raises(openai.BadRequestError, match="keeps no responses") as refused:
            client.responses.create(model="good", input="And?", previous_response_id=made.id)
        assert refused.value.code == "previous_response_not_found"


def test_a_response_has_its_time(serve):
    """After the server's `response_ttl` it is gone."""
    with serve(response_ttl=0.3) as server, connect(server) as client:
        made = client.responses.create(model="good", input="Hi.")
        client.responses.retrieve(made.id)
        time.sleep(0.4)

        with pytest.raises(openai.NotFoundError):
            client.responses.retrieve(made.id)


def test_a_home_that_takes_nothing_costs_no_answer(serve, jupyter_dirs, monkeypatch):
    """Where the store cannot be opened, answers go on and say that they are not stored."""
    monkeypatch.setenv("OSAURUS_HOME", "/dev/null/nowhere")

    with serve() as server, connect(server) as client:
        made = client.responses.create(model="good", input="Hi.")

        assert (made.output_text, made.store) == ("Hello there.", False)
        assert "No responses are kept" in server.logs.getvalue()


def test_nothing_is_on_the_disk_in_clear(server, jupyter_dirs):
    """While responses are stored, no file below the home and no open file of this process holds their words."""
    with connect(server) as client:
        made = client.responses.create(model="good", input=CANARY, instructions=CANARY)
        client.responses.create(model="good", input=CANARY, previous_response_id=made.id)

    files = [path for path in Path(jupyter_dirs).rglob("*") if path.is_file()]
    open_files = [path for path in Path("/proc/self/fd").glob("*") if "osaurus" in str(path.resolve())]
    assert not any(CANARY.encode() in path.read_bytes() for path in (*files, *open_files))
    assert CANARY not in server.logs.getvalue()


def test_a_conversation_that_is_too_large_is_answered_and_not_stored(server, tmp_path):
    """The end of the answer says so, whole and streamed; what was stored before is still there."""
    server.service._responses = ResponseStore(tmp_path, bounds=Bounds(bytes=4000))
    with connect(server) as client:
        kept = client.responses.create(model="good", input="Hi.")
        whole = client.responses.create(model="good", input="x" * 5000)
        with client.responses.stream(model="good", input="x" * 5000) as stream:
            streamed = stream.get_final_response()

        assert client.responses.retrieve(kept.id).store is True
    for answered in (whole, streamed):
        assert (answered.output_text, answered.store) == ("Hello there.", False)
        assert answered.to_dict()["osaurus"]["warnings"][0]["code"] == "not_stored"


def test_many_ask_at_once(server):
    """Conversations side by side do not mix."""

    def talk(name: str) -> list[str]:
        with connect(server) as client:
            last = None
            for turn in range(4):
                last = client.responses.create(
                    model="good", input=f"{name}{turn}", previous_response_id=last.id if last else None
                )
            items = client.responses.input_items.list(last.id, order="asc")
            return [item.content[0].text for item in items if item.role == "user"]

    with ThreadPoolExecutor(6) as pool:
        told = list(pool.map(talk, "abcdef"))

    assert told == [[f"{name}{turn}" for turn in range(4)] for name in "abcdef"]
