"""pydantic-ai asks, by Chat Completions and by Responses: whole, streamed, with a tool, for a shape. Prints JSON."""

import json
import os

from pydantic import BaseModel
from pydantic_ai import Agent
from pydantic_ai.models.openai import OpenAIChatModel, OpenAIResponsesModel
from pydantic_ai.providers.openai import OpenAIProvider


class Pet(BaseModel):
    name: str
    age: int


def add(a: int, b: int) -> int:
    """Add two numbers."""
    return a + b


provider = OpenAIProvider(base_url=os.environ["OSAURUS_URL"] + "/v1", api_key=os.environ["OSAURUS_KEY"])
found = {}
for kind in (OpenAIChatModel, OpenAIResponsesModel):
    model = kind("gpt-obedient", provider=provider)
    agent = Agent(model, tools=[add])
    whole = agent.run_sync("Count from 1 to 5.")
    pieces = list(agent.run_stream_sync("Count from 1 to 5.").stream_text(delta=True, debounce_by=None))
    found[kind.__name__] = {
        "whole": whole.output,
        "usage": whole.usage.output_tokens,
        "streamed": "".join(pieces),
        "chunks": len(pieces),
        "tool": agent.run_sync('Call add {"a": 2, "b": 40}').output,
        "shape": Agent(model, output_type=Pet).run_sync("A dog").output.model_dump(),
    }
print(json.dumps(found))
