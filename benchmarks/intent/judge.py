"""How often the intent is right on the held-out half of the labelled prompts, and what a judgement costs.

    .venv/bin/python benchmarks/intent/judge.py            # accuracy, confusion, languages, levels, confidence, time
    .venv/bin/python benchmarks/intent/judge.py --wrong    # and every mistake

The weights are learned from the other half (learn.py). First come the sizes of the halves and their two most alike
prompts, which say whether the held-out half is really unseen.
"""

from __future__ import annotations

import statistics
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from labelled import Labelled, counted, halves, nearest

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from _measure import arguments, percentile

from osaurus_nb.routing.intent import LABELS, LEVELS, Intent, classify

GOAL, GOAL_US, LENGTH = 0.85, 300, 2_000
Judged = Sequence[tuple[Labelled, Intent]]


def main() -> None:
    wrong = "--wrong" in sys.argv
    sys.argv = [each for each in sys.argv if each != "--wrong"]
    given = arguments(__doc__, rounds=9, quick=3)
    learning, held_out = halves()
    judged = [(prompt, classify(prompt.text)) for prompt in held_out]
    likeness, one, other = nearest(learning, held_out)
    print(f"\n{len(learning)} to learn from; {len(held_out)} held out, {sum(p.hard for p in held_out)} of them hard")
    print(f"  most alike across the halves: {likeness:.2f} {one[:50]!r} {other[:50]!r}")
    labels(judged)
    languages(judged)
    levels(judged)
    confidence(judged)
    speed(given.rounds)
    if wrong:
        mistakes(judged)


def labels(judged: Judged) -> None:
    """The confusion, and the mean over all labels of how often each was found."""
    print(
        f"\nlabels; rows are right, columns said\n  {'':15}"
        + "".join(f"{label[:8]:>10}" for label in LABELS)
        + "     found"
    )
    found = []
    for label in LABELS:
        said = [intent.label for prompt, intent in judged if prompt.label == label]
        found.append(said.count(label) / len(said))
        print(f"  {label:15}" + "".join(f"{said.count(other) or '.':>10}" for other in LABELS) + f"{found[-1]:10.1%}")
    macro = statistics.mean(found)
    print(f"  macro {macro:.1%}, goal {GOAL:.0%}: {'goal met' if macro >= GOAL else 'goal missed'}")
    print(f"  all {_share(judged, _label):.1%}; hard ones {_share([e for e in judged if e[0].hard], _label):.1%}")
    print(f"  right at first or second guess {_share(judged, lambda p, i: p.label in {i.label, i.second}):.1%}")


def languages(judged: Judged) -> None:
    print("\nlanguages")
    for language, size in counted(prompt.language for prompt, _ in judged).items():
        print(f"  {language}: {_share([e for e in judged if e[0].language == language], _label):6.1%} of {size}")


def levels(judged: Judged) -> None:
    """Complexity of those that are about something and were taken so."""
    known = [each for each in judged if each[0].complexity in LEVELS and each[1].complexity in LEVELS]
    print(f"\ncomplexity; rows are right, columns said\n  {'':15}" + "".join(f"{level:>10}" for level in LEVELS))
    found = []
    for level in LEVELS:
        said = [intent.complexity for prompt, intent in known if prompt.complexity == level]
        found.append(said.count(level) / len(said))
        print(f"  {level:15}" + "".join(f"{said.count(other) or '.':>10}" for other in LEVELS) + f"{found[-1]:10.1%}")
    right = _share(known, lambda prompt, intent: prompt.complexity == intent.complexity)
    far = _share(known, lambda prompt, intent: {prompt.complexity, intent.complexity} == {"low", "high"})
    print(f"  macro {statistics.mean(found):.1%}, all {right:.1%}, low and high taken for each other {far:.1%}")


def confidence(judged: Judged) -> None:
    print("\nconfidence of the first label, and how often it is right")
    for low, high in ((0.0, 0.5), (0.5, 0.7), (0.7, 0.9), (0.9, 1.01)):
        some = [each for each in judged if low <= each[1].confidence < high]
        mean = statistics.mean(intent.confidence for _, intent in some) if some else 0.0
        print(f"  {low:.1f} to {min(high, 1.0):.1f}: said {mean:.1%}, right {_share(some, _label):.1%} of {len(some)}")


def speed(rounds: int) -> None:
    """CPU us for a judgement, in the median round, over texts of several languages."""
    print(f"\nCPU of a judgement, us; {LENGTH} characters, medians of {rounds} rounds")
    classify("warm up")
    worst = 0.0
    held_out = halves()[1]
    for language in counted(prompt.language for prompt in held_out):
        prose = " ".join(p.text for p in held_out if p.language == language and "\n" not in p.text)
        text = (prose * (1 + LENGTH // len(prose)))[:LENGTH]
        cost = statistics.median(_cost(lambda text=text: classify(text)) for _ in range(rounds))
        worst = max(worst, cost)
        print(f"  {language}: {cost:7.0f}")
    each = [_cost(lambda prompt=prompt: classify(prompt.text), 20) for prompt in held_out]
    print(f"  the held-out prompts as they are: p50 {percentile(each, 0.5):.0f}, p99 {percentile(each, 0.99):.0f}")
    print(f"  1 MB: {_cost(lambda: classify('Explain it. ' * 87_000), 20):.0f}")
    print(f"  worst language {worst:.0f}, goal {GOAL_US}: {'goal met' if worst <= GOAL_US else 'goal missed'}")


def mistakes(judged: Judged) -> None:
    print("\nmistakes")
    for prompt, intent in judged:
        if prompt.label != intent.label:
            print(f"  {prompt.label} taken for {intent.label} ({intent.confidence:.2f}): {prompt.text[:100]!r}")


def _cost(work: Callable[[], object], times: int = 50) -> float:
    before = time.process_time()
    for _ in range(times):
        work()
    return (time.process_time() - before) / times * 1e6


def _label(prompt: Labelled, intent: Intent) -> bool:
    return prompt.label == intent.label


def _share(judged: Judged, right: Callable[[Labelled, Intent], bool]) -> float:
    return sum(right(*each) for each in judged) / len(judged) if judged else 0.0


if __name__ == "__main__":
    main()
