"""No secret is anywhere but in the vault, sealed: not in files, logs, reprs, tracebacks or statuses."""

from __future__ import annotations

import contextlib
import gc
import json
import logging
import pickle
import traceback
from base64 import b64encode
from collections.abc import Callable
from pathlib import Path

import pytest

from osaurus_nb.errors import OsaurusError
from osaurus_nb.secrets import API_KEY, Secrets, header
from osaurus_nb.secrets.values import Hidden, VaultKey
from tests.secrets.backends import Forgetful, InMemory, Locked
from tests.secrets.conftest import KEY

CANARY = "sk-canary-7f3e9a51c2d84b60"
PASSPHRASE = "canary passphrase 5512"


def forms(secret: str) -> list[bytes]:
    """The ways in which a careless program would write it."""
    raw = secret.encode()
    quoted = json.dumps(secret)[1:-1].encode()
    return [raw, raw.hex().encode(), b64encode(raw).rstrip(b"="), secret.encode("utf-16-le"), quoted, raw[::-1]]


def leaks(data: bytes) -> list[bytes]:
    return [form for secret in (CANARY, PASSPHRASE, KEY) for form in forms(secret) if form in data]


def shown(fault: BaseException) -> str:
    """All that a debugger's traceback would print, of our own frames."""
    text = ""
    chain: BaseException | None = fault
    while chain is not None:
        told = traceback.TracebackException.from_exception(chain, capture_locals=True)
        ours = [frame for frame in told.stack if "osaurus_nb" in Path(frame.filename).parts]
        text += f"{chain!r} {chain.args} " + " ".join(f"{frame.locals}" for frame in ours)
        chain = chain.__cause__ or chain.__context__
    return text


def everything(secrets: Secrets) -> str:
    """The reprs of whatever of ours is alive."""
    ours = [thing for thing in gc.get_objects() if str(type(thing).__module__).startswith("osaurus_nb.secrets")]
    return " ".join(f"{thing!r} {thing!s}" for thing in (*ours, secrets.status()))


def test_files_and_logs_hold_none(process, use, paths, caplog, capfd):
    """Through every tier and every move, the whole home and all logs at DEBUG are free of it."""
    caplog.set_level(logging.DEBUG)
    use(InMemory())
    secrets = process(OSAURUS_VAULT_KEY=KEY)
    for where in ("given", "keychain", "passphrase", "file", "keychain"):
        secrets.keep(where, passphrase=PASSPHRASE)
        secrets.set("P", API_KEY, CANARY)
        secrets.set("P", header("X-Team"), CANARY)
        secrets.slots.set("identity", "master", CANARY)

    files = [file for file in paths.home.rglob("*") if file.is_file()]
    out, err = capfd.readouterr()

    assert secrets.get("P", API_KEY) == CANARY
    assert {file.name for file in files} >= {"vault.bin"}
    assert [(file.name, found) for file in files if (found := leaks(file.read_bytes()))] == []
    assert leaks((caplog.text + out + err).encode()) == []


def failing(process: Callable[..., Secrets], use: Callable[..., object]) -> list[Callable[[], object]]:
    """Calls that carry a secret and go wrong, in memory as well as in the vault."""
    locked = process()
    wrong = process(OSAURUS_VAULT_KEY=KEY[::-1])
    return [
        lambda: locked.get("P", API_KEY),
        lambda: wrong.get("P", API_KEY),
        lambda: locked.set("P", API_KEY, f"{CANARY}\n{CANARY}"),
        lambda: locked.set("osaurus.x", API_KEY, CANARY),
        lambda: locked.slots.set("identity", "master", CANARY),
        lambda: locked.unlock(PASSPHRASE),
        lambda: locked.keep("passphrase", passphrase=PASSPHRASE),
        lambda: locked.keep("given"),
        lambda: Secrets(locked_paths(locked), env={"X": CANARY, "X_FILE": "/"}, variables=lambda *_: "X").set(
            "P", API_KEY, CANARY
        ),
        lambda: Secrets(locked_paths(locked), env={"X_FILE": "/"}, variables=lambda *_: "X").get("P", API_KEY),
    ]


def locked_paths(secrets: Secrets) -> object:
    from osaurus_nb.config.paths import Paths

    return Paths(secrets._vault.file.path.parent.parent)


@pytest.mark.parametrize("number", range(10))
def test_tracebacks_hold_none(process, use, number):
    """Not even one that prints the value of every variable in our frames."""
    process(OSAURUS_VAULT_KEY=KEY).set("P", API_KEY, CANARY)
    use(Locked())

    with pytest.raises(OsaurusError) as caught:
        failing(process, use)[number]()

    assert leaks(shown(caught.value).encode()) == []


def test_reprs_hold_none(process, use):
    """Whatever is alive of ours, while a secret is in memory for want of a vault, says nothing of it."""
    use(Forgetful())
    secrets = process()
    secrets.set("P", API_KEY, CANARY)
    given = process(OSAURUS_VAULT_KEY=KEY)
    given.set("P", API_KEY, CANARY)

    text = everything(secrets) + everything(given)

    assert secrets.get("P", API_KEY) == CANARY
    assert "Hidden(…)" in text
    assert leaks(text.encode()) == []


@pytest.mark.parametrize("secret", [Hidden(CANARY), VaultKey(bytes(32))])
def test_secrets_do_not_travel(secret):
    """They are neither pickled nor found in a set."""
    with pytest.raises(TypeError):
        pickle.dumps(secret)
    with pytest.raises(TypeError):
        hash(secret)


def test_what_was_wiped_is_gone_and_never_zeros():
    """Whoever still holds it gets an error: nothing is ever sealed with a key of zeros."""
    key, buffer = VaultKey(bytes.fromhex(KEY)), None
    buffer = key._bytes
    key.wipe()

    assert bytes(buffer) == bytes(32)
    for use in (key.reveal, lambda: key.derive("entry", "v")):
        with pytest.raises(OsaurusError, match="wiped"):
            use()


def test_memory_is_wiped_when_the_vault_takes_over(process):
    """What waited in memory is zeroed once it is sealed."""
    secrets = process()
    secrets.set("P", API_KEY, CANARY)
    (waiting,) = secrets._memory.values()
    buffer = waiting._bytes

    secrets.keep("file")

    assert bytes(buffer) == bytes(len(CANARY))
    assert secrets.get("P", API_KEY) == CANARY
    with contextlib.suppress(OsaurusError):
        assert waiting.reveal() is None
