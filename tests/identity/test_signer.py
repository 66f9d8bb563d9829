"""Private keys: whose address they have, what they sign, and that nobody gets to see them."""

from __future__ import annotations

import contextlib
import copy
import pickle
import subprocess
import sys
import traceback

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from osaurus_nb.identity._points import HALF_N, N
from osaurus_nb.identity.addresses import checksummed, is_address
from osaurus_nb.identity.envelopes import BadSignature, Flaw, Prefix, digest, signer_of
from osaurus_nb.identity.signer import Signer

A = "ac0974bec39a17e36ba4a6b4d238ff944bacb478cbed5efcae784d7bf4f2ff80"
B = "59c6995e998f97a5a0044966f0945389dc9e86dae88c7a8412f4603b6b78690d"
KEYS = {
    A: "0xf39Fd6e51aad88F6F4ce6aB8827279cffFb92266",
    B: "0x70997970C51812dc3A010C7d01b50e0d17dc79C8",
    "c2ddba76f071d8115d12d4a8e4d9df7c460aa6ae4f4a59b6c9d1f740a88146f9": "0x331565e19602986634610f4B33Ff7ad182860036",
    "d905eac4ce809291a1be6cbf0833723e6c8f283122ef61d5d078992d5ac5f9aa": "0x68f7323C76Ef2846fEfA87468bcd1Ef746838368",
}
secrets = st.integers(1, N - 1).map(lambda number: number.to_bytes(32, "big"))


@pytest.mark.parametrize("secret", KEYS)
def test_known_addresses(secret):
    """A key has the address that the app gives it, capitals included."""
    assert Signer(bytes.fromhex(secret)).address == KEYS[secret]


def test_agents_are_derived_as_in_the_app(alice):
    """Agent keys come from the master's alone: the same index gives the same key everywhere."""
    derived = [alice.agent(index).secret().hex() for index in (0, 1)]

    assert derived == list(KEYS)[2:]


@pytest.mark.parametrize("index", [-1, 2**32])
def test_an_agent_has_a_number_of_32_bits(alice, index):
    """Other numbers are refused before anything is derived."""
    with pytest.raises(ValueError):
        alice.agent(index)


@pytest.mark.parametrize("secret", [b"", bytes(32), bytes(31), N.to_bytes(32, "big"), b"\xff" * 32])
def test_what_is_no_private_key_is_refused(secret):
    """Zero, numbers beyond the curve's order and wrong lengths sign nothing."""
    with pytest.raises(ValueError, match="a private key is"):
        Signer(secret)


def test_the_envelope_says_what_is_signed(alice):
    """The digest of the golden request is the published one."""
    body = "52036319835da908887a473ff6d324016454cc924072482cf6253cb08226b777"
    text = f"osaurus-credits:{alice.address.lower()}:POST:/credits/checkout:1717171717:{body}:"

    hashed = digest(Prefix.ETHEREUM, text.encode())

    assert hashed.hex() == "a47188798be3040c5f8529f5864a933c45d2d5ccce8bf3c4edbec33a1737ed73"


def test_the_length_in_the_envelope_counts_bytes(alice):
    """Two payloads of as many characters but other lengths in bytes are two envelopes."""
    signature = alice.sign(Prefix.MESSAGE, "grüße".encode())

    assert signer_of(Prefix.MESSAGE, "grüße".encode(), signature) == alice.address


@settings(max_examples=40, deadline=None)
@given(secret=secrets, payload=st.binary(max_size=300), prefix=st.sampled_from(Prefix))
def test_whatever_is_signed_is_recovered(secret, payload, prefix):
    """For any key, payload and purpose: the signer's address comes back, s is small, and signing again is the same."""
    signer = Signer(secret)

    signature = signer.sign(prefix, payload)

    assert signer_of(prefix, payload, signature) == signer.address
    assert int.from_bytes(signature[32:64], "big") <= HALF_N
    assert signature == signer.sign(prefix, payload)


def test_the_library_agrees_that_the_signature_is_good(alice):
    """Our recovery and the library's own check look at the same signature."""
    from cryptography.hazmat.primitives.asymmetric import ec, utils
    from cryptography.hazmat.primitives.hashes import SHA256

    signature = alice.sign(Prefix.INVITE, b"hello")

    der = utils.encode_dss_signature(int.from_bytes(signature[:32], "big"), int.from_bytes(signature[32:64], "big"))
    key = ec.derive_private_key(int(A, 16), ec.SECP256K1()).public_key()
    key.verify(der, digest(Prefix.INVITE, b"hello"), ec.ECDSA(utils.Prehashed(SHA256())))


def test_a_signature_for_one_purpose_is_worth_nothing_for_another(alice):
    """Under another prefix somebody else seems to have signed."""
    signature = alice.sign(Prefix.PAIRING, b"nonce")

    others = {signer_of(prefix, b"nonce", signature) for prefix in Prefix if prefix is not Prefix.PAIRING}

    assert alice.address not in others


def flawed(signature: bytes, flaw: Flaw) -> bytes:
    r, s, v = signature[:32], int.from_bytes(signature[32:64], "big"), signature[64]
    return {
        Flaw.LENGTH: signature[:64],
        Flaw.RECOVERY_BYTE: signature[:64] + bytes([v - 27]),
        Flaw.RANGE: bytes(32) + signature[32:],
        Flaw.HIGH_S: r + (N - s).to_bytes(32, "big") + bytes([27 + 28 - v]),
        Flaw.NO_KEY: (5).to_bytes(32, "big") + signature[32:],  # no point of the curve has x = 5
    }[flaw]


@pytest.mark.parametrize("flaw", Flaw)
def test_a_malformed_signature_is_refused_with_its_flaw(alice, flaw):
    """The twin with the large s too, which recovers to the very same key."""
    signature = flawed(alice.sign(Prefix.ACCESS, b"payload"), flaw)

    with pytest.raises(BadSignature) as caught:
        signer_of(Prefix.ACCESS, b"payload", signature)

    assert caught.value.flaw is flaw


@settings(max_examples=150, deadline=None)
@given(signature=st.binary(min_size=65, max_size=65))
def test_any_bytes_are_a_signature_by_somebody_or_refused(signature):
    """No 65 bytes bring anything but an address or a flaw."""
    with contextlib.suppress(BadSignature):
        assert is_address(signer_of(Prefix.ACCESS, b"payload", signature))


@pytest.mark.parametrize("v", [0, 1, 26, 29, 255])
def test_only_27_and_28_are_taken(alice, v):
    """Other libraries' 0 and 1 are another spelling of the same signature: there is to be one."""
    signature = alice.sign(Prefix.ACCESS, b"payload")[:64] + bytes([v])

    with pytest.raises(BadSignature) as caught:
        signer_of(Prefix.ACCESS, b"payload", signature)

    assert caught.value.flaw is Flaw.RECOVERY_BYTE


def test_addresses_have_a_checksum_in_their_capitals():
    """A letter of the wrong size is a typo; small letters alone say nothing."""
    good = KEYS[A]

    assert is_address(good)
    assert is_address(good.lower())
    assert not is_address(good.replace("F", "f", 1))
    assert not is_address(good[:-1])
    assert checksummed(good.lower()) == good


def test_a_signer_shows_its_address_and_no_more(alice):
    """Not printed, formatted, listed among a frame's locals, pickled or copied does it give its key away."""
    told = f"{alice!r} {alice} {[alice]} {dir(alice)}"
    try:
        raise RuntimeError("with a signer in the frame")
    except RuntimeError as exc:
        told += "".join(traceback.TracebackException.from_exception(exc, capture_locals=True).format())

    assert A not in told
    assert str(int(A, 16)) not in told
    for attempt in (pickle.dumps, copy.copy, copy.deepcopy):
        with pytest.raises(TypeError, match="private key"):
            attempt(alice)


def test_the_library_is_loaded_with_the_first_key_and_not_before():
    """Whoever has no identity does not pay for one."""
    code = (
        "import sys, osaurus_nb.identity.identity\n"
        "assert 'cryptography' not in sys.modules, 'loaded early'\n"
        "from osaurus_nb.identity.signer import Signer\n"
        "Signer(b'x' * 32)\n"
        "assert 'cryptography' in sys.modules"
    )

    subprocess.run([sys.executable, "-c", code], check=True)


def test_without_the_library_one_is_told_what_to_install():
    """No ImportError from the depths."""
    code = (
        "import sys; sys.modules['cryptography.exceptions'] = None\n"
        "from osaurus_nb.identity.signer import CurveMissing, Signer\n"
        "try: Signer(b'x' * 32)\n"
        "except CurveMissing as exc: assert 'cryptography' in str(exc); print('told')"
    )

    answer = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)

    assert answer.stdout == "told\n"
