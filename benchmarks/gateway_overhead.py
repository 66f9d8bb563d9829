"""CPU of the serving process for a question with a whole answer: our endpoint beside what any endpoint costs here.

    python benchmarks/gateway_overhead.py [--quick]

References, on the same kind of server in another process (`_minimum.py`): B, a bare authenticated `APIHandler` with
a fixed answer and no upstream; J, the least that is a gateway. Ours does all of its work: key, checks, naming, plan,
an exchange with the upstream, deadlines, headers. "Same": the caller and the provider speak Chat Completions;
"translated": the provider speaks Anthropic Messages. Load and upstream share a core, the servers have the other one.
"""

from __future__ import annotations

from collections.abc import Callable

from _load import cost, question
from _measure import alternate, arguments, medians, pin, table, verdict
from _stage import SMALL_MODEL, Running, endpoint, fast_upstream, home, references

SAME, TRANSLATED = "ours, same", "ours, translated"
LONG_ANSWER = "m?words=64"
LEAST, BARE = "J: least gateway", "B: bare handler"
Rival = Callable[[int], float]


def rival(server: Running, model: str, *, connections: int = 16, long: bool = False) -> Rival:
    body = question(model, long=long)
    return lambda count: cost(server, body, count, connections)


def run(rivals: dict[str, Rival], count: int, rounds: int) -> dict[str, float]:
    """CPU us of each, taken in turns."""
    for each in rivals.values():
        each(count // 4)
    turns = {name: lambda each=each: [each(count)] for name, each in rivals.items()}
    return {name: medians(runs)[0] for name, runs in alternate(turns, rounds, warm_up=False).items()}


def short_questions(bare: Running, least: Running, ours: Running, count: int, rounds: int) -> None:
    taken = run(
        {
            BARE: rival(bare, "m"),
            LEAST: rival(least, "fast"),
            SAME: rival(ours, "chat/m"),
            TRANSLATED: rival(ours, "claude/m"),
            f"{SAME}, 64 words": rival(ours, f"chat/{LONG_ANSWER}"),
            f"{TRANSLATED}, 64 words": rival(ours, f"claude/{LONG_ANSWER}"),
        },
        count,
        rounds,
    )
    rows = {name: [cpu, cpu / taken[BARE], cpu / taken[LEAST]] for name, cpu in taken.items()}
    table("A short question, 16 connections: CPU of the server", ["us a request", "of B", "of J"], rows)
    verdict("same, over the bare handler", taken[SAME] / taken[BARE], 1.5)
    verdict("translated, over the bare handler", taken[TRANSLATED] / taken[BARE], 2.5)


def many_connections(least: Running, ours: Running, count: int, rounds: int) -> None:
    rivals = {}
    for name, server, model in ((LEAST, least, "fast"), (SAME, ours, "chat/m"), (TRANSLATED, ours, "claude/m")):
        for connections in (16, 64):
            rivals[f"{name} {connections}"] = rival(server, model, connections=connections)
    taken = run(rivals, count, rounds)
    rows = {}
    for name in (LEAST, SAME, TRANSLATED):
        few, many = taken[f"{name} 16"], taken[f"{name} 64"]
        rows[name] = [few, many, many / few]
    table("More connections: CPU of the server", ["us, 16", "us, 64", "ratio"], rows)
    verdict("same, 64 connections over 16", rows[SAME][2], 1.15)
    verdict("translated, 64 connections over 16", rows[TRANSLATED][2], 1.15)


def long_questions(least: Running, ours: Running, count: int, rounds: int) -> None:
    taken = run(
        {
            LEAST: rival(least, "fast", long=True),
            SAME: rival(ours, "chat/m", long=True),
            TRANSLATED: rival(ours, "claude/m", long=True),
        },
        count,
        rounds,
    )
    rows = {name: [cpu, cpu / taken[LEAST]] for name, cpu in taken.items()}
    table("A question of 200 KB, 16 connections", ["us a request", "of J"], rows)
    verdict("same, 200 KB, over the least gateway", rows[SAME][1], 1.0)


def main() -> None:
    given = arguments(__doc__, rounds=5)
    with (
        fast_upstream() as provider,
        home({"chat": provider.url, "claude": provider.url}, model=SMALL_MODEL, formats={"claude": "anthropic"}),
        endpoint() as ours,
        references(provider.url) as (bare, least),
    ):
        for process, core in ((provider.pid, 0), (0, 0), (ours.pid, 1), (bare.pid, 1)):
            pin(process, core)
        count = 400 if given.quick else 4000
        short_questions(bare, least, ours, count, given.rounds)
        many_connections(least, ours, count, given.rounds)
        long_questions(least, ours, max(count // 8, 100), given.rounds)


if __name__ == "__main__":
    main()
