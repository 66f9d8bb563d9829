"""What a shell remembers between cells: the client, the running conversation, which models there are."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import Any

from IPython.core.interactiveshell import InteractiveShell

from osaurus_nb._portal import portal
from osaurus_nb.client import AsyncClient, Client
from osaurus_nb.conversation import AsyncConversation
from osaurus_nb.models import ModelCard
from osaurus_nb.notebook.display import has_front_end
from osaurus_nb.notebook.listing import Listing
from osaurus_nb.options import ChatOptions
from osaurus_nb.reply import Reply
from osaurus_nb.stream import AsyncStream


class Session:
    """One for each shell; the magics act on it."""

    def __init__(self, shell: InteractiveShell) -> None:
        self.shell = shell
        self.chatting = False
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

    def stream(self, prompt: str, options: ChatOptions, *, remember: bool) -> AsyncStream:
        """The answer to one question; `remember` makes it a turn of the running conversation."""
        if not remember:
            return self.client.stream(prompt, **options)
        if self._conversation is None:
            self._conversation = self.client.conversation()
        return self._conversation.stream(prompt, **options)

    def told(self, reply: Reply) -> Reply:
        """This reply is on the screen: as the result of the same cell it is not shown again."""
        self._told = reply
        return reply

    def cell_ended(self, *_: Any) -> None:
        self._told = None

    def display(self, reply: Reply) -> None:
        """IPython's hook for showing a Reply; NotImplementedError means: the usual way."""
        if reply is not self._told:
            raise NotImplementedError
        if not has_front_end(self.shell):
            sys.stdout.write(f"{reply.footer}\n")
