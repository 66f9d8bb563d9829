"""A key as 24 words: there and back, and what is said of words that are wrong."""

from __future__ import annotations

import hashlib
from importlib.resources import files

import pytest
from hypothesis import given
from hypothesis import strategies as st

from osaurus_nb.identity._points import N
from osaurus_nb.identity.phrase import PhraseRejected, phrase_of, secret_of

KEY = bytes.fromhex("ac0974bec39a17e36ba4a6b4d238ff944bacb478cbed5efcae784d7bf4f2ff80")
PHRASE = (
    "project entry cook mango pause vast purse network regular mushroom divide chuckle river focus tobacco laundry"
    " galaxy tornado own online satisfy just wrap arctic"
)
#: Published with BIP-39: 32 bytes of entropy and their words.
PUBLISHED = {
    "7f" * 32: "legal winner thank year wave sausage worth useful " * 2
    + "legal winner thank year wave sausage worth title",
    "80" * 32: "letter advice cage absurd amount doctor acoustic avoid " * 2
    + "letter advice cage absurd amount doctor acoustic bless",
    "68a79eaca2324873eacc50cb9c6eca8cc68ea5d936f98787c60c7ebc74e6ce7c": (
        "hamster diagram private dutch cause delay private meat slide toddler razor book happy fancy gospel tennis"
        " maple dilemma loan word shrug inflict delay length"
    ),
}


def test_the_list_is_that_of_bip_39():
    """2048 words, sorted, told apart by four letters, and the file's published checksum."""
    raw = files("osaurus_nb.identity").joinpath("english.txt").read_bytes()
    words = raw.decode("ascii").split()

    assert hashlib.sha256(raw).hexdigest() == "2f5eed53a4727b4bf8880d8f3f199efc90e58503646d9ff8eff3a2ed3b24dbda"
    assert len({word[:4] for word in words}) == 2048
    assert words == sorted(words)


def test_the_golden_phrase():
    """The words that the app gives for this key, and the key that it makes of them."""
    assert phrase_of(KEY) == PHRASE
    assert secret_of(PHRASE) == KEY


@pytest.mark.parametrize("secret", PUBLISHED)
def test_the_phrases_published_with_bip_39(secret):
    """Any wallet reads the same words."""
    assert phrase_of(bytes.fromhex(secret)) == PUBLISHED[secret].strip()
    assert secret_of(PUBLISHED[secret]) == bytes.fromhex(secret)


@given(number=st.integers(1, N - 1))
def test_every_key_comes_back_from_its_words(number):
    """There and back is the same key."""
    secret = number.to_bytes(32, "big")

    assert secret_of(phrase_of(secret)) == secret


def test_how_it_is_typed_does_not_matter():
    """Capitals, line ends and double spaces, as a note on paper has them."""
    typed = "  " + PHRASE.upper().replace(" ", "\n   ", 5) + "\n"

    assert secret_of(typed) == KEY


@pytest.mark.parametrize("count", [0, 12, 23, 25])
def test_a_wrong_number_of_words_is_told_with_both_numbers(count):
    """24 are needed, and so many are these."""
    with pytest.raises(PhraseRejected, match=f"has 24 words; these are {count}"):
        secret_of(" ".join((PHRASE + " arctic").split()[:count]))


def test_unknown_words_are_named_by_place_with_words_that_are_close():
    """The message holds no word, because messages are logged; the close ones are beside it, for the screen."""
    typed = PHRASE.replace("mango", "mangoo").replace("galaxy", "galxy")

    with pytest.raises(PhraseRejected, match="Words 4 and 17 are not in the list") as caught:
        secret_of(typed)

    assert caught.value.near[4][0] == "mango"
    assert caught.value.near[17][0] == "galaxy"
    assert not {"mango", "mangoo", "galaxy", "galxy"} & set(str(caught.value).replace(".", "").split())


def test_a_word_like_no_other_has_no_close_ones():
    """Nothing is made up."""
    with pytest.raises(PhraseRejected, match="Word 1 is not") as caught:
        secret_of(PHRASE.replace("project", "zzxqj"))

    assert caught.value.near == {1: ()}


def test_two_words_that_changed_places_are_noticed():
    """All are known, but the checksum tells that they do not belong together."""
    words = PHRASE.split()
    words[0], words[1] = words[1], words[0]

    with pytest.raises(PhraseRejected, match="do not belong together"):
        secret_of(" ".join(words))


def test_a_phrase_that_is_no_key_of_the_curve_is_refused():
    """A phrase may be good and still not be an identity's: zero is no key."""
    with pytest.raises(PhraseRejected, match="not one of an identity"):
        secret_of("abandon " * 23 + "art")
