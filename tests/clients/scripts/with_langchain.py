"""LangChain asks: whole, streamed, with a tool, for a shape, and by way of Responses. Prints what came as JSON."""

import json
import os

from langchain_core.messages import HumanMessage, ToolMessage
from langchain_core.tools import tool
from langchain_openai import ChatOpenAI
from pydantic import BaseModel


class Pet(BaseModel):
    name: str
    age: int


@tool
def add(a: int, b: int) -> int:
    """Add two numbers."""
    return a + b


url, key = os.environ["OSAURUS_URL"], os.environ["OSAURUS_KEY"]
model = ChatOpenAI(model="gpt-obedient", base_url=f"{url}/v1", api_key=key, stream_usage=True)
whole = model.invoke("Count from 1 to 5.")
streamed = list(model.stream("Count from 1 to 5."))
asked = HumanMessage('Call add {"a": 2, "b": 40}')
call = model.bind_tools([add]).invoke([asked])
[wanted] = call.tool_calls
result = ToolMessage(str(add.invoke(wanted["args"])), tool_call_id=wanted["id"])
answered = model.bind_tools([add]).invoke([asked, call, result])
shape = model.with_structured_output(Pet).invoke("A dog")
by_responses = ChatOpenAI(model="gpt-obedient", base_url=f"{url}/v1", api_key=key, use_responses_api=True)
print(
    json.dumps(
        {
            "whole": whole.content,
            "usage": whole.usage_metadata["output_tokens"],
            "streamed": "".join(chunk.content for chunk in streamed),
            "chunks": len([chunk for chunk in streamed if chunk.content]),
            "streamed usage": [chunk.usage_metadata["output_tokens"] for chunk in streamed if chunk.usage_metadata],
            "tool": answered.content,
            "shape": shape.model_dump(),
            "responses": by_responses.invoke("Count from 1 to 5.").text,
        }
    )
)
