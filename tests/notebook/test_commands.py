"""What `%osaurus` does beside asking."""

from __future__ import annotations

import pytest

from osaurus_nb import notebook
from osaurus_nb.client import Client
from osaurus_nb.errors import ModelNotFound, Unreachable
from osaurus_nb.models import ModelCard
from osaurus_nb.notebook.texts import HELP
from osaurus_nb.runtime import Runtime
from osaurus_nb.testing.scripted import ScriptedAdapter, says


class Detailed(ScriptedAdapter):
    """Lists one model with everything that is known of it."""

    async def models(self):
        return [ModelCard("<b>tiny", "local", "process", context_length=8192, size_bytes=92_000_000)]


class Down(ScriptedAdapter):
    """Cannot list its models, and answers nonetheless."""

    async def models(self):
        raise Unreachable("No connection to 127.0.0.1:9.", provider="down")


def give(room, *adapters, **settings):
    notebook.use(Client(backend=Runtime(adapters), **settings), shell=room.shell)


def test_models_are_listed_in_a_table(room):
    """Name, provider, context, size and place, with the default marked, and nothing of it unescaped."""
    give(room, Detailed({}, provider="local"), model="<b>tiny")

    room.run("%osaurus models")

    data = room.shown[0]["data"]
    assert data["text/plain"].splitlines()[1].split() == [
        "●",
        "<b>tiny",
        "local",
        "8,192",
        "92",
        "MB",
        "this",
        "machine",
    ]
    assert "<b>" not in data["text/html"]
    assert "&lt;b&gt;tiny" in data["text/html"]


def test_a_provider_that_cannot_list_is_named(room):
    """The others are listed; below, it is said who is missing and why."""
    give(room, ScriptedAdapter({"echo": [says("x")]}), Down({}, provider="down"))

    room.run("%osaurus models")

    assert "scripted/echo" in room.shown[0]["data"]["text/plain"]
    assert "down: No connection to 127.0.0.1:9." in room.shown[1]["data"]["text/plain"]


def test_without_any_model_the_way_to_one_is_shown(room):
    """An empty list says what to do."""
    give(room)

    room.run("%osaurus models")

    assert "osaurus-nb pull" in room.shown[0]["data"]["text/plain"]


def test_use_chooses_by_the_exact_name(room):
    """A bare name that is unique becomes the full one, and answers from then on."""
    room.run("%osaurus use other")
    room.run("%osaurus ask hi")

    assert room.shown[0]["data"]["text/plain"] == "Model: scripted/other"
    assert room.adapter.requests[0].model == "scripted/other"


def test_use_refuses_a_name_that_is_none(room, capsys):
    """Near matches are offered and the choice stays as it was."""
    result = room.run("%osaurus use scriptd/echo")
    room.run("%osaurus use")

    assert isinstance(result.error_in_exec, ModelNotFound)
    assert "Did you mean 'scripted/echo'" in capsys.readouterr().out
    assert room.shown[-1]["data"]["text/plain"] == "Model: scripted/echo"


def test_use_says_when_a_model_is_not_listed(room):
    """A provider may answer to what it does not list; a slip of the pen is shown with what is close."""
    room.run("%osaurus use scripted/ekko")

    assert "scripted does not list 'ekko'" in room.shown[0]["data"]["text/plain"]
    assert "scripted/echo" in room.shown[0]["data"]["text/plain"]
    assert room.shown[1]["data"]["text/plain"] == "Model: scripted/ekko"


def test_use_accepts_a_model_of_a_provider_that_cannot_list(room):
    """A provider whose list fails may still answer."""
    give(room, Down({"m": [says("Up.")]}, provider="down"))

    assert room.run("%osaurus use down/m").success
    assert isinstance(room.run("%osaurus use up/m").error_in_exec, ModelNotFound)


def test_status_tells_mode_model_and_providers(room):
    """One row for each provider, the mode and the model below."""
    room.run("%osaurus status")

    text = room.shown[0]["data"]["text/plain"]
    assert text.splitlines()[1].split() == ["scripted", "2", "yes", "ready"]
    assert "embedded in this kernel · model: scripted/echo · chat is off, 0 turns" in text


def test_status_tells_when_a_broken_provider_is_tried_again(room):
    """What passes by itself is told as such."""
    give(room, Down({}, provider="down"))

    room.run("%osaurus status")

    assert "No connection to 127.0.0.1:9. Next try in " in room.shown[0]["data"]["text/plain"]


def test_the_doctor_comes_to_a_cell(room, monkeypatch, tmp_path):
    """As a table of steps, or as text for an issue."""
    monkeypatch.setenv("OSAURUS_HOME", str(tmp_path))
    monkeypatch.setenv("OSAURUS_OFFERS", "off")
    monkeypatch.delenv("OSAURUS_URL", raising=False)

    assert room.run("%osaurus doctor local").success
    assert room.run("%osaurus doctor local --report").success

    table, text = (shown["data"]["text/plain"] for shown in room.shown[:1] + room.shown[-1:])
    assert table.splitlines()[1].split()[:3] == ["local", "models", "skipped"]
    assert "osaurus-nb " in text


def test_endpoint_never_shows_the_key(room, monkeypatch):
    """Connected, it names the environment's variables; the key itself is nowhere."""
    monkeypatch.setenv("OSAURUS_URL", "http://127.0.0.1:8888/osaurus")
    monkeypatch.setenv("OSAURUS_KEY", "osk-canary-4711")
    give(room)

    room.run("%osaurus endpoint")
    room.run("%osaurus status")

    assert 'base_url=os.environ["OSAURUS_URL"] + "/v1"' in room.shown[0]["data"]["text/plain"]
    assert "canary" not in str(room.shown)


def test_endpoint_says_how_to_start_one(room):
    """Embedded, there is nothing to reach; the command that starts a server is named."""
    room.run("%osaurus endpoint")

    assert "`jupyter osaurus`" in room.shown[0]["data"]["text/plain"]


def test_an_address_given_by_hand_is_shown(room):
    """A client with its own URL shows that, and no key."""
    give(room, url="http://gateway.example/osaurus", key="osk-canary-4711")

    room.run("%osaurus endpoint")

    assert 'base_url="http://gateway.example/osaurus/v1"' in room.shown[0]["data"]["text/plain"]
    assert "canary" not in str(room.shown)


@pytest.mark.parametrize("line", ["%osaurus", "%osaurus help"])
def test_help_is_short_and_complete(room, line):
    """Every command and option is there."""
    room.run(line)

    text = room.shown[0]["data"]["text/plain"]
    assert text == HELP
    assert len(text.splitlines()) < 40
    for word in ("models", "use", "status", "chat", "endpoint", "pull", "--fallback", "-o NAME", "{{expression}}"):
        assert word in text


def test_pull_refuses_what_cannot_be_pulled(room, monkeypatch, tmp_path):
    """The error is the answer; nothing is fetched."""
    monkeypatch.setenv("OSAURUS_HOME", str(tmp_path))
    give(room)

    result = room.run("%osaurus pull gpt-9")

    assert isinstance(result.error_in_exec, ModelNotFound)
    assert list(tmp_path.rglob("*.safetensors")) == []
