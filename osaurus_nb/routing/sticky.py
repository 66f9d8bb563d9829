"""Which model a conversation is with, for as long as it goes on. In memory only; keeps no word of it.

A key is a digest under a secret of this process: it says nothing to whoever finds it, and means nothing elsewhere.
"""

from __future__ import annotations

import hashlib
import secrets
from collections import OrderedDict

from osaurus_nb.messages import Media, Message, Reasoning, Text, ToolCall, ToolResult
from osaurus_nb.request import ChatRequest

#: Seconds after the last turn for which a conversation stays with its model.
TTL = 1800.0
#: More conversations are not kept; the one that was silent the longest is forgotten first.
MOST = 10_000
#: Characters and bytes that are read of one part: beginnings tell conversations apart.
_READ = 4096


class Sticky:
    """One for each runtime. `now` is monotonic seconds."""

    def __init__(self, *, ttl: float = TTL, secret: bytes | None = None) -> None:
        self._ttl = ttl
        self._secret = secret or secrets.token_bytes(32)
        self._held: OrderedDict[str, tuple[str, float]] = OrderedDict()

    def __len__(self) -> int:
        return len(self._held)

    def key(self, request: ChatRequest, *, owner: str = "") -> str:
        """The conversation that this is a turn of: by the caller's own name for it, else by how it began.

        The same words under another name of a model, or of another `owner`, are another conversation.
        """
        digest = hashlib.blake2b(key=self._secret, digest_size=16)
        for text in (owner, request.model, request.route.profile or "", *_beginning(request)):
            data = text.encode(errors="surrogatepass") if isinstance(text, str) else text
            digest.update(len(data).to_bytes(8))
            digest.update(data)
        return digest.hexdigest()

    def held(self, key: str, now: float) -> str | None:
        """The name of the model that this conversation is with."""
        model, until = self._held.get(key, (None, 0.0))
        if model is not None and now >= until:
            del self._held[key]
            return None
        return model

    def hold(self, key: str, model: str, now: float) -> None:
        """It was answered by this model: it stays there, from now on for the whole time again."""
        self._held[key] = (model, now + self._ttl)
        self._held.move_to_end(key)
        if len(self._held) > MOST:
            self._held.popitem(last=False)

    def release(self, key: str) -> None:
        """The model failed it, or it needs another one now."""
        self._held.pop(key, None)

    def leave(self, model: str) -> None:
        """No conversation stays with this model: it is gone, or its provider was changed."""
        for key in [key for key, (held, _) in self._held.items() if held == model]:
            del self._held[key]


def continues(request: ChatRequest) -> bool:
    """Is it a later turn of a conversation, or does the caller name the turn? The first question is nobody's yet."""
    return request.route.turn is not None or any(message.role in ("assistant", "tool") for message in request.messages)


def _beginning(request: ChatRequest) -> list[str | bytes]:
    """What stays the same from the first turn to the last."""
    if request.route.turn is not None:
        return ["turn", request.route.turn]
    instructions = [message for message in request.messages if message.role in ("system", "developer")]
    first = next((message for message in request.messages if message.role == "user"), None)
    opening = [*instructions[:1], *([first] if first is not None else [])]
    return [text for message in opening for text in (message.role, *_said(message))]


def _said(message: Message) -> list[str | bytes]:
    said: list[str | bytes] = []
    for part in message.parts:
        match part:
            case Text() | Reasoning() | ToolResult():
                said.append(part.text[:_READ])
            case ToolCall():
                said.append(part.name)
            case Media(data=data, url=url):
                said += [data[:_READ] if data is not None else (url or "")[:_READ], str(len(data or b""))]
    return said
