"""A writer in a process of its own: says which lines are on the disk, and goes on until it is killed or done.

    python tests/ledger/scribe.py HOME NAME [COUNT [CAP]]
    python tests/ledger/scribe.py HOME --kill ROUNDS

With `--kill` it starts writers that never end, one after the other, and kills each in the midst of it.
"""

from __future__ import annotations

import asyncio
import os
import random
import signal
import sys
import time
from dataclasses import replace
from itertools import count
from pathlib import Path

from osaurus_nb.config.paths import Paths
from osaurus_nb.ledger.store import LedgerStore
from osaurus_nb.secrets import Secrets
from osaurus_nb.spending import Cost, Entry

LINE = Entry("open", "", 1, 1_795_262_400.0, "openai", "gpt-5", "openai/gpt-5", reserved_micro=50)


async def write(home: Path, name: str, most: int | None, cap: int | None) -> None:
    ledger = LedgerStore(Paths(home), Secrets(Paths(home), env={"OSAURUS_VAULT_KEY": "5a" * 32}).slots)
    for number in count() if most is None else range(most):
        step = f"{name}-{number}"
        over = await ledger.open(replace(LINE, step=step), {"day:x": cap})
        say(f"{'refused' if over else 'opened'} {step}\n")
        if over is None and cap is None:
            ledger.add(replace(LINE, step=step, kind="settle", cost=Cost(30, "table")))
            if number % 3 == 0:
                await ledger.flush()
                say(f"settled {step}\n")
    await ledger.aclose()


def say(line: str) -> None:
    os.write(1, line.encode())


def kill_in_turns(home: Path, rounds: int) -> None:
    chance = random.Random(rounds)
    for number in range(rounds):
        reading, writing = os.pipe()
        child = os.fork()
        if child == 0:
            os.dup2(writing, 1)
            asyncio.run(write(home, f"r{number}", None, None))
        os.close(writing)
        with os.fdopen(reading, "rb") as told:
            first = told.readline()
            time.sleep(chance.uniform(0, 0.02))
            os.kill(child, signal.SIGKILL)
            os.waitpid(child, 0)
            say((first + told.read()).decode())


if __name__ == "__main__" and sys.argv[2] == "--kill":
    kill_in_turns(Path(sys.argv[1]), int(sys.argv[3]))
elif __name__ == "__main__":
    given = [int(argument) for argument in sys.argv[3:]]
    asyncio.run(write(Path(sys.argv[1]), sys.argv[2], *[*given, None, None][:2]))
