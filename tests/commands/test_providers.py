"""`osaurus-nb providers …`, as a user of a terminal meets it."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

import osaurus_nb as osaurus
from osaurus_nb.cli import main
from osaurus_nb.errors import ConfigError

CANARY = "sk-canary-0123456789abcdef"


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("OSAURUS_HOME", str(tmp_path))
    for variable in ("OPENAI_API_KEY", "XAI_API_KEY", "LAB_KEY"):
        monkeypatch.delenv(variable, raising=False)
    return tmp_path


def run(capsys: pytest.CaptureFixture[str], *words: str) -> tuple[int, str, str]:
    """The exit code, and what was said where."""
    try:
        code = main(["providers", *words])
    except SystemExit as exc:
        code = int(exc.code or 0)
    said = capsys.readouterr()
    return code, said.out, said.err


def test_a_preset_is_added_by_its_name_alone(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """It says where it is, how its models are named, and where to get and put the key."""
    code, out, _ = run(capsys, "add", "openai")

    assert code == 0
    assert "'OpenAI' is set up at https://api.openai.com/v1. Its models are named openai/ID." in out
    assert "$OPENAI_API_KEY, which is not set here" in out
    assert "https://platform.openai.com/api-keys" in out


def test_a_provider_is_added_by_a_pasted_url(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Alone, or behind a name of one's own."""
    run(capsys, "add", "https://api.x.ai/v1/chat/completions")
    run(capsys, "add", "box", "--url", "http://gpu-box:8000/v1/messages", "--key-env", "LAB_KEY")

    xai, box = osaurus.providers.list()
    assert (xai.name, xai.url, xai.key_variable) == ("xAI", "https://api.x.ai/v1", "XAI_API_KEY")
    assert (box.format, box.url, box.key_variable) == ("anthropic", "http://gpu-box:8000/v1", "LAB_KEY")


def test_a_preset_at_an_address_of_ones_own_is_known_by_its_name(
    home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A peer, an Ollama on another machine: port, path and format come from the preset, and its note is told."""
    _, out, _ = run(capsys, "add", "peer", "--url", "gpu-box", "--key-env", "LAB_KEY")
    run(capsys, "add", "ollama", "--url", "gpu-box")
    run(capsys, "add", "openai", "--url", "http://gpu-box:8000/v1")

    assert "jupyter osaurus" in out
    assert [(p.url, p.format, p.needs_key) for p in osaurus.providers.list()] == [
        ("http://gpu-box:1337/osaurus/v1", "openai", True),
        ("http://gpu-box:11434", "ollama", False),
        ("http://gpu-box:8000/v1", "openai", False),
    ]


def test_every_field_has_its_option(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Whatever Python can say, the line can say, for `add` and for `edit`."""
    line = (
        "--protocol https --host h.example --port 8443 --base-path /api --format gemini --key-env LAB_KEY --key-header "
        "X-Key --header X-Team=red --secret-header X-Seal=SEAL --model a --model b --timeout 90.5 --no-auto-connect"
    )
    options = line.split()
    run(capsys, "add", "first", *options, "--disabled")
    run(capsys, "add", "second", "--url", "http://h")
    run(capsys, "edit", "second", *options, "--name", "Renamed")

    first, second = osaurus.providers.list()
    assert (second.name, second.slug) == ("Renamed", "renamed")
    assert (first.enabled, second.enabled) == (False, True)
    for found in (first, second):
        assert (found.url, found.format, found.auto_connect) == ("https://h.example:8443/api", "gemini", False)
        assert (found.key_env, found.key_header, found.timeout) == ("LAB_KEY", "X-Key", 90.5)
        assert (found.headers, found.header_env, found.models) == ({"X-Team": "red"}, {"X-Seal": "SEAL"}, ("a", "b"))
    run(capsys, "edit", "first", "--header", "X-Team=", "--secret-header", "X-Seal=", "--timeout", "none", "--no-key")
    changed = osaurus.providers.find("first")
    assert (changed.headers, changed.secret_headers, changed.timeout, changed.needs_key) == ({}, (), None, False)


def test_providers_are_listed_switched_ordered_and_removed(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Without an action they are listed, with where the key comes from and what is wrong with the file."""
    for name in ("one", "two"):
        run(capsys, "add", name, "--url", "http://127.0.0.1:9/v1")
    run(capsys, "disable", "one")
    run(capsys, "order", "two")
    file = home / "providers" / "remote.json"
    content = json.loads(file.read_text())
    content["providers"].append({"id": "X", "name": "bad"})
    content["providers"].append({"id": "Y", "name": "new", "host": "h", "providerType": "someday"})
    file.write_text(json.dumps(content))

    _, out, err = run(capsys)

    assert [line.split()[0] for line in out.splitlines()] == ["name", "two", "one", "new"]
    assert "disabled" in out.splitlines()[2]
    assert "unsupported" in out.splitlines()[3]
    assert "Entry 3 ('bad')" in err
    run(capsys, "enable", "one")
    run(capsys, "remove", "two")
    assert [(p.name, p.enabled) for p in osaurus.providers.list()] == [("one", True), ("new", True)]


def test_presets_are_listed_with_where_to_get_a_key(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The app's own come first, in its order."""
    _, out, _ = run(capsys, "presets")

    names = [line.split()[0] for line in out.splitlines()[1:]]
    assert names[:5] == ["anthropic", "openai", "xai", "openrouter", "custom"]
    assert {
        "gemini",
        "deepseek",
        "minimax",
        "venice",
        "azure",
        "ollama",
        "lmstudio",
        "nvidia",
        "copilot",
        "peer",
    } <= set(names)
    assert "https://console.anthropic.com/settings/keys" in out


@pytest.mark.parametrize(
    "words",
    [
        ["add", "openai", "--key", CANARY],
        ["add", "openai", f"--key={CANARY}"],
        ["add", "openai", "--api-key", CANARY],
        ["edit", "lab", "--token", CANARY],
        ["add", "openai", "--key-env", CANARY],
        ["add", "openai", "--header", f"Authorization=Bearer {CANARY}"],
        ["add", "openai", "--header", f"X-Plain={CANARY}"],
        ["add", "openai", "--secret-header", f"X-Plain={CANARY}"],
        ["add", CANARY],
        ["add", "openai", "--preset", CANARY],
        ["add", "lab", "--url", f"https://{CANARY}@h/v1"],
        ["remove", CANARY],
    ],
)
def test_a_key_is_never_taken_from_the_line(home: Path, capsys: pytest.CaptureFixture[str], words: list[str]) -> None:
    """It is refused with what to do instead, not repeated, and in no file."""
    run(capsys, "add", "lab", "--url", "http://h/v1")

    code, out, err = run(capsys, *words)

    assert code != 0
    assert err.strip()
    assert CANARY not in out + err
    assert all(CANARY not in path.read_text() for path in home.rglob("*") if path.is_file())


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["add", "opnai"], "Did you mean 'openai'"),
        (["add", "azure"], "--url https://RESOURCE.openai.azure.com"),
        (["add", "lab", "--url", "http://h:99999"], "port must be a number"),
        (["add", "lab", "--url", "http://h", "--timeout", "soon"], "number of seconds"),
        (["add", "lab", "--url", "http://h", "--header", "X"], "NAME=VALUE"),
        (["add", "local", "--url", "http://h"], "name of ours"),
        (["edit", "nobody", "--timeout", "3"], "no provider 'nobody'"),
    ],
)
def test_a_slip_is_told_in_one_sentence(
    home: Path, capsys: pytest.CaptureFixture[str], words: list[str], told: str
) -> None:
    """What is wrong and what to do, with an exit code that a script sees; nothing is set up."""
    code, _, err = run(capsys, *words)

    assert code != 0
    assert told in err
    assert "Traceback" not in err
    assert list(osaurus.providers.list()) == []


def test_whoever_keeps_secrets_is_told_of_new_and_removed_providers(home: Path) -> None:
    """Only for a provider that needs a key is one asked for; whatever was kept for it can go with it."""
    told: list[str] = []

    osaurus.providers.add("openai", keep_key=lambda provider: told.append(f"+{provider.slug}"))
    osaurus.providers.add("ollama", keep_key=lambda provider: told.append(f"+{provider.slug}"))
    osaurus.providers.remove("openai", forget_secrets=lambda provider: told.append(f"-{provider.slug}"))

    assert told == ["+openai", "-openai"]


def test_two_of_one_name_are_both_usable(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The second says how its models are named; the name alone is then refused as ambiguous."""
    run(capsys, "add", "Lab", "--url", "http://a/v1")
    _, out, _ = run(capsys, "add", "Lab", "--url", "http://b/v1")

    assert "lab-2/ID" in out
    with pytest.raises(ConfigError, match="lab or lab-2"):
        osaurus.providers.remove("Lab")
    osaurus.providers.remove("lab-2")
    assert [p.url for p in osaurus.providers.list()] == ["http://a/v1"]


def test_the_front_door_stays_open_whatever_was_used_before(home: Path) -> None:
    """A client imports rooms below `osaurus_nb.providers`; the functions of that name are there all the same."""
    code = "import osaurus_nb as o; o.Client(); o.providers.add('openai'); print([p.slug for p in o.providers.list()])"

    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)

    assert (ran.stdout.strip(), ran.stderr) == ("['openai']", "")
