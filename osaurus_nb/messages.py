"""What is said: messages made of typed parts. Values only.

`repr` of a part shows its size, never its content, so that a prompt cannot reach a log or a traceback.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

Role = Literal["system", "developer", "user", "assistant", "tool"]
MediaKind = Literal["image", "audio", "video", "document"]

#: What a provider attached for itself (signatures, encrypted reasoning), under the name of its dialect, e.g.
#: {"anthropic": {"signature": "…"}}. Kept and echoed to the same dialect, never read.
Opaque = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Text:
    text: str
    provider_metadata: Opaque | None = None

    def __repr__(self) -> str:
        return f"Text({len(self.text)} characters)"


@dataclass(frozen=True, slots=True)
class Reasoning:
    """Thinking shown apart from the answer. Goes back only to the provider that signed it."""

    text: str
    provider_metadata: Opaque | None = None

    def __repr__(self) -> str:
        return f"Reasoning({len(self.text)} characters)"


@dataclass(frozen=True, slots=True)
class Media:
    """An image, sound, film or document: its bytes, or an http(s) URL that the provider fetches."""

    kind: MediaKind
    media_type: str | None = None
    data: bytes | None = None
    url: str | None = None
    filename: str | None = None
    detail: str | None = None
    provider_metadata: Opaque | None = None

    def __repr__(self) -> str:
        size = f"{len(self.data)} bytes" if self.data is not None else "by URL"
        return f"Media({self.kind}, {self.media_type}, {size})"


@dataclass(frozen=True, slots=True)
class ToolCall:
    """The model asks for a function. `arguments` is the JSON text as it came, unparsed."""

    id: str
    name: str
    arguments: str
    provider_metadata: Opaque | None = None

    def __repr__(self) -> str:
        return f"ToolCall({self.name!r}, {len(self.arguments)} characters)"


@dataclass(frozen=True, slots=True)
class ToolResult:
    """What the function answered, for the call of that id."""

    call_id: str
    parts: tuple[Text | Media, ...]
    is_error: bool = False
    provider_metadata: Opaque | None = None

    def __repr__(self) -> str:
        return f"ToolResult({self.call_id!r}, {len(self.parts)} parts)"

    @property
    def text(self) -> str:
        return "".join(part.text for part in self.parts if isinstance(part, Text))


Part = Text | Reasoning | Media | ToolCall | ToolResult


@dataclass(frozen=True, slots=True)
class Message:
    role: Role
    parts: tuple[Part, ...]
    name: str | None = None
    extra: Mapping[str, Any] = field(default_factory=dict)

    def __repr__(self) -> str:
        return f"Message({self.role}, {len(self.parts)} parts)"

    @property
    def text(self) -> str:
        """The visible text, all parts joined."""
        return "".join(part.text for part in self.parts if isinstance(part, Text))

    @property
    def tool_calls(self) -> tuple[ToolCall, ...]:
        return tuple(part for part in self.parts if isinstance(part, ToolCall))


def system(text: str) -> Message:
    return Message("system", (Text(text),))


def user(*parts: str | Part) -> Message:
    """A user's turn from strings and parts, e.g. `user("What is this?", image(png))`."""
    return Message("user", tuple(Text(part) if isinstance(part, str) else part for part in parts))


def assistant(*parts: str | Part) -> Message:
    return Message("assistant", tuple(Text(part) if isinstance(part, str) else part for part in parts))


def tool_result(call: ToolCall, text: str, *, is_error: bool = False) -> Message:
    """The answer to one tool call, ready to be sent back."""
    return Message("tool", (ToolResult(call.id, (Text(text),), is_error=is_error),))


_SIGNATURES = (
    (b"\x89PNG\r\n\x1a\n", "image/png"),
    (b"\xff\xd8\xff", "image/jpeg"),
    (b"GIF8", "image/gif"),
    (b"%PDF-", "application/pdf"),
)


def image(source: bytes | str, *, media_type: str | None = None, detail: str | None = None) -> Media:
    """An image part from its bytes or from an http(s) URL. A path is not read: pass `path.read_bytes()`."""
    if isinstance(source, str):
        if not source.startswith(("http://", "https://", "data:")):
            raise ValueError("image() takes bytes or an http(s) URL; for a file pass Path(...).read_bytes()")
        return Media("image", media_type, url=source, detail=detail)
    return Media("image", media_type or sniff(source) or "image/png", data=bytes(source), detail=detail)


def sniff(data: bytes) -> str | None:
    """The media type that the first bytes name, or None."""
    if data[:4] == b"RIFF" and data[8:12] == b"WEBP":
        return "image/webp"
    return next((kind for magic, kind in _SIGNATURES if data.startswith(magic)), None)
