"""Writers that are killed, and many at once: what was told to be written is there, once, and the rest is explained."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path

import pytest

from osaurus_nb.ledger.chain import broken_at
from osaurus_nb.ledger.schema import SELECT, entry_of
from osaurus_nb.spending import Query
from tests.ledger.conftest import slots_of

pytestmark = pytest.mark.anyio

ROOT = Path(__file__).parents[2]
ROUNDS = 300
ALL = Query(limit=1_000_000)


async def test_kill_nine_loses_no_line_that_was_told(home, ledger):
    """Hundreds of writers are killed in the midst of it: none of their lines is lost or double, and sums are right."""
    slots_of(home).key("ledger")
    told = subprocess.run(scribe(home, "--kill", ROUNDS), capture_output=True, text=True, check=True, cwd=ROOT).stdout
    acknowledged = [line.split() for line in told.splitlines() if len(line.split()) == 2]

    lines = await ledger.entries(ALL)
    status = await ledger.check()
    [(settled, reserved)] = await ledger.spent(["day:x"])
    kinds = {line.step: line.kind for line in lines}
    orphans = [line for line in lines if line.orphan]

    assert len(acknowledged) > 2 * ROUNDS
    assert [step for word, step in acknowledged if step not in kinds] == []
    assert [step for word, step in acknowledged if word == "settled" and kinds[step] != "settle"] == []
    assert len(kinds) == len(lines) == status.rows
    assert (settled, reserved) == (30 * (len(lines) - len(orphans)), 50 * len(orphans))
    assert len(orphans) == sum(kind == "open" for kind in kinds.values()) > 0
    assert status.notices == ()
    assert broken_at(every_line(ledger)) is None


async def test_an_orphan_is_told_from_a_call_under_way(home, ledger):
    """While its process lives an open line is under way; after a kill it was charged perhaps, unseen."""
    slots_of(home).key("ledger")
    child = subprocess.Popen([sys.executable, "-c", HOLD, home], stdout=subprocess.PIPE, text=True, cwd=ROOT)
    assert child.stdout is not None
    child.stdout.readline()

    [under_way] = await ledger.entries()
    child.send_signal(signal.SIGKILL)
    child.wait()
    [orphan] = await ledger.entries()
    found = await ledger.entries(Query(orphans=True))
    locks = list((home / "billing/writers").glob("*.lock"))

    assert (under_way.alive, under_way.orphan) == (True, False)
    assert (orphan.alive, orphan.orphan) == (False, True)
    assert found == [orphan]
    assert len(locks) == 1


async def test_eight_processes_write_one_chain(home, ledger):
    """Nothing is lost and nothing is double; every line vouches for the one before it, whoever wrote it."""
    slots_of(home).key("ledger")
    writers = [
        subprocess.Popen(scribe(home, f"w{number}", 25), stdout=subprocess.PIPE, cwd=ROOT) for number in range(8)
    ]

    told = [writer.communicate()[0] for writer in writers]
    lines = await ledger.entries(ALL)

    assert [writer.returncode for writer in writers] == [0] * 8
    assert sum(line.count(b"opened") for line in told) == 200
    assert len(lines) == len({line.step for line in lines}) == 200
    assert await ledger.spent(["day:x"]) == [(30 * 200, 0)]
    assert broken_at(every_line(ledger)) is None


async def test_processes_together_stay_under_one_cap(home, ledger):
    """Fifty calls from five processes under one cap: exactly as many as fit."""
    slots_of(home).key("ledger")
    command = [scribe(home, f"w{number}", 10, 1_020) for number in range(5)]
    writers = [subprocess.Popen(each, stdout=subprocess.PIPE, cwd=ROOT) for each in command]

    told = b"".join(writer.communicate()[0] for writer in writers)

    assert told.count(b"opened") == 20
    assert told.count(b"refused") == 30
    assert await ledger.spent(["day:x"]) == [(0, 1_000)]


async def test_what_was_added_is_written_when_the_interpreter_ends(home, ledger):
    """Nobody has to close the ledger for its last lines to be kept."""
    script = """if True:
        import sys
        from pathlib import Path
        from osaurus_nb.config.paths import Paths
        from osaurus_nb.ledger.store import LedgerStore
        from tests.ledger.conftest import slots_of
        from tests.ledger.lines import settled
        home = Path(sys.argv[1])
        ledger = LedgerStore(Paths(home), slots_of(home))
        for number in range(100):
            ledger.add(settled(f"s{number}"))
    """

    subprocess.run([sys.executable, "-c", script, home], check=True, cwd=ROOT)

    assert len(await ledger.entries(ALL)) == 100


HOLD = """
import asyncio, sys
from pathlib import Path
from osaurus_nb.config.paths import Paths
from osaurus_nb.ledger.store import LedgerStore
from tests.ledger.conftest import slots_of
from tests.ledger.lines import opened
async def main():
    home = Path(sys.argv[1])
    ledger = LedgerStore(Paths(home), slots_of(home))
    await ledger.open(opened("kept"))
    print("open", flush=True)
    await asyncio.sleep(60)
asyncio.run(main())
"""


def scribe(home: Path, *arguments: object) -> list[str]:
    return [sys.executable, str(Path(__file__).with_name("scribe.py")), str(home), *map(str, arguments)]


def every_line(ledger):
    return ledger._desk.read(lambda db: [entry_of(row) for row in db.execute(f"{SELECT} ORDER BY seq")])
