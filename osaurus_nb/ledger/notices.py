"""What a user is told of the ledger's file, one plain sentence for each thing that can happen to it."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from osaurus_nb.database import Fault

UNKEPT = "Spending is not kept: it is counted in memory, and forgotten when this process ends."
NO_PLACE = "Spending is counted in memory only: both names for the ledger's file are taken by files that are not ours."
ROLLED_BACK = (
    "An older copy of the ledger was put back, or lines were taken out of it: "
    "the vault remembers a line that is not in it. What was spent in between is missing from all sums."
)
#: Faults that do not pass by themselves.
FAULTS: Mapping[Fault, str] = {
    "readonly": "The ledger's folder or file cannot be written. Spending is counted in memory until this process ends.",
    "damaged": "The ledger's file cannot be read. Spending is counted in memory until this process ends.",
    "missing": (
        "The ledger is encrypted with the package 'sqlcipher3', which is not installed. "
        "Spending is counted in memory until this process ends. Install osaurus-nb[jupyter] to keep it."
    ),
    "newer": (
        "A newer version wrote the ledger, and this one does not touch it. "
        "Spending is counted in memory until this process ends. Update osaurus-nb."
    ),
}
WAITING: Mapping[Fault, str] = {
    "readonly": "The ledger cannot be written just now. Lines wait in memory, and are written as soon as it can be.",
    "full": "The disk is full. Lines of the ledger wait in memory, and are written as soon as there is room.",
}
SLOW = "The ledger cannot be written just now. Lines wait in memory, and are written as soon as it can be."


def no_key(why: Exception) -> str:
    """`why` says what to do about it, and never holds a secret."""
    return f"Spending is not persisted, only counted in memory, for there is no key to close the ledger with. {why}"


def gone(file: Path, *, emptied: bool) -> str:
    what = "is empty" if emptied else "is gone"
    return f"The ledger's file {file.name} {what}, and held lines before. A new one was started; the old sums are lost."


def damaged(aside: Path) -> str:
    return f"The ledger's file was damaged. It was kept as {aside.name}, and a new one was started."


def key_lost(aside: Path) -> str:
    return f"The ledger was closed with another key, which is lost. It was kept as {aside.name}; a new one was started."


def stranger(file: Path) -> str:
    return f"The file {file.name} is not ours and cannot be read. It stays as it is; the ledger is a file beside it."


def dropped(count: int) -> str:
    return f"{count} lines of the ledger were lost: too many waited to be written."
