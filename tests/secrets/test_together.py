"""Several processes and threads change one vault at once: nothing is lost, nothing is mixed up."""

from __future__ import annotations

import shutil
import subprocess
import sys
import tempfile
import threading
from pathlib import Path

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from osaurus_nb.config.paths import Paths
from osaurus_nb.secrets import API_KEY, Secrets, VaultDamaged, header
from osaurus_nb.secrets.file import VaultFile
from osaurus_nb.secrets.keychain import Keychain
from tests.secrets.backends import Crowded
from tests.secrets.conftest import KEY

WRITER = """
import sys
from pathlib import Path
from osaurus_nb.config.paths import Paths
from osaurus_nb.secrets import API_KEY, Head, RolledBack, Secrets, header
from osaurus_nb.secrets.keychain import Keychain

home, me, env = Path(sys.argv[1]), sys.argv[2], dict(word.split("=") for word in sys.argv[3:])
secrets = Secrets(Paths(home), env=env, keychain=Keychain(allowed=[]))
print(secrets.slots.key("ledger").hex())
for number in range(20):
    secrets.set(f"{me}-{number}", API_KEY, f"sk-{me}-{number}")
    secrets.set(f"{me}-{number}", header("X"), "short-lived")
    assert secrets.get(f"{me}-{number}", API_KEY) == f"sk-{me}-{number}"
    secrets.delete(f"{me}-{number}", header("X"))
    if me == "0" and "OSAURUS_INSECURE_KEY_FILE" in env and number % 5 == 4:
        secrets.keep("file")
"""


@pytest.mark.parametrize("env", [{"OSAURUS_VAULT_KEY": KEY}, {"OSAURUS_INSECURE_KEY_FILE": "1"}], ids=["given", "file"])
def test_processes_lose_nothing(tmp_path, env):
    """Four found the vault at once and write 80 secrets while its key changes: all are there, with one ledger key."""
    words = [f"{name}={value}" for name, value in env.items()]
    command = [sys.executable, "-c", WRITER, str(tmp_path)]

    writers = [
        subprocess.Popen([*command, str(me), *words], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        for me in range(4)
    ]
    outcomes = [writer.communicate(timeout=120) for writer in writers]

    secrets = Secrets(Paths(tmp_path), env=env, keychain=Keychain(allowed=[]))
    assert [fault for _, fault in outcomes] == [""] * 4
    assert len({key for key, _ in outcomes}) == 1
    for me in range(4):
        for number in range(20):
            owner = f"{me}-{number}"
            assert (secrets.names(owner), secrets.get(owner, API_KEY)) == ((API_KEY,), f"sk-{owner}")
    assert secrets.status().set_aside == ()
    assert [file.name for file in (tmp_path / "secrets").iterdir() if file.name.endswith(".tmp")] == []


def test_threads_lose_nothing(process):
    """One object serves all threads of a process: readers see old or new, never a fault."""
    secrets = process(OSAURUS_VAULT_KEY=KEY)
    secrets.set("shared", API_KEY, "sk-0")
    faults: list[object] = []

    def write(me: int) -> None:
        for number in range(15):
            secrets.set(f"{me}-{number}", API_KEY, f"sk-{me}-{number}")
            secrets.set("shared", API_KEY, f"sk-{number}")
            found = secrets.get("shared", API_KEY)
            if found not in {f"sk-{known}" for known in range(15)}:
                faults.append(found)

    threads = [threading.Thread(target=write, args=(me,)) for me in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert faults == []
    assert all(secrets.get(f"{me}-{n}", API_KEY) == f"sk-{me}-{n}" for me in range(4) for n in range(15))


def test_two_who_found_the_vault_at_once_found_one(process, use):
    """Whoever comes second takes the first one's vault, and his own key out of the keychain again."""
    keychain = use(Crowded())
    one, other = process(), process()

    threads = [
        threading.Thread(target=who.set, args=(name, API_KEY, f"sk-{name}")) for who, name in ((one, "P"), (other, "Q"))
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert len(keychain.items) == 1
    assert [process().get(name, API_KEY) for name in "PQ"] == ["sk-P", "sk-Q"]
    assert [who.get(name, API_KEY) for who in (one, other) for name in "PQ"] == ["sk-P", "sk-Q"] * 2


def test_a_vault_that_took_the_damaged_ones_place_is_not_put_aside(process, paths):
    """Who saw the damage, but was slower than the one who put things right, leaves the new vault alone."""
    process(OSAURUS_VAULT_KEY=KEY).set("P", API_KEY, "sk-old")
    slow = VaultFile(paths.home / "secrets/vault.bin")
    seen = slow._stamp()
    slow.path.write_bytes(b"damaged")
    with pytest.raises(VaultDamaged):
        process(OSAURUS_VAULT_KEY=KEY).get("P", API_KEY)
    process(OSAURUS_VAULT_KEY=KEY).set("P", API_KEY, "sk-new")

    put_aside = slow._put_aside(seen)

    assert not put_aside
    assert process(OSAURUS_VAULT_KEY=KEY).get("P", API_KEY) == "sk-new"


OWNERS = st.sampled_from(["P", "Q", "p", "osaurus", "P/Q", "é"])
NAMES = st.sampled_from([API_KEY, header("X-Team"), header("x-team"), "apikey"])
VALUES = st.text(st.characters(min_codepoint=33, max_codepoint=126), min_size=1, max_size=60)
WHO = st.sampled_from([0, 1, 2])


class Processes(RuleBasedStateMachine):
    """Three processes of one home, in any order, against a plain dictionary."""

    def __init__(self) -> None:
        super().__init__()
        self.home = Path(tempfile.mkdtemp())
        self.processes = [self.started() for _ in range(3)]
        self.model: dict[tuple[str, str], str] = {}

    def started(self) -> Secrets:
        env = {"OSAURUS_INSECURE_KEY_FILE": "1"}
        return Secrets(Paths(self.home), env=env, variables=lambda *_: (), keychain=Keychain(allowed=[]))

    @rule(who=WHO, owner=OWNERS, name=NAMES, value=VALUES)
    def set(self, who: int, owner: str, name: str, value: str) -> None:
        assert self.processes[who].set(owner, name, value).lasting
        self.model[owner, name] = value

    @rule(who=WHO, owner=OWNERS, name=NAMES)
    def delete(self, who: int, owner: str, name: str) -> None:
        self.processes[who].delete(owner, name)
        self.model.pop((owner, name), None)

    @rule(who=WHO, owner=OWNERS)
    def delete_provider(self, who: int, owner: str) -> None:
        self.processes[who].delete(owner)
        self.model = {place: value for place, value in self.model.items() if place[0] != owner}

    @precondition(lambda self: self.model)
    @rule(who=WHO)
    def change_the_key(self, who: int) -> None:
        self.processes[who].keep("file")

    @rule(who=WHO)
    def wipe(self, who: int) -> None:
        self.processes[who].close()

    @rule(who=WHO)
    def restart(self, who: int) -> None:
        self.processes[who] = self.started()

    @invariant()
    def all_see_the_same(self) -> None:
        for secrets in self.processes:
            for owner in ("P", "Q", "p", "osaurus", "P/Q", "é"):
                for name in (API_KEY, header("X-Team"), header("x-team"), "apikey"):
                    assert secrets.get(owner, name) == self.model.get((owner, name))

    def teardown(self) -> None:
        shutil.rmtree(self.home)


TestProcesses = Processes.TestCase
TestProcesses.settings = settings(max_examples=25, stateful_step_count=20, deadline=None)
TestProcesses.__doc__ = "Whatever three processes do to one vault, in whatever order, it is what a dictionary would be."
