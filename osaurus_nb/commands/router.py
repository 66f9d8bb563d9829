"""`osaurus-nb router …` and `%osaurus router …`: what is left, what was spent, and where to pay in."""

from __future__ import annotations

from argparse import ArgumentParser, ArgumentTypeError, Namespace
from collections.abc import Awaitable, Callable
from decimal import Decimal, InvalidOperation
from typing import TYPE_CHECKING, TypeVar

from osaurus_nb import money
from osaurus_nb._portal import portal
from osaurus_nb.commands import home
from osaurus_nb.commands.grammar import Actions
from osaurus_nb.commands.person import Person
from osaurus_nb.commands.told import Told
from osaurus_nb.config.settings import Settings
from osaurus_nb.errors import ConfigError
from osaurus_nb.wire.osaurus_router import Balance, UsageRow

if TYPE_CHECKING:
    from osaurus_nb.providers.router_account import RouterAccount

T = TypeVar("T")

HELP = "the hosted Router's balance, usage and checkout"
ACTIONS = ("balance", "usage", "checkout")
_MICRO = 1_000_000
_HEAD = ("time", "model", "in", "out", "cost", "status")


def configure(parser: ArgumentParser) -> None:
    """Teach `parser` the actions. Without one, the balance and the last calls are told."""
    parser.set_defaults(act=_overview, limit=10)
    actions = Actions(parser)
    actions.add("balance", _balance, "what is left")
    usage = actions.add("usage", _usage, "the calls that were made, newest first")
    usage.add_argument("--limit", type=int, choices=range(1, 101), default=50, metavar="N", help="1 to 100 rows")
    checkout = actions.add("checkout", _checkout, "where to pay an amount in")
    checkout.add_argument("amount", type=_micro, metavar="AMOUNT", help="in dollars, e.g. 10 or 7.50")


def _overview(options: Namespace, person: Person) -> Told:
    async def ask(account: RouterAccount) -> tuple[Balance, tuple[UsageRow, ...]]:
        return await account.balance(), (await account.usage(limit=options.limit)).rows

    (balance, rows), address = asked(person, ask)
    return Told(_said(balance, address), _HEAD if rows else (), [_row(row) for row in rows])


def _balance(options: Namespace, person: Person) -> Told:
    balance, address = asked(person, lambda account: account.balance())
    return Told(_said(balance, address))


def _usage(options: Namespace, person: Person) -> Told:
    page, address = asked(person, lambda account: account.usage(limit=options.limit))
    if not page.rows:
        return Told([f"{address} has made no call."])
    more = [f"These are the newest {len(page.rows)}."] if page.next_cursor else []
    return Told((), _HEAD, [_row(row) for row in page.rows], more)


def _checkout(options: Namespace, person: Person) -> Told:
    checkout, address = asked(person, lambda account: account.checkout(options.amount))
    return Told([f"To pay {money.balance(options.amount)} in for {address}, open:", checkout.url])


def asked(person: Person, ask: Callable[[RouterAccount], Awaitable[T]]) -> tuple[T, str]:
    """What the account answers, and whose it is. Raises ConfigError, and whatever the Router says."""
    from osaurus_nb.providers.http import HttpDoor  # noqa: PLC0415 - a heavy door, behind every command's --help
    from osaurus_nb.providers.router import RouterSettings, router_source  # noqa: PLC0415

    settings = Settings.from_env()
    if not settings.router:
        raise ConfigError("The Router is switched off: OSAURUS_ROUTER says so.")
    signer = home.identity(person).signer

    async def call() -> tuple[T, str]:
        async with HttpDoor() as door:
            account = router_source(RouterSettings(settings.router_url), lambda: signer, door).account()
            return await ask(account), account.address

    return portal().run(call())


def _said(balance: Balance, address: str) -> list[str]:
    frozen = " The account is frozen: it pays for nothing." if balance.frozen else ""
    return [f"Balance of {address}: {money.balance(balance.micro)}.{frozen}"]


def _row(row: UsageRow) -> tuple[str, ...]:
    tokens = f"{row.input_tokens:,}", f"{row.output_tokens:,}"
    return (row.created_at, row.model, *tokens, money.row(row.cost_micro), row.status)


def _micro(text: str) -> int:
    try:
        amount = Decimal(text.strip().removeprefix("$"))
    except InvalidOperation:
        raise ArgumentTypeError("an amount is a number of dollars, e.g. 10 or 7.50") from None
    micro = amount * _MICRO if amount.is_finite() else Decimal(0)
    if micro <= 0 or micro != int(micro) or micro > 10**15:
        raise ArgumentTypeError("an amount is a positive number of dollars, e.g. 10 or 7.50")
    return int(micro)
