"""osk-v1 access keys: made, read and judged. Pure: the time and what was revoked are given.

A key is `osk-v1.`, its payload as base64url JSON, a dot and the signature in hex. It needs no look-up to be checked, so
that an issuer signs what it opens and until when. There is one text for each payload and signature: other spellings
(padding, capital hex, the twin with a large s) are refused.
"""

from __future__ import annotations

import base64
import binascii
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Literal, NoReturn

from osaurus_nb.errors import AccessDenied, Forbidden
from osaurus_nb.identity.addresses import is_address, same
from osaurus_nb.identity.envelopes import BadSignature, Flaw, Prefix, signer_of
from osaurus_nb.identity.signer import Signer

VERSION = "osk-v1"
#: How long a key lasts, in days.
Lifetime = Literal["30d", "90d", "1y", "never"]
DAYS: Mapping[Lifetime, int | None] = {"30d": 30, "90d": 90, "1y": 365, "never": None}

_LONGEST = 4096
_BASE64URL = re.compile(r"[A-Za-z0-9_-]+")
_SIGNATURE = re.compile(r"[0-9a-f]{130}")
_NONCE = re.compile(r"[!-9;-~]{1,128}")  # revocations are `address:nonce`


class Refusal(StrEnum):
    """Why a key opens nothing, in the order in which it is asked."""

    NOT_A_KEY = "not_a_key"
    PAYLOAD_ENCODING = "payload_encoding"
    SIGNATURE_ENCODING = "signature_encoding"
    PAYLOAD = "payload"
    SIGNATURE = "signature"
    HIGH_S = "high_s"
    ISSUER_MISMATCH = "issuer_mismatch"
    AUDIENCE_UNKNOWN = "audience_unknown"
    ISSUER_NOT_TRUSTED = "issuer_not_trusted"
    REVOKED = "revoked"
    EXPIRED = "expired"
    #: What was revoked cannot be read, so that nothing is opened.
    STATE_UNREADABLE = "state_unreadable"


_SAID: Mapping[Refusal, str] = {
    Refusal.NOT_A_KEY: "That is not an osk-v1 access key.",
    Refusal.PAYLOAD_ENCODING: "The access key is damaged: its payload is not base64url.",
    Refusal.SIGNATURE_ENCODING: "The access key is damaged: its signature is not 65 bytes in small hex.",
    Refusal.PAYLOAD: "The access key is damaged: its payload is not that of a key.",
    Refusal.SIGNATURE: "The access key's signature is malformed.",
    Refusal.HIGH_S: "The access key's signature is a twin of another one.",
    Refusal.ISSUER_MISMATCH: "The access key was not signed by the issuer that it names.",
    Refusal.AUDIENCE_UNKNOWN: "The access key is for another identity than the one here.",
    Refusal.ISSUER_NOT_TRUSTED: "The access key's issuer is not trusted here.",
    Refusal.REVOKED: "The access key was revoked.",
    Refusal.EXPIRED: "The access key has expired.",
    Refusal.STATE_UNREADABLE: "Which access keys were revoked cannot be read here, so that none opens anything.",
}


class AccessKeyRefused(AccessDenied):
    """This key opens nothing; `reason` says why."""

    def __init__(self, reason: Refusal) -> None:
        super().__init__(_SAID[reason])
        self.reason = reason


class AgentScopeDenied(Forbidden):
    """The key is good, but for one agent only, and something else was asked for."""

    code = "agent_scope_denied"


@dataclass(frozen=True, slots=True)
class AccessKey:
    """What a key says of itself. Not the key: nothing here opens anything. Times are in seconds since 1970."""

    issuer: str
    audience: str
    counter: int
    nonce: str
    issued_at: int
    expires_at: int | None = None
    label: str | None = None

    @property
    def id(self) -> str:
        """By which it is revoked. No part of the key's text could be used: that has a twin."""
        return f"{self.issuer.lower()}:{self.nonce}"

    def expired(self, now: float) -> bool:
        return self.expires_at is not None and now >= self.expires_at


@dataclass(frozen=True, slots=True)
class Standing:
    """Whose keys are taken here and which are not. All addresses are in small letters.

    `trusted` has, for the master and for each agent, the foreign issuers whose keys are taken for it; the master's are
    taken for every agent. `revoked_up_to` has a counter for an issuer: keys up to it are revoked.
    """

    master: str | None = None
    agents: frozenset[str] = frozenset()
    trusted: Mapping[str, frozenset[str]] = field(default_factory=dict)
    revoked: frozenset[str] = frozenset()
    revoked_up_to: Mapping[str, int] = field(default_factory=dict)

    def issuers(self, audience: str) -> frozenset[str]:
        """Whose keys are taken for the master or one of its agents."""
        masters = self.trusted.get(self.master or "", frozenset())
        return masters | self.trusted.get(audience, frozenset()) | {audience, self.master or audience}

    def has_revoked(self, key: AccessKey) -> bool:
        threshold = self.revoked_up_to.get(key.issuer.lower())
        return key.id in self.revoked or (threshold is not None and key.counter <= threshold)


def seal(signer: Signer, key: AccessKey) -> str:
    """The key in plain, signed. Shown once and kept nowhere."""
    if not same(signer.address, key.issuer):
        raise ValueError("a key is signed by its issuer")
    optional = {"exp": key.expires_at, "lbl": key.label or None}
    fields = {"aud": key.audience, "cnt": key.counter, "iat": key.issued_at, "iss": key.issuer, "nonce": key.nonce}
    fields |= {name: value for name, value in optional.items() if value is not None}
    payload = json.dumps(fields, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()
    encoded = base64.urlsafe_b64encode(payload).rstrip(b"=").decode("ascii")
    return f"{VERSION}.{encoded}.{signer.sign(Prefix.ACCESS, payload).hex()}"


def read(token: str) -> AccessKey:
    """What a key says, once its issuer's signature was checked. Raises AccessKeyRefused."""
    parts = token.split(".") if len(token) <= _LONGEST else []
    if len(parts) != 3 or parts[0] != VERSION:
        raise AccessKeyRefused(Refusal.NOT_A_KEY)
    payload = _payload(parts[1])
    if not _SIGNATURE.fullmatch(parts[2]):
        raise AccessKeyRefused(Refusal.SIGNATURE_ENCODING)
    key = _fields(payload)
    try:
        signer = signer_of(Prefix.ACCESS, payload, bytes.fromhex(parts[2]))
    except BadSignature as exc:
        raise AccessKeyRefused(Refusal.HIGH_S if exc.flaw is Flaw.HIGH_S else Refusal.SIGNATURE) from None
    if not same(signer, key.issuer):
        raise AccessKeyRefused(Refusal.ISSUER_MISMATCH)
    return key


def judge(key: AccessKey, standing: Standing, now: float) -> None:
    """Does a key that was read open anything here and now? Raises AccessKeyRefused."""
    audience, issuer = key.audience.lower(), key.issuer.lower()
    if standing.master is None or audience not in {standing.master, *standing.agents}:
        raise AccessKeyRefused(Refusal.AUDIENCE_UNKNOWN)
    if issuer not in standing.issuers(audience):
        raise AccessKeyRefused(Refusal.ISSUER_NOT_TRUSTED)
    if standing.has_revoked(key):
        raise AccessKeyRefused(Refusal.REVOKED)
    if key.expired(now):
        raise AccessKeyRefused(Refusal.EXPIRED)


def _payload(text: str) -> bytes:
    if not _BASE64URL.fullmatch(text):
        raise AccessKeyRefused(Refusal.PAYLOAD_ENCODING)
    try:
        payload = base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
    except binascii.Error:
        raise AccessKeyRefused(Refusal.PAYLOAD_ENCODING) from None
    # The last character may have bits that stand for nothing; only zeros are taken.
    if base64.urlsafe_b64encode(payload).rstrip(b"=").decode("ascii") != text:
        raise AccessKeyRefused(Refusal.PAYLOAD_ENCODING)
    return payload


def _fields(payload: bytes) -> AccessKey:
    """What the payload says. Fields that are not known are let be, as in the app."""
    try:
        said = json.loads(payload, parse_constant=_refuse)
    except (ValueError, RecursionError):  # RecursionError: brackets in brackets
        raise AccessKeyRefused(Refusal.PAYLOAD) from None
    if not isinstance(said, dict):
        raise AccessKeyRefused(Refusal.PAYLOAD)
    nonce = _text(said, "nonce")
    if not _NONCE.fullmatch(nonce):
        raise AccessKeyRefused(Refusal.PAYLOAD)
    return AccessKey(
        issuer=_address(said, "iss"),
        audience=_address(said, "aud"),
        counter=_count(said, "cnt"),
        nonce=nonce,
        issued_at=_count(said, "iat"),
        expires_at=_count(said, "exp") if said.get("exp") is not None else None,
        label=_text(said, "lbl") if said.get("lbl") is not None else None,
    )


def _refuse(constant: str) -> NoReturn:
    raise ValueError(constant)


def _text(said: Mapping[str, Any], name: str) -> str:
    value = said.get(name)
    if not isinstance(value, str):
        raise AccessKeyRefused(Refusal.PAYLOAD)
    return value


def _address(said: Mapping[str, Any], name: str) -> str:
    value = _text(said, name)
    if not is_address(value):
        raise AccessKeyRefused(Refusal.PAYLOAD)
    return value


def _count(said: Mapping[str, Any], name: str) -> int:
    value = said.get(name)
    if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value < 2**63:
        raise AccessKeyRefused(Refusal.PAYLOAD)
    return value
