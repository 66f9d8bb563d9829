"""Issued keys: what opens, what does not, and what can be read back."""

from __future__ import annotations

import random
import re
from datetime import UTC, datetime, timedelta

import pytest

from osaurus_nb.gateway.keys import PLAIN_SCOPES, KeyRing, is_well_formed


class Clock:
    """Stands still until told to move on."""

    def __init__(self) -> None:
        self.at = datetime(2026, 11, 21, tzinfo=UTC)

    def now(self) -> datetime:
        return self.at

    def monotonic(self) -> float:
        return self.at.timestamp()


def test_an_issued_key_opens_what_it_was_issued_for():
    """The plain key matches, and knows its label and scopes."""
    ring = KeyRing()

    plain, issued = ring.issue("laptop", scopes={"models"}, expires_in=None)

    assert ring.match(plain) == issued
    assert issued.label == "laptop"
    assert issued.opens("models")
    assert not issued.opens("generate")


def test_a_key_has_the_documented_shape():
    """`osk_live_`, 40 base62 characters and 6 of checksum; no two are alike."""
    keys = {KeyRing().issue("x", expires_in=None)[0] for _ in range(100)}

    assert len(keys) == 100
    assert all(re.fullmatch(r"osk_live_[0-9A-Za-z]{46}", key) for key in keys)


def test_no_altered_key_opens_anything():
    """A thousand keys with one character changed are all refused, most by their checksum alone."""
    ring = KeyRing()
    plain, _ = ring.issue("x", expires_in=None)
    dice = random.Random(7)

    for _ in range(1000):
        at = dice.randrange(len(plain))
        other = dice.choice([c for c in "abcXYZ019_-é\x00" if c != plain[at]])
        assert ring.match(plain[:at] + other + plain[at + 1 :]) is None


@pytest.mark.parametrize("text", [None, "", "osk_live_", "Bearer x", "sk-123", "é" * 55, "osk_live_" + "0" * 46])
def test_what_is_no_key_is_refused_without_an_error(text):
    """Any text may arrive in a header."""
    assert KeyRing().match(text) is None


def test_a_key_of_another_process_opens_nothing():
    """Well formed is not enough: each ring knows only what it issued."""
    plain, _ = KeyRing().issue("x", expires_in=None)

    assert is_well_formed(plain)
    assert KeyRing().match(plain) is None


def test_an_expired_key_is_gone():
    """At the moment of its expiry it opens nothing and is no longer listed."""
    clock = Clock()
    ring = KeyRing(clock=clock)
    plain, issued = ring.issue("x", expires_in=timedelta(hours=1))

    clock.at += timedelta(minutes=59)
    before = ring.match(plain)
    clock.at += timedelta(minutes=1)

    assert before == issued
    assert ring.list() == []
    assert ring.match(plain) is None


def test_a_revoked_key_opens_nothing_from_the_next_request_on():
    """Others stay."""
    ring = KeyRing()
    gone, issued = ring.issue("gone", expires_in=None)
    kept, _ = ring.issue("kept", expires_in=None)

    assert ring.revoke(issued.id)
    assert not ring.revoke(issued.id)
    assert ring.match(gone) is None
    assert ring.match(kept) is not None


def test_the_ring_holds_no_key_that_could_be_read():
    """Neither its repr, nor that of what it remembers, nor its memory holds the plain key."""
    ring = KeyRing()
    plain, issued = ring.issue("x", expires_in=None)

    held = f"{ring!r} {issued!r} {vars(ring)!r}"

    assert plain not in held
    assert plain[9:20] not in held
    assert issued.scopes == PLAIN_SCOPES
