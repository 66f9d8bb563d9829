"""What a plan costs over 300 models: their first sight, the first question of a kind, and every other one.

    python benchmarks/routing.py [--quick] [--rounds N]

The intent of a question is given here; what it takes to judge it is measured in `benchmarks/intent`. Times are those of
the process's own CPU, and the garbage collector runs as it does in use.
"""

from __future__ import annotations

import random
import statistics
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from decimal import Decimal
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT), str(ROOT / "benchmarks")]

from _measure import arguments, percentile, table, verdict  # noqa: E402

from osaurus_nb.messages import assistant, user  # noqa: E402
from osaurus_nb.models import Capabilities, ModelCard, Price  # noqa: E402
from osaurus_nb.request import ChatRequest, Tool  # noqa: E402
from osaurus_nb.routes import MODES, Profile, Requirements  # noqa: E402
from osaurus_nb.routing.health import Health  # noqa: E402
from osaurus_nb.routing.intent import Intent  # noqa: E402
from osaurus_nb.routing.learning import Learning  # noqa: E402
from osaurus_nb.routing.planner import CALM, Planner, Situation  # noqa: E402

MODELS, WARM = 300, 200
INTENT = Intent("code", 0.9, "chat", 0.05, "high", 0.8)


def catalogue(seed: int) -> tuple[ModelCard, ...]:
    """As many invented models, of seven providers, as told of as real ones are."""
    draw = random.Random(seed)
    return tuple(
        ModelCard(
            f"family-{draw.choice('abcdef')}{number}-{draw.choice([1, 7, 32, 70, 120])}b"
            if number % 2
            else f"m{number}",
            f"provider-{number % 7}",
            context_length=draw.choice([8_192, 32_768, 131_072, 200_000, 1_000_000]),
            capabilities=Capabilities(*(draw.choice([True, True, False, None]) for _ in range(6))),
            price=Price(Decimal(draw.randint(1, 500)) / 100, Decimal(draw.randint(1, 2_000)) / 100)
            if number % 10
            else None,
        )
        for number in range(MODELS)
    )


def questions(count: int) -> Sequence[ChatRequest]:
    """Of different lengths; every third one offers tools, every fifth goes on with a conversation."""
    draw = random.Random(7)
    return [
        ChatRequest(
            "osaurus/auto",
            (*([user("Hello"), assistant("Hello!")] if number % 5 == 0 else []), user("word " * draw.randint(20, 400))),
            tools=(Tool("look_up"),) if number % 3 == 0 else (),
        )
        for number in range(count)
    ]


def situation(cards: Sequence[ModelCard], *, told: bool, kept: bool = False) -> Situation:
    """With twenty models of which something was learnt, a held conversation and a budget.

    `told`: the names of those models and the providers in trouble are given too, so that nobody else is asked about.
    `kept`: what was learnt is the same record each time, as between two calls, and not worked out anew.
    """
    health, learning = Health(), Learning()
    known = cards[::15]
    for card in known:
        for _ in range(5):
            learning.note(card, "code", True, 0.6, 60.0)
    records = {card.name: learning.record(card, "code") for card in known}
    return Situation(
        wait=health.wait,
        record=(lambda card, _: records.get(card.name)) if kept else learning.record,
        ejected=health.ejected(tuple({card.provider for card in cards})),
        held=cards[3].name,
        budget_left_micro=50_000_000,
        troubled=frozenset(each.provider for each in health.conditions()) if told else None,
        known=[card.name for card in known] if told else None,
    )


def timed(work: Callable[[], object]) -> float:
    """Microseconds of CPU."""
    began = time.process_time_ns()
    work()
    return (time.process_time_ns() - began) / 1e3


def main() -> None:
    given = arguments(__doc__, rounds=30)
    asked, profile = questions(WARM), Profile("auto", requirements=Requirements(min_context=8_000))
    Planner(lambda _: INTENT).plan(asked[0], catalogue(0), profile)  # reads the weights
    seen, cold, warm, laid, spared, kept = [], [], [], [], [], []
    for number in range(given.rounds):
        cards = catalogue(number)
        planner = Planner(lambda _: INTENT)
        seen.append(timed(lambda: planner.prepare(cards)))  # noqa: B023 - called at once
        for kind in MODES:
            cold.append(timed(lambda: planner.plan(asked[1], cards, replace(profile, mode=kind))))  # noqa: B023
        for situations, figures in (
            (CALM, warm),
            (situation(cards, told=False), laid),
            (situation(cards, told=True), spared),
            (situation(cards, told=True, kept=True), kept),
        ):
            for each in asked:
                planner.plan(each, cards, profile, situations)  # every kind of these questions was seen once
            figures += [timed(lambda: planner.plan(each, cards, profile, situations)) for each in asked]  # noqa: B023
    rows = {
        "first sight of the models": seen,
        "first question of a kind": cold,
        "another question, nothing known": warm,
        "another question, each model asked about": laid,
        "another question, told of whom to ask": spared,
        "the same, records as before": kept,
    }
    table(
        f"a plan over {MODELS} models, µs of CPU",
        ["p50", "p95"],
        {name: (statistics.median(figures), percentile(figures, 0.95)) for name, figures in rows.items()},
    )
    verdict("cold", statistics.median(cold) / 1e3, 1.0, unit=" ms")
    verdict("warm", statistics.median(kept) / 1e3, 0.1, unit=" ms")


if __name__ == "__main__":
    main()
