"""The real keychain of Linux: gnome-keyring, in a D-Bus session of its own."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

PROGRAMS = ("dbus-run-session", "gnome-keyring-daemon")
#: A login session: its keychain is unlocked by a password, then the words after it run.
SESSION = 'printf %s "$1" | gnome-keyring-daemon --unlock --components=secrets >/dev/null; shift; exec "$@"'
TALK = """
import sys
from pathlib import Path
from osaurus_nb.config.paths import Paths
from osaurus_nb.secrets import Secrets
from osaurus_nb.secrets.keychain import Keychain

secrets = Secrets(Paths(Path(sys.argv[1])), env={}, keychain=Keychain(deadline=20))
for word in sys.argv[2:]:
    match word.split("="):
        case ["set", value]:
            status = secrets.set("P", "apiKey", value)
            print(status.state, status.tier)
        case ["get"]:
            print(secrets.get("P", "apiKey"))
        case ["name"]:
            print(secrets._vault.custody.keychain.name())
        case ["keep", where]:
            print(secrets.keep(where).tier)
"""


@pytest.fixture
def programs() -> None:
    """CI sets OSAURUS_REQUIRE_KEYCHAIN, so that there their absence is a failure."""
    missing = [name for name in PROGRAMS if shutil.which(name) is None]
    if missing and os.environ.get("OSAURUS_REQUIRE_KEYCHAIN"):
        pytest.fail(f"OSAURUS_REQUIRE_KEYCHAIN is set, and there is no {' and no '.join(missing)}")
    if missing:
        pytest.skip(f"no {' and no '.join(missing)} on this machine")


def session(home: Path, *command: str) -> list[str]:
    """What the command says in a fresh session of a user whose home this is."""
    (home / "run").mkdir(mode=0o700, parents=True, exist_ok=True)
    env = {
        "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
        "HOME": str(home),
        "XDG_DATA_HOME": str(home / "data"),
        "XDG_RUNTIME_DIR": str(home / "run"),
        "PYTHONPATH": os.pathsep.join(filter(None, sys.path)),
    }
    done = subprocess.run(
        ["dbus-run-session", "--", "sh", "-c", SESSION, "sh", "login password", *command],
        env=env,
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()


def test_the_secret_service_keeps_the_vaults_key(programs, tmp_path):
    """A secret set in one session is there in the next, after the keychain was locked and unlocked by its password."""
    talk = [sys.executable, "-c", TALK, str(tmp_path / "osaurus")]

    first = session(tmp_path, *talk, "name", "set=sk-canary", "get")
    second = session(tmp_path, *talk, "get")

    assert first == ["Secret Service", "open keychain", "sk-canary"]
    assert second == ["sk-canary"]
    assert all(b"sk-canary" not in file.read_bytes() for file in tmp_path.rglob("*") if file.is_file())


def test_a_new_key_takes_the_old_ones_place(programs, tmp_path):
    """Closing the vault anew leaves one item in the Secret Service, and the secret readable."""
    talk = [sys.executable, "-c", TALK, str(tmp_path / "osaurus")]
    count = "import secretstorage as s; print(len(list(s.search_items(s.dbus_init(), {'service': 'osaurus-nb'}))))"
    script = f'"$@" set=sk-canary keep=keychain get && "$0" -c "{count}"'

    told = session(tmp_path, "sh", "-c", script, sys.executable, *talk)

    assert told == ["open keychain", "keychain", "sk-canary", "1"]


def test_without_a_password_the_keychain_is_told_as_shut(programs, tmp_path):
    """A session whose keychain nobody unlocked keeps the secret in memory within the deadline, and stores nothing."""
    talk = [sys.executable, "-c", TALK.replace("deadline=20", "deadline=3"), str(tmp_path / "osaurus")]
    env = {"PATH": os.environ["PATH"], "HOME": str(tmp_path), "XDG_RUNTIME_DIR": str(tmp_path)}
    env |= {"XDG_DATA_HOME": str(tmp_path / "data"), "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}

    done = subprocess.run(
        ["dbus-run-session", "--", *talk, "set=sk-canary", "get"], env=env, capture_output=True, text=True, timeout=60
    )

    assert done.stdout.splitlines() == ["memory None", "sk-canary"]
    assert not (tmp_path / "osaurus/secrets/vault.bin").exists()
