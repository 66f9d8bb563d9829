"""Makes osaurus_nb/routing/intent_weights.json anew, from the learning half of the labelled prompts alone.

    .venv/bin/python benchmarks/intent/learn.py            # writes the weights
    .venv/bin/python benchmarks/intent/learn.py --check    # five-fold trial within the learning half, writes nothing

Multinomial logistic regression over the named features, in plain Python, the same on every machine: no randomness.
The held-out half is not looked at, except that no prompt in it may be nearly one of the other half.
"""

from __future__ import annotations

import json
import math
import sys
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path

from labelled import ALIKE, Labelled, halves, nearest

from osaurus_nb.routing.intent import LABELS, LEVELS
from osaurus_nb.routing.intent_features import features

TARGET = Path(__file__).resolve().parents[2] / "osaurus_nb/routing/intent_weights.json"
#: Passes over the prompts, first step, and how strongly weights are drawn to nothing.
PASSES, STEP, DECAY = 60, 0.35, 0.02
#: Single words are many and seen seldom: they count less, and only if so many prompts have them.
WORD, WORD_SEEN = 0.5, 3
Weights = Mapping[str, Sequence[float]]
Example = tuple[Mapping[str, float], int]


def learn(examples: Sequence[Example], classes: int, balancing: float = 0.5) -> dict[str, list[float]]:
    """One weight for each feature and class. `balancing` 0 counts every prompt alike, 1 every class."""
    shares = Counter(target for _, target in examples)
    balance = [
        (len(examples) / classes / shares[each]) ** balancing if shares[each] else 1.0 for each in range(classes)
    ]
    weights: dict[str, list[float]] = defaultdict(lambda: [0.0] * classes)
    grown: dict[str, list[float]] = defaultdict(lambda: [1e-2] * classes)
    decay = DECAY / len(examples) * 10
    for _ in range(PASSES):
        for seen, target in examples:
            shares_ = softmax(scores(weights, seen, classes))
            for feature, value in seen.items():
                row, squares = weights[feature], grown[feature]
                for each in range(classes):
                    slope = (shares_[each] - (each == target)) * value * balance[target] + decay * row[each]
                    squares[each] += slope * slope
                    row[each] -= STEP * slope / math.sqrt(squares[each])
    return dict(weights)


def scores(weights: Weights, seen: Mapping[str, float], classes: int) -> list[float]:
    total = [0.0] * classes
    for feature, value in seen.items():
        row = weights.get(feature)
        if row is not None:
            for each in range(classes):
                total[each] += row[each] * value
    return total


def softmax(values: Sequence[float]) -> list[float]:
    top = max(values)
    grown = [math.exp(value - top) for value in values]
    return [value / sum(grown) for value in grown]


def valued(found: Sequence[str], known: Mapping[str, int]) -> dict[str, float]:
    """What each feature counts; words that are seen seldom are left out."""
    return {
        each: WORD if each.startswith("w:") else 1.0
        for each in found
        if known[each] >= (WORD_SEEN if each.startswith("w:") else 2)
    }


def taught(prompts: Sequence[Labelled]) -> tuple[dict[str, list[float]], dict[str, list[float]]]:
    """The weights of the labels and those of the levels."""
    seen = [features(prompt.text) for prompt in prompts]
    known = Counter(each for found in seen for each in found)
    rows = [valued(found, known) for found in seen]
    pairs = list(zip(rows, prompts, strict=True))
    labels = learn([(row, LABELS.index(prompt.label)) for row, prompt in pairs], len(LABELS))
    levels = learn(
        [
            ({name: value for name, value in row.items() if value == 1.0}, LEVELS.index(prompt.complexity))
            for row, prompt in pairs
            if prompt.complexity in LEVELS
        ],
        len(LEVELS),
        balancing=0.8,
    )
    return labels, levels


def scored(weights: Weights, found: Sequence[str], classes: int) -> list[float]:
    return scores(weights, {each: WORD if each.startswith("w:") else 1.0 for each in found}, classes)


Tried = tuple[list[float], str, str]


def trial(prompts: Sequence[Labelled], folds: int = 5) -> tuple[list[Tried], list[Tried]]:
    """Scores, the right answer and the text, for labels and levels, of prompts that were left out in turn."""
    by_label: list[Tried] = []
    by_level: list[Tried] = []
    for fold in range(folds):
        labels, levels = taught([prompt for place, prompt in enumerate(prompts) if place % folds != fold])
        for prompt in prompts[fold::folds]:
            found = features(prompt.text)
            by_label.append((scored(labels, found, len(LABELS)), prompt.label, prompt.text))
            if prompt.complexity in LEVELS:
                by_level.append((scored(levels, found, len(LEVELS)), prompt.complexity, prompt.text))
    return by_label, by_level


def heat(tried: Sequence[Tried], names: Sequence[str]) -> float:
    """What to divide scores by, so that confidences are as often right as they say, on prompts left out in turn."""

    def surprise(divisor: float) -> float:
        return -sum(
            math.log(softmax([score / divisor for score in scores_])[names.index(truth)]) for scores_, truth, _ in tried
        )

    return min((step / 10 for step in range(5, 60)), key=surprise)


def macro(tried: Sequence[Tried], names: Sequence[str]) -> float:
    """The mean over all answers of how often each was found."""
    found = {
        name: [
            names[max(range(len(names)), key=scores_.__getitem__)] == name
            for scores_, truth, _ in tried
            if truth == name
        ]
        for name in names
    }
    for name, each in found.items():
        print(f"  {name:15}{sum(each):4} of {len(each):4}")
    return sum(sum(each) / len(each) for each in found.values()) / len(names)


def rounded(weights: Weights) -> dict[str, list[int]]:
    """Hundredths of what a feature adds; what hardly weighs is left out."""
    rows = {
        name: [round(value * 100 * (WORD if name.startswith("w:") else 1.0)) for value in row]
        for name, row in sorted(weights.items())
    }
    return {name: row for name, row in rows.items() if max(map(abs, row)) >= 5}


def main() -> None:
    learning, held_out = halves()
    likeness, one, other = nearest(learning, held_out)
    if likeness >= ALIKE:
        raise SystemExit(f"too alike across the halves ({likeness:.2f}): {one!r} and {other!r}")
    by_label, by_level = trial(learning)
    print(f"labels {macro(by_label, LABELS):.3f}, on prompts of the learning half left out in turn")
    print(f"levels {macro(by_level, LEVELS):.3f}")
    if "--check" in sys.argv:
        for scores_, truth, text in by_label:
            guess = LABELS[scores_.index(max(scores_))]
            if guess != truth:
                print(f"  {truth} taken for {guess}: {text[:110]!r}")
        return
    labels, levels = taught(learning)
    table = {
        "labels": LABELS,
        "levels": LEVELS,
        "label_heat": heat(by_label, LABELS),
        "level_heat": heat(by_level, LEVELS),
        "label_weights": rounded(labels),
        "level_weights": rounded(levels),
    }
    text = json.dumps(table, ensure_ascii=False, separators=(",", ":")).replace("],", "],\n")
    TARGET.write_text(f"{text}\n", "utf-8")
    print(f"{TARGET.name}: {len(rounded(labels))} and {len(rounded(levels))} features, {TARGET.stat().st_size} bytes")
    print(f"scores are divided by {table['label_heat']} and {table['level_heat']}")


if __name__ == "__main__":
    main()
