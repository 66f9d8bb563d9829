"""What a shell remembers between cells: the client, the running conversation, which models there are."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from IPython.core.interactiveshell import InteractiveShell

from osaurus_nb._portal import portal
from osaurus_nb.client import AsyncClient, Client
from osaurus_nb.conversation import AsyncConversation
from osaurus_nb.models import ModelCard
from osaurus_nb.notebook.cells import Cells
from osaurus_nb.notebook.display import has_front_end
from osaurus_nb.notebook.listing import Listing
from osaurus_nb.options import ChatOptions
from osaurus_nb.reply import Reply
from osaurus_nb.stream import AsyncStream


@dataclass(frozen=True, slots=True, repr=False)
class Asked:
    """A question, and where its Reply goes beside the cell."""

    prompt: str
    options: ChatOptions
    remember: bool
    name: str | None = None


class Session:
    """One for each shell; the magics act on it."""

    def __init__(self, shell: InteractiveShell) -> None:
        self.shell = shell
        self.cells = Cells(shell)
        self.chatting = False
        #: Every question stays on this machine and its networks.
        self.private = False
        #: The last answer, or what there was of it.
        self.last: Reply | None = None
        self.asked: Asked | None = None
        self._client: AsyncClient | None = None
        self._ours = False
        self._conversation: AsyncConversation | None = None
        self._told: Reply | None = None
        self.listing = Listing(self._models)

    @property
    def client(self) -> AsyncClient:
        """Made when first needed."""
        if self._client is None:
            self._client, self._ours = AsyncClient(), True
        return self._client

    async def _models(self) -> Sequence[ModelCard]:
        return await self.client.models()

    def use(self, client: Client | AsyncClient) -> None:
        """Ask through this client from now on."""
        self.close()
        self._client = client.twin if isinstance(client, Client) else client

    def close(self) -> None:
        """Forget the client, and close it if it was made here."""
        if self._client is not None and self._ours:
            portal().run(self._client.aclose())
        self._client, self._ours = None, False
        self.listing.forget()
        self.forget()

    @property
    def turns(self) -> int:
        """Questions in the running conversation."""
        messages = self._conversation.messages if self._conversation is not None else ()
        return sum(1 for message in messages if message.role == "user")

    def forget(self) -> None:
        """Begin a new conversation."""
        self._conversation = None
        if self.asked is not None and self.asked.remember:
            self.asked = None

    def stream(self, asked: Asked, *, again: bool = False) -> AsyncStream:
        """The answer to one question. `again` asks the last turn of the running conversation once more."""
        stream = self._stream(asked, again=again)
        self.asked = asked
        return stream

    def _stream(self, asked: Asked, *, again: bool) -> AsyncStream:
        options = self.chosen(asked.options)
        if not asked.remember:
            return self.client.stream(asked.prompt, **options)
        if self._conversation is None:
            self._conversation = self.client.conversation()
        if again:
            return self._conversation.stream_retry(**options)
        return self._conversation.stream(asked.prompt, **options)

    def chosen(self, options: ChatOptions) -> ChatOptions:
        """The options of a question of this session."""
        return {**options, "private": True} if self.private else options

    def told(self, reply: Reply) -> Reply:
        """This reply is on the screen: as the result of the same cell it is not shown again."""
        self._told = self.last = reply
        return reply

    def cell_ended(self, *_: Any) -> None:
        self._told = None

    def display(self, reply: Reply) -> None:
        """IPython's hook for showing a Reply; NotImplementedError means: the usual way."""
        if reply is not self._told:
            raise NotImplementedError
        if not has_front_end(self.shell):
            sys.stdout.write(f"{reply.footer}\n")
