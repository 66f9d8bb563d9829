"""The providers that are known, as data: where they are, what they speak, how the key travels. Pure.

The first five are the app's own, in its order. A row that needs an address of yours has no host.
"""

from __future__ import annotations

import difflib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple

from osaurus_nb._redaction import redact
from osaurus_nb.config.endpoints import endpoint_class
from osaurus_nb.config.providers import formats
from osaurus_nb.errors import ConfigError


class Variant(NamedTuple):
    """Another format at the same host: a pasted URL with this `path` means `base`."""

    path: str
    base: str
    format: str


@dataclass(frozen=True, slots=True)
class Preset:
    """One known provider. `note` says what its user should know; `key_url` where a key is had.

    `hosts` are further hosts of the same vendor, `*.` standing for any name in front. `key_variables` are the
    environment variables in which their users keep the key; the first that is set counts. `type` is the app's word
    where the format's own is not it.
    """

    name: str
    title: str
    host: str = ""
    protocol: Literal["http", "https"] = "https"
    port: int | None = None
    base_path: str = "/v1"
    format: str = "openai"
    type: str = ""
    auth: Literal["key", "optional", "none"] = "key"
    key_variables: tuple[str, ...] = ()
    key_url: str = ""
    hosts: tuple[str, ...] = ()
    variants: tuple[Variant, ...] = ()
    models: tuple[str, ...] = ()
    aliases: tuple[str, ...] = ()
    address: str = ""
    note: str = ""

    @property
    def key_style(self) -> str:
        """How the key travels: `bearer`, the name of a header, or `none`."""
        if self.auth == "none":
            return "none"
        return formats.KEY_HEADERS.get(self.type) or formats.KEY_STYLES[self.format]

    def variant(self, path: str) -> Variant | None:
        """What is meant by this path, if not the preset's own."""
        return next((variant for variant in self.variants if variant.path == path), None)

    def owns(self, host: str) -> bool:
        """Is this host one of the vendor's own?"""
        name = host.lower().rstrip(".")
        return any(
            name == known or (known.startswith("*.") and name.endswith(known[1:]))
            for known in (self.host, *self.hosts)
            if known
        )


PRESETS: Sequence[Preset] = (
    Preset(
        "anthropic",
        "Anthropic",
        "api.anthropic.com",
        format="anthropic",
        key_variables=("ANTHROPIC_API_KEY",),
        key_url="https://console.anthropic.com/settings/keys",
        aliases=("claude",),
    ),
    Preset(
        "openai",
        "OpenAI",
        "api.openai.com",
        key_variables=("OPENAI_API_KEY",),
        key_url="https://platform.openai.com/api-keys",
        note="Speaks Chat Completions; --format openResponses speaks Responses.",
    ),
    Preset("xai", "xAI", "api.x.ai", key_variables=("XAI_API_KEY",), key_url="https://console.x.ai", aliases=("grok",)),
    Preset(
        "openrouter",
        "OpenRouter",
        "openrouter.ai",
        base_path="/api/v1",
        key_variables=("OPENROUTER_API_KEY",),
        key_url="https://openrouter.ai/settings/keys",
        note="Its ids have a vendor in front, e.g. openrouter/openai/gpt-4o.",
    ),
    Preset(
        "custom",
        "Custom",
        auth="optional",
        address="http://HOST:PORT/v1",
        note="Any server with an API in one of the formats.",
    ),
    Preset(
        "gemini",
        "Google Gemini",
        "generativelanguage.googleapis.com",
        base_path="/v1beta",
        format="gemini",
        key_variables=("GEMINI_API_KEY", "GOOGLE_API_KEY"),
        key_url="https://aistudio.google.com/apikey",
        variants=(Variant("/v1beta/openai", "/v1beta/openai", "openai"),),
        aliases=("google",),
    ),
    Preset(
        "deepseek",
        "DeepSeek",
        "api.deepseek.com",
        key_variables=("DEEPSEEK_API_KEY",),
        key_url="https://platform.deepseek.com/api_keys",
        variants=(
            Variant("/anthropic", "/anthropic/v1", "anthropic"),
            Variant("/anthropic/v1", "/anthropic/v1", "anthropic"),
        ),
    ),
    Preset(
        "minimax",
        "MiniMax",
        "api.minimax.io",
        key_variables=("MINIMAX_API_KEY",),
        key_url="https://platform.minimax.io",
        hosts=("api.minimaxi.com",),
        variants=(
            Variant("/anthropic", "/anthropic/v1", "anthropic"),
            Variant("/anthropic/v1", "/anthropic/v1", "anthropic"),
        ),
        models=("MiniMax-M2.7", "MiniMax-M2.5"),
        note="Ids beyond the listed ones are added with --model.",
    ),
    Preset(
        "venice",
        "Venice AI",
        "api.venice.ai",
        base_path="/api/v1",
        key_variables=("VENICE_API_KEY",),
        key_url="https://venice.ai/settings/api",
        note="The app's manual says /v1; the API itself is at /api/v1.",
    ),
    Preset(
        "azure",
        "Azure OpenAI",
        base_path="/openai/v1",
        type="azureOpenAI",
        key_variables=("AZURE_OPENAI_API_KEY",),
        key_url="https://ai.azure.com",
        hosts=("*.openai.azure.com", "*.services.ai.azure.com", "*.cognitiveservices.azure.com"),
        variants=(
            Variant("/openai", "/openai/v1", "openai"),
            Variant("/anthropic", "/anthropic/v1", "anthropic"),
            Variant("/anthropic/v1", "/anthropic/v1", "anthropic"),
        ),
        aliases=("azure-openai", "foundry"),
        address="https://RESOURCE.openai.azure.com",
        note="Models are your deployments: name each with --model. The v1 API is spoken, without api-version.",
    ),
    Preset(
        "ollama",
        "Ollama",
        "localhost",
        protocol="http",
        port=11434,
        base_path="",
        format="ollama",
        auth="none",
        variants=(Variant("/api", "", "ollama"), Variant("/v1", "/v1", "openai")),
        note="For another machine: --url http://HOST:11434, and OLLAMA_HOST=0.0.0.0:11434 where it runs.",
    ),
    Preset(
        "lmstudio",
        "LM Studio",
        "localhost",
        protocol="http",
        port=1234,
        auth="none",
        aliases=("lm-studio",),
        note="Switch on 'Start Server' in LM Studio.",
    ),
    Preset(
        "nvidia",
        "NVIDIA NIM",
        "integrate.api.nvidia.com",
        key_variables=("NVIDIA_API_KEY",),
        key_url="https://build.nvidia.com/settings/api-keys",
        aliases=("nim",),
        note="This is the hosted catalog. A NIM of your own: --preset custom --url http://HOST:8000.",
    ),
    Preset(
        "copilot",
        "GitHub Copilot",
        "api.githubcopilot.com",
        base_path="",
        key_variables=("COPILOT_GITHUB_TOKEN",),
        key_url="https://docs.github.com/copilot",
        hosts=("*.githubcopilot.com",),
        aliases=("github-copilot",),
        note="GitHub documents no API for other programs, and this was never tried with a real account. Your token is "
        "sent as it is: no sign-in, no renewal, so one that expires has to be replaced. Their server also asks for the "
        "headers Copilot-Integration-Id and Editor-Version of a program that they know: add yours with --header; we do "
        "not pretend to be another program. Classic ghp_ tokens are said to be refused.",
    ),
    Preset(
        "peer",
        "osaurus-nb peer",
        protocol="http",
        port=1337,
        base_path="/osaurus/v1",
        aliases=("osaurus-nb", "gateway"),
        address="http://HOST:1337/osaurus/v1",
        note="`jupyter osaurus` on the other machine prints its address and a key.",
    ),
    Preset(
        "mistral",
        "Mistral",
        "api.mistral.ai",
        key_variables=("MISTRAL_API_KEY",),
        key_url="https://console.mistral.ai/api-keys",
    ),
    Preset(
        "groq",
        "Groq",
        "api.groq.com",
        base_path="/openai/v1",
        key_variables=("GROQ_API_KEY",),
        key_url="https://console.groq.com/keys",
    ),
    Preset(
        "ollama-cloud",
        "Ollama Cloud",
        "ollama.com",
        base_path="",
        format="ollama",
        key_variables=("OLLAMA_API_KEY",),
        key_url="https://ollama.com/settings/keys",
        variants=(Variant("/api", "", "ollama"), Variant("/v1", "/v1", "openai")),
    ),
)


def find(name: str) -> Preset | None:
    """The preset of this name, title or alias, in any case."""
    word = name.strip().lower()
    return next((p for p in PRESETS if word in (p.name, p.title.lower(), *p.aliases)), None)


def named(name: str) -> Preset:
    """The preset of this name. Raises ConfigError that lists them."""
    if (found := find(name)) is not None:
        return found
    names = [preset.name for preset in PRESETS]
    near = difflib.get_close_matches(name.strip().lower(), names, n=1)
    hint = f"Did you mean '{near[0]}'? " if near else ""
    raise ConfigError(
        f"There is no preset '{redact(name)[:40]}'. {hint}Presets: {', '.join(names)}. For any other server give --url."
    )


def recognise(host: str, port: int | None = None) -> Preset | None:
    """The preset that a host belongs to: by its name, or by its port on this machine and in its networks."""
    if (vendor := vendor_of(host)) is not None:
        return vendor
    if port is None or endpoint_class(host) == "cloud":
        return None
    return next((preset for preset in PRESETS if preset.host == "localhost" and preset.port == port), None)


def vendor_of(host: str) -> Preset | None:
    """The preset whose vendor owns this host. Nobody owns localhost."""
    return next((preset for preset in PRESETS if preset.host != "localhost" and preset.owns(host)), None)
