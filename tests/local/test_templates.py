"""Messages in the shape that chat templates want."""

from __future__ import annotations

import pytest

from osaurus_nb.errors import RequestError, Unsupported
from osaurus_nb.local.templates import to_template, tools_to_template
from osaurus_nb.messages import Media, Message, Reasoning, Text, ToolCall, ToolResult, assistant, system, user
from osaurus_nb.request import Tool


def test_instructions_that_lead_become_one_system_message():
    """System and developer messages at the start are one system message: most templates take no other."""
    chat = to_template([system("a"), Message("developer", (Text("b"),)), user("c")])

    assert chat == [{"role": "system", "content": "a\n\nb"}, {"role": "user", "content": "c"}]


def test_calls_and_results_in_the_usual_shape():
    """Arguments are objects, each result is a turn that names its call, thoughts are told apart."""
    call = ToolCall("c1", "f", '{"a": 1}')

    chat = to_template(
        [user("x"), Message("assistant", (Reasoning("t"), call)), Message("tool", (ToolResult("c1", (Text("9"),)),))]
    )

    assert chat[1]["reasoning_content"] == "t"
    assert chat[1]["tool_calls"][0]["function"] == {"name": "f", "arguments": {"a": 1}}
    assert chat[2] == {"role": "tool", "tool_call_id": "c1", "content": "9"}


def test_arguments_that_are_no_json_stay_as_they_are():
    """A call with spoilt arguments is repeated to the model as it was."""
    chat = to_template([user("x"), assistant(ToolCall("c1", "f", "{oops"))])

    assert chat[1]["tool_calls"][0]["function"]["arguments"] == "{oops"


def test_tools_as_json_schema_functions():
    """Tools are told as templates expect them."""
    (tool,) = tools_to_template([Tool("f", "does")])

    assert tool["type"] == "function"
    assert tool["function"]["name"] == "f"


@pytest.mark.parametrize("part", [Media("image", data=b"x"), ToolResult("c", (Media("image", data=b"x"),))])
def test_media_are_refused(part: Media | ToolResult):
    """A picture is refused before the call, never dropped in silence."""
    with pytest.raises(Unsupported):
        to_template([Message("user", (part,))])


def test_an_empty_chat_is_refused():
    """There must be something to answer."""
    with pytest.raises(RequestError):
        to_template([])
