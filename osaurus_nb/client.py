"""`Client` and `AsyncClient`: ask any model, get a Reply or a stream.

The sync client is a thin shadow of the async one, seen through the portal: it works in a script, in a notebook cell
with a running loop and in a widget's callback.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Generator, Mapping, Sequence
from contextlib import aclosing
from dataclasses import replace
from typing import Any, Self, Unpack

from osaurus_nb import caps
from osaurus_nb import options as opt
from osaurus_nb._portal import portal
from osaurus_nb.accounts import AsyncLedger, Ledger
from osaurus_nb.assembly import backend as assemble
from osaurus_nb.config.settings import Settings
from osaurus_nb.conversation import AsyncConversation, Conversation
from osaurus_nb.decisions import Decisions
from osaurus_nb.embeddings import Embeddings
from osaurus_nb.errors import OsaurusError
from osaurus_nb.explained import Explained
from osaurus_nb.models import ModelCard, SourceStatus, Tested, TokenCount
from osaurus_nb.options import Asked, ChatOptions, Prompt, Subject
from osaurus_nb.overview import Overview
from osaurus_nb.reply import Reply
from osaurus_nb.runtime import Backend
from osaurus_nb.stream import AsyncStream, Stream
from osaurus_nb.tools import MAX_ROUNDS, Toolbox
from osaurus_nb.turn import Turn, terms


class AsyncClient:
    """Ask any model, local or remote.

    In a notebook whose Jupyter server runs our extension, the server does the work and holds the keys (connected
    mode); anywhere else, or with `embedded=True`, this process does it (embedded mode). Same calls, same results.
    `url` and `key` name another gateway of ours; `backend` is for tests and hosts that bring their own Runtime.
    """

    def __init__(
        self,
        *,
        model: str | None = None,
        url: str | None = None,
        key: str | None = None,
        embedded: bool = False,
        backend: Backend | None = None,
    ) -> None:
        settings = Settings.from_env()
        if url is not None:
            settings = replace(settings, url=url.rstrip("/"), key=key or settings.key)
        elif embedded:
            settings = replace(settings, url=None, key=None)
        self.model = model or settings.model
        self.settings = settings
        self._backend = backend

    @property
    def mode(self) -> str:
        """`connected` or `embedded`."""
        return "connected" if self.settings.url else "embedded"

    @property
    def backend(self) -> Backend:
        """What does the work; made on first use, for the loop that uses it first."""
        if self._backend is None:
            self._backend = assemble(self.settings)
        return self._backend

    @property
    def ledger(self) -> AsyncLedger:
        """What was spent, by whoever keeps the same books."""
        return AsyncLedger(lambda: self.backend.books)

    async def chat(self, prompt: Prompt, **options: Unpack[ChatOptions]) -> Reply:
        """The whole answer. Raises OsaurusError when nobody could give one; its `reply` is what had come."""
        stream = self.stream(prompt, **options)
        async with aclosing(stream.events()) as events:
            async for _ in events:
                pass
        return stream.reply

    def stream(self, prompt: Prompt, **options: Unpack[ChatOptions]) -> AsyncStream:
        """The answer as it comes."""
        toolbox = Toolbox(options.get("tools", ()))
        request = opt.request(prompt, options, model=self.model, toolbox=toolbox)
        budgets = caps.holding(options.get("max_cost"))
        turn = Turn(lambda: self.backend, request, toolbox, options.get("max_rounds", MAX_ROUNDS), budgets)
        return AsyncStream(turn)

    def conversation(self, **defaults: Unpack[ChatOptions]) -> AsyncConversation:
        """A chat that remembers its turns. `defaults` hold for each of them."""
        return AsyncConversation(self.stream, defaults)

    async def explain(self, prompt: Prompt, **options: Unpack[ChatOptions]) -> Explained:
        """Who would answer `chat` now, in which order and why, and who may not. Nobody is asked."""
        toolbox = Toolbox(options.get("tools", ()))
        request = opt.request(prompt, options, model=self.model, toolbox=toolbox)
        private = request.route.mode == "local-strict"
        held = terms(caps.holding(options.get("max_cost")), private=private)
        return Explained.of(await self.backend.explain(request, held))

    async def count_tokens(self, prompt: Prompt, **options: Unpack[ChatOptions]) -> TokenCount:
        """How many tokens `chat` would send; `estimated` where nobody counts them for this model."""
        toolbox = Toolbox(options.get("tools", ()))
        return await self.backend.count_tokens(opt.request(prompt, options, model=self.model, toolbox=toolbox))

    async def embed(
        self,
        texts: str | Sequence[str],
        *,
        model: str | None = None,
        dimensions: int | None = None,
        private: bool = False,
        extra: Mapping[str, Any] | None = None,
    ) -> Embeddings:
        """One vector for each text, by the named model; there is no default, for vectors of two models do not compare.

        `dimensions` asks for shorter vectors of a model that can make them; with `private` nothing leaves this machine
        and its networks; `extra` goes to the provider as it is.
        """
        if not model:
            raise opt.no_embedder(await self.backend.models())
        request = opt.embedding(texts, model=model, dimensions=dimensions, extra=extra)
        budgets = caps.holding()
        answer = await self.backend.embed(request, terms(budgets, private=private))
        caps.count(budgets, answer.cost)
        return answer

    async def decide(
        self,
        subject: Subject,
        questions: Mapping[str, Asked],
        *,
        model: str | None = None,
        private: bool = False,
        extra: Mapping[str, Any] | None = None,
    ) -> Decisions:
        """Each question's answer with its probabilities, e.g. `decide(mail, {"spam": "Is it spam?"})["spam"].value`.

        A question is a text (yes or no), options (one of them), a pair of both, or a `choice` or `score` made with
        `osaurus_nb.decisions`. A verdict that is not `calibrated` is a bare pick; one that is `refused` says why.
        """
        request = opt.decision(subject, questions, model=model or self.model, extra=extra or {})
        budgets = caps.holding()
        answer = await self.backend.decide(request, terms(budgets, private=private))
        caps.count(budgets, answer.cost)
        return answer

    async def models(self) -> Sequence[ModelCard]:
        """Every model that can be named now."""
        return await self.backend.models()

    async def status(self) -> Sequence[SourceStatus]:
        """How each provider is doing."""
        return await self.backend.status()

    async def overview(self) -> Overview:
        """How everything stands that this client asks: providers, models in memory, the ledger, budgets."""
        sources, workers = await self.status(), await self.backend.workers()
        try:
            kept, held = await self.ledger.status(), tuple(await self.ledger.budgets())
        except OsaurusError:  # not for this key, or not readable now: `Client.ledger` says which
            kept, held = None, ()
        return Overview(tuple(sources), tuple(workers), kept, held)

    def watch(self) -> AsyncGenerator[Sequence[SourceStatus], None]:
        """How all providers are doing, now and after each change, until you stop."""
        return self.backend.watch()

    async def test(self, provider: str) -> Tested:
        """Ask one provider for its models now, disabled or not: how it stands, why, and how fast it answered."""
        return await self.backend.test(provider)

    async def aclose(self) -> None:
        """Let go of connections. Local models stay loaded for others until they are idle."""
        if self._backend is not None:
            await self._backend.aclose()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.aclose()


class Client:
    """The sync twin of AsyncClient: the same calls, without `await`."""

    def __init__(
        self,
        *,
        model: str | None = None,
        url: str | None = None,
        key: str | None = None,
        embedded: bool = False,
        backend: Backend | None = None,
    ) -> None:
        self._async = AsyncClient(model=model, url=url, key=key, embedded=embedded, backend=backend)
        self._portal = portal()

    @property
    def twin(self) -> AsyncClient:
        """The async client behind this one. It lives on the portal's loop: schedule on that, never await it here."""
        return self._async

    @property
    def model(self) -> str:
        """The model that answers when none is named; assign to change it."""
        return self._async.model

    @model.setter
    def model(self, name: str) -> None:
        self._async.model = name

    @property
    def mode(self) -> str:
        """`connected` or `embedded`."""
        return self._async.mode

    @property
    def settings(self) -> Settings:
        return self._async.settings

    @property
    def ledger(self) -> Ledger:
        """What was spent, by whoever keeps the same books."""
        return Ledger(self._async.ledger, self._portal)

    def chat(self, prompt: Prompt, **options: Unpack[ChatOptions]) -> Reply:
        """The whole answer. An interrupt stops the work at the model at once."""
        return self._portal.run(self._async.chat(prompt, **options))

    def stream(self, prompt: Prompt, **options: Unpack[ChatOptions]) -> Stream:
        """The answer as it comes."""
        return Stream(self._async.stream(prompt, **options), self._portal)

    def conversation(self, **defaults: Unpack[ChatOptions]) -> Conversation:
        """A chat that remembers its turns. `defaults` hold for each of them."""
        return Conversation(self._async.conversation(**defaults), self._portal)

    def explain(self, prompt: Prompt, **options: Unpack[ChatOptions]) -> Explained:
        """Who would answer `chat` now, in which order and why, and who may not. Nobody is asked."""
        return self._portal.run(self._async.explain(prompt, **options))

    def count_tokens(self, prompt: Prompt, **options: Unpack[ChatOptions]) -> TokenCount:
        """How many tokens `chat` would send; `estimated` where nobody counts them for this model."""
        return self._portal.run(self._async.count_tokens(prompt, **options))

    def embed(
        self,
        texts: str | Sequence[str],
        *,
        model: str | None = None,
        dimensions: int | None = None,
        private: bool = False,
        extra: Mapping[str, Any] | None = None,
    ) -> Embeddings:
        """One vector for each text, by the named model; there is no default, for vectors of two models do not compare.

        `dimensions` asks for shorter vectors of a model that can make them; with `private` nothing leaves this machine
        and its networks; `extra` goes to the provider as it is.
        """
        made = self._async.embed(texts, model=model, dimensions=dimensions, private=private, extra=extra)
        return self._portal.run(made)

    def decide(
        self,
        subject: Subject,
        questions: Mapping[str, Asked],
        *,
        model: str | None = None,
        private: bool = False,
        extra: Mapping[str, Any] | None = None,
    ) -> Decisions:
        """Each question's answer with its probabilities, e.g. `decide(mail, {"spam": "Is it spam?"})["spam"].value`."""
        return self._portal.run(self._async.decide(subject, questions, model=model, private=private, extra=extra))

    def models(self) -> Sequence[ModelCard]:
        """Every model that can be named now."""
        return self._portal.run(self._async.models())

    def status(self) -> Sequence[SourceStatus]:
        """How each provider is doing."""
        return self._portal.run(self._async.status())

    def overview(self) -> Overview:
        """How everything stands that this client asks: providers, models in memory, the ledger, budgets."""
        return self._portal.run(self._async.overview())

    def watch(self) -> Generator[Sequence[SourceStatus], None, None]:
        """How all providers are doing, now and after each change, until you stop."""
        return self._portal.iterate(self._async.watch)

    def test(self, provider: str) -> Tested:
        """Ask one provider for its models now, disabled or not: how it stands, why, and how fast it answered."""
        return self._portal.run(self._async.test(provider))

    def close(self) -> None:
        """Let go of connections. Local models stay loaded for others until they are idle."""
        self._portal.run(self._async.aclose())

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
