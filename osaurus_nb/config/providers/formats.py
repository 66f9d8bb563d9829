"""The API formats we speak, and the words of the app's file that they stand behind. Pure data.

The app fails to read its whole file when it meets a type that it does not know, so a format of ours alone hides behind
one of its types, and the side file says what is meant.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

#: What can be spoken, named as the app names it where it does.
FORMATS = ("openai", "openResponses", "anthropic", "gemini", "ollama")
#: The app's types and what we may speak behind each: the first unless the side file names another.
SPOKEN: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "openai": ("openai", "ollama"),
        "openResponses": ("openResponses",),
        "anthropic": ("anthropic",),
        "gemini": ("gemini",),
        "azureOpenAI": ("openai", "openResponses"),
    }
)
#: How the key travels in each format, by itself; `bearer` is `Authorization: Bearer`.
KEY_STYLES: Mapping[str, str] = MappingProxyType(
    {
        "openai": "bearer",
        "openResponses": "bearer",
        "anthropic": "x-api-key",
        "gemini": "x-goog-api-key",
        "ollama": "bearer",
    }
)
#: Types whose key does not travel in the header that is the format's own.
KEY_HEADERS: Mapping[str, str] = MappingProxyType({"azureOpenAI": "api-key"})
#: Types whose server lists models, but none of the names that it answers to.
UNLISTED = frozenset({"azureOpenAI"})
#: Where the app finds its own format at a server of ours alone, and what is the root in our eyes.
STAND_IN_PATH: Mapping[str, str] = MappingProxyType({"ollama": "/v1"})


def meant(type: str, kept: object) -> str:
    """The format to speak with a provider of this type. What the side file kept is void where it no longer fits."""
    formats = SPOKEN.get(type, (type,))
    return kept if isinstance(kept, str) and kept in formats else formats[0]


def told(format: str, type: str = "") -> str:
    """The app's word for a provider that speaks `format`; `type` is what it has been so far."""
    if format in SPOKEN.get(type, ()):
        return type
    return next(word for word, formats in SPOKEN.items() if format in formats)
