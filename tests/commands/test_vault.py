"""`osaurus-nb vault`, as somebody meets it who has no keychain."""

from __future__ import annotations

from osaurus_nb.secrets import secrets_of
from tests.commands.conftest import files_with, screen

PASSPHRASE = "four random words here"
CANARY = "sk-canary-0123456789abcdef"


def test_the_status_says_who_can_read_secrets_and_what_helps(home, run):
    """Every place is listed; without one, the next step names a command. It writes nothing."""
    said = run("vault")

    assert said.code == 0
    assert "Secrets are kept in memory only." in said.out
    assert [line.split()[0] for line in said.out.splitlines()[2:]] == ["given", "keychain", "passphrase", "file"]
    assert "osaurus-nb vault keep passphrase" in said.err
    assert list(home.iterdir()) == []


def test_a_passphrase_opens_the_vault_in_each_command(home, run, terminal):
    """It is chosen twice without echo; a later command asks for it, and then keeps a key."""
    chosen = terminal("vault keep passphrase")
    chosen.expect("New passphrase")
    chosen.sendline(PASSPHRASE)
    chosen.expect("again")
    chosen.sendline(PASSPHRASE)
    first = screen(chosen)
    run("providers add openai")
    kept = terminal("providers key openai")
    kept.expect("Passphrase of the vault: ")
    kept.sendline(PASSPHRASE)
    kept.expect("The key of 'OpenAI': ")
    kept.sendline(CANARY)
    second = screen(kept)

    assert "its key is made from your passphrase" in first
    assert "is kept" in second
    assert PASSPHRASE not in first + second
    assert CANARY not in second
    assert files_with(home, CANARY) == files_with(home, PASSPHRASE) == []


def test_models_are_asked_once_the_vault_is_open(home, run, terminal):
    """Whoever is at a terminal types the passphrase first; a job without one goes on, and the provider says why not."""
    run("vault keep passphrase", PASSPHRASE, PASSPHRASE)
    child = terminal("models")
    child.expect("Passphrase of the vault: ")
    child.sendline(PASSPHRASE)

    assert PASSPHRASE not in screen(child)
    assert child.exitstatus == 0
    assert run("models").code == 0


def test_a_wrong_passphrase_is_told(home, run):
    """With an exit code that a script sees; nothing changes."""
    run("vault keep passphrase", PASSPHRASE, PASSPHRASE)
    secrets_of.cache_clear()  # as in another process

    said = run("vault unlock", "something else")

    assert said.code == 1
    assert "not the vault's passphrase" in said.err
    assert "something" not in said.err


def test_two_different_passphrases_change_nothing(home, run):
    """A slip of the finger locks nobody out."""
    said = run("vault keep passphrase", PASSPHRASE, f"{PASSPHRASE}.")

    assert said.code == 1
    assert "two different ones" in said.err
    assert not (home / "secrets" / "vault.bin").exists()


def test_the_insecure_file_takes_a_word_and_has_a_badge(home, run):
    """Nothing is in clear by accident; as long as it is, each status says so and names the way out."""
    refused = run("vault keep file", "yes")
    agreed = run("vault keep file", "insecure")
    later = run("vault status")

    assert refused.code == 1
    assert agreed.code == 0
    for said in (agreed, later):
        assert "Insecure" in said.err
        assert "osaurus-nb vault keep keychain" in said.err


def test_without_a_keychain_the_vault_stays_where_it_is(vault, run):
    """Moving it is refused with the reason, and it opens as before."""
    said = run("vault keep keychain")

    assert said.code == 1
    assert "Nothing was changed" in said.err
    assert "given" in run("vault status").out
