"""Keys of providers, typed or piped in, and kept where nobody reads them."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

import osaurus_nb as osaurus
from osaurus_nb._portal import portal
from osaurus_nb.config.paths import Paths
from osaurus_nb.errors import ConfigError
from osaurus_nb.secrets import API_KEY, header, numbered, secrets_of
from osaurus_nb.testing.loopback import LoopbackUpstream
from tests.commands.conftest import files_with, screen

CANARY = "sk-canary-0123456789abcdef"


def stored(name: str = API_KEY) -> str | None:
    """What an adapter would send."""
    return secrets_of(Paths.from_env()).get(osaurus.providers.find("openai").id, name)


@pytest.fixture
def upstream() -> Iterator[LoopbackUpstream]:
    served = LoopbackUpstream()
    portal().run(served.__aenter__())
    yield served
    portal().run(served.__aexit__())


@pytest.fixture
def openai(run):
    run("providers add openai")


def test_a_key_is_typed_without_echo_and_kept(vault, run, terminal, openai):
    """At the prompt nothing is shown of it; the answer says where it is now."""
    child = terminal("providers key openai")
    child.expect("The key of 'OpenAI': ")
    child.sendline(CANARY)
    shown = screen(child)

    assert "The key of 'OpenAI' is kept. Secrets are kept in the vault; its key is given to this process." in shown
    assert CANARY not in shown
    assert stored() == CANARY
    assert files_with(vault, CANARY) == []


def test_a_key_may_come_through_a_pipe(vault, run, openai):
    """So that a password manager can give it; the list then says where the key is."""
    said = run("providers key openai", CANARY)

    assert (said.code, stored()) == (0, CANARY)
    assert "vault" in run("providers").out.splitlines()[1]
    assert CANARY not in said.out + said.err


def test_where_nothing_keeps_a_key_it_is_refused_with_what_helps(home, run, openai):
    """A command ends, and with it what is in its memory: it says so before it asks."""
    said = run("providers key openai", CANARY)

    assert said.code == 1
    assert "it would end with this command" in said.err
    assert "osaurus-nb vault keep passphrase" in said.err
    assert stored() is None


def test_adding_a_provider_offers_to_type_its_key(vault, terminal):
    """At a terminal, where no variable has it; Enter leaves it for later, with the command to do it."""
    now, later = terminal("providers add openai"), terminal("providers add xai")
    for child, typed in ((now, CANARY), (later, "")):
        child.expect("Enter: later")
        child.sendline(typed)

    assert "Its key comes from the vault." in screen(now)
    assert "osaurus-nb providers key xai" in screen(later)
    assert stored() == CANARY


def test_nobody_is_asked_for_a_key_that_a_variable_has(vault, run, terminal, openai):
    """It wins over a stored one, so that none is taken; and `add` does not offer it."""
    added = screen(terminal("providers add openai", OPENAI_API_KEY=CANARY))
    typed = screen(terminal("providers key openai", OPENAI_API_KEY=CANARY))

    assert "Its key comes from the environment variable OPENAI_API_KEY." in added
    assert "which wins over a stored one" in typed
    assert CANARY not in added + typed


def test_what_was_typed_is_what_is_sent(vault, run, upstream):
    """The key and the secret header arrive at the provider; `test` says that it works, or why not."""
    run(f"providers add lab --url {upstream.url}")
    run("providers key lab", CANARY)
    run("providers key lab --header X-Team", "red")

    said = run("providers test lab")
    moved = run("providers edit lab --url http://127.0.0.1:9/v1")
    run("providers add gone --url http://127.0.0.1:9/v1")
    away = run("providers test gone")

    assert "'lab' lists 1 model." in said.out
    sent = upstream.requests[-1].headers
    assert (sent["authorization"], sent["x-team"]) == (f"Bearer {CANARY}", "red")
    assert moved.code == 1  # what was typed for one host goes to no other
    assert away.code == 1
    assert "127.0.0.1" in away.err


def test_a_secret_header_is_kept_like_a_key(vault, run, openai):
    """It need not be declared before, is the same in any case, and goes with its value."""
    run("providers key openai --header X-Team", "first")
    run("providers key openai --header x-team", "second")

    assert osaurus.providers.find("openai").secret_headers == ("X-Team",)
    assert stored(header("X-Team")) == "second"
    run("providers key openai --header X-TEAM --remove")
    assert osaurus.providers.find("openai").secret_headers == ()
    assert stored(header("X-Team")) is None


def test_a_further_key_is_kept_beside_the_first(vault, run, openai):
    """By its number, for when the first fails; the list says how many there are, and each is removed by itself."""
    run("providers key openai", CANARY)

    said = run("providers key openai --number 2", f"{CANARY}-2")

    assert "The key no. 2 of 'OpenAI' is kept." in said.out
    assert stored(numbered(API_KEY, 2)) == f"{CANARY}-2"
    assert "vault and 1 more" in run("providers").out
    run("providers key openai --number 2 --remove")
    assert (stored(), stored(numbered(API_KEY, 2))) == (CANARY, None)
    assert run("providers key openai --number 0", CANARY).code == 1


def test_a_stored_key_is_removed(vault, run, openai):
    """Once; the second time it is said that there is none."""
    run("providers key openai", CANARY)

    first, second = run("providers key openai --remove"), run("providers key openai --remove")

    assert "is removed" in first.out
    assert "not stored" in second.out
    assert stored() is None


def test_removing_a_provider_removes_its_secrets(vault, run, openai):
    """Also from Python; the vault then has nothing of it."""
    for remove in (lambda: run("providers remove openai"), lambda: osaurus.providers.remove("openai")):
        if not osaurus.providers.list():
            run("providers add openai")
        id = osaurus.providers.find("openai").id
        run("providers key openai", CANARY)

        remove()

        assert secrets_of(Paths.from_env()).names(id) == ()


def test_a_provider_stays_while_its_secrets_cannot_be_deleted(vault, run, openai, monkeypatch):
    """What is not forgotten is not orphaned: it is told, and can be done again."""
    run("providers key openai", CANARY)
    monkeypatch.setenv("OSAURUS_VAULT_KEY", "11" * 32)
    secrets_of.cache_clear()

    said = run("providers remove openai")

    assert said.code == 1
    assert "were not deleted" in said.err
    assert [provider.slug for provider in osaurus.providers.list()] == ["openai"]


def test_a_provider_without_a_key_is_asked_with_the_one_it_gets(vault, run):
    """Whoever types a key means it to be sent."""
    run("providers add lab --url http://127.0.0.1:9/v1")

    run("providers key lab", CANARY)

    assert osaurus.providers.find("lab").needs_key


@pytest.mark.parametrize("line", [f"key openai {CANARY}", f"key openai --key {CANARY}", f"key openai --token={CANARY}"])
def test_a_key_on_the_line_is_refused_and_not_repeated(vault, run, openai, line):
    """It says how a key is taken, and to replace this one."""
    said = run(f"providers {line}")

    assert said.code == 2
    assert "never taken from a command line" in said.err
    assert CANARY not in said.out + said.err
    assert stored() is None


@pytest.mark.parametrize(
    ("typed", "told"), [("", "Nothing was entered"), ("sk-\u200babc", "invisible"), ("a\tb", "one line of text")]
)
def test_what_is_no_key_is_not_kept(vault, run, openai, typed, told):
    """Nor repeated."""
    said = run("providers key openai", typed)

    assert said.code == 1
    assert told in said.err
    assert stored() is None


def test_nothing_to_import_is_told(home, run, openai, monkeypatch):
    """The app's items are looked for only when asked; where they cannot be had, it says why."""
    monkeypatch.setenv("OSAURUS_VAULT_KEY", "5a" * 32)

    said = run("providers key openai --import-from-app")

    assert said.code == 1
    assert "Nothing was imported" in said.err


def test_programs_keep_a_key_that_they_have(vault, run, openai):
    """`osaurus.providers.key` gives back where it is, and shows nothing of it."""
    status = osaurus.providers.key("openai", key=CANARY)

    assert (status.state, stored()) == ("open", CANARY)
    assert CANARY not in repr(status)
    with pytest.raises(ConfigError, match="Nothing was entered"):
        osaurus.providers.key("openai", key=" ")
