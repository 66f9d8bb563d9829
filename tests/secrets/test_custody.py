"""Where the vault's key lives: each place, in order, and what is said where there is none."""

from __future__ import annotations

import asyncio
import os
import stat
import subprocess
import sys
import time
from pathlib import Path

import pytest
from keyring.backends.chainer import ChainerBackend
from keyring.backends.fail import Keyring as NoKeychain
from keyring.backends.null import Keyring as NullKeyring

from osaurus_nb.errors import ConfigError
from osaurus_nb.secrets import API_KEY, Secrets, SecretsLocked, VaultDamaged
from osaurus_nb.secrets.keychain import ALLOWED, SERVICE, Keychain
from tests.secrets.backends import EncryptedKeyring, Forgetful, InMemory, Locked, PlaintextKeyring, Waiting
from tests.secrets.conftest import KEY

PASSPHRASE = "four random words here"


def test_a_given_key_wins_over_the_keychain(process, use):
    """With OSAURUS_VAULT_KEY set, the keychain is not asked for anything."""
    keychain = use(InMemory())
    secrets = process(OSAURUS_VAULT_KEY=KEY)

    status = secrets.set("P", API_KEY, "sk-canary")

    assert (status.state, status.tier, status.lasting) == ("open", "given", True)
    assert process(OSAURUS_VAULT_KEY=KEY).get("P", API_KEY) == "sk-canary"
    assert keychain.items == {}
    assert keychain.reads == 0


@pytest.mark.parametrize("text", [KEY, KEY.upper(), "WlpaWlpaWlpaWlpaWlpaWlpaWlpaWlpaWlpaWlpaWlo=", KEY + "\n"])
def test_a_given_key_may_be_a_mounted_file(process, tmp_path, text):
    """OSAURUS_VAULT_KEY_FILE names a file with the key, as hex or base64, with or without a line's end."""
    process(OSAURUS_VAULT_KEY=KEY).set("P", API_KEY, "sk-canary")
    file = tmp_path / "mounted"
    file.write_text(text)

    secrets = process(OSAURUS_VAULT_KEY_FILE=str(file))

    assert secrets.get("P", API_KEY) == "sk-canary"


@pytest.mark.parametrize("text", ["hunter2", "zz" * 32, KEY[:-2]])
def test_a_given_key_that_is_none_is_told_and_nothing_else_is_tried(process, use, text):
    """A typo in the key does not send the secret to another place."""
    keychain = use(InMemory())
    secrets = process(OSAURUS_VAULT_KEY=text)

    status = secrets.set("P", API_KEY, "sk-canary")

    assert (status.state, status.lasting, status.held_in_memory) == ("memory", False, 1)
    assert "32 bytes" in status.told
    assert text not in status.told
    assert keychain.items == {}


def test_another_given_key_is_told_as_wrong_and_changes_nothing(process, paths):
    """A wrong key is not damage: the vault stays, and says what it was made with."""
    process(OSAURUS_VAULT_KEY=KEY).set("P", API_KEY, "sk-canary")
    before = (paths.home / "secrets/vault.bin").read_bytes()
    secrets = process(OSAURUS_VAULT_KEY="77" * 32)

    with pytest.raises(SecretsLocked, match="OSAURUS_VAULT_KEY does not open the vault"):
        secrets.get("P", API_KEY)

    assert secrets.status().state == "locked"
    assert secrets.status().set_aside == ()
    assert (paths.home / "secrets/vault.bin").read_bytes() == before


def test_the_keychain_holds_one_item_and_is_read_once(process, use):
    """However many secrets there are, a process asks the keychain a single time."""
    keychain = use(InMemory())
    for number in range(5):
        process().set(f"P{number}", API_KEY, f"sk-canary-{number}")
    secrets, before = process(), keychain.reads

    found = [secrets.get(f"P{number}", API_KEY) for number in range(5)] * 3

    assert found == [f"sk-canary-{number}" for number in range(5)] * 3
    assert keychain.reads == before + 1
    assert [(service, account[:6]) for service, account in keychain.items] == [(SERVICE, "vault:")]
    assert secrets.status().tier == "keychain"


def test_nothing_is_asked_before_it_is_needed(process, use):
    """Without a vault, or for a provider that has nothing in it, no keychain is touched."""
    keychain = use(InMemory())
    process().set("P", API_KEY, "sk-canary")
    before = keychain.reads
    secrets = process()

    found = secrets.get("Q", API_KEY), secrets.names("P"), secrets.origin("P", API_KEY), secrets.status().state

    assert found == (None, (API_KEY,), "vault", "unopened")
    assert keychain.reads == before


@pytest.mark.parametrize("backend", [NoKeychain, NullKeyring, PlaintextKeyring, EncryptedKeyring])
def test_what_is_no_keychain_is_never_used(process, use, tmp_path, monkeypatch, backend):
    """Backends that fail, forget or write files are refused by class; the secret stays in memory, and that is said."""
    monkeypatch.chdir(tmp_path)
    use(backend())
    secrets = process()

    status = secrets.set("P", API_KEY, "sk-canary")

    assert (status.state, status.tier, status.lasting) == ("memory", None, False)
    assert "memory" in status.told
    assert "OSAURUS_VAULT_KEY" in status.next_step
    assert "\n" not in status.next_step
    assert secrets.get("P", API_KEY) == "sk-canary"
    assert process().get("P", API_KEY) is None
    assert [file for file in tmp_path.rglob("*") if file.is_file()] == []


def test_a_subclass_of_a_keychain_is_no_keychain(process, use):
    """Trust goes by the very class: what somebody made of it is not it."""

    class Improved(InMemory):
        pass

    backend = use(Improved())

    assert process().set("P", API_KEY, "sk-canary").state == "memory"
    assert backend.items == {}


def test_in_a_chain_the_keychain_is_found_and_the_rest_passed_over(process, use, monkeypatch, tmp_path):
    """A file backend that something else installed, even before the keychain in the chain, gets nothing."""
    monkeypatch.chdir(tmp_path)
    plain, keychain = PlaintextKeyring(), InMemory()
    monkeypatch.setattr(ChainerBackend, "backends", [plain, keychain])
    use(ChainerBackend())

    status = process().set("P", API_KEY, "sk-canary")

    assert status.tier == "keychain"
    assert plain.items == {}
    assert len(keychain.items) == 1


def test_only_real_keychains_are_on_the_list():
    """The list is short, and holds none that fails, forgets or writes a file."""
    assert set(ALLOWED) == {
        "keyring.backends.macOS.Keyring",
        "keyring.backends.Windows.WinVaultKeyring",
        "keyring.backends.SecretService.Keyring",
        "keyring.backends.libsecret.Keyring",
        "keyring.backends.kwallet.DBusKeyring",
    }


def test_a_keychain_that_keeps_nothing_is_found_out(process, use):
    """What was written is read back before anything relies on it."""
    use(Forgetful())

    status = process().set("P", API_KEY, "sk-canary")

    assert status.state == "memory"
    assert "did not keep" in status.told


def test_a_refusal_is_told_without_its_text(process, use):
    """A backend's own words may hold a secret: they are not repeated."""
    use(Locked())

    status = process().set("P", API_KEY, "sk-canary")

    assert status.state == "memory"
    assert "KeyringLocked" in status.told
    assert "cancelled" not in status.told


def test_a_locked_keychain_keeps_its_vault_shut_and_is_not_asked_again(process, use, paths):
    """The user's Cancel is told with the next step; only `unlock` asks again."""
    keychain = use(InMemory())
    process().set("P", API_KEY, "sk-canary")
    locked = use(Locked())
    secrets = process()

    for _ in range(3):
        with pytest.raises(SecretsLocked, match="keychain"):
            secrets.get("P", API_KEY)
    told = secrets.status()
    use(keychain)
    now = secrets.unlock()

    assert locked.reads == 1
    assert (told.state, told.tier) == ("locked", "keychain")
    assert "Unlock the keychain" in told.next_step
    assert (now.state, secrets.get("P", API_KEY)) == ("open", "sk-canary")


def test_an_item_that_is_gone_is_told_and_the_vault_stays(process, use, paths):
    """A keychain that was reset does not lead to a new vault over the old one."""
    keychain = use(InMemory())
    process().set("P", API_KEY, "sk-canary")
    keychain.items.clear()
    secrets = process()

    status = secrets.set("Q", API_KEY, "sk-other")
    with pytest.raises(SecretsLocked, match="is not there"):
        secrets.get("P", API_KEY)

    assert (status.state, status.held_in_memory) == ("locked", 1)
    assert secrets.names("P") == (API_KEY,)
    assert keychain.items == {}


def test_a_prompt_that_nobody_answers_holds_nobody_up(process, use):
    """A blocked keychain costs one deadline; after it, every call answers at once."""
    use(InMemory())
    process().set("P", API_KEY, "sk-canary")
    waiting = use(Waiting())
    secrets = process(deadline=0.2)

    began = time.monotonic()
    for _ in range(20):
        with pytest.raises(SecretsLocked, match="has not answered"):
            secrets.get("P", API_KEY)

    assert 0.2 <= time.monotonic() - began < 1.0
    assert waiting.reads == 1
    waiting.allowed.set()


def test_a_late_answer_is_taken(process, use):
    """Who allows the prompt after the deadline need not be asked again."""
    keychain = use(InMemory())
    process().set("P", API_KEY, "sk-canary")
    waiting = use(Waiting())
    waiting.items = keychain.items
    secrets = process(deadline=0.1)
    with pytest.raises(SecretsLocked):
        secrets.get("P", API_KEY)

    waiting.allowed.set()
    until = time.monotonic() + 5
    found = None
    while found is None and time.monotonic() < until:
        try:
            found = secrets.get("P", API_KEY)
        except SecretsLocked:
            time.sleep(0.01)

    assert found == "sk-canary"
    assert waiting.reads == 1


def test_a_new_vault_does_not_wait_for_ever_either(process, use):
    """A prompt on the first write ends with the deadline, and with the secret in memory."""
    waiting = use(Waiting())
    secrets = process(deadline=0.2)

    status = secrets.set("P", API_KEY, "sk-canary")

    assert status.state == "memory"
    assert secrets.get("P", API_KEY) == "sk-canary"
    waiting.allowed.set()


@pytest.mark.anyio
async def test_the_loop_runs_on_while_the_keychain_waits(process, use):
    """`ready` opens the vault in a thread: a prompt does not stop other people's answers."""
    keychain = use(InMemory())
    await asyncio.to_thread(process().set, "P", API_KEY, "sk-canary")
    waiting = use(Waiting())
    waiting.items = keychain.items
    secrets = process()

    opening = asyncio.create_task(secrets.ready())
    beats = 0
    while not opening.done():
        await asyncio.sleep(0.01)
        beats += 1
        if beats == 20:
            waiting.allowed.set()

    assert beats >= 20
    assert opening.result().state == "open"
    assert secrets.get("P", API_KEY) == "sk-canary"


@pytest.mark.parametrize("package", ["keyring", "cryptography"])
def test_without_its_packages_secrets_stay_in_memory(process, use, monkeypatch, package):
    """An installation without the extra `keys` says which package is missing, and writes nothing."""
    use(InMemory())
    monkeypatch.setitem(sys.modules, package, None)

    status = process().set("P", API_KEY, "sk-canary")

    assert status.state == "memory"
    assert f"needs the package '{package}'" in status.told
    assert ("pip install" in status.next_step) == (package == "cryptography")


@pytest.mark.anyio
async def test_ready_tells_what_is_shut_and_raises_what_is_damaged(process, paths):
    """A missing key is a state to show; damage is an error, once."""
    await asyncio.to_thread(process(OSAURUS_VAULT_KEY=KEY).set, "P", API_KEY, "sk-canary")
    secrets = process()

    shut = await secrets.ready()
    await asyncio.to_thread((paths.home / "secrets/vault.bin").write_bytes, b"damaged")
    with pytest.raises(VaultDamaged):
        await secrets.ready()
    after = await secrets.ready()

    assert (shut.state, shut.tier) == ("locked", "given")
    assert (after.state, len(after.set_aside)) == ("empty", 1)


def test_a_dead_bus_is_no_keychain(tmp_path):
    """In a container with a stale D-Bus address, the secret is kept in memory within seconds, and that is said."""
    code = (
        "from pathlib import Path; import sys\n"
        "from osaurus_nb.config.paths import Paths\n"
        "from osaurus_nb.secrets import Secrets\n"
        "print(Secrets(Paths(Path(sys.argv[1])), env={}).set('P', 'apiKey', 'sk-canary').state)\n"
    )
    env = {"PATH": os.environ["PATH"], "HOME": str(tmp_path), "DBUS_SESSION_BUS_ADDRESS": "unix:path=/nowhere/bus"}

    done = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path / "home")], env=env, capture_output=True, text=True, timeout=60
    )

    assert (done.stdout, done.stderr) == ("memory\n" if sys.platform == "linux" else done.stdout, "")


def test_a_keyring_that_was_switched_off_stays_off(tmp_path):
    """PYTHON_KEYRING_BACKEND=…null… is an answer, and not a place where a secret vanishes."""
    code = (
        "from pathlib import Path; import sys\n"
        "from osaurus_nb.config.paths import Paths\n"
        "from osaurus_nb.secrets import Secrets\n"
        "print(Secrets(Paths(Path(sys.argv[1])), env={}).set('P', 'apiKey', 'sk-canary').told)\n"
    )
    env = os.environ | {"PYTHON_KEYRING_BACKEND": "keyring.backends.null.Keyring"}

    done = subprocess.run([sys.executable, "-c", code, str(tmp_path)], env=env, capture_output=True, text=True)

    assert done.stdout.startswith("keyring.backends.null.Keyring is set up for keyring, which is no keychain")


def test_a_passphrase_keeps_what_was_in_memory(process):
    """Secrets typed before the passphrase was chosen go into the vault with it."""
    first = process()
    first.set("P", API_KEY, "sk-canary")

    status = first.keep("passphrase", passphrase=PASSPHRASE)
    second = process()
    shut = second.unlock()
    opened = second.unlock(PASSPHRASE)

    assert (status.state, status.tier, status.held_in_memory) == ("open", "passphrase", 0)
    assert shut.state == "locked"
    assert shut.next_step == (
        "Type the passphrase to open it: `osaurus-nb vault unlock`, in a notebook `%osaurus vault unlock`."
    )
    assert (opened.state, second.get("P", API_KEY)) == ("open", "sk-canary")


def test_a_wrong_passphrase_is_told_and_changes_nothing(process):
    """It can be tried again; the vault is not damaged."""
    process().keep("passphrase", passphrase=PASSPHRASE)
    secrets = process()

    with pytest.raises(SecretsLocked, match="not the vault's passphrase"):
        secrets.unlock("four random words there")

    assert secrets.status().set_aside == ()
    assert secrets.unlock(PASSPHRASE).state == "open"


def test_a_passphrase_is_the_same_from_every_keyboard(process):
    """Composed and decomposed letters are one passphrase."""
    process().keep("passphrase", passphrase="caf\u00e9 au lait")

    assert process().unlock("cafe\u0301 au lait").state == "open"


def test_a_short_passphrase_is_refused(process, paths):
    """Nothing is written for it."""
    with pytest.raises(ConfigError, match="8 characters"):
        process().keep("passphrase", passphrase="short")

    assert not (paths.home / "secrets/vault.bin").exists()


def test_a_key_file_is_only_made_when_told_to_and_stays_marked(process, paths):
    """Without the word there is none; with it, every status carries the badge."""
    process().set("P", API_KEY, "sk-canary")
    before = (paths.home / "secrets/vault.key").exists()
    secrets = process(OSAURUS_INSECURE_KEY_FILE="1")

    status = secrets.set("P", API_KEY, "sk-canary")
    later = process()

    assert not before
    assert (status.tier, status.badge) == ("file", "Insecure: the vault's key is in a file in clear")
    assert later.get("P", API_KEY) == "sk-canary"
    assert later.status().badge == status.badge
    assert stat.S_IMODE((paths.home / "secrets/vault.key").stat().st_mode) == 0o600


def test_a_key_file_is_never_made_where_there_is_a_keychain(process, use, paths):
    """The opt-in is the last resort, not a preference."""
    use(InMemory())

    status = process(OSAURUS_INSECURE_KEY_FILE="1").set("P", API_KEY, "sk-canary")

    assert (status.tier, status.badge) == ("keychain", None)
    assert not (paths.home / "secrets/vault.key").exists()


@pytest.mark.skipif(os.name != "posix", reason="modes are POSIX")
def test_a_key_file_that_others_can_read_is_not_used(process, paths):
    """It says what to type."""
    process().keep("file")
    process().set("P", API_KEY, "sk-canary")
    (paths.home / "secrets/vault.key").chmod(0o644)

    with pytest.raises(SecretsLocked, match="chmod 600"):
        process().get("P", API_KEY)


@pytest.mark.parametrize("first", ["given", "keychain", "passphrase", "file"])
@pytest.mark.parametrize("then", ["given", "keychain", "passphrase", "file"])
def test_the_key_moves_from_any_place_to_any_other(process, use, paths, first, then):
    """Every secret is there afterwards, in this process and in a later one, and the old key opens nothing."""
    keychain = use(InMemory())
    secrets = process(OSAURUS_VAULT_KEY=KEY)
    secrets.keep(first, passphrase=PASSPHRASE)
    secrets.set("P", API_KEY, "sk-canary")
    secrets.slots.set("identity", "master", "11" * 32)

    status = secrets.keep(then, passphrase=PASSPHRASE + " too")
    later = process(**{"OSAURUS_VAULT_KEY": KEY} if then == "given" else {})
    if then == "passphrase":
        later.unlock(PASSPHRASE + " too")

    assert status.tier == then
    assert secrets.get("P", API_KEY) == later.get("P", API_KEY) == "sk-canary"
    assert later.slots.get("identity", "master") == "11" * 32
    assert len(keychain.items) == (then == "keychain")
    assert (paths.home / "secrets/vault.key").exists() == (then == "file")


def test_a_move_that_fails_changes_nothing(process):
    """Where there is no keychain, the vault keeps the key it has."""
    secrets = process()
    secrets.keep("file")
    secrets.set("P", API_KEY, "sk-canary")

    with pytest.raises(ConfigError, match="Nothing was changed"):
        secrets.keep("keychain")

    assert secrets.status().tier == "file"
    assert process().get("P", API_KEY) == "sk-canary"


def test_another_process_follows_a_move(process):
    """Its key was for the vault that was; it finds the new one by itself."""
    one, other = process(), process()
    one.keep("file")
    one.set("P", API_KEY, "sk-canary")
    assert other.get("P", API_KEY) == "sk-canary"

    one.keep("file")
    one.set("P", API_KEY, "sk-second")

    assert other.get("P", API_KEY) == "sk-second"


def test_the_doctor_is_told_before_there_is_a_vault(process, use):
    """`unlock` looks whether there is a keychain, and leaves nothing in it."""
    keychain = InMemory()
    without = process().unlock()
    use(keychain)
    having = process().unlock()

    assert (without.state, having.state) == ("memory", "empty")
    assert keychain.items == {}


def test_the_keychain_here_can_be_named():
    """The name is that of the system's part, not of a class."""
    assert Keychain(allowed=["keyring.backends.fail.Keyring"]).name() == "keyring.backends.fail.Keyring"
    assert set(ALLOWED.values()) == {"macOS Keychain", "Windows Credential Manager", "Secret Service", "KWallet"}


def test_wiping_leaves_the_vault(given: Secrets):
    """`close` forgets the key; whoever asks later gets the secret again."""
    given.set("P", API_KEY, "sk-canary")

    given.close()

    assert given.status().state == "unopened"
    assert given.get("P", API_KEY) == "sk-canary"


def test_the_folder_is_closed_to_others(given: Secrets, paths):
    """The vault is 0600 in a folder that is 0700."""
    given.set("P", API_KEY, "sk-canary")
    folder: Path = paths.home / "secrets"

    modes = {file.name: oct(stat.S_IMODE(file.stat().st_mode)) for file in (folder, *folder.iterdir())}

    assert modes == {"secrets": "0o700", "vault.bin": "0o600", ".vault.bin.lock": "0o600"}
