"""`osaurus-nb identity`: made, seen, restored and wiped; its words and keys only where nothing keeps them."""

from __future__ import annotations

import os
import re
import subprocess
import sys

import pytest

from osaurus_nb.config.paths import Paths
from osaurus_nb.errors import AccessDenied
from osaurus_nb.identity.book import AccessKeys
from osaurus_nb.identity.identity import Identity
from osaurus_nb.secrets import secrets_of
from tests.commands.conftest import files_with, screen

#: The key 1, in words.
PHRASE = " ".join(["abandon"] * 23 + ["diesel"])
ONE = "0x7E5F4552091A69125d5DfCb7b8C2659029395Bdf"


def book() -> AccessKeys:
    return AccessKeys(Paths.from_env().home / "identity")


def phrase() -> str:
    """The words of the identity that there is."""
    found = Identity.open(secrets_of(Paths.from_env()).slots, book())
    assert found is not None
    return found.phrase()


def test_without_an_identity_both_ways_to_one_are_named(vault, run):
    """Also where one is needed, which is then a fault."""
    shown, needed = run("identity"), run("identity wipe")

    assert (shown.code, needed.code) == (0, 1)
    for text in (shown.out, needed.err):
        assert "osaurus-nb identity create" in text
        assert "osaurus-nb identity restore" in text


def test_an_identity_is_made_once(vault, run):
    """It says who one is and how to get the words, and shows none; another one takes a flag and a word."""
    made, again = run("identity create"), run("identity create")
    refused, replaced = run("identity create --replace", "no"), run("identity create --replace", "replace")

    address = re.findall("0x[0-9a-fA-F]{40}", made.out)[0]
    assert "osaurus-nb identity words" in made.err
    assert (again.code, refused.code, replaced.code) == (1, 1, 0)
    assert address in again.err
    assert "--replace" in again.err
    assert book().address not in (None, address)


def test_without_a_place_for_its_key_none_is_made(home, run):
    """An identity that ends with its process would take its credit along."""
    said = run("identity create")

    assert said.code == 1
    assert "vault keep passphrase" in said.err
    assert book().address is None


def test_words_are_shown_on_a_screen_that_is_wiped(vault, run, terminal):
    """After a word of consent, numbered; the terminal's own screen never has them."""
    run("identity create")
    child = terminal("identity words")
    child.expect("Type 'show' to go on: ")
    child.sendline("show")
    child.expect("Press Enter")
    child.sendline("")
    shown = screen(child)

    before, other = shown.split("\x1b[?1049h")
    other, after = other.split("\x1b[?1049l")
    assert re.findall(r"\d+ ([a-z]+)", other) == phrase().split()
    assert re.findall(r"\d+ ([a-z]+) ", before + after) == []


def test_words_are_shown_to_nothing_but_a_terminal(vault, run, terminal):
    """Not to a file, not without consent, and not to a notebook's `!`, which would save them."""
    run("identity create")
    piped = run("identity words", "show", "")
    child = terminal("identity words")
    child.expect("Type 'show'")
    child.sendline("maybe")
    unsaid = screen(child)
    celled = screen(terminal("identity words", MPLBACKEND="module://matplotlib_inline.backend_inline"))

    assert piped.code == 1
    assert "on a terminal alone" in piped.err
    assert "They were not shown." in unsaid
    assert "saved with its notebook" in celled
    first = " ".join(phrase().split()[:2])
    assert all(first not in text for text in (*map(str, piped), unsaid, celled))


def test_an_identity_is_restored_from_its_words(vault, run):
    """They are read without echo, in any spelling; nothing repeats them or keeps them in clear."""
    said = run("identity restore", PHRASE.upper())

    assert (said.code, said.out.strip()) == (0, f"You are {ONE} again.")
    assert "abandon" not in (said.out + said.err).lower()
    assert files_with(vault, "abandon") == []


def test_a_slip_in_a_word_is_helped_with_at_a_terminal(vault, terminal):
    """What may have been meant is told to who typed it, who may try again."""
    child = terminal("identity restore")
    child.expect("one line: ")
    child.sendline(PHRASE.replace("diesel", "deisel"))
    child.expect("Word 24 may be diesel")
    child.expect("one line: ")
    child.sendline(PHRASE)

    assert f"You are {ONE} again." in screen(child)


def test_a_slip_is_told_to_a_pipe_by_its_place_alone(vault, run):
    """What another program logs has no word in it."""
    said = run("identity restore", PHRASE.replace("diesel", "deisel"))

    assert said.code == 1
    assert "Word 24 is not in the list" in said.err
    assert "diesel" not in said.err
    assert book().address is None


def test_words_on_the_line_are_refused_and_not_repeated(vault, run):
    """Histories keep lines."""
    said = run(f"identity restore {PHRASE}")

    assert said.code == 2
    assert "never taken from a command line" in said.err
    assert "abandon" not in said.err


def test_another_identity_is_restored_only_with_consent(vault, run):
    """Its flag is named; with it, the loss is told and a word is asked for."""
    run("identity create")
    before = book().address

    refused, unsure = run("identity restore", PHRASE), run("identity restore --replace", "no", PHRASE)
    kept = book().address
    run("identity restore --replace", "replace", PHRASE)

    assert "--replace" in refused.err
    assert (unsure.code, kept, book().address) == (1, before, ONE)


def test_wiping_takes_a_word(vault, run):
    """After it there is none, and what it issued opens nothing."""
    run("identity create")
    token = run("identity keys issue lab").out.strip()

    unsure = run("identity wipe", "yes")
    book().check(token)
    wiped = run("identity wipe", "wipe")

    assert (unsure.code, wiped.code, book().address) == (1, 0, None)
    with pytest.raises(AccessDenied):
        book().check(token)


def test_an_access_key_is_printed_once_and_alone(vault, run):
    """A script can take it from the output; what is to be known of it is beside, and no file has it."""
    run("identity create")

    said = run("identity keys issue lab --expires 30d")
    listed = run("identity keys")

    token = said.out.strip()
    assert book().check(token).label == "lab"
    assert "shown this once" in said.err
    assert "may spend your Router credit" in said.err
    assert token not in listed.out
    assert files_with(vault, token.rpartition(".")[2]) == []


def test_keys_are_listed_as_they_stand_and_revoked(vault, run):
    """By the beginning of an id, or all up to a number; from the next request on."""
    run("identity create")
    wanted = ("one", "two --agent 3 --expires never", "three")
    tokens = [run(f"identity keys issue {line}").out.strip() for line in wanted]
    rows = [line.split() for line in run("identity keys list").out.splitlines()[1:]]

    assert [row[2] for row in rows] == ["one", "two", "three"]
    assert "agent 3" in run("identity keys").out
    assert run("identity keys revoke nothing").code == 1
    run(f"identity keys revoke {rows[2][1]}")
    run("identity keys revoke --up-to 1")
    standing = re.findall("valid|revoked|expired", run("identity keys").out)
    assert standing == ["revoked", "valid", "revoked"]
    for token in (tokens[0], tokens[2]):
        with pytest.raises(AccessDenied, match="revoked"):
            book().check(token)


def test_behind_an_exclamation_mark_in_a_cell_no_key_is_issued(vault, run, monkeypatch):
    """Its output would be saved: nothing is made, and the terminal is named."""
    run("identity create")
    monkeypatch.setenv("JPY_PARENT_PID", "1")

    said = run("identity keys issue lab")

    assert said.code == 1
    assert "`osaurus-nb identity keys issue lab`" in said.err
    assert list(book().list()) == []


def test_a_command_that_cannot_ask_ends(vault, run):
    """With nobody and no pipe, as in a job that runs by itself, it fails at once."""
    environment = {**os.environ, "PYTHON_KEYRING_BACKEND": "keyring.backends.fail.Keyring"}

    ran = subprocess.run(
        [sys.executable, "-m", "osaurus_nb.cli", "identity", "restore"],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        env=environment,
        timeout=30,
        check=False,
    )

    assert ran.returncode == 1
    assert "Nobody can be asked here" in ran.stderr
