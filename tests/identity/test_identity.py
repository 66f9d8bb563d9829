"""An identity: made, restored, used and wiped, in one process and in several; and that it keeps its secret."""

from __future__ import annotations

import copy
import logging
import pickle
import traceback

import pytest

from osaurus_nb.errors import ConfigError
from osaurus_nb.identity.access import AccessKeyRefused, Refusal
from osaurus_nb.identity.book import AccessKeys
from osaurus_nb.identity.identity import AnotherIdentity, Identity, IdentityExists, IdentityGone
from osaurus_nb.identity.phrase import PhraseRejected
from osaurus_nb.identity.requests import signed_by

PHRASE = (
    "project entry cook mango pause vast purse network regular mushroom divide chuckle river focus tobacco laundry"
    " galaxy tornado own online satisfy just wrap arctic"
)
ALICE = "0xf39Fd6e51aad88F6F4ce6aB8827279cffFb92266"
SECRET = "ac0974bec39a17e36ba4a6b4d238ff944bacb478cbed5efcae784d7bf4f2ff80"


def test_a_created_identity_is_the_one_that_is_opened(vault, book):
    """Also by another process with the same vault and folder; each is a new one."""
    made = Identity.create(vault, book)

    opened = Identity.open(vault, AccessKeys(book._file.path.parent))

    assert opened.address == made.address == book.address
    assert Identity.create(type(vault)(), AccessKeys(book._file.path.parent / "b")).address != made.address


def test_without_an_identity_there_is_none_to_open(vault, book):
    """And asking makes nothing."""
    assert Identity.open(vault, book) is None
    assert not book._file.path.exists()


def test_a_second_identity_takes_the_first_ones_place_only_when_told(vault, book):
    """The first one's credit would be lost."""
    first = Identity.create(vault, book)

    with pytest.raises(IdentityExists, match=first.address) as caught:
        Identity.create(vault, book)

    assert caught.value.present == first.address
    second = Identity.create(vault, book, replace=True)
    assert Identity.open(vault, book).address == second.address != first.address


def test_an_identity_comes_back_from_its_words(vault, book):
    """On another machine: same address, same agents."""
    here = Identity.restore(PHRASE, vault, book)

    assert here.address == ALICE
    assert here.phrase() == PHRASE
    assert here.agent(0).address == "0x331565e19602986634610f4B33Ff7ad182860036"


def test_the_same_words_again_change_nothing(vault, book):
    """No consent is needed, and counters go on."""
    here = Identity.restore(PHRASE, vault, book)
    token, key = here.issue()

    again = Identity.restore(PHRASE.upper(), vault, book)

    assert book.check(token) == key
    assert again.issue()[1].counter == key.counter + 1


def test_words_of_another_identity_need_consent(vault, book):
    """Both addresses are told; nothing changes until it is said."""
    mine = Identity.create(vault, book)

    with pytest.raises(AnotherIdentity) as caught:
        Identity.restore(PHRASE, vault, book)

    assert (caught.value.present, caught.value.offered) == (mine.address, ALICE)
    assert Identity.open(vault, book).address == mine.address
    assert Identity.restore(PHRASE, vault, book, replace=True).address == ALICE


def test_an_identity_in_a_vault_that_is_closed_here_is_not_replaced(vault, book):
    """A process without the keychain does not take another one's identity for none."""
    mine = Identity.create(vault, book)
    closed = type(vault)()

    with pytest.raises(IdentityExists, match=mine.address):
        Identity.create(closed, book)
    with pytest.raises(AnotherIdentity):
        Identity.restore(PHRASE, closed, book)
    assert Identity.open(closed, book) is None
    assert book.address == mine.address


def test_wrong_words_change_nothing(vault, book):
    """Not even with consent."""
    mine = Identity.create(vault, book)

    with pytest.raises(PhraseRejected):
        Identity.restore("hello", vault, book, replace=True)

    assert Identity.open(vault, book).address == mine.address


def test_a_signed_request_is_the_golden_one(vault, book):
    """With the clock's second, over the bytes given."""
    here = Identity.restore(PHRASE, vault, book)

    headers = here.sign_request("POST", "https://router.osaurus.ai/credits/checkout", b'{"amount_micro":"5000000"}')

    assert headers["x-wallet-signature"].startswith("0x6202ec0b3ff9510d01784c935faf5af08eb10bf5b0759830")
    assert headers["x-wallet-timestamp"] == "1717171717"


def test_each_attempt_is_signed_anew(vault, book, clock):
    """A later attempt has a later time."""
    here = Identity.restore(PHRASE, vault, book)
    first = here.sign_request("GET", "/models", nonce="n")
    clock.at += 2

    second = here.sign_request("GET", "/models", nonce="n")

    assert signed_by("GET", "/models", b"", second).timestamp == signed_by("GET", "/models", b"", first).timestamp + 2


def test_a_wiped_identity_signs_nothing_and_its_keys_open_nothing(vault, book):
    """In every process that has it open, from the next request on."""
    mine = Identity.create(vault, book)
    elsewhere = Identity.open(vault, AccessKeys(book._file.path.parent, clock=book.clock))
    token, _ = mine.issue()

    mine.wipe()

    assert vault.kept == {}
    assert Identity.open(vault, book) is None
    for gone in (mine, elsewhere):
        for use in (lambda one: one.sign_request("GET", "/models"), lambda one: one.agent(0), lambda one: one.issue()):
            with pytest.raises(IdentityGone, match=mine.address):
                use(gone)
    with pytest.raises(AccessKeyRefused) as caught:
        elsewhere.keys.check(token)
    assert caught.value.reason is Refusal.AUDIENCE_UNKNOWN


def test_wiping_twice_or_after_a_replacement_hurts_nobody_else(vault, book):
    """The identity that took its place stays."""
    first = Identity.create(vault, book)
    second = Identity.create(vault, book, replace=True)

    first.wipe()
    first.wipe()

    assert Identity.open(vault, book).address == second.address
    assert second.sign_request("GET", "/models")


def test_what_was_revoked_stays_so_when_a_wiped_identity_is_restored(vault, book):
    """And the keys that were not revoked open again; counters go on."""
    mine = Identity.create(vault, book)
    words = mine.phrase()
    (kept, _), (revoked, key) = mine.issue(), mine.issue()
    book.revoke(key.id)
    mine.wipe()

    again = Identity.restore(words, vault, book)

    assert book.check(kept)
    with pytest.raises(AccessKeyRefused):
        book.check(revoked)
    assert again.issue()[1].counter == 3


def test_a_restored_identity_uses_no_counter_again(vault, book, clock, tmp_path):
    """Keys that it issued on another machine have smaller ones: they are taken here, and can be revoked all at once."""
    there = Identity.create(type(vault)(), AccessKeys(tmp_path / "other", clock=clock))
    old, key = there.issue()

    here = Identity.restore(there.phrase(), vault, book)
    token, new = here.issue()

    assert book.check(old) == key
    book.revoke_up_to(new.counter - 1)
    with pytest.raises(AccessKeyRefused):
        book.check(old)
    assert book.check(token) == new


def test_a_vault_that_keeps_nothing_is_noticed(vault, book):
    """An identity that would be gone tomorrow is not made, and nothing says that there is one."""

    class Sieve(type(vault)):
        def set(self, provider: str, name: str, value: str, /) -> None: ...

    with pytest.raises(ConfigError, match="did not keep"):
        Identity.create(Sieve(), book)

    assert book.address is None


def test_an_entry_that_is_no_key_is_told_without_showing_it(vault, book):
    """What it is instead may be a secret too."""
    vault.set("identity", "master", "hunter2")

    with pytest.raises(ConfigError, match="not a key") as caught:
        Identity.open(vault, book)

    assert "hunter2" not in "".join(traceback.format_exception(caught.value))


def test_an_identity_shows_its_address_and_no_more(vault, book, caplog):
    """No print, log, pickle, copy, traceback with locals or file has its key or its words."""
    caplog.set_level(logging.DEBUG)
    here = Identity.restore(PHRASE, vault, book)
    here.issue(label="x")
    here.sign_request("GET", "/models")
    here.add_agent()
    told = f"{here!r} {here} {dir(here)} {caplog.text} {book!r}"
    try:
        raise RuntimeError("with an identity in the frame")
    except RuntimeError as exc:
        told += "".join(traceback.TracebackException.from_exception(exc, capture_locals=True).format())
    told += "".join(file.read_text() for file in book._file.path.parent.rglob("*") if file.is_file())

    assert ALICE in told
    assert not any(
        secret in told for secret in (SECRET, str(int(SECRET, 16)), "mango pause", here.agent(0).secret().hex())
    )
    for attempt in (pickle.dumps, copy.copy, copy.deepcopy):
        with pytest.raises(TypeError, match="private key"):
            attempt(here)


def test_a_vault_that_is_locked_midway_shows_no_key_in_a_traceback(book, vault):
    """Some tracebacks show what the names of a frame stand for: ours has no name for the key."""

    class Locked(type(vault)):
        def set(self, provider: str, name: str, value: str, /) -> None:
            raise ConfigError("The vault is locked.")

    with pytest.raises(ConfigError, match="locked") as caught:
        Identity.restore(PHRASE, Locked(), book)

    frames = traceback.TracebackException.from_exception(caught.value, capture_locals=True)
    ours = [frame for frame in frames.stack if "osaurus_nb" in frame.filename]
    assert ours
    assert not any(SECRET in str(value) for frame in ours for value in (frame.locals or {}).values())
