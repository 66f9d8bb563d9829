"""`route replay`: the ledger's questions under another profile, or at other prices. Asks nobody; changes nothing."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from osaurus_nb import money
from osaurus_nb.commands import home
from osaurus_nb.commands.person import Person
from osaurus_nb.commands.profiles import own
from osaurus_nb.commands.told import Told
from osaurus_nb.config.billing import BillingFile, document
from osaurus_nb.config.paths import Paths
from osaurus_nb.errors import ConfigError
from osaurus_nb.models import Price

if TYPE_CHECKING:
    from osaurus_nb.routing.replay import Replay, Replayed

HELP = "what the ledger's questions would have cost under another profile, or at other prices"
_HEAD = ("model then", "model now", "questions", "cost then", "cost now", "seconds then", "seconds now")


def configure(parser: ArgumentParser) -> None:
    """Teach `parser` the options."""
    parser.set_defaults(act=replay)
    parser.add_argument("--profile", metavar="NAME", help="who would have been asked: see `profiles`")
    parser.add_argument(
        "--prices", metavar="FILE", help='a JSON file: {"prices": {"lab/m": {"input": 1, "output": 2}}}'
    )
    parser.add_argument("--last", metavar="SPAN", default="7d", help="30m, 24h, 7d, 2w or today (7d)")


def replay(options: Namespace, person: Person) -> Told:
    """The sums, and each move from one model to another."""
    from osaurus_nb.routing.replay import replay as play  # noqa: PLC0415 - brings the planner

    if options.profile is None and options.prices is None:
        raise ConfigError("Under which profile, or at which prices? Give --profile NAME, or --prices FILE.")
    profiles = own()
    profile = profiles.named(options.profile) if options.profile is not None else None
    prices = {**BillingFile(Paths.from_env()).read().prices, **_prices(options.prices)}
    home.ask_passphrase(person)
    with person.books() as ledger, person.models() as listed:
        entries = ledger.entries(limit=None, last=options.last)
        ours = {card.name for card in profiles.cards()}
        found = play(entries, [card for card in listed if card.name not in ours], profile, prices=prices)
    if not found.lines:
        return Told([f"The ledger has no answered question with counted tokens in the last {options.last}."])
    under = f"under '{profile.name}'" if profile is not None else "at these prices"
    return Told(list(_sums(found, under)), _HEAD, _rows(found), found.caveats)


def _prices(file: str | None) -> Mapping[str, Price]:
    if file is None:
        return {}
    try:
        read = document.read(Path(file).expanduser().read_bytes())
    except OSError as exc:
        raise ConfigError(f"{file} cannot be read: {exc.strerror}.") from exc
    if not read.sound or not read.settings.prices:
        raise ConfigError(f"{file}: {' '.join(read.problems) or 'it has no `prices`.'}")
    return read.settings.prices


def _sums(found: Replay, under: str) -> list[str]:
    number = len(found.lines)
    said = [f"{_questions(number)} of the ledger {under}: {found.moved} would have gone to another model."]
    if found.priced:
        said.append(
            f"Cost: {money.row(found.was_micro)} then, {money.row(found.would_micro)} now"
            f"{_change(found.was_micro, found.would_micro)}{_of(len(found.priced), number)}."
        )
    else:
        said.append("Cost: of no question are both prices known.")
    if found.timed:
        said.append(
            f"Time: {found.was_seconds:,.1f} s then, {found.would_seconds:,.1f} s now"
            f"{_change(found.was_seconds, found.would_seconds)}{_of(len(found.timed), number)}."
        )
    else:
        said.append("Time: the ledger does not know how fast these models are.")
    if found.unanswered:
        said.append(f"{_questions(found.unanswered)} nobody could have answered under it.")
    if found.skipped:
        lines = "1 line was" if found.skipped == 1 else f"{found.skipped:,} lines were"
        said.append(f"{lines} left out: no answer came, or nobody counted.")
    return said


def _questions(number: int) -> str:
    return "1 question" if number == 1 else f"{number:,} questions"


def _change(then: float, now: float) -> str:
    """In per cent, where that says something."""
    return f" ({(now - then) / then:+.0%})" if then > 0 else ""


def _of(known: int, number: int) -> str:
    return "" if known == number else f", for the {known:,} of {number:,} questions where both are known"


def _rows(found: Replay) -> list[tuple[str, ...]]:
    """One for each pair of models, the most frequent first."""
    pairs: dict[tuple[str, str], list[Replayed]] = {}
    for line in found.lines:
        pairs.setdefault((line.step.model, line.model or "nobody"), []).append(line)
    ordered = sorted(pairs.items(), key=lambda pair: (-len(pair[1]), pair[0]))
    return [(*names, *_figures(lines)) for names, lines in ordered]


def _figures(lines: list[Replayed]) -> tuple[str, ...]:
    then, now = [line.step.cost.micro for line in lines], [line.cost.micro for line in lines]
    before, after = [line.step.seconds for line in lines], [line.seconds for line in lines]
    return (f"{len(lines):,}", _micro(then), _micro(now), _seconds(before), _seconds(after))


def _micro(amounts: list[int | None]) -> str:
    return money.row(sum(amount for amount in amounts if amount is not None)) if None not in amounts else "not known"


def _seconds(spans: list[float | None]) -> str:
    return f"{sum(span for span in spans if span is not None):,.1f}" if None not in spans else "not known"
