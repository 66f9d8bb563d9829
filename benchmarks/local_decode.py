"""Tokens a second of the embedded model through our worker, socket and client, beside `mlx_lm` in one process.

    python benchmarks/local_decode.py [--quick]

Both have the model loaded in a process of its own, with the same environment and so the same threads; one runs while
the other waits. Greedy, the same prompt, the same number of tokens; the rate counts from the first token to the last.
Four answers at once through the worker are shown beside it: that is what batching brings.
"""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

from _measure import alternate, arguments, table, verdict
from _stage import ROOT, model_home

from osaurus_nb import Client
from osaurus_nb.events import TextDelta
from osaurus_nb.local.library import LocalModel

GOAL = 0.95
AT_ONCE = 4
PROMPT = "Write a long story about a lighthouse keeper who finds a message in a bottle."


class Plain:
    """The reference process."""

    def __init__(self, stdin: IO[str], stdout: IO[str]) -> None:
        self._stdin, self._stdout = stdin, stdout
        self.settings: dict[str, Any] = json.loads(stdout.readline())

    def rate(self, tokens: int) -> tuple[float, str]:
        ask = {"messages": [{"role": "user", "content": PROMPT}], "max_tokens": tokens}
        self._stdin.write(json.dumps(ask) + "\n")
        self._stdin.flush()
        told = json.loads(self._stdout.readline())
        assert told["tokens"] == tokens, "the answer ended early: choose another prompt"
        return told["rate"], told["text"]


@contextmanager
def plain(model: LocalModel) -> Iterator[Plain]:
    cache = model.folder.parents[1] / "cache"
    command = [sys.executable, str(Path(__file__).with_name("_plain_mlx.py")), str(model.folder), str(cache), model.id]
    with subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        try:
            yield Plain(process.stdin, process.stdout)
        finally:
            process.terminate()


def through_worker(client: Client, tokens: int, prompt: str = PROMPT) -> tuple[float, str]:
    """Tokens a second as the client sees them, and the text."""
    stream, times = client.stream(prompt, temperature=0, max_tokens=tokens), []
    for event in stream.events():
        if isinstance(event, TextDelta):
            times.append(time.perf_counter())
    usage = stream.reply.usage
    assert usage is not None
    assert usage.total_output == tokens, "the answer ended early: choose another prompt"
    return (tokens - 1) / (times[-1] - times[0]), stream.reply.text


def together(client: Client, tokens: int) -> float:
    """Tokens a second of several answers at once, all told; their prompts are read before the clock starts."""
    asks = [f"{PROMPT} Her name is {name}." for name in ("Ada", "Mary", "Grace", "Emmy")[:AT_ONCE]]
    for ask in asks:
        through_worker(client, 2, ask)
    threads = [threading.Thread(target=client.chat, args=(ask,), kwargs=_limits(tokens)) for ask in asks]
    began = time.perf_counter()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return AT_ONCE * tokens / (time.perf_counter() - began)


def _limits(tokens: int) -> dict[str, Any]:
    return {"temperature": 0, "max_tokens": tokens}


def main() -> None:
    given = arguments(__doc__, rounds=7)
    tokens = 32 if given.quick else 192
    with model_home() as model, plain(model) as reference, Client(embedded=True, model=model.id) as client:
        print(f"  {model.id}: {reference.settings}")
        taken = alternate(
            {
                "mlx_lm.stream_generate": lambda: reference.rate(tokens),
                "worker, socket, client": lambda: through_worker(client, tokens),
            },
            given.rounds,
        )
        batch = statistics.median(together(client, tokens) for _ in range(min(given.rounds, 3)))
    texts = {text for runs in taken.values() for _, text in runs}
    rates = {name: statistics.median(rate for rate, _ in runs) for name, runs in taken.items()}
    reference_rate, ours = rates.values()
    rates[f"{AT_ONCE} answers at once, total"] = batch
    rows = {name: [rate, rate / reference_rate] for name, rate in rates.items()}
    table(f"Decoding {tokens} tokens, greedy", ["tokens/s", "ratio"], rows)
    print(f"  both say the same: {'yes' if len(texts) == 1 else 'NO, so the rates cannot be compared'}")
    verdict("ours over mlx_lm alone", ours / reference_rate, GOAL, at_least=True)


if __name__ == "__main__":
    main()
