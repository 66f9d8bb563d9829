"""Keys, the vault, the identity and the Router from a cell: typed at a prompt, and never saved with the notebook."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import keyring
import pytest
from keyring.backends.fail import Keyring as NoKeychain

import osaurus_nb as osaurus
from osaurus_nb import notebook
from osaurus_nb.client import Client
from osaurus_nb.config.paths import Paths
from osaurus_nb.identity.book import AccessKeys
from osaurus_nb.identity.identity import Identity
from osaurus_nb.secrets import API_KEY, Secrets, secrets_of

CANARY = "sk-canary-0123456789abcdef"
VAULT_KEY = "5a" * 32
PHRASE = " ".join(["abandon"] * 23 + ["diesel"])


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("OSAURUS_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("OSAURUS_VAULT_KEY", VAULT_KEY)
    for variable in ("OPENAI_API_KEY", "OSAURUS_URL", "OSAURUS_KEY"):
        monkeypatch.delenv(variable, raising=False)
    return tmp_path / "home"


@pytest.fixture
def no_keychain() -> Iterator[None]:
    """As on a machine that has none."""
    before = keyring.get_keyring()
    keyring.set_keyring(NoKeychain())
    yield
    keyring.set_keyring(before)


@pytest.fixture
def kernel_home(kernel, tmp_path: Path) -> Path:
    """The home of the kernel from now on."""
    home = tmp_path / "kernel-home"
    kernel.run(f"import os; os.environ.update(OSAURUS_HOME={str(home)!r}, OSAURUS_VAULT_KEY={VAULT_KEY!r})")
    return home


def typed(kernel, cell: str, *answers: str):
    """Run a cell and answer its prompts, each of which must hide what is typed."""
    request = kernel.start(cell)
    for answer in answers:
        asked = kernel.client.get_stdin_msg(timeout=30)["content"]
        assert asked["password"]
        kernel.client.input(answer)
    return kernel.finish(request)


def everything(kernel) -> str:
    """What is left of a session: the history, as cells and as IPython keeps it on the disk, and the results."""
    saved = kernel.value("__import__('json').dumps([In, [repr(v) for v in Out.values()]])")
    folder = Path(kernel.value("get_ipython().ipython_dir").strip("'"))
    kernel.run("get_ipython().history_manager.writeout_cache()")
    return saved + "".join(file.read_bytes().decode("latin-1") for file in folder.rglob("*") if file.is_file())


def test_a_key_is_typed_at_the_kernels_prompt_and_saved_nowhere(kernel, kernel_home):
    """`%osaurus key` and Python ask alike; outputs, history and home are free of it, and the vault has it."""
    kernel.run("%osaurus providers add openai")
    kernel.run("%osaurus providers add xai")

    first = typed(kernel, "%osaurus key openai", CANARY)
    second = typed(kernel, "import osaurus_nb as osaurus; osaurus.providers.key('xai')", CANARY)

    assert (first.status, second.status) == ("ok", "ok")
    assert "is kept" in first.last["text/plain"]
    messages = json.dumps([first.messages, second.messages], default=str)
    assert CANARY not in messages + everything(kernel)
    assert [file for file in kernel_home.rglob("*") if file.is_file() and CANARY.encode() in file.read_bytes()] == []
    secrets = Secrets(Paths(kernel_home), env={"OSAURUS_VAULT_KEY": VAULT_KEY})
    rows = json.loads((kernel_home / "providers" / "remote.json").read_text())["providers"]
    assert [secrets.get(row["id"], API_KEY) for row in rows] == [CANARY, CANARY]


def test_an_identity_is_restored_at_the_kernels_prompt(kernel, kernel_home):
    """A slip is told by its place alone, for what a cell shows is saved."""
    slip = typed(kernel, "%osaurus identity restore", PHRASE.replace("diesel", "deisel"))
    done = typed(kernel, "%osaurus identity restore", PHRASE)

    assert slip.status == "error"
    assert "Word 24" in slip.of("error")[0]["evalue"]
    assert "You are 0x7E5F4552091A69125d5DfCb7b8C2659029395Bdf again." in done.last["text/plain"]
    left = json.dumps([slip.messages, done.messages], default=str) + everything(kernel)
    assert "abandon" not in left
    assert "diesel" not in left


def test_where_no_prompt_can_be_shown_it_ends(kernel, kernel_home):
    """A notebook that runs by itself is not left waiting."""
    kernel.run("%osaurus providers add openai")
    request = kernel.client.execute("%osaurus key openai", allow_stdin=False)

    ran = kernel.finish(request)

    assert ran.status == "error"
    assert "Nobody can be asked here" in ran.of("error")[0]["evalue"]


def test_a_shell_command_in_a_cell_gets_no_words_and_no_keys(kernel, kernel_home):
    """`!osaurus-nb …` writes into the notebook: it is refused, without waiting for anybody."""
    kernel.run("%osaurus identity create")

    words = kernel.run("!python -m osaurus_nb.cli identity words").printed
    issued = kernel.run("!python -m osaurus_nb.cli identity keys issue lab").printed

    assert "saved with its notebook" in words
    assert "osk-v1" not in issued
    assert "In a terminal" in issued


@pytest.mark.parametrize("line", [f"key openai {CANARY}", "key openai 0123456789abcdef", f"identity restore {PHRASE}"])
def test_a_secret_on_the_line_is_refused_and_not_repeated(room, home, line):
    """Whatever it looks like."""
    room.run("%osaurus providers add openai")

    result = room.run(f"%osaurus {line}")

    assert not result.success
    assert "abcdef" not in str(result.error_in_exec)
    assert "abandon" not in str(result.error_in_exec)
    assert secrets_of(Paths.from_env()).names(osaurus.providers.find("openai").id) == ()


@pytest.mark.parametrize("line", ["identity words", "identity keys issue lab"])
def test_what_opens_things_is_never_an_output(room, home, line):
    """Outputs are saved: the terminal is named, and nothing is issued."""
    room.run("%osaurus identity create")

    result = room.run(f"%osaurus {line}")

    assert not result.success
    assert f"`osaurus-nb {line}`" in str(result.error_in_exec)
    assert list(AccessKeys(home / "identity").list()) == []


def test_the_identity_is_made_and_shown_in_a_cell(room, home):
    """Its address is no secret; how to see its words in a terminal is said, and no word is shown."""
    room.run("%osaurus identity create")
    room.run("%osaurus identity")

    made, note, shown = (frame["data"]["text/plain"] for frame in room.shown)
    assert "osaurus-nb identity words" in note
    assert made.split()[2].rstrip(".") in shown
    found = Identity.open(secrets_of(Paths.from_env()).slots, AccessKeys(home / "identity"))
    assert found is not None
    assert " ".join(found.phrase().split()[:2]) not in json.dumps(room.shown)


def test_the_vault_is_shown_with_its_badge(room, home, monkeypatch):
    """Where secrets are, who can read them, and what to do about it, as the terminal says it."""
    monkeypatch.delenv("OSAURUS_VAULT_KEY")
    secrets_of(Paths.from_env()).keep("file")

    room.run("%osaurus vault")

    table, text, note = (frame["data"]["text/plain"] for frame in room.shown)
    assert "who can read your files" in table
    assert "whoever can read your files" in text
    assert "Insecure" in note
    assert "osaurus-nb vault keep keychain" in note


def test_a_kernel_may_hold_a_key_for_itself_but_not_for_its_server(room, home, monkeypatch, no_keychain):
    """Without a vault a key in memory serves this kernel; a server would never see it, so that it is refused."""
    monkeypatch.delenv("OSAURUS_VAULT_KEY")
    room.run("%osaurus providers add openai")
    notebook.use(Client(url="http://127.0.0.1:9/osaurus", key="none"), shell=room.shell)

    status = osaurus.providers.key("openai", key=CANARY)
    connected = room.run("%osaurus key openai")

    assert (status.state, status.held_in_memory) == ("memory", 1)
    assert "ends with this process" in status.told
    assert "it would end with this command" in str(connected.error_in_exec)


def test_the_router_is_told_why_it_is_not_there(room, home):
    """Without an identity the way to one is named as one writes it in a cell."""
    result = room.run("%osaurus router")

    assert "`%osaurus identity create`" in str(result.error_in_exec)
