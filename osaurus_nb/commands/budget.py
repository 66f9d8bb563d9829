"""`osaurus-nb budget …` and `%osaurus budget …`: how much may be spent, and models' prices of one's own."""

from __future__ import annotations

from argparse import ArgumentParser, ArgumentTypeError, Namespace
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from decimal import Decimal
from typing import TypeVar

from osaurus_nb import money
from osaurus_nb.commands import home
from osaurus_nb.commands.grammar import Actions
from osaurus_nb.commands.person import Person
from osaurus_nb.commands.told import Told
from osaurus_nb.config.billing import BillingFile, BillingSettings
from osaurus_nb.config.paths import Paths
from osaurus_nb.errors import ConfigError, LedgerUnreadable, RequestError
from osaurus_nb.models import ROUTER, Price
from osaurus_nb.providers import registry
from osaurus_nb.spending import BudgetState

HELP = "how much may be spent: each question, cell, notebook, day, key, provider"
ACTIONS = ("day", "notebook", "cell", "request", "key", "provider", "price", "off")
_HEAD = ("budget", "limit", "spent", "set aside", "left")
#: What is capped by one amount: its name in the settings, and in a sentence.
_SINGLE = {
    "day": "a day",
    "notebook": "a notebook",
    "cell": "one run of a cell",
    "request": "one question",
}
#: Under which scope each is added up.
_SCOPES = {"cell": "run", "key": "key", "provider": "provider", "day": "day", "notebook": "notebook"}
V = TypeVar("V")


def configure(parser: ArgumentParser) -> None:
    """Teach `parser` the actions. Without one, the budgets are listed."""
    parser.set_defaults(act=_list)
    actions = Actions(parser)
    for name, what in _SINGLE.items():
        single = actions.add(name, _set, f"no more than this for {what}")
        single.add_argument("amount", type=_amount, metavar="AMOUNT", help="in dollars, e.g. 5 or 0.50; or `off`")
        single.set_defaults(name=name)
    for name, what in (("key", "an issued key, by its id"), ("provider", "a provider")):
        named = actions.add(name, _set_named, f"no more than this in a calendar month for {what}")
        named.add_argument("id", metavar="ID" if name == "key" else "NAME")
        named.add_argument("amount", type=_amount, metavar="AMOUNT", help="in dollars; or `off`")
        named.set_defaults(name=name)
    price = actions.add("price", _price, "what a model costs, before all that others say")
    price.add_argument("model", metavar="MODEL", help="its whole name, PROVIDER/ID")
    price.add_argument("input", type=_rate, metavar="INPUT", help="dollars for a million tokens; or `off`")
    price.add_argument("output", type=_rate, metavar="OUTPUT", nargs="?", default=None)
    price.add_argument("--cache-read", type=_rate, default=None, metavar="DOLLARS")
    price.add_argument("--cache-write", type=_rate, default=None, metavar="DOLLARS")
    actions.add("off", _off, "lift all budgets")


def _list(options: Namespace, person: Person) -> Told:
    billing = _file()
    settings = billing.read()
    states, notes = _states(person)
    rows = [_row(name, id, limit, states) for name, id, limit in _limits(settings)]
    prices = [f"Your own price: {_priced(model, price)}" for model, price in settings.prices.items()]
    none = f"There is no budget. {person.spelled('budget day 5')} caps a day's spending at $5.00."
    return Told(prices if rows else [none, *prices], _HEAD if rows else (), rows, [*billing.problems, *notes])


def _states(person: Person) -> tuple[Sequence[BudgetState], Sequence[str]]:
    """How far each is used up, as far as that can be told."""
    home.ask_passphrase(person)
    try:
        with person.books() as ledger:
            return ledger.budgets(), ()
    except LedgerUnreadable as error:
        return (), [str(error)]


def _limits(settings: BillingSettings) -> list[tuple[str, str | None, int]]:
    single = [(name, None, getattr(settings, name)) for name in _SINGLE if getattr(settings, name) is not None]
    keys = [("key", id, limit) for id, limit in settings.keys.items()]
    return [*single, *keys, *(("provider", slug, limit) for slug, limit in settings.providers.items())]


def _row(name: str, id: str | None, limit: int, states: Sequence[BudgetState]) -> tuple[str, ...]:
    title = _SINGLE[name].removeprefix("a ") if id is None else f"{name} {id}, a month"
    scope = f"{_SCOPES.get(name, name)}:{f'{id}@' if id is not None else ''}"
    state = next((state for state in states if state.cap.scope.startswith(scope)), None)
    if state is None:
        return (title, money.row(limit), "", "", "")
    return (
        title,
        money.row(limit),
        money.row(state.spent_micro),
        money.row(state.reserved_micro),
        money.balance(state.left_micro),
    )


def _set(options: Namespace, person: Person) -> Told:
    _edit(lambda settings: replace(settings, **{options.name: options.amount}))
    return Told([_said(options.amount, _SINGLE[options.name])])


def _set_named(options: Namespace, person: Person) -> Told:
    id = _slug(options.id) if options.name == "provider" else options.id
    if options.name == "provider":
        _edit(lambda settings: replace(settings, providers=_with(settings.providers, id, options.amount)))
    else:
        _edit(lambda settings: replace(settings, keys=_with(settings.keys, id, options.amount)))
    return Told([_said(options.amount, f"{options.name} '{id}' in a calendar month")])


def _price(options: Namespace, person: Person) -> Told:
    if options.input is not None and options.output is None:
        raise ConfigError("A price has two parts: dollars for a million tokens in, and for a million out.")
    price = None
    if options.input is not None:
        price = Price(options.input, options.output, options.cache_read, options.cache_write)
    _edit(lambda settings: replace(settings, prices=_with(settings.prices, options.model, price)))
    if price is None:
        return Told([f"'{options.model}' has no price of your own any more."])
    return Told([f"{_priced(options.model, price)} This goes before what providers and tables say."])


def _off(options: Namespace, person: Person) -> Told:
    _edit(lambda settings: replace(settings, request=None, cell=None, notebook=None, day=None, keys={}, providers={}))
    return Told(["No budget holds any more."])


def _edit(change: Callable[[BillingSettings], BillingSettings]) -> None:
    _file().edit(change)


def _file() -> BillingFile:
    return BillingFile(Paths.from_env())


def _slug(name: str) -> str:
    return ROUTER if name == ROUTER else registry.find(name).slug


def _with(known: Mapping[str, V], name: str, value: V | None) -> dict[str, V]:
    """With this under this name; with None without it."""
    rest = {each: kept for each, kept in known.items() if each != name}
    return rest if value is None else {**rest, name: value}


def _said(micro: int | None, what: str) -> str:
    if micro is None:
        return f"No budget holds for {what} any more."
    return f"No more than {money.full(micro)} is spent for {what}. What could cost more is not asked."


def _priced(model: str, price: Price) -> str:
    more = [("read from cache", price.cache_read), ("written to cache", price.cache_write)]
    told = [
        f"${price.input:f} in",
        f"${price.output:f} out",
        *(f"${rate:f} {n}" for n, rate in more if rate is not None),
    ]
    return f"'{model}' costs {', '.join(told)}, for a million tokens each."


def _amount(text: str) -> int | None:
    if text.lower() == "off":
        return None
    try:
        return money.parse(text)
    except RequestError:
        raise ArgumentTypeError("an amount is a number of dollars, e.g. 5 or 0.50, or `off`") from None


def _rate(text: str) -> Decimal | None:
    micro = _amount(text)
    return None if micro is None else Decimal(micro) / 1_000_000
