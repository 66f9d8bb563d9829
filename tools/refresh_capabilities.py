"""Makes osaurus_nb/catalog/capabilities.json anew: what models can do, trimmed from LiteLLM's public table (MIT).

    python tools/refresh_capabilities.py [FILE]

FILE is a copy of its model_prices_and_context_window.json; without one it is fetched. Prices are left out: those come
from genai-prices.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.request import urlopen

SOURCE = "https://raw.githubusercontent.com/BerriAI/litellm/main/model_prices_and_context_window.json"
TARGET = Path(__file__).parent.parent / "osaurus_nb/catalog/capabilities.json"
#: Their word for a provider, and ours: the host at which that list of models holds.
HOSTS = {
    "openai": "api.openai.com",
    "anthropic": "api.anthropic.com",
    "gemini": "generativelanguage.googleapis.com",
    "xai": "api.x.ai",
    "openrouter": "openrouter.ai",
    "deepseek": "api.deepseek.com",
    "mistral": "api.mistral.ai",
    "groq": "api.groq.com",
    "minimax": "api.minimax.io",
    "moonshot": "api.moonshot.ai",
    "zai": "api.z.ai",
    "perplexity": "api.perplexity.ai",
    "cerebras": "api.cerebras.ai",
    "fireworks_ai": "api.fireworks.ai",
    "together_ai": "api.together.xyz",
    "deepinfra": "api.deepinfra.com",
    "nvidia_nim": "integrate.api.nvidia.com",
    "github_copilot": "api.githubcopilot.com",
    "cohere": "api.cohere.com",
    "cohere_chat": "api.cohere.com",
    "voyage": "api.voyageai.com",
}
#: A letter for each thing that a model can do, and the same in upper case where it is said that it cannot.
LETTERS = {
    "supports_function_calling": "t",
    "supports_vision": "v",
    "supports_audio_input": "a",
    "supports_pdf_input": "d",
    "supports_response_schema": "j",
    "supports_reasoning": "r",
}
MODES = {"chat": "", "completion": "", "responses": "", "embedding": "e", "rerank": "k"}


def main() -> None:
    rows = json.loads(_source())
    hosts: dict[str, dict[str, list[Any]]] = {}
    for host, id, row in sorted(_kept(rows), key=lambda kept: kept[:2]):
        hosts.setdefault(host, {})[id] = row
    found = {
        "date": datetime.now(UTC).date().isoformat(),
        "source": "LiteLLM, model_prices_and_context_window.json, MIT licence, (c) Berri AI",
        "hosts": hosts,
    }
    TARGET.write_text(_lines(found))
    sys.stdout.write(f"{sum(map(len, hosts.values()))} models at {len(hosts)} hosts\n")


def _source() -> bytes:
    if len(sys.argv) > 1:
        return Path(sys.argv[1]).read_bytes()
    with urlopen(SOURCE, timeout=60) as answer:
        return bytes(answer.read())


def _kept(rows: Mapping[str, Mapping[str, Any]]) -> Iterator[tuple[str, str, list[Any]]]:
    for name, row in rows.items():
        provider, mode = row.get("litellm_provider", ""), row.get("mode", "")
        if provider in HOSTS and mode in MODES and not name.startswith(("ft:", "sample_spec")):
            id = name.removeprefix(f"{provider.removesuffix('_chat')}/")
            known = [_size(row, "max_input_tokens"), _size(row, "max_output_tokens"), _can(row)]
            if any(known):
                yield HOSTS[provider], id.lower(), known


def _size(row: Mapping[str, Any], key: str) -> int:
    size = row.get(key)
    return size if isinstance(size, int) and size > 0 else 0


def _can(row: Mapping[str, Any]) -> str:
    said = ((letter, row.get(key)) for key, letter in LETTERS.items())
    letters = (letter if yes else letter.upper() for letter, yes in said if isinstance(yes, bool))
    return "".join(letters) + MODES[row["mode"]]


def _lines(found: Mapping[str, Any]) -> str:
    """One model a line, so that a refresh shows what changed."""
    hosts = ",\n".join(
        f" {json.dumps(host)}: {{\n"
        + ",\n".join(f"  {json.dumps(id)}: {json.dumps(row, separators=(',', ':'))}" for id, row in models.items())
        + "\n }"
        for host, models in found["hosts"].items()
    )
    head = ",\n".join(f"{json.dumps(key)}: {json.dumps(found[key])}" for key in ("date", "source"))
    return f'{{{head},\n"hosts": {{\n{hosts}\n}}}}\n'


if __name__ == "__main__":
    main()
