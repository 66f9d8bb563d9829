"""The Osaurus Router's wire format: Chat Completions with rules of its own for money. Pure: no I/O, no clock."""

from osaurus_nb.wire.osaurus_router.account import (
    MINIMUM_TOP_UP,
    Balance,
    Checkout,
    Estimate,
    Page,
    Transaction,
    UsageRow,
    read_balance,
    read_checkout,
    read_estimate,
    read_transactions,
    read_usage,
)
from osaurus_nb.wire.osaurus_router.cards import decode_models
from osaurus_nb.wire.osaurus_router.decode import Emptiness, RouterDecoder
from osaurus_nb.wire.osaurus_router.faults import fault
from osaurus_nb.wire.osaurus_router.outbound import DEFAULT_MAX_TOKENS, Frozen, encode_request, freeze

__all__ = [
    "DEFAULT_MAX_TOKENS",
    "MINIMUM_TOP_UP",
    "Balance",
    "Checkout",
    "Emptiness",
    "Estimate",
    "Frozen",
    "Page",
    "RouterDecoder",
    "Transaction",
    "UsageRow",
    "decode_models",
    "encode_request",
    "fault",
    "freeze",
    "read_balance",
    "read_checkout",
    "read_estimate",
    "read_transactions",
    "read_usage",
]
