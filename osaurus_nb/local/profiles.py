"""What this machine will compute on, told without importing mlx; and what a model's files say it can do."""

from __future__ import annotations

import json
import platform
import sys
from importlib.util import find_spec
from pathlib import Path

from osaurus_nb.local.memory import Profile
from osaurus_nb.models import Capabilities

#: How chat templates spell tool calls, as mlx_lm recognises them.
_TOOL_SPELLINGS = (
    "<minimax:tool_call>",
    "<|tool_call>",
    "<start_function_call>",
    "<longcat_tool_call>",
    "<arg_key>",
    "<|tool_list_start|>",
    "<|tool_call_start|>",
    "<|tool_calls_section_begin|>",
    '<function name="',
    "[TOOL_CALLS]",
    "<tool_call>",
)
_THINKING = ("<think>", "<longcat_think>", "<|think:start|>", "<|channel>")


#: What a model can do that makes embeddings.
ENCODING = Capabilities(
    tools=False, vision=False, audio=False, documents=False, json_schema=False, reasoning=False, embeddings=True
)


def expected_profile() -> Profile:
    """The profile that the worker will choose."""
    if sys.platform == "darwin" and platform.machine() == "arm64":
        return "metal"
    cuda = any(find_spec(name) for name in ("mlx_cuda_12", "mlx_cuda_13")) and Path("/dev/nvidiactl").exists()
    return "cuda" if cuda else "cpu"


def capabilities(folder: Path) -> Capabilities:
    """What the tokenizer's files tell: tools and thinking. Everything else a text model has not."""
    settings, template = _tokenizer_settings(folder), _template(folder)
    spelt = bool(settings.get("tool_parser_type")) or any(spelling in template for spelling in _TOOL_SPELLINGS)
    return Capabilities(
        tools=spelt,
        vision=False,
        audio=False,
        documents=False,
        json_schema=find_spec("llguidance") is not None,
        reasoning=any(marker in template for marker in _THINKING),
        embeddings=False,
    )


def _tokenizer_settings(folder: Path) -> dict[str, object]:
    try:
        found = json.loads((folder / "tokenizer_config.json").read_bytes())
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def _template(folder: Path) -> str:
    try:
        return (folder / "chat_template.jinja").read_text("utf-8")
    except (OSError, ValueError):
        return str(_tokenizer_settings(folder).get("chat_template") or "")
