"""The commands that terminal and notebook share, by name, in the order in which they are offered."""

from __future__ import annotations

from argparse import ArgumentParser
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from osaurus_nb.commands import budget, doctor, identity, ledger, profiles, providers, router, usage, vault


@dataclass(frozen=True, slots=True)
class Command:
    """`configure` teaches a parser its words; `actions` are those that can stand behind its name."""

    help: str
    configure: Callable[[ArgumentParser], None]
    actions: Sequence[str]


COMMANDS: Mapping[str, Command] = {
    "providers": Command(providers.HELP, providers.configure, providers.ACTIONS),
    "doctor": Command(doctor.HELP, doctor.configure, doctor.ACTIONS),
    "vault": Command(vault.HELP, vault.configure, vault.ACTIONS),
    "identity": Command(identity.HELP, identity.configure, identity.ACTIONS),
    "router": Command(router.HELP, router.configure, router.ACTIONS),
    "profiles": Command(profiles.HELP, profiles.configure, profiles.ACTIONS),
    "ledger": Command(ledger.HELP, ledger.configure, ledger.ACTIONS),
    "usage": Command(usage.HELP, usage.configure, usage.ACTIONS),
    "budget": Command(budget.HELP, budget.configure, budget.ACTIONS),
}
