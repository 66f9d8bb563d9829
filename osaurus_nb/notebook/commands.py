"""What `%osaurus` does beside asking: models, use, status, chat, endpoint, pull, help, and what a terminal has too."""

from __future__ import annotations

import difflib
from argparse import Namespace
from collections.abc import Callable, Mapping, Sequence

from IPython.core.error import UsageError

from osaurus_nb import _markup
from osaurus_nb._portal import portal
from osaurus_nb.accounts import Ledger
from osaurus_nb.catalog import names
from osaurus_nb.commands import replaying, table
from osaurus_nb.commands.grammar import perform
from osaurus_nb.commands.person import Notebook
from osaurus_nb.config.settings import Settings
from osaurus_nb.errors import ModelNotFound, OsaurusError
from osaurus_nb.local.pull import pull as fetch
from osaurus_nb.models import ROUTER, ModelCard, SourceStatus
from osaurus_nb.notebook import arguments, texts
from osaurus_nb.notebook.display import Bundle, Slot, Throttle, show
from osaurus_nb.notebook.routing import private
from osaurus_nb.notebook.session import Session

_PLACES = {
    "process": "this machine",
    "loopback": "this machine",
    "lan": "local network",
    "tailnet": "tailnet",
    "decentralized": "decentralized",
    "cloud": "cloud",
}


def find(command: str) -> str:
    """The command of this name; without one, help."""
    if not command:
        return "help"
    if command in COMMANDS:
        return command
    known = ["ask", "retry", "route", *COMMANDS]
    near = difflib.get_close_matches(command, known, n=1)
    hint = f"Did you mean '{near[0]}'?" if near else f"There are: {', '.join(known)}."
    raise UsageError(f"%osaurus has no command '{command[:40]}'. {hint} To ask a model: %osaurus ask ...")


def _models(session: Session, rest: str) -> None:
    async def look() -> tuple[Sequence[SourceStatus], Sequence[ModelCard]]:
        return await session.client.status(), await session.client.models()

    sources, cards = portal().run(look())
    session.listing.keep(cards)
    mark = session.client.model
    chosen = [card for card in cards if mark in (card.name, card.id, f"{card.provider}/{card.id}")]
    rows = [_row(card, chosen=chosen == [card]) for card in cards]
    if rows:
        head = ("", "name", "provider", "context", "size", "where it runs")
        show(session.shell, _markup.table(head, rows, footer="● answers when no model is named"))
    else:
        show(session.shell, _markup.callout(str(names.not_found(mark, ())), kind="note"))
    _tell_broken(session, sources)


def _row(card: ModelCard, *, chosen: bool) -> tuple[str, ...]:
    context = f"{card.context_length:,}" if card.context_length else ""
    size = f"{card.size_bytes / 1e6:,.0f} MB" if card.size_bytes else ""
    return ("●" if chosen else "", card.name, card.provider, context, size, _PLACES[card.endpoint])


def _tell_broken(session: Session, sources: Sequence[SourceStatus]) -> None:
    broken = [f"{source.provider}: {source.error}" for source in sources if source.error]
    if broken:
        show(session.shell, _markup.callout("No list of models from:\n" + "\n".join(broken), kind="note"))


def _use(session: Session, rest: str) -> None:
    if name := rest.strip("\"'"):
        card, near = portal().run(_resolve(session, name))
        session.client.model = card.name
        if near is not None:
            hint = f"Close to it are: {', '.join(near)}." if near else ""
            note = f"{card.provider} does not list '{card.id}', but may answer to it."
            show(session.shell, _markup.callout(note, kind="note", hint=hint))
    show(session.shell, _markup.bundle(f"Model: {session.client.model}"))


async def _resolve(session: Session, name: str) -> tuple[ModelCard, Sequence[str] | None]:
    """Exactly this model; with near names, if its provider does not list it. It may offer it all the same."""
    cards = await session.client.models()
    listed: dict[str, list[ModelCard]] = {}
    for card in cards:
        listed.setdefault(card.provider, []).append(card)
    try:
        found = names.resolve(name, listed)
    except ModelNotFound:
        profile = next((card for card in cards if card.name == f"{ROUTER}/{name}"), None)
        if profile is not None:
            return profile, None
        silent = {source.provider: () for source in await session.client.status() if source.error}
        found = names.resolve(name, {**silent, **listed})
    return found, None if found in cards else names.not_found(name, [card.name for card in cards]).near


def _status(session: Session, rest: str) -> None:
    client = session.client
    overview = portal().run(client.overview())
    where = f"connected to {client.settings.url}" if client.settings.url else "embedded in this kernel"
    chat = f"chat is {'on' if session.chatting else 'off'}, {session.turns} turns"
    footer = f"{where} · model: {client.model} · {chat}{' · private' if session.private else ''}"
    show(session.shell, overview.shown(footer))


def _shared(name: str) -> Command:
    """A command of the terminal, given in a cell."""

    def command(session: Session, rest: str) -> None:
        _perform(session, arguments.shared(name, rest))

    return command


def replay(session: Session, rest: str) -> None:
    """`%osaurus route replay`."""
    _perform(session, arguments.taught("route replay", replaying.configure, rest))


def _perform(session: Session, options: Namespace) -> None:
    client = session.client
    person = Notebook(
        connected=client.settings.url is not None,
        books=lambda: Ledger(client.ledger, portal()),
        models=lambda: portal().run(client.models()),
    )
    told = perform(options, person)
    if told.rows:
        show(session.shell, _markup.table(told.head, told.rows))
    if told.lines:
        show(session.shell, _markup.bundle("\n\n".join(told.lines)))
    if told.notes:
        show(session.shell, _markup.callout("\n".join(told.notes), kind="note"))


def _key(session: Session, rest: str) -> None:
    COMMANDS["providers"](session, f"key {rest}")


def _chat(session: Session, rest: str) -> None:
    match rest:
        case "on" | "off":
            session.chatting = rest == "on"
        case "reset":
            session.forget()
        case "":
            pass
        case _:
            raise UsageError("%osaurus chat takes on, off or reset.")
    state = "on: each cell is a turn" if session.chatting else "off: each cell stands alone"
    show(session.shell, _markup.bundle(f"Chat is {state}. Turns remembered: {session.turns}."))


def _endpoint(session: Session, rest: str) -> None:
    settings = session.client.settings
    if settings.url is None:
        text = texts.EMBEDDED
    elif settings.url == Settings.from_env().url:
        text = texts.snippets('os.environ["OSAURUS_URL"] + "/v1"', 'os.environ["OSAURUS_KEY"]', session.client.model)
    else:
        text = texts.snippets(f'"{settings.url}/v1"', 'os.environ["YOUR_KEY_VARIABLE"]', session.client.model)
    show(session.shell, _markup.bundle(text))


def _pull(session: Session, rest: str) -> None:
    slot, throttle = Slot(session.shell), Throttle()

    def progress(stage: str, done: int, total: int) -> None:
        def put() -> int:
            part = f" {100 * min(done, total) // total} %" if total else ""
            slot.put(_markup.frame("", "", footer=f"{stage}{part}"))
            return 0

        if throttle.ready():
            throttle.run(put)

    slot.put(_markup.frame("", "", footer="looking …"))
    try:
        paths = session.client.settings.paths
        model = fetch(paths, rest, progress=progress) if rest else fetch(paths, progress=progress)
    except KeyboardInterrupt:
        slot.put(_markup.callout("Stopped. Nothing was kept.", kind="note"))
        return
    except OsaurusError:
        slot.put(_markup.frame("", "", footer="not finished"))
        raise
    slot.put(_markup.bundle(f"Ready: {model.id}. Try `%osaurus ask -m {model.id} Hello!`"))


def _help(session: Session, rest: str) -> None:
    show(session.shell, _help_bundle())


def _help_bundle() -> Bundle:
    return _markup.bundle(texts.HELP)


Command = Callable[[Session, str], None]
COMMANDS: Mapping[str, Command] = {
    "models": _models,
    "use": _use,
    "status": _status,
    **{name: _shared(name) for name in table.COMMANDS},
    "key": _key,
    "chat": _chat,
    "private": private,
    "endpoint": _endpoint,
    "pull": _pull,
    "help": _help,
}
