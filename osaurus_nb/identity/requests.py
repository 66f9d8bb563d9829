"""The signature of a request to the Router: which bytes are signed, and which headers carry it. Knows no socket.

What is signed is `osaurus-credits:address:METHOD:path?query:seconds:sha256 of the body:nonce`. The path is signed with
its percent signs resolved, the query as it stands. Sign the very bytes that are sent, and anew for each attempt.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import unquote, urlsplit

from osaurus_nb.errors import AccessDenied, RequestError
from osaurus_nb.identity.addresses import is_address, same
from osaurus_nb.identity.envelopes import Prefix, signer_of
from osaurus_nb.identity.signer import Signer

ADDRESS, TIMESTAMP, SIGNATURE, NONCE = (
    "x-wallet-address",
    "x-wallet-timestamp",
    "x-wallet-signature",
    "x-wallet-nonce",
)
_SECONDS = re.compile(r"[0-9]{1,12}")
_HEX = re.compile(r"0x[0-9a-f]{130}")
_NONCE = re.compile(r"[!-9;-~]{0,256}")  # what a header may hold, without the colon that parts the fields
_METHOD = re.compile(r"[A-Za-z]{1,16}")


class RequestUnsigned(AccessDenied):
    """The headers of a request carry no signature by the address that they name."""

    code = "invalid_signature"


@dataclass(frozen=True, slots=True)
class SignedRequest:
    """Who signed a request, when by his own clock, and with which nonce."""

    address: str
    timestamp: int
    nonce: str = ""


def sign(signer: Signer, method: str, url: str, body: bytes, *, timestamp: int, nonce: str = "") -> dict[str, str]:
    """The headers to add to a request. `url` may be whole or only a path with its query; `body` is what is sent."""
    if not _NONCE.fullmatch(nonce):
        raise RequestError("A nonce is at most 256 visible ASCII characters without a colon.", param="nonce")
    address = signer.address.lower()
    text = message(SignedRequest(address, timestamp, nonce), method, url, body)
    headers = {
        ADDRESS: address,
        TIMESTAMP: str(timestamp),
        SIGNATURE: "0x" + signer.sign(Prefix.ETHEREUM, text).hex(),
    }
    return headers | ({NONCE: nonce} if nonce else {})


def signed_by(method: str, url: str, body: bytes, headers: Mapping[str, str]) -> SignedRequest:
    """Who signed this request, for a server. Whether the time is near enough is for the server to say.

    Raises RequestUnsigned or BadSignature.
    """
    given = {name.lower(): value for name, value in headers.items()}
    address, timestamp, signature = (given.get(name, "") for name in (ADDRESS, TIMESTAMP, SIGNATURE))
    nonce = given.get(NONCE, "")
    if not (is_address(address) and _SECONDS.fullmatch(timestamp) and _HEX.fullmatch(signature)):
        raise RequestUnsigned("The wallet headers are missing or malformed.")
    if not _NONCE.fullmatch(nonce):
        raise RequestUnsigned("The nonce is malformed.")
    claimed = SignedRequest(address.lower(), int(timestamp), nonce)
    text = message(claimed, method, url, body)
    if not same(signer_of(Prefix.ETHEREUM, text, bytes.fromhex(signature[2:])), address):
        raise RequestUnsigned("The signature is not by this address, or not of this request.")
    return claimed


def message(signed: SignedRequest, method: str, url: str, body: bytes) -> bytes:
    """The bytes that are signed."""
    if not _METHOD.fullmatch(method):
        raise RequestError("That is no HTTP method.", param="method")
    fields = (
        "osaurus-credits",
        signed.address.lower(),
        method.upper(),
        path_and_query(url),
        str(signed.timestamp),
        hashlib.sha256(body).hexdigest(),
        signed.nonce,
    )
    return ":".join(fields).encode()


def path_and_query(url: str) -> str:
    """The part of a URL that is signed. A fragment is not sent, so that it is not signed."""
    if url.startswith("/"):  # only a path; `//host` would be read as a host
        path, _, query = url.partition("#")[0].partition("?")
    else:
        try:
            parts = urlsplit(url)
        except ValueError:
            raise RequestError("That is not a URL.", param="url") from None
        path, query = parts.path, parts.query
    try:
        plain = unquote(path, errors="strict") or "/"
        query.encode()
        plain.encode()
    except UnicodeError:
        raise RequestError("The URL is not UTF-8.", param="url") from None
    return f"{plain}?{query}" if query else plain
