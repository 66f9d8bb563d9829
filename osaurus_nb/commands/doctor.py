"""`osaurus-nb doctor …` and `%osaurus doctor …`: what is wrong with a provider, step by step. Spends only when told."""

from __future__ import annotations

import asyncio
from argparse import ArgumentParser, Namespace
from collections.abc import Sequence
from typing import TYPE_CHECKING

from osaurus_nb._portal import portal
from osaurus_nb.commands import home
from osaurus_nb.commands.person import Notebook, Person
from osaurus_nb.commands.told import Told
from osaurus_nb.config.settings import Settings
from osaurus_nb.errors import ConfigError
from osaurus_nb.providers import registry

if TYPE_CHECKING:
    from osaurus_nb.providers.doctor import Examination
    from osaurus_nb.providers.on_this_machine import Offer

HELP = "look at a provider step by step: what works, and what to do about the rest"
ACTIONS = ()
_HEAD = ("provider", "step", "verdict", "time", "what was found")


def configure(parser: ArgumentParser) -> None:
    """Teach `parser` the words. Without a provider all are looked at."""
    parser.set_defaults(act=_doctor)
    parser.add_argument("provider", nargs="?", metavar="NAME")
    parser.add_argument("--token", action="store_true", help="ask its model for a word, which may cost a little")
    parser.add_argument("--model", metavar="ID", help="the model to ask; by itself the first that chats")
    parser.add_argument("--report", action="store_true", help="as text for an issue: no key, no name of your own")


def offered(offer: Offer, person: Person) -> str:
    """What runs here unused, and how to use it."""
    return f"{offer.title} runs at {offer.url} and is not set up: {person.spelled(f'providers add {offer.preset}')}."


def _doctor(options: Namespace, person: Person) -> Told:
    if options.token and options.provider is None:
        raise ConfigError("A word is asked of one provider at a time, as it may cost: doctor NAME --token.")
    if options.model is not None and not options.token:
        raise ConfigError("A model is only asked with --token, as it may cost.")
    settings = Settings.from_env()
    if settings.url is not None:
        return _told_by_server(settings, options)
    if person.offers:  # a passphrase is asked for now, not where nobody expects it
        home.opened(person)
    found = portal().run(_examined(settings, options))
    offers = registry.offers() if options.provider is None else ()
    if options.report:
        return _reported(found, person)
    rows = [row for examination in found for row in _rows(examination)]
    notes = [offered(offer, person) for offer in offers]
    if not all(examination.well for examination in found):
        notes.append(
            f"As text for an issue: {person.spelled(' '.join(filter(None, ['doctor', options.provider, '--report'])))}."
        )
    return Told((), _HEAD, rows, notes)


async def _examined(settings: Settings, options: Namespace) -> Sequence[Examination]:
    from osaurus_nb.assembly import ConfiguredSources  # noqa: PLC0415 - heavy, and behind every command's --help
    from osaurus_nb.providers.doctor import examine  # noqa: PLC0415

    sources = ConfiguredSources(settings)
    try:
        name = options.provider
        chosen = [sources.find(name)] if name is not None else list(sources.current().values())
        return await asyncio.gather(*(examine(one, token=options.token, model=options.model) for one in chosen))
    finally:
        await sources.aclose()


def _reported(found: Sequence[Examination], person: Person) -> Told:
    from osaurus_nb.providers.doctor_report import report  # noqa: PLC0415

    text = report(found)
    return Told([f"```\n{text}\n```" if isinstance(person, Notebook) else text])


def _told_by_server(settings: Settings, options: Namespace) -> Told:
    """The server has the keys and the connections: what it knows of them."""
    from osaurus_nb.assembly import backend  # noqa: PLC0415

    async def ask() -> list[tuple[str, ...]]:
        server = backend(settings)
        try:
            rows = await server.status()
        finally:
            await server.aclose()
        return [
            (row.provider, "connection", row.state, "", row.error or f"{row.models} models.")
            for row in rows
            if options.provider in (None, row.provider)
        ]

    rows = portal().run(ask())
    if not rows:
        raise ConfigError(f"The server knows no provider '{options.provider}'.")
    closer = f"osaurus-nb doctor {options.provider or 'NAME'}"
    return Told((), _HEAD, rows, [f"This is what the server says, which holds the keys. In a terminal: `{closer}`."])


def _rows(found: Examination) -> list[tuple[str, ...]]:
    return [(found.provider, check.step, check.verdict, _time(check.seconds), check.told) for check in found.checks]


def _time(seconds: float | None) -> str:
    return "" if seconds is None else f"{seconds * 1000:.0f} ms"
