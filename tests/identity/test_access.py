"""osk-v1 keys: the golden ones, the order of the questions, and that nothing altered opens anything."""

from __future__ import annotations

import base64
import json
import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from osaurus_nb.identity._points import N
from osaurus_nb.identity.access import AccessKey, AccessKeyRefused, Refusal, Standing, judge, read, seal
from osaurus_nb.identity.envelopes import Prefix

A = "0xf39Fd6e51aad88F6F4ce6aB8827279cffFb92266"
B = "0x70997970C51812dc3A010C7d01b50e0d17dc79C8"
A0 = "0x331565e19602986634610f4B33Ff7ad182860036"
T1 = (
    "osk-v1.eyJhdWQiOiIweGYzOUZkNmU1MWFhZDg4RjZGNGNlNmFCODgyNzI3OWNmZkZiOTIyNjYiLCJjbnQiOjEsImV4cCI6MTgwMDAwMDAwMCwiaWF"
    "0IjoxNzAwMDAwMDAwLCJpc3MiOiIweGYzOUZkNmU1MWFhZDg4RjZGNGNlNmFCODgyNzI3OWNmZkZiOTIyNjYiLCJsYmwiOiJ0ZXN0Iiwibm9uY2UiOi"
    "IwMDExMjIzMzQ0NTU2Njc3ODg5OWFhYmJjY2RkZWVmZiJ9.a4f3d78382dea8580c77afdcf0d1cf6f2ac4677c0b724e6a71563774575e317e5deac"
    "80e9716e92d0982b0a0b29ca51b13decfdebf70a7b9a510bf4bafc0ef2a1c"
)
T1_KEY = AccessKey(A, A, 1, "00112233445566778899aabbccddeeff", 1700000000, 1800000000, "test")
TWIN = "a21537f168e916d2f67d4f5f4d635ae3a6d00d07efd7f8821ac19f4120755217"
T2_KEY = AccessKey(A0, A0, 2, "ffeeddccbbaa99887766554433221100", 1700000000)
T2_SIGNATURE = (
    "61fc96053eec5a9ff1aaece067ac69bf64a4aa7615ccf46897e3d06741afc2c16fa46f8b147fc9e99c0678dd92a2e8ad1a7ed56146ab606bde23"
    "8290678ec7631c"
)
HERE = Standing(master=A.lower(), agents=frozenset({A0.lower()}))
NOW = 1_750_000_000


def refusal(token: str, standing: Standing = HERE, now: float = NOW) -> Refusal | None:
    """Why this key opens nothing; None when it opens."""
    try:
        judge(read(token), standing, now)
    except AccessKeyRefused as exc:
        return exc.reason
    return None


def spelt(payload: bytes, signature: str) -> str:
    return f"osk-v1.{base64.urlsafe_b64encode(payload).rstrip(b'=').decode()}.{signature}"


def signed(signer, payload: bytes) -> str:
    return spelt(payload, signer.sign(Prefix.ACCESS, payload).hex())


def test_the_golden_master_key(alice):
    """We make the very text that the app makes, and read it as what it is."""
    assert seal(alice, T1_KEY) == T1
    assert read(T1) == T1_KEY
    assert refusal(T1) is None


def test_the_golden_agent_key(alice):
    """Signed by the agent's derived key; without an expiry and a label they are left out."""
    token = seal(alice.agent(0), T2_KEY)

    assert token.endswith(f".{T2_SIGNATURE}")
    assert read(token) == T2_KEY
    assert refusal(token) is None


@pytest.mark.parametrize(("now", "reason"), [(1799999999, None), (1799999999.999, None), (1800000000, Refusal.EXPIRED)])
def test_a_key_expires_at_the_very_second(now, reason):
    """It opens until the second before, and not in the one that it names."""
    assert refusal(T1, now=now) is reason


def test_a_key_may_never_expire(alice):
    """Without an expiry it opens in a thousand years."""
    assert refusal(seal(alice.agent(0), T2_KEY), now=NOW + 1000 * 365 * 86400) is None


def test_a_key_is_revoked_by_issuer_and_nonce():
    """`address:nonce`, in small letters."""
    gone = Standing(
        master=A.lower(),
        revoked=frozenset({"0xf39fd6e51aad88f6f4ce6ab8827279cfffb92266:00112233445566778899aabbccddeeff"}),
    )

    assert refusal(T1, gone) is Refusal.REVOKED


@pytest.mark.parametrize(("threshold", "reason"), [(0, None), (1, Refusal.REVOKED), (2, Refusal.REVOKED)])
def test_keys_are_revoked_up_to_a_counter(threshold, reason):
    """The counter itself is revoked too; the next one is not."""
    standing = Standing(master=A.lower(), revoked_up_to={A.lower(): threshold})

    assert refusal(T1, standing) is reason


def test_the_twin_with_the_large_s_is_refused():
    """It recovers to the same issuer, so that a revocation by its text would miss it."""
    head, r = T1[:-130], T1[-130:-66]

    assert refusal(f"{head}{r}{TWIN}1b") is Refusal.HIGH_S


@pytest.mark.parametrize("v", ["00", "01", "1a", "1d", "ff"])
def test_a_recovery_byte_other_than_27_and_28_is_refused(v):
    """Also those that other libraries write for the same."""
    assert refusal(T1[:-2] + v) is Refusal.SIGNATURE


def test_a_foreign_issuer_opens_nothing_until_he_is_trusted(bob):
    """B's key for A is refused, and taken once B is listed for A."""
    token = seal(bob, AccessKey(B, A, 1, "n", 1700000000))

    assert refusal(token) is Refusal.ISSUER_NOT_TRUSTED
    assert refusal(token, Standing(master=A.lower(), trusted={A.lower(): frozenset({B.lower()})})) is None


def test_whoever_the_master_trusts_is_trusted_for_its_agents(bob):
    """And who is trusted for one agent is not for the master."""
    for_agent, for_master = (seal(bob, AccessKey(B, audience, 1, "n", 1)) for audience in (A0, A))

    by_master = Standing(HERE.master, HERE.agents, {A.lower(): frozenset({B.lower()})})
    by_agent = Standing(HERE.master, HERE.agents, {A0.lower(): frozenset({B.lower()})})

    assert refusal(for_agent, by_master) is None
    assert refusal(for_agent, by_agent) is None
    assert refusal(for_master, by_agent) is Refusal.ISSUER_NOT_TRUSTED


def test_the_master_may_issue_for_an_agent_and_not_the_other_way(alice):
    """An agent's key must not open more than the agent."""
    downwards = seal(alice, AccessKey(A, A0, 1, "n", 1))
    upwards = seal(alice.agent(0), AccessKey(A0, A, 1, "n", 1))

    assert refusal(downwards) is None
    assert refusal(upwards) is Refusal.ISSUER_NOT_TRUSTED


def test_an_issuer_must_have_signed_himself(bob):
    """A payload that says A, signed by B, is nobody's key."""
    payload = base64.urlsafe_b64decode(T1.split(".")[1])

    assert refusal(signed(bob, payload)) is Refusal.ISSUER_MISMATCH


def test_a_key_for_somebody_else_opens_nothing(bob):
    """Nor does any key where there is no identity."""
    assert refusal(seal(bob, AccessKey(B, B, 1, "n", 1))) is Refusal.AUDIENCE_UNKNOWN
    assert refusal(T1, Standing()) is Refusal.AUDIENCE_UNKNOWN


def test_the_first_reason_is_told(bob):
    """A key with several faults is refused for the one that is asked about first."""
    revoked = frozenset({f"{B.lower()}:n"})
    token = seal(bob, AccessKey(B, A, 1, "n", 1, expires_at=2))
    trusting = {A.lower(): frozenset({B.lower()})}

    assert refusal(token, Standing(A.lower(), revoked=revoked)) is Refusal.ISSUER_NOT_TRUSTED
    assert refusal(token, Standing(A.lower(), trusted=trusting, revoked=revoked)) is Refusal.REVOKED
    assert refusal(token, Standing(A.lower(), trusted=trusting)) is Refusal.EXPIRED


@pytest.mark.parametrize(
    ("token", "reason"),
    [
        ("", Refusal.NOT_A_KEY),
        ("osk_live_" + "0" * 46, Refusal.NOT_A_KEY),
        (T1.replace("v1", "v2", 1), Refusal.NOT_A_KEY),
        (T1.upper(), Refusal.NOT_A_KEY),
        (T1 + ".x", Refusal.NOT_A_KEY),
        (T1.rpartition(".")[0], Refusal.NOT_A_KEY),
        ("osk-v1." + "A" * 5000 + "." + "0" * 130, Refusal.NOT_A_KEY),
        (f"osk-v1..{T1[-130:]}", Refusal.PAYLOAD_ENCODING),
        (T1.replace(".eyJ", ".=yJ"), Refusal.PAYLOAD_ENCODING),
        (T1.replace(".eyJ", ".éyJ"), Refusal.PAYLOAD_ENCODING),
        (T1[:-131] + "=" + T1[-131:], Refusal.PAYLOAD_ENCODING),
        (T1[:-131] + "A" + T1[-131:], Refusal.PAYLOAD_ENCODING),
        (f" {T1}", Refusal.NOT_A_KEY),
        (f"{T1}\n", Refusal.SIGNATURE_ENCODING),
        (T1[:-1], Refusal.SIGNATURE_ENCODING),
        (T1[:-130] + T1[-130:].upper(), Refusal.SIGNATURE_ENCODING),
        (T1[:-130] + "0x" + T1[-130:], Refusal.SIGNATURE_ENCODING),
        (T1[:-130] + "٠" * 130, Refusal.SIGNATURE_ENCODING),
        (T1[:-130] + "0" * 128 + "1b", Refusal.SIGNATURE),
        (T1[:-130] + f"{N:064x}" + T1[-66:], Refusal.SIGNATURE),
        (spelt(b"[" * 2000, T1[-130:]), Refusal.PAYLOAD),
    ],
    ids=range(21),
)
def test_what_is_not_spelt_as_a_key_is_refused_by_name(token, reason):
    """Every other spelling, also one that stands for the same bytes."""
    assert refusal(token) is reason


@pytest.mark.parametrize(
    "change",
    [
        {"aud": None},
        {"aud": 1},
        {"aud": A[:-1]},
        {"aud": A.replace("F", "f", 1)},
        {"iss": ""},
        {"cnt": None},
        {"cnt": "1"},
        {"cnt": True},
        {"cnt": 1.0},
        {"cnt": -1},
        {"cnt": 2**63},
        {"iat": None},
        {"exp": "soon"},
        {"exp": False},
        {"exp": 1e400},
        {"lbl": 5},
        {"nonce": None},
        {"nonce": ""},
        {"nonce": "a:b"},
        {"nonce": "x" * 129},
    ],
    ids=str,
)
def test_a_payload_must_be_that_of_a_key_whoever_signed_it(alice, change):
    """The owner's signature does not make a number of a text."""
    fields = {"aud": A, "cnt": 1, "iat": 1, "iss": A, "nonce": "n"} | change
    kept = {name: value for name, value in fields.items() if value is not None}

    token = signed(alice, json.dumps(kept).encode())

    assert refusal(token) is Refusal.PAYLOAD


@pytest.mark.parametrize("payload", [b"", b"null", b"[]", b'"x"', b"1", b"{", b"\xff", b'{"cnt":NaN}', b"9" * 2000])
def test_a_payload_that_is_no_object_is_refused(alice, payload):
    """Whatever JSON it is, or none."""
    assert refusal(signed(alice, payload)) in (Refusal.PAYLOAD, Refusal.PAYLOAD_ENCODING)


def test_fields_that_the_app_adds_later_do_not_matter(alice):
    """What is signed is the bytes as they came, in any order."""
    fields = {"nonce": "n", "new": {"x": 1}, "iss": A.lower(), "iat": 1, "cnt": 7, "aud": A, "exp": None, "lbl": None}

    assert read(signed(alice, json.dumps(fields, indent=1).encode())).counter == 7


def test_a_thousand_altered_keys_are_refused_each_with_a_reason():
    """One character changed, left out, put in or swapped, anywhere: no key, and no other error."""
    dice = random.Random(7)
    alphabet = "abcdefABCDEF0123456789-_.=xyzé\x00 \n"
    seen = set()
    altered = 0
    while altered < 1000:
        at, other = dice.randrange(len(T1)), dice.choice(alphabet)
        kind = dice.choice(("change", "drop", "add", "swap"))
        token = {
            "change": T1[:at] + other + T1[at + 1 :],
            "drop": T1[:at] + T1[at + 1 :],
            "add": T1[:at] + other + T1[at:],
            "swap": T1[:at] + T1[at : at + 2][::-1] + T1[at + 2 :],
        }[kind]
        if token == T1:
            continue
        altered += 1

        reason = refusal(token)

        assert reason is not None, (kind, at, other)
        seen.add(reason)
    assert {Refusal.NOT_A_KEY, Refusal.PAYLOAD_ENCODING, Refusal.SIGNATURE_ENCODING, Refusal.ISSUER_MISMATCH} <= seen


@settings(max_examples=200, deadline=None)
@given(
    token=st.one_of(
        st.text(), st.text().map(lambda text: f"osk-v1.{text}"), st.from_regex(r"osk-v1\.[\w-]{1,80}\.[0-9a-f]{130}")
    )
)
def test_any_text_is_a_key_or_refused(token):
    """Nothing that can be sent brings another error."""
    assert refusal(token) is not None


@settings(max_examples=25, deadline=None)
@given(
    counter=st.integers(0, 2**63 - 1),
    nonce=st.from_regex(r"[!-9;-~]{1,128}", fullmatch=True),
    label=st.one_of(st.none(), st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=100)),
    expires=st.one_of(st.none(), st.integers(0, 2**63 - 1)),
)
def test_what_is_sealed_is_read(counter, nonce, label, expires):
    """For any payload, the fields come back as they were."""
    from osaurus_nb.identity.signer import Signer

    key = AccessKey(B, B, counter, nonce, 1, expires, label)

    assert (
        read(seal(Signer(bytes.fromhex("59c6995e998f97a5a0044966f0945389dc9e86dae88c7a8412f4603b6b78690d")), key))
        == key
    )


def test_nobody_seals_in_anothers_name(bob):
    """A key is signed by the issuer that it names, or not at all."""
    with pytest.raises(ValueError, match="issuer"):
        seal(bob, T1_KEY)
