"""Power fails at any moment, and what was not synced is gone: a line that was told to be written is there.

A simulation, with the real SQLCipher: every write, cut and sync that it asks of the system is recorded. At a moment of
the record each file is what it was at its own last sync, plus none, all, or a random choice of the writes since then.
What it does not show is whether a disk keeps its word about a sync, or a file system its directory.
"""

from __future__ import annotations

import pickle
import random
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from osaurus_nb import database
from osaurus_nb.database import DatabaseFailed
from osaurus_nb.ledger.chain import broken_at
from osaurus_nb.ledger.schema import SELECT, entry_of
from tests.ledger.conftest import slots_of

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="the recorder knows the files of POSIX")

COUNT, POINTS = 60, 250
#: The first journal is long removed by then.
FILES = ("ledger.sqlite", "ledger.sqlite-wal")
Event = tuple[Any, ...]
#: What becomes of the writes since the last sync.
FATES: tuple[Callable[[Sequence[Event], random.Random], Sequence[Event]], ...] = (
    lambda since, chance: (),
    lambda since, chance: [event for event in since if chance.random() < 0.5],
    lambda since, chance: since[: chance.randrange(len(since) + 1)],
)


def test_no_line_that_was_told_is_lost(tmp_path):
    """Synced in full, each commit survives whatever the disk had not been told to keep."""
    lost = crashes(tmp_path, "FULL")

    assert lost == []


def test_the_simulation_can_fail(tmp_path):
    """Synced as usual, it does lose lines: the test above would notice."""
    lost = crashes(tmp_path, "NORMAL")

    assert len(lost) > POINTS / 4


def crashes(folder: Path, synchronous: str) -> list[str]:
    """What was lost, over many moments."""
    home, record = folder / "home", folder / "record"
    script = Path(__file__).with_name("flight.py")
    command = [sys.executable, str(script), str(home), str(record), synchronous, str(COUNT)]
    subprocess.run(command, check=True, cwd=Path(__file__).parents[2])
    key, chance = slots_of(home).key("ledger").hex(), random.Random(11)

    lost = []
    for number, (told, files) in enumerate(moments(pickle.loads(record.read_bytes()), chance)):
        crashed = folder / f"crash{number}"
        crashed.mkdir()
        for name, data in files.items():
            (crashed / name).write_bytes(data)
        lost += [f"{number}: {what}" for what in missing(crashed / "ledger.sqlite", key, told)]
    return lost


def moments(events: Sequence[Event], chance: random.Random) -> Iterator[tuple[list[str], dict[str, bytes]]]:
    """Random moments after the first line was told: what was told until then, and what is on the disk."""
    begin, end = events.index(("told", "s0")), events.index(("end",))
    chosen = sorted(chance.sample(range(begin + 1, end + 1), min(POINTS, end - begin)))
    told: list[str] = []
    synced: dict[str, bytearray] = {}
    since: dict[str, list[Event]] = {}
    for number, event in enumerate(events[: end + 1]):
        if number in chosen:
            fate = FATES[number % len(FATES)]
            yield (
                list(told),
                {name: after(synced.get(name, b""), fate(since.get(name, ()), chance)) for name in FILES},
            )
        if event[0] == "told":
            told.append(event[1])
        elif event[1:] == ("sync",):
            synced[event[0]] = bytearray(after(synced.get(event[0], b""), since.pop(event[0], [])))
            since[event[0]] = []
        elif len(event) > 1:
            since.setdefault(event[0], []).append(event)


def after(data: bytes | bytearray, events: Sequence[Event]) -> bytes:
    made = bytearray(data)
    for _, what, place, *written in events:
        if what == "cut":
            del made[place:]
        else:
            made.extend(bytes(max(place - len(made), 0)))
            made[place : place + len(written[0])] = written[0]
    return bytes(made)


def missing(file: Path, key: str, told: Sequence[str]) -> list[str]:
    connection = database.connect(file, key)
    try:
        with database.told():
            lines = [entry_of(row) for row in connection.execute(f"{SELECT} ORDER BY seq")]
    except DatabaseFailed:
        return ["all"]
    finally:
        connection.close()
    gone = set(told) - {line.step for line in lines}
    return [*sorted(gone), *(["the chain"] if broken_at(lines) is not None else [])]
