"""The vault on the disk: nothing in it can be altered, moved or cut without being told."""

from __future__ import annotations

import hashlib
import json
import random
import stat
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given as for_all
from hypothesis import settings
from hypothesis import strategies as st

from osaurus_nb.config.paths import Paths
from osaurus_nb.errors import ConfigError, OsaurusError
from osaurus_nb.secrets import API_KEY, Secrets, SecretsLocked, VaultDamaged, header
from osaurus_nb.secrets.sealing import MAGIC, Broken, Scrypt, TooNew, begin, pack, parse, seal_entry
from osaurus_nb.secrets.values import Hidden, VaultKey
from tests.secrets.conftest import KEY

ENTRIES = {("P", API_KEY): "sk-canary-one", ("P", header("X-Team")): "canary-two", ("Q", API_KEY): "sk-canary-three"}


@pytest.fixture
def file(given: Secrets, paths: Paths) -> Path:
    """A vault with three entries."""
    for (provider, name), value in ENTRIES.items():
        given.set(provider, name, value)
    return paths.home / "secrets/vault.bin"


def sealed_again(body: bytes, seal: bytes) -> bytes:
    """What somebody without the key can do: make the bytes look whole."""
    return body + seal + hashlib.sha256(body + seal).digest()


def test_every_flipped_bit_is_told(file, process):
    """Wherever a bit flips, the vault is put aside and nothing of it is used: no secret is ever a wrong one."""
    whole = file.read_bytes()
    rng = random.Random(7)
    places = {*range(0, len(whole), 5), *range(8), *range(len(whole) - 70, len(whole))}

    for place in places:
        file.write_bytes(whole[:place] + bytes([whole[place] ^ (1 << rng.randrange(8))]) + whole[place + 1 :])
        with pytest.raises(VaultDamaged, match="none of it was used"):
            process(OSAURUS_VAULT_KEY=KEY).get("P", API_KEY)

    assert not file.exists()
    assert len(list(file.parent.glob("vault.bin.damaged-*"))) == len(places)


@pytest.mark.parametrize("kept", [0, 1, 8, 100, -1, -40])
def test_a_cut_vault_is_told(file, process, kept):
    """Cut to nothing is damage too, and no fresh vault."""
    file.write_bytes(file.read_bytes()[:kept])

    with pytest.raises(VaultDamaged):
        process(OSAURUS_VAULT_KEY=KEY).get("P", API_KEY)


def test_a_damaged_vault_is_kept_and_told_as_long_as_it_lies_there(file, process):
    """It has a new name and its old bytes; the status of every process says so until the user takes it away."""
    damaged = b"x" + file.read_bytes()[1:]
    file.write_bytes(damaged)
    secrets = process(OSAURUS_VAULT_KEY=KEY)

    with pytest.raises(VaultDamaged) as caught:
        secrets.get("P", API_KEY)
    (aside,) = process().status().set_aside
    after = secrets.set("P", API_KEY, "sk-typed-again")

    assert aside in str(caught.value)
    assert (file.parent / aside).read_bytes() == damaged
    assert after.set_aside == (aside,)
    assert aside in after.told
    assert secrets.get("P", API_KEY) == "sk-typed-again"
    (file.parent / aside).unlink()
    assert secrets.status().set_aside == ()


@pytest.mark.parametrize("how", ["taken out", "moved", "put back", "weakened"])
def test_what_is_altered_without_the_key_is_told(file, process, how):
    """An entry taken out, moved to another provider, or an older one put back: the seal does not fit."""
    before = parse(file.read_bytes())
    process(OSAURUS_VAULT_KEY=KEY).set("P", API_KEY, "sk-newer")
    now = parse(file.read_bytes())
    fields = json.loads(now.body[len(MAGIC) + 1 :])
    entries = fields["entries"]
    match how:
        case "taken out":
            del entries["Q"]
        case "moved":
            entries["Q"][API_KEY] = entries["P"][API_KEY]
        case "put back":
            entries["P"] = json.loads(before.body[len(MAGIC) + 1 :])["entries"]["P"]
        case "weakened":
            fields["key"] = "file"
    file.write_bytes(sealed_again(now.body[: len(MAGIC) + 1] + json.dumps(fields).encode(), now.seal))

    secrets = process(OSAURUS_VAULT_KEY=KEY)
    with pytest.raises(VaultDamaged):
        secrets.get("Q" if how != "taken out" else "P", API_KEY)

    assert len(secrets.status().set_aside) == 1


def test_an_entry_opens_under_its_own_name_alone():
    """Even with the key, and in the same vault: who owns it is part of what is sealed."""
    key = VaultKey(bytes.fromhex(KEY))
    vault = begin("v1", "given", key)
    entry = seal_entry(vault, ("P", API_KEY), Hidden("sk-canary"), key)
    places = [("P", API_KEY), ("Q", API_KEY), ("P", header("X")), ("PapiKey", ""), ("", "PapiKey")]
    vault = parse(pack(replace(vault, entries=dict.fromkeys(places, entry)), key))

    opened = []
    for place in places:
        try:
            opened.append(vault.reveal(place, key).reveal())
        except Broken:
            opened.append(None)

    assert vault.intact(key)
    assert opened == [b"sk-canary", None, None, None, None]


def test_an_entry_of_another_vault_does_not_open():
    """The same key and owner in another home are not enough."""
    key = VaultKey(bytes.fromhex(KEY))
    one, other = begin("v1", "given", key), begin("v2", "given", key)
    entry = seal_entry(one, ("P", API_KEY), Hidden("sk-canary"), key)

    with pytest.raises(Broken):
        replace(other, entries={("P", API_KEY): entry}).reveal(("P", API_KEY), key)


@for_all(data=st.binary(max_size=400))
@settings(max_examples=200, deadline=None)
def test_any_bytes_are_a_whole_vault_or_broken(data):
    """Nothing that lies there raises anything else, whether or not its digest fits."""
    for attempt in (data, sealed_again(MAGIC + b"\x01" + data, b"")):
        with pytest.raises(Broken):
            parse(attempt)


@pytest.mark.parametrize("scrypt", [{"n": 2**30}, {"n": 3}, {"n": 0}, {"n": "x"}, {"r": 900}, {"p": 9}, {"salt": "00"}])
def test_a_strangers_parameters_cost_no_memory(scrypt):
    """How a passphrase is stretched is checked before it is done."""
    key = VaultKey(bytes.fromhex(KEY))
    vault = parse(pack(begin("v1", "passphrase", key, Scrypt(bytes(16))), key))
    fields = json.loads(vault.body[len(MAGIC) + 1 :])
    fields["scrypt"] |= scrypt

    with pytest.raises(Broken):
        parse(sealed_again(vault.body[: len(MAGIC) + 1] + json.dumps(fields).encode(), vault.seal))


def test_a_later_version_is_not_touched(file, process):
    """A vault of a newer osaurus-nb is told as that, read by nobody here, and left alone."""
    now = parse(file.read_bytes())
    newer = sealed_again(MAGIC + b"\x02" + now.body[len(MAGIC) + 1 :], now.seal)
    file.write_bytes(newer)
    secrets = process(OSAURUS_VAULT_KEY=KEY)

    with pytest.raises(SecretsLocked, match="newer"):
        secrets.get("P", API_KEY)

    assert file.read_bytes() == newer
    with pytest.raises(TooNew):
        parse(newer)


@pytest.mark.parametrize(
    ("state", "told"), [("newer", "newer osaurus-nb"), ("damaged", "put aside"), ("a folder", "Cannot read")]
)
def test_a_status_can_always_be_had(file, process, state, told):
    """Whatever lies in the vault's place, the status says it and raises nothing."""
    now = parse(file.read_bytes())
    file.unlink()
    match state:
        case "newer":
            file.write_bytes(sealed_again(MAGIC + b"\x02" + now.body[len(MAGIC) + 1 :], now.seal))
        case "damaged":
            file.write_bytes(b"damaged")
        case _:
            file.mkdir()

    status = process(OSAURUS_VAULT_KEY=KEY).status()

    assert told in status.told
    assert status.lasting == (state == "damaged")


def test_the_same_secret_never_looks_the_same(file, given):
    """Whoever sees two versions of the vault cannot tell what changed from what was written again."""
    before = parse(file.read_bytes())

    given.set("P", API_KEY, ENTRIES["P", API_KEY])

    now = parse(file.read_bytes())
    assert now.entries["P", API_KEY] != before.entries["P", API_KEY]
    assert now.generation == before.generation + 1


def test_a_change_by_another_process_is_seen(process):
    """What one writes, the other reads, without being told."""
    one, other = process(OSAURUS_VAULT_KEY=KEY), process(OSAURUS_VAULT_KEY=KEY)

    seen = []
    for number in range(20):
        one.set("P", API_KEY, f"sk-canary-{number}")
        seen.append(other.get("P", API_KEY))

    assert seen == [f"sk-canary-{number}" for number in range(20)]


def test_deleting_a_provider_deletes_all_of_it(file, given, process):
    """Its key and its headers are gone from the file; the other provider's stay."""
    given.delete("P")

    later = process(OSAURUS_VAULT_KEY=KEY)
    assert (later.names("P"), later.names("Q")) == ((), (API_KEY,))
    assert later.get("Q", API_KEY) == "sk-canary-three"
    assert {owner for owner, _ in parse(file.read_bytes()).entries} == {"Q"}


def test_one_secret_can_be_cleared(file, given):
    """Setting nothing clears the one and keeps the others."""
    given.set("P", API_KEY, "")

    assert given.get("P", API_KEY) is None
    assert given.names("P") == (header("X-Team"),)


def test_a_locked_vault_says_that_it_deleted_nothing(file, process):
    """A provider whose secrets cannot be deleted now is not told as deleted."""
    with pytest.raises(SecretsLocked, match="not deleted"):
        process().delete("P")

    assert process().names("P") == (API_KEY, header("X-Team"))


def test_deleting_what_is_not_there_is_nothing(process, paths):
    """No vault is made for it, and none is opened."""
    process().delete("P")
    process().delete("P", API_KEY)

    assert not paths.home.exists()


def test_a_vault_that_cannot_be_written_is_told(file, given):
    """The error names the file, and what was there is still there."""
    (file.parent / ".vault.bin.lock").unlink()
    (file.parent / ".vault.bin.lock").mkdir()

    with pytest.raises(ConfigError, match=r"Cannot write .*vault\.bin"):
        given.set("P", API_KEY, "sk-canary-new")

    assert given.get("P", API_KEY) == "sk-canary-one"


def test_a_folder_in_the_files_place_is_told(paths, given):
    """Whatever lies there that is no file, the error says so and nothing is removed."""
    (paths.home / "secrets/vault.bin").mkdir(parents=True)

    with pytest.raises(ConfigError, match="Cannot read"):
        given.get("P", API_KEY)


def test_old_drafts_hold_no_secret(given, paths, monkeypatch):
    """A process that dies while writing leaves the old vault and, at most, ciphertext."""
    given.set("P", API_KEY, "sk-canary-old")
    monkeypatch.setattr(Path, "replace", lambda *_: (_ for _ in ()).throw(OSError(28, "No space left on device")))

    with pytest.raises(OsaurusError, match="No space left"):
        given.set("P", API_KEY, "sk-canary-new")
    monkeypatch.undo()

    assert given.get("P", API_KEY) == "sk-canary-old"
    assert stat.S_IMODE((paths.home / "secrets/vault.bin").stat().st_mode) == 0o600
