"""`osaurus-nb ledger export|diagnostics|verify|reconcile`, with a real ledger and the reference Router."""

from __future__ import annotations

import asyncio
import json
import shutil
import stat
import subprocess
import sys
import time
from argparse import ArgumentParser
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest

from osaurus_nb import database
from osaurus_nb.client import Client
from osaurus_nb.commands import ledger_care, ledger_files
from osaurus_nb.commands.grammar import Actions, perform
from osaurus_nb.commands.person import Notebook, Terminal
from osaurus_nb.commands.told import Told
from osaurus_nb.config.paths import Paths
from osaurus_nb.errors import ConfigError
from osaurus_nb.ledger.store import LedgerStore, Retention
from osaurus_nb.models import Usage
from osaurus_nb.secrets import secrets_of
from osaurus_nb.spending import Cost, Entry, Origin

CANARY = "canary-7f3a: the capital\nof France?"
Ledger = Callable[[str], Told]


@pytest.fixture
def ledger(vault: Path, monkeypatch: pytest.MonkeyPatch) -> Ledger:
    """One `ledger` command, in a folder of its own."""
    here = vault / "here"
    here.mkdir()
    monkeypatch.chdir(here)

    def ran(line: str) -> Told:
        parser = ArgumentParser()
        actions = Actions(parser)
        ledger_care.configure(actions)
        ledger_files.configure(actions)
        return perform(parser.parse_args(line.split()), Terminal({}))

    return ran


@pytest.fixture
def router(vault: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """Where it is; every command here asks it."""
    command = [sys.executable, "-m", "osaurus_nb.testing.router"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        url = process.stdout.readline().strip()
        monkeypatch.setenv("OSAURUS_ROUTER_URL", url)
        yield url
        process.kill()


def call(step: str, **more: object) -> Entry:
    """One paid call, with a prompt wherever a stranger could have put one."""
    line = Entry(
        "settle",
        step,
        1,
        time.time(),
        "openai",
        "gpt-5",
        "openai/gpt-5",
        origin=Origin("session", CANARY, CANARY),
        request_id=CANARY,
        finish_reason=CANARY,
        answered=CANARY,
        usage=Usage(10, 5),
        token_source="provider",
        cost=Cost(1234, "provider"),
        outcome="rendered",
    )
    return replace(line, **more)


def keep(home: Path, *calls: Entry, rows: int = 100) -> None:
    """Put calls into the ledger as a process does: an open line, then its end."""

    async def kept() -> None:
        vault = secrets_of(Paths(home))
        vault.unlock()
        store = LedgerStore(Paths(home), vault.slots, retention=Retention(rows))
        for line in calls:
            await store.open(replace(line, kind="open", usage=Usage(), cost=Cost(None), outcome=None))
            if line.kind != "open":
                store.add(line)
        await store.flush()
        await store.aclose()

    asyncio.run(kept())


def test_an_export_is_signed_and_verifies_without_a_home(vault, ledger, run, monkeypatch):
    """One command writes it for its owner alone, another one checks it anywhere, and says whose it is."""
    address = run("identity create").out.split()[2].rstrip(".")
    keep(vault, call("s1"), call("s2"))

    made = ledger("export mine.jsonl")
    monkeypatch.setenv("OSAURUS_HOME", str(vault / "a-colleague"))
    checked = ledger(f"verify mine.jsonl --address {address}")

    assert "4 lines" in made.lines[0]
    assert stat.S_IMODE(Path("mine.jsonl").stat().st_mode) == 0o600
    assert checked.lines[0].endswith(f"signed by {address}.")
    assert not (vault / "a-colleague").exists()


def test_an_export_without_an_identity_says_so(vault, ledger):
    """It is written, and its note says that anybody could have made it and what makes an identity."""
    keep(vault, call("s1"))
    made = ledger("export")

    (file,) = Path().glob("osaurus-ledger-*.jsonl")
    assert any("anybody could have made it" in note for note in made.notes)
    assert any("identity create" in note for note in made.notes)
    assert "not signed" in ledger(f"verify {file}").lines[0]


def test_an_altered_export_fails_with_the_line(vault, ledger):
    """By its place in the file and its number in the ledger."""
    keep(vault, call("s1"), call("s2"))
    ledger("export mine.jsonl")
    file = Path("mine.jsonl")
    file.write_bytes(file.read_bytes().replace(b'"cost_micro":1234', b'"cost_micro":1235', 1))

    with pytest.raises(ledger_files.NotWhole, match=r"Line 3 \(number 2 of the ledger\) was altered"):
        ledger("verify mine.jsonl")


def test_they_are_words_of_the_ledger_command(vault, ledger, run):
    """`osaurus-nb ledger …` knows all four; a file that is not whole ends it with 1, for scripts to rely on."""
    keep(vault, call("s1"))

    made, good = run("ledger export mine.jsonl"), run("ledger verify mine.jsonl")
    told = run("ledger diagnostics mine.json")
    Path("mine.jsonl").write_bytes(Path("mine.jsonl").read_bytes()[:-9])
    bad, nobody = run("ledger verify mine.jsonl"), run("ledger reconcile")

    assert (made.code, good.code, told.code) == (0, 0, 0)
    assert (bad.code, nobody.code) == (1, 1)
    assert "The end is missing" in bad.err


def test_no_file_is_written_over(vault, ledger):
    """A notebook that was named by mistake stays as it is; what cannot be read or written is told."""
    Path("my.ipynb").write_text("{}")
    keep(vault, call("s1"))

    for line in ("export my.ipynb", "diagnostics my.ipynb", "export .", "verify nothing.jsonl", "verify ."):
        with pytest.raises(ConfigError):
            ledger(line)
    assert Path("my.ipynb").read_text() == "{}"
    assert ledger("export my.ipynb --replace").lines


def test_a_trimmed_ledger_is_exported_from_its_anchor(vault, ledger):
    """What was dropped for its age is told, and not missed."""
    keep(vault, *(call(f"s{number}") for number in range(8)), rows=3)
    ledger("export mine.jsonl")

    assert "older ones were trimmed before" in ledger("verify mine.jsonl").lines[0]


def test_diagnostics_are_the_apps_file(vault, ledger, run):
    """The wallet's address and a row for each call, for its owner alone; one provider's, if that is said."""
    address = run("identity create").out.split()[2].rstrip(".")
    keep(vault, call("s1"), call("s2", provider="other", model="m"))
    ledger("diagnostics all.json")
    ledger("diagnostics some.json --provider other")
    told, some = (json.loads(Path(name).read_text()) for name in ("all.json", "some.json"))

    assert told["walletAddress"] == address
    assert [row["costMicro"] for row in told["entries"]] == ["1234", "1234"]
    assert [row["turnId"] for row in some["entries"]] == ["s2"]
    assert stat.S_IMODE(Path("all.json").stat().st_mode) == 0o600


def test_no_file_has_content(vault, ledger):
    """Not where a stranger put a prompt in the place of an id or a name."""
    keep(vault, call("s1"), call(CANARY))
    ledger("export mine.jsonl")
    ledger("diagnostics mine.json")

    for name in ("mine.jsonl", "mine.json"):
        assert b"canary" not in Path(name).read_bytes()


def test_without_a_vault_there_is_no_ledger_to_export(home, monkeypatch, tmp_path):
    """It says why, instead of exporting nothing as if nothing had been spent."""
    monkeypatch.chdir(tmp_path)
    parser = ArgumentParser()
    ledger_files.configure(Actions(parser))

    with pytest.raises(ConfigError, match="No ledger is kept here"):
        perform(parser.parse_args(["export"]), Terminal({}))


def test_a_connected_kernel_says_where_the_ledger_is(vault):
    """Its own home may have another one, or none: neither is shown as if it were the server's."""
    parser = ArgumentParser()
    ledger_files.configure(Actions(parser))

    for line in ("export x.jsonl", "diagnostics x.json", "reconcile"):
        with pytest.raises(ConfigError, match="The server keeps the ledger"):
            perform(parser.parse_args(line.split()), Notebook(connected=True))


def test_what_broke_off_is_settled_by_the_routers_list(router, vault, ledger, run):
    """The list names the request of a dead process: that is its end, and the second time there is nothing to do."""
    charged(vault, run)
    die(vault, "s1", request_id="req_1")

    looked, done, again = ledger("reconcile --dry-run"), ledger("reconcile"), ledger("reconcile")

    assert looked.lines[0].startswith("Would be settled: 1 ")
    assert done.lines[0].startswith("Settled: 1 ")
    assert [row[0] for row in done.rows] == ["settled"]
    assert again.lines[0].startswith("Settled: 0 ")
    assert not again.rows


def test_what_could_be_a_charge_is_explained_and_left_to_a_person(router, vault, ledger, run):
    """A kernel died, and the list has a charge that it may have made: nothing is guessed, but it can be said."""
    charged(vault, run)
    die(vault, "s1", request_id="mine")

    told, accepted = ledger("reconcile"), ledger("reconcile --accept")

    assert told.lines[0].endswith("open: 1.")
    assert {row[0]: row[4] for row in told.rows} == {"open": "s1", "listed alone": "perhaps s1"}
    assert any("ledger reconcile --accept" in note for note in told.notes)
    assert [row[0] for row in accepted.rows] == ["settled"]
    assert not ledger("reconcile").rows


def test_reconciling_needs_the_router(vault, ledger):
    """Without an identity there is nobody's list to ask for."""
    with pytest.raises(ConfigError, match="identity create"):
        ledger("reconcile")


def charged(home: Path, run: Callable[..., object]) -> None:
    """One charge at the Router that the ledger does not know."""
    run("identity create")
    with Client() as client:
        client.chat("hello there", model="osaurus/venice/model-b")
    shutil.rmtree(home / "billing", ignore_errors=True)


def die(home: Path, step: str, request_id: str) -> None:
    """A process that ends between sending a question and its answer."""
    subprocess.run([sys.executable, "-c", _DEAD, str(home), step, request_id], check=True)


_DEAD = """
import asyncio, os, sys, time
from pathlib import Path
from osaurus_nb.config.paths import Paths
from osaurus_nb.ledger.store import LedgerStore
from osaurus_nb.secrets import secrets_of
from osaurus_nb.spending import Entry

paths, step, request_id = Paths(Path(sys.argv[1])), sys.argv[2], sys.argv[3]
model = "venice/model-b"

async def main():
    vault = secrets_of(paths)
    vault.unlock()
    entry = Entry("open", step, 1, time.time(), "osaurus", model, f"osaurus/{model}", request_id=request_id)
    await LedgerStore(paths, vault.slots).open(entry)
    os._exit(0)

asyncio.run(main())
"""


def in_clear(home: Path, *calls: Entry) -> Path:
    """A ledger as a program without a vault's key would have left it."""
    file = home / "billing" / "ledger.sqlite"
    file.parent.mkdir()
    with closing(database.connect(file, None)) as connection:
        connection.execute("PRAGMA user_version = 2")
    keep(home, *calls)
    return file


def test_a_ledger_in_clear_is_encrypted_on_request(vault, ledger):
    """Once; said again, it is told that there is nothing to do. No line is lost."""
    file = in_clear(vault, call("s1"), call("s2"))
    assert database.plain(file)

    first, second = ledger("encrypt"), ledger("encrypt")

    assert first.lines == ["The ledger is encrypted now; the vault keeps its key."]
    assert second.lines == ["The ledger is encrypted already. Nothing was changed."]
    assert not database.plain(file)
    assert "2 lines" in ledger("check").lines[0]


def test_without_a_vault_nothing_is_encrypted(home, ledger, monkeypatch):
    """A key that ends with the command would lose the ledger."""
    monkeypatch.delenv("OSAURUS_VAULT_KEY")

    with pytest.raises(ConfigError, match="stays as it is, for its key would not be kept"):
        ledger("encrypt")


def test_a_whole_ledger_is_said_to_be_one(vault, ledger):
    """How far it was read is told with it."""
    keep(vault, call("s1"))

    assert ledger("check").lines == ["The ledger was read from end to end, 1 line: nothing in it is damaged."]


def test_damage_is_found_by_a_check(vault, ledger):
    """The command fails, says where the old file is, and leaves a ledger that works."""
    keep(vault, *(call(f"s{number}") for number in range(50)))
    file = vault / "billing" / "ledger.sqlite"
    content = bytearray(file.read_bytes())
    content[len(content) // 2] ^= 0xFF
    file.write_bytes(content)

    with pytest.raises(ledger_care.LedgerDamaged, match="damaged"):
        ledger("check")

    assert list(file.parent.glob("ledger.sqlite.damaged-*"))
    keep(vault, call("later"))
    assert "nothing in it is damaged" in notebook_check().lines[0]


def notebook_check() -> Told:
    """As a cell of an embedded kernel says it, whose process knows of the damage."""
    parser = ArgumentParser()
    ledger_care.configure(Actions(parser))
    return perform(parser.parse_args(["check"]), Notebook())
