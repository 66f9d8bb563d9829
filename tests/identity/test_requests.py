"""Signed requests: the golden headers, the bytes that are signed, and what a server refuses."""

from __future__ import annotations

import pytest

from osaurus_nb.errors import RequestError
from osaurus_nb.identity.envelopes import BadSignature
from osaurus_nb.identity.requests import RequestUnsigned, SignedRequest, message, path_and_query, sign, signed_by

NOW = 1717171717
GOLDEN = {
    ("POST", "/credits/checkout", b'{"amount_micro":"5000000"}', ""): (
        "0x6202ec0b3ff9510d01784c935faf5af08eb10bf5b0759830ab380d833257e30b3e833d3059bb36e2e830d4315dc8f688ee09586a062949a6"
        "72df7768ac566f6b1c"
    ),
    ("GET", "/models", b"", ""): (
        "0x14d13b3161bda6c0aacfe82978eb6d3564fcdf5b2bb5d456ec1191b3b28537da4adb3fda65f66db8f75667eec7dc0b51d19f5d7e565b2b39"
        "4be367b4b5bc33fd1c"
    ),
    ("GET", "/credits/usage?limit=2&cursor=abc", b"", "nonce-1"): (
        "0xb3475561fb8e9df89ad401a397213f337fec2990638c458a8a623fa987424d2859e6fc685b4b9d4b76b5dcaf9c39017a8a5a255605e610a3"
        "e7b9c7f37ff3fdfc1c"
    ),
}


@pytest.mark.parametrize(("method", "url", "body", "nonce"), GOLDEN)
def test_the_golden_headers(alice, method, url, body, nonce):
    """Byte for byte what the app sends, with a nonce only where there is one."""
    headers = sign(alice, method, url, body, timestamp=NOW, nonce=nonce)

    expected = {
        "x-wallet-address": "0xf39fd6e51aad88f6f4ce6ab8827279cfffb92266",
        "x-wallet-timestamp": "1717171717",
        "x-wallet-signature": GOLDEN[method, url, body, nonce],
    }
    assert headers == expected | ({"x-wallet-nonce": nonce} if nonce else {})


def test_the_golden_message(alice):
    """The fields, in their order, with an empty nonce at the end."""
    text = message(SignedRequest(alice.address, NOW), "post", "/credits/checkout", b'{"amount_micro":"5000000"}')

    assert text == (
        b"osaurus-credits:0xf39fd6e51aad88f6f4ce6ab8827279cfffb92266:POST:/credits/checkout:1717171717:"
        b"52036319835da908887a473ff6d324016454cc924072482cf6253cb08226b777:"
    )


@pytest.mark.parametrize(
    ("url", "signed"),
    [
        ("https://router.osaurus.ai", "/"),
        ("https://router.osaurus.ai?limit=2", "/?limit=2"),
        ("https://router.osaurus.ai:8443/v1/chat/completions", "/v1/chat/completions"),
        ("https://host/a%20b/c%2Fd?q=%20x&y=a+b", "/a b/c/d?q=%20x&y=a+b"),
        ("/caf%C3%A9", "/café"),
        ("/models?", "/models"),
        ("/models#here", "/models"),
        ("/models?a=b?c#d", "/models?a=b?c"),
        ("//not-a-host/x", "//not-a-host/x"),
        ("", "/"),
    ],
)
def test_the_path_is_signed_decoded_and_the_query_as_it_stands(url, signed):
    """An empty path is `/`, an empty query is none, a fragment is never sent."""
    assert path_and_query(url) == signed


@pytest.mark.parametrize("url", ["/%ff", "https://[::1", "/\ud800"])
def test_a_url_that_cannot_be_signed_is_the_callers_fault(alice, url):
    """It is refused by name, not with an error of some library."""
    with pytest.raises(RequestError):
        sign(alice, "GET", url, b"", timestamp=NOW)


@pytest.mark.parametrize("nonce", ["a:b", "a b", "a\r\nx: y", "ü", "x" * 257])
def test_a_nonce_that_could_forge_a_field_or_a_header_is_refused(alice, nonce):
    """Neither a colon nor a line end gets into the message."""
    with pytest.raises(RequestError, match="nonce"):
        sign(alice, "GET", "/models", b"", timestamp=NOW, nonce=nonce)


@pytest.mark.parametrize("method", ["", "GET:/", "GE T"])
def test_a_method_that_could_forge_a_field_is_refused(alice, method):
    """Letters only."""
    with pytest.raises(RequestError, match="method"):
        sign(alice, method, "/models", b"", timestamp=NOW)


def test_a_server_learns_who_signed(alice):
    """From the headers alone, whichever way their names are spelt."""
    headers = sign(alice, "POST", "https://r/x?y=1", b"body", timestamp=NOW, nonce="n")

    signed = signed_by("POST", "/x?y=1", b"body", {name.title(): value for name, value in headers.items()})

    assert signed == SignedRequest(alice.address.lower(), NOW, "n")


@pytest.mark.parametrize(
    "change",
    [
        {"method": "GET"},
        {"url": "/x?y=2"},
        {"url": "/x"},
        {"body": b"body "},
        {"x-wallet-timestamp": "1717171718"},
        {"x-wallet-nonce": "m"},
        {"x-wallet-nonce": ""},
        {"x-wallet-nonce": "a:b"},
        {"x-wallet-address": "0x70997970c51812dc3a010c7d01b50e0d17dc79c8"},
        {"x-wallet-address": ""},
        {"x-wallet-timestamp": "-1"},
        {"x-wallet-signature": ""},
        {"x-wallet-signature": "0x" + "00" * 65},
    ],
    ids=str,
)
def test_a_request_that_is_not_the_signed_one_is_refused(alice, change):
    """Every part is bound: method, path, query, body, time, nonce and address."""
    headers = sign(alice, "POST", "/x?y=1", b"body", timestamp=NOW, nonce="n")
    request = {"method": "POST", "url": "/x?y=1", "body": b"body"}
    sent = headers | {name: value for name, value in change.items() if name not in request}
    request |= {name: value for name, value in change.items() if name in request}

    with pytest.raises((RequestUnsigned, BadSignature)):
        signed_by(**request, headers=sent)
