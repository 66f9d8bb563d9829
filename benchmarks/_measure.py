"""What all benchmarks share: rivals in turns, medians, CPU of a process, a table, a verdict. It never fails."""

from __future__ import annotations

import argparse
import os
import platform
import statistics
import sys
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TypeVar

import psutil  # type: ignore[import-untyped]

T = TypeVar("T")


def arguments(doc: str | None, *, rounds: int, quick: int = 1) -> argparse.Namespace:
    """`--quick` and `--rounds`; a quick run shows that the script works, its figures mean little."""
    parser = argparse.ArgumentParser(description=doc, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="a short run, to see that it works")
    parser.add_argument("--rounds", type=int, default=None, help=f"measured rounds; {rounds}, quick {quick}")
    given = parser.parse_args()
    given.rounds = given.rounds or (quick if given.quick else rounds)
    load = f", load {os.getloadavg()[0]:.1f}" if hasattr(os, "getloadavg") else ""
    machine = f"{platform.system()} {platform.machine()}, {os.cpu_count()} cores{load}"
    print(f"{sys.argv[0]}: Python {platform.python_version()}, {machine}, {given.rounds} rounds")
    return given


def alternate(rivals: Mapping[str, Callable[[], T]], rounds: int, *, warm_up: bool = True) -> dict[str, list[T]]:
    """Each rival's figures, taken in turns; every other round runs backwards, and a first round is thrown away."""
    taken: dict[str, list[T]] = {name: [] for name in rivals}
    for number in range(-1 if warm_up else 0, rounds):
        names = list(rivals)[:: 1 if number % 2 == 0 else -1]
        for name in names:
            figure = rivals[name]()
            if number >= 0:
                taken[name].append(figure)
    return taken


def medians(rows: Iterable[Sequence[float]]) -> list[float]:
    """The median of each column."""
    return [statistics.median(column) for column in zip(*rows, strict=True)]


def percentile(values: Sequence[float], share: float) -> float:
    """The value that `share` of the values do not pass."""
    ranked = sorted(values)
    return ranked[min(len(ranked) - 1, int(len(ranked) * share))]


def cpu_of(pid: int) -> float:
    """CPU seconds of all threads of one process, its children left out."""
    if sys.platform == "linux":  # to the nanosecond; what the system counts for others comes in ticks of 10 ms
        return time.clock_gettime_ns((~pid << 3) | 2) / 1e9
    spent = psutil.Process(pid).cpu_times()
    return spent.user + spent.system


def cpu_of_tree(pid: int) -> float:
    """CPU seconds of a process and of all that it started and that still run."""
    return sum(cpu_of(each) for each in (pid, *(child.pid for child in psutil.Process(pid).children(recursive=True))))


def pin(pid: int, core: int) -> None:
    """Keep a process on one core, where the system can and there is more than one."""
    if hasattr(os, "sched_setaffinity") and (os.cpu_count() or 1) > 1:
        os.sched_setaffinity(pid, {core})


def table(title: str, heads: Sequence[str], rows: Mapping[str, Sequence[float | None]]) -> None:
    """One line for each name; None leaves a cell empty."""
    width = max(24, *(len(name) + 2 for name in rows))
    print(f"\n{title}\n  {'':{width}}" + "".join(f"{head:>16}" for head in heads))
    for name, figures in rows.items():
        print(f"  {name:{width}}" + "".join(f"{_cell(figure):>16}" for figure in figures))


def verdict(what: str, ours: float, goal: float, *, unit: str = "", at_least: bool = False) -> None:
    """Say whether a goal is met. That is all: a benchmark never fails."""
    met = ours >= goal if at_least else ours <= goal
    bound = "at least" if at_least else "at most"
    print(f"  {'goal met   ' if met else 'goal missed'}  {what}: {_cell(ours)}{unit}, {bound} {goal:g}{unit}")


def _cell(figure: float | None) -> str:
    if figure is None:
        return ""
    return f"{figure:,.0f}" if abs(figure) >= 100 else f"{figure:.3g}"
