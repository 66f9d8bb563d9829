"""Numbers in Prometheus' text format, version 0.0.4. Pure: it only counts and writes."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Iterator, Mapping, Sequence

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
#: So many series has a family at most; what comes later counts under this label.
MOST, OTHER = 500, "other"
#: Bounds in seconds, from an answer out of memory to one that nearly was given up.
SECONDS = (0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0, 300.0)

Labels = tuple[str, ...]
#: A name, what it means, the names of its labels, and a value for each set of labels.
Gauge = tuple[str, str, Sequence[str], Iterable[tuple[Labels, float]]]


class Counter:
    """A number for each set of labels, that only grows."""

    def __init__(self, name: str, help: str, *labels: str) -> None:
        self._name, self._help, self._labels = name, help, labels
        self._values: dict[Labels, float] = {}

    def add(self, *labels: str, by: float = 1) -> None:
        key = _bounded(self._values, labels)
        self._values[key] = self._values.get(key, 0) + by

    def lines(self) -> Iterator[str]:
        yield from _head(self._name, self._help, "counter")
        for labels, value in self._values.items():
            yield (
                f"{self._name}{_written(self._labels, labels)} {value:g}"
                if value < 1e6
                else (f"{self._name}{_written(self._labels, labels)} {value:.0f}")
            )


class Histogram:
    """How many seconds something took, for each set of labels."""

    def __init__(self, name: str, help: str, *labels: str, bounds: Sequence[float] = SECONDS) -> None:
        self._name, self._help, self._labels, self._bounds = name, help, labels, tuple(bounds)
        self._counts: dict[Labels, list[int]] = {}
        self._sums: dict[Labels, float] = {}

    def add(self, *labels: str, seconds: float) -> None:
        key = _bounded(self._counts, labels)
        counts = self._counts.setdefault(key, [0] * (len(self._bounds) + 1))
        counts[bisect_left(self._bounds, seconds)] += 1
        self._sums[key] = self._sums.get(key, 0.0) + seconds

    def lines(self) -> Iterator[str]:
        yield from _head(self._name, self._help, "histogram")
        for labels, counts in self._counts.items():
            passed = 0
            for bound, count in zip((*(f"{bound:g}" for bound in self._bounds), "+Inf"), counts, strict=True):
                passed += count
                yield f"{self._name}_bucket{_written((*self._labels, 'le'), (*labels, bound))} {passed}"
            yield f"{self._name}_sum{_written(self._labels, labels)} {self._sums[labels]:.6g}"
            yield f"{self._name}_count{_written(self._labels, labels)} {passed}"


def gauge(name: str, help: str, labels: Sequence[str], values: Iterable[tuple[Labels, float]]) -> Iterator[str]:
    """What is so now."""
    yield from _head(name, help, "gauge")
    for row, value in values:
        yield f"{name}{_written(labels, row)} {value:g}"


def _head(name: str, help: str, kind: str) -> Iterator[str]:
    yield f"# HELP {name} {help}"
    yield f"# TYPE {name} {kind}"


def _bounded(known: Mapping[Labels, object], labels: Labels) -> Labels:
    return labels if labels in known or len(known) < MOST else (OTHER,) * len(labels)


def _written(names: Sequence[str], values: Sequence[str]) -> str:
    if not names:
        return ""
    return "{" + ",".join(f'{name}="{_escaped(value)}"' for name, value in zip(names, values, strict=True)) + "}"


def _escaped(value: str) -> str:
    return value[:200].replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
