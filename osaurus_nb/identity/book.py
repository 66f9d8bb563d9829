"""The book of access keys: issued, listed, revoked and checked, for all processes at once. Keeps no key and no secret.

What it keeps is metadata in one small file. Checking a key reads no more of it than its time, unless it has changed.
"""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from osaurus_nb.errors import ConfigError, RequestError
from osaurus_nb.identity._state import AgentRow, IssuedRow, Records, State, StateFile, StateUnreadable
from osaurus_nb.identity.access import (
    DAYS,
    AccessKey,
    AccessKeyRefused,
    AgentScopeDenied,
    Lifetime,
    Refusal,
    Standing,
    judge,
    read,
    seal,
)
from osaurus_nb.identity.addresses import checksummed, is_address, same
from osaurus_nb.identity.signer import LAST_AGENT, Signer
from osaurus_nb.ports import Clock, SystemClock

FILE = "access.json"
_DAY = 24 * 60 * 60
_LABEL = 100
_REMEMBERED = 256


@dataclass(frozen=True, slots=True)
class IssuedKey:
    """A key of ours as it stands now."""

    key: AccessKey
    state: Literal["valid", "revoked", "expired"]


@dataclass(frozen=True, slots=True)
class Agent:
    """An agent of the identity: for its keys it is issuer and audience in one."""

    index: int
    address: str
    label: str = ""


class AccessKeys:
    """The keys that the identity here has issued, and whose keys are taken. Shared between threads."""

    def __init__(self, folder: Path, *, clock: Clock | None = None) -> None:
        self.clock = clock or SystemClock()
        self._file = StateFile(folder / FILE)
        self._standing: tuple[State, Standing] = (State(), Standing())
        # What a key says was signed once and for all; whether it still opens anything is asked each time. The digest
        # is of the whole text, which is the only one for its payload and signature.
        self._seen: dict[bytes, AccessKey] = {}

    def __repr__(self) -> str:
        return f"AccessKeys({self._file.path})"

    @property
    def address(self) -> str | None:
        """The identity that there is now, whichever process made it. Raises StateUnreadable."""
        active = self._file.read().active
        return checksummed(active) if active is not None else None

    def check(self, token: str, *, agent: str | None = None) -> AccessKey:
        """What a key says, if it opens what is asked for: the agent with this address, or the whole endpoint.

        Raises AccessKeyRefused, and AgentScopeDenied where a good key is for one agent and something else is asked.
        """
        key = self._read(token)
        try:
            standing = self._stand()
        except StateUnreadable:
            raise AccessKeyRefused(Refusal.STATE_UNREADABLE) from None
        judge(key, standing, self.clock.now().timestamp())
        if not same(key.audience, standing.master or "") and not same(key.audience, agent or ""):
            raise AgentScopeDenied(f"This access key is for the agent {key.audience} alone.")
        return key

    def issue(self, signer: Signer, *, label: str = "", expires: Lifetime = "90d") -> tuple[str, AccessKey]:
        """A new key in plain, shown this once, and what it says.

        The signer is the identity's own, for a key to everything, or that of one of its agents, for that agent.
        """
        if expires not in DAYS:
            raise RequestError(f"A key lasts one of: {', '.join(DAYS)}.", param="expires")
        now, days = int(self.clock.now().timestamp()), DAYS[expires]
        with self._changed() as (state, records):
            if signer.address.lower() not in {state.active, *(row.address for row in records.agents)}:
                raise RequestError("Only the identity and its agents issue keys here.", param="agent")
            key = AccessKey(
                issuer=signer.address,
                audience=signer.address,
                counter=records.next_count,
                nonce=secrets.token_hex(16),
                issued_at=now,
                expires_at=now + days * _DAY if days is not None else None,
                label=_label(label) or None,
            )
            records.next_count += 1
            records.issued.append(_row(key))
        return seal(signer, key), key

    def list(self) -> Sequence[IssuedKey]:
        """The keys issued here by the identity and its agents, oldest first."""
        records, standing, now = self._file.read().records, self._stand(), self.clock.now().timestamp()
        keys = [_key(row) for row in (records.issued if records is not None else ())]
        return [IssuedKey(key, _condition(key, standing, now)) for key in keys]

    def revoke(self, id: str) -> bool:
        """Refuse the key with this id or nonce from the next request on. False when none is known by this nonce.

        A whole id, `address:nonce`, is also that of a key that was issued elsewhere.
        """
        issuer, _, nonce = id.rpartition(":")
        with self._changed() as (_, records):
            known = [_key(row).id for row in records.issued if row.nonce == nonce]
            ids = [f"{issuer.lower()}:{nonce}"] if is_address(issuer) and nonce else known
            records.revoked.extend(found for found in ids if found not in records.revoked)
        return bool(ids)

    def revoke_up_to(self, counter: int, *, issuer: str | None = None) -> None:
        """Refuse all keys of an issuer with this counter or a smaller one.

        Without an issuer these are the identity's and all its agents', also of agents that are not known now.
        """
        with self._changed() as (_, records):
            if issuer is None:
                records.floor = max(counter, records.floor)
            else:
                known = records.revoked_up_to
                known[_address(issuer)] = max(counter, known.get(_address(issuer), counter))

    @property
    def trusted(self) -> Mapping[str, Sequence[str]]:
        """Foreign issuers by whose keys the identity or one agent may be asked."""
        records = self._file.read().records
        return {} if records is None else {a: tuple(map(checksummed, b)) for a, b in records.trusted.items()}

    def trust(self, issuer: str, *, agent: str | None = None) -> None:
        """Take the keys that a foreign issuer makes for this agent, or for the identity and all its agents."""
        with self._changed() as (state, records):
            listed = records.trusted.setdefault(_address(agent or state.active or ""), [])
            if _address(issuer) not in listed:
                listed.append(_address(issuer))

    def distrust(self, issuer: str, *, agent: str | None = None) -> None:
        """Take them no longer."""
        with self._changed() as (state, records):
            audience = _address(agent or state.active or "")
            records.trusted[audience] = [a for a in records.trusted.get(audience, []) if a != _address(issuer)]

    @property
    def agents(self) -> Sequence[Agent]:
        records = self._file.read().records
        rows = records.agents if records is not None else []
        return [Agent(row.index, checksummed(row.address), row.label) for row in rows]

    def add_agent(self, derive: Callable[[int], str], *, label: str = "", index: int | None = None) -> Agent:
        """Know an agent: the next one that never was, or the one with this index. `derive` gives its address."""
        with self._changed() as (_, records):
            number = records.next_agent if index is None else index
            if not 0 <= number <= LAST_AGENT:
                raise RequestError(f"Agents are numbered from 0 to {LAST_AGENT}.", param="index")
            row = AgentRow(index=number, address=derive(number).lower(), label=_label(label))
            records.next_agent = max(records.next_agent, number + 1)
            records.agents = [*(known for known in records.agents if known.index != number), row]
        return Agent(number, checksummed(row.address), row.label)

    def remove_agent(self, index: int) -> bool:
        """Take no keys for this agent any more. Its index is never given to another."""
        with self._changed() as (_, records):
            kept = [row for row in records.agents if row.index != index]
            removed, records.agents = len(kept) < len(records.agents), kept
        return removed

    @contextmanager
    def changing(self) -> Iterator[State]:
        """The state under its lock, for the room's own use. It is written when the block ends well."""
        with self._file.change() as state:
            yield state

    @contextmanager
    def _changed(self) -> Iterator[tuple[State, Records]]:
        with self._file.change() as state:
            if state.records is None:
                raise ConfigError("There is no identity here. Create or restore one first.")
            yield state, state.records

    def _read(self, token: str) -> AccessKey:
        try:
            digest = hashlib.sha256(token.encode()).digest()
        except UnicodeEncodeError:
            raise AccessKeyRefused(Refusal.NOT_A_KEY) from None
        key = self._seen.get(digest)
        if key is None:
            key = read(token)
            if len(self._seen) >= _REMEMBERED:
                self._seen = {}
            self._seen[digest] = key
        return key

    def _stand(self) -> Standing:
        state = self._file.read()
        known, standing = self._standing
        if known is not state:
            standing = _standing(state)
            self._standing = state, standing
        return standing


def _standing(state: State) -> Standing:
    records = state.records
    if records is None:
        return Standing()
    agents = frozenset(row.address for row in records.agents)
    floors = dict.fromkeys((state.active or "", *agents), records.floor)
    thresholds = floors | {a: max(n, floors.get(a, n)) for a, n in records.revoked_up_to.items()}
    return Standing(
        master=state.active,
        agents=agents,
        trusted={audience: frozenset(issuers) for audience, issuers in records.trusted.items()},
        revoked=frozenset(records.revoked),
        revoked_up_to=thresholds,
    )


def _condition(key: AccessKey, standing: Standing, now: float) -> Literal["valid", "revoked", "expired"]:
    try:
        judge(key, standing, now)
    except AccessKeyRefused as exc:
        return "expired" if exc.reason is Refusal.EXPIRED else "revoked"
    return "valid"


def _row(key: AccessKey) -> IssuedRow:
    return IssuedRow(
        iss=key.issuer,
        aud=key.audience,
        cnt=key.counter,
        nonce=key.nonce,
        iat=key.issued_at,
        exp=key.expires_at,
        lbl=key.label,
    )


def _key(row: IssuedRow) -> AccessKey:
    return AccessKey(row.iss, row.aud, row.cnt, row.nonce, row.iat, row.exp, row.lbl)


def _label(text: str) -> str:
    if len(text) > _LABEL or not text.isprintable():
        raise RequestError(f"A label is at most {_LABEL} characters that can be printed.", param="label")
    return text


def _address(text: str) -> str:
    if not is_address(text):
        raise RequestError("That is not an address: 0x and 40 hex digits, with a checksum in its capitals.")
    return text.lower()
