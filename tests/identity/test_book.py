"""The book of access keys: issued, listed and revoked, by several processes at once, and on a damaged file."""

from __future__ import annotations

import json
import os
import stat
import subprocess
import sys
import threading

import pytest

from osaurus_nb.errors import ConfigError, RequestError
from osaurus_nb.identity.access import AccessKey, AccessKeyRefused, AgentScopeDenied, Refusal, seal
from osaurus_nb.identity.book import AccessKeys
from osaurus_nb.identity.identity import Identity

DAY = 86400


@pytest.fixture
def me(vault, book) -> Identity:
    return Identity.create(vault, book)


def reason(book: AccessKeys, token: str) -> Refusal | None:
    try:
        book.check(token)
    except AccessKeyRefused as exc:
        return exc.reason
    return None


def folder_of(book: AccessKeys):
    return book._file.path.parent


def test_an_issued_key_opens_the_endpoint(me, book):
    """It is the master's, says who made it and when, and comes in plain once."""
    token, key = me.issue(label="laptop")

    assert book.check(token) == key
    assert (key.issuer, key.audience, key.label, key.counter) == (me.address, me.address, "laptop", 1)


@pytest.mark.parametrize(("expires", "days"), [("30d", 30), ("90d", 90), ("1y", 365)])
def test_a_key_lasts_as_long_as_was_said(me, book, clock, expires, days):
    """To the second."""
    token, key = me.issue(expires=expires)
    clock.at += days * DAY - 1
    assert book.check(token) == key

    clock.at += 1

    assert reason(book, token) is Refusal.EXPIRED
    assert [issued.state for issued in book.list()] == ["expired"]


def test_a_key_for_ever_has_no_expiry(me, book, clock):
    """And one with nothing said lasts 90 days."""
    token, key = me.issue(expires="never")
    assert me.issue()[1].expires_at == int(clock.at) + 90 * DAY

    clock.at += 1000 * 365 * DAY

    assert book.check(token) == key


@pytest.mark.parametrize("wrong", [{"expires": "2d"}, {"label": "x" * 101}, {"label": "a\nb"}, {"label": "\ud800"}])
def test_what_a_key_cannot_say_is_refused_before_a_counter_is_spent(me, wrong):
    """A label is printable text; a lifetime one of four."""
    with pytest.raises(RequestError):
        me.issue(**wrong)

    assert me.issue()[1].counter == 1


def test_an_agents_key_opens_that_agent_alone(me, book):
    """Elsewhere it is known, and denied with 403."""
    agent, other = me.add_agent(label="writer"), me.add_agent()
    token, key = me.issue(agent=agent.index)

    assert book.check(token, agent=agent.address.lower()) == key
    for asked in (None, other.address, me.address):
        with pytest.raises(AgentScopeDenied) as caught:
            book.check(token, agent=asked)
        assert (caught.value.status, caught.value.code) == (403, "agent_scope_denied")


def test_the_masters_key_opens_every_agent(me, book):
    """Master scope is all."""
    agent = me.add_agent()
    token, key = me.issue()

    assert book.check(token, agent=agent.address) == key


def test_an_agents_index_is_never_given_again(me, book):
    """Not after the agent was removed; its keys open nothing then."""
    first = me.add_agent(label="first")
    token, _ = me.issue(agent=0)

    assert book.remove_agent(0)
    second = me.add_agent()

    assert (first.index, second.index) == (0, 1)
    assert reason(book, token) is Refusal.AUDIENCE_UNKNOWN
    assert not book.remove_agent(0)
    assert [agent.index for agent in book.agents] == [1]


def test_an_agent_that_the_app_has_can_be_named_by_its_index(me, book):
    """The same index twice is one agent, and new ones come after it."""
    me.add_agent(index=5, label="old")
    me.add_agent(index=5, label="new")
    me.add_agent()

    assert [(agent.index, agent.label) for agent in book.agents] == [(5, "new"), (6, "")]
    assert book.agents[0].address == me.agent(5).address


def test_only_the_identity_and_its_agents_issue_here(me, book, bob):
    """A key that nobody would take is not made."""
    with pytest.raises(RequestError, match="Only the identity"):
        book.issue(bob)
    with pytest.raises(RequestError, match="Only the identity"):
        me.issue(agent=3)


def test_a_revoked_key_opens_nothing_and_the_others_do(me, book):
    """By its id or by its nonce; twice is once."""
    (one, key), (two, other), (three, _) = me.issue(), me.issue(), me.issue()

    assert book.revoke(key.id)
    assert book.revoke(other.nonce)
    assert book.revoke(key.id)

    assert [reason(book, token) for token in (one, two, three)] == [Refusal.REVOKED, Refusal.REVOKED, None]
    assert [issued.state for issued in book.list()] == ["revoked", "revoked", "valid"]
    assert not book.revoke("unknown")


def test_keys_are_revoked_up_to_a_counter(me, book):
    """The master's and every agent's, also those of agents that are known again later."""
    me.add_agent()
    tokens = [me.issue()[0], me.issue(agent=0)[0], me.issue()[0]]
    book.remove_agent(0)

    book.revoke_up_to(2)
    book.revoke_up_to(1)  # what was revoked stays so
    me.add_agent(index=0)

    assert [reason(book, token) for token in tokens] == [Refusal.REVOKED, Refusal.REVOKED, None]


def test_a_foreign_issuer_is_trusted_until_he_is_not(me, book, bob):
    """His counters are his own."""
    tokens = [seal(bob, AccessKey(bob.address, me.address, counter, f"n{counter}", 1)) for counter in (1, 2)]
    assert reason(book, tokens[0]) is Refusal.ISSUER_NOT_TRUSTED

    book.trust(bob.address)
    book.revoke_up_to(1, issuer=bob.address)

    assert dict(book.trusted) == {me.address.lower(): (bob.address,)}
    assert [reason(book, token) for token in tokens] == [Refusal.REVOKED, None]
    book.revoke(f"{bob.address}:n2")
    assert reason(book, tokens[1]) is Refusal.REVOKED
    book.distrust(bob.address)
    assert reason(book, tokens[1]) is Refusal.ISSUER_NOT_TRUSTED


def test_what_is_no_address_is_not_trusted(me, book):
    """A typo in an address is noticed by its checksum."""
    with pytest.raises(RequestError, match="not an address"):
        book.trust(me.address.swapcase().replace("X", "x", 1))


def test_a_revocation_takes_effect_on_the_next_request_in_another_process(me, book):
    """The other one has checked the key before, and is told nothing."""
    token, key = me.issue(expires="never")
    code = (
        "import sys; from pathlib import Path; from osaurus_nb.identity.book import AccessKeys\n"
        "from osaurus_nb.errors import AccessDenied\n"
        "book = AccessKeys(Path(sys.argv[1]))\n"
        "for token in sys.stdin:\n"
        "    try: book.check(token.strip()); print('opens', flush=True)\n"
        "    except AccessDenied as exc: print(exc.reason, flush=True)\n"
    )
    other = subprocess.Popen(
        [sys.executable, "-c", code, str(folder_of(book))], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )

    def ask() -> str:
        other.stdin.write(f"{token}\n")
        other.stdin.flush()
        return other.stdout.readline().strip()

    expected = ["opens", "opens", "revoked", "audience_unknown"]
    told = [ask(), ask()]
    book.revoke(key.id)
    told.append(ask())
    me.wipe()
    told.append(ask())
    other.stdin.close()

    assert told == expected
    assert other.wait(10) == 0


def test_two_changes_within_a_tick_of_the_clock_are_two(me, book):
    """A reader that saw the first sees the second, though the file has the same size and, maybe, the same inode."""
    keys = [me.issue() for _ in range(40)]
    reader = AccessKeys(folder_of(book), clock=book.clock)

    for token, key in keys:
        reader.check(token)
        book.revoke(key.id)
        assert reason(reader, token) is Refusal.REVOKED


def test_two_processes_that_revoke_at_once_both_do(me, book):
    """No revocation is lost, and no counter given twice, when two write the same file."""
    issued = [me.issue()[1] for _ in range(40)]
    code = (
        "import sys; from pathlib import Path; from osaurus_nb.identity.book import AccessKeys\n"
        "from osaurus_nb.identity.signer import Signer\n"
        "book = AccessKeys(Path(sys.argv[1])); signer = Signer(bytes.fromhex(sys.stdin.readline()))\n"
        "for id in sys.argv[2:]: book.revoke(id); book.issue(signer)\n"
    )
    halves = [[key.id for key in issued[start::2]] for start in (0, 1)]
    others = [
        subprocess.Popen([sys.executable, "-c", code, str(folder_of(book)), *ids], stdin=subprocess.PIPE, text=True)
        for ids in halves
    ]
    for other in others:
        other.communicate(me.signer.secret().hex() + "\n", timeout=60)

    states = [one.state for one in book.list()]
    assert [other.returncode for other in others] == [0, 0]
    assert states == ["revoked"] * 40 + ["valid"] * 40
    assert [one.key.counter for one in book.list()] == list(range(1, 81))


def test_threads_that_issue_at_once_get_counters_of_their_own(me):
    """The lock is between threads too."""
    counters = []
    threads = [threading.Thread(target=lambda: counters.append(me.issue()[1].counter)) for _ in range(12)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert sorted(counters) == list(range(1, 13))


def test_the_file_is_private_and_holds_no_key(me, book):
    """0600 in 0700; neither a token nor its signature nor the private key is in it."""
    token, _ = me.issue(label="laptop")

    [kept] = [file for file in folder_of(book).iterdir() if not file.name.startswith(".")]
    text = kept.read_text()

    assert stat.S_IMODE(kept.stat().st_mode) == 0o600
    assert stat.S_IMODE(kept.parent.stat().st_mode) == 0o700
    assert "laptop" in text
    assert not any(part in text for part in (token, *token.split(".")[1:], me.signer.secret().hex(), token[-130:-2]))


def test_where_there_is_no_identity_nothing_is_opened_or_issued(book, alice):
    """Nothing is made on the way either."""
    assert book.address is None
    assert list(book.list()) == list(book.agents) == []
    assert reason(book, seal(alice, AccessKey(alice.address, alice.address, 1, "n", 1))) is Refusal.AUDIENCE_UNKNOWN
    with pytest.raises(ConfigError, match="no identity"):
        book.issue(alice)
    assert not (folder_of(book) / "access.json").exists()


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b'{"identities":{"x":{}}}', b'{"active":"me"}', b"\xff\x00"])
def test_a_damaged_file_opens_nothing_and_is_kept(me, vault, book, content):
    """Keys are refused until the identity is opened again; what was issued before stays refused then."""
    token, _ = me.issue()
    file = folder_of(book) / "access.json"
    file.write_bytes(content)
    assert reason(book, token) is Refusal.STATE_UNREADABLE

    with pytest.raises(ConfigError, match="kept as access.json.corrupt-"):
        Identity.open(vault, book)
    again = Identity.open(vault, book)

    [kept] = folder_of(book).glob("*.corrupt-*")
    assert kept.read_bytes() == content
    assert reason(book, token) is Refusal.REVOKED
    assert book.check(again.issue()[0]).counter > 1_700_000_000


def test_a_lost_file_revives_no_key_and_no_counter(me, vault, book):
    """Whoever deletes the file does not undo a revocation."""
    me.add_agent()
    revoked, key = me.issue(agent=0)
    book.revoke(key.id)
    (folder_of(book) / "access.json").unlink()
    assert reason(book, revoked) is Refusal.AUDIENCE_UNKNOWN

    again = Identity.open(vault, book)
    again.add_agent(index=0)

    assert reason(book, revoked) is Refusal.REVOKED
    assert again.add_agent().index > 1_700_000_000
    assert book.check(again.issue()[0])


def test_a_file_of_a_later_version_is_left_alone(me, vault, book):
    """It opens nothing here, and is neither overwritten nor put aside."""
    file = folder_of(book) / "access.json"
    token, _ = me.issue()
    later = file.read_text().replace('"version": 1', '"version": 2')
    file.write_text(later)

    assert reason(book, token) is Refusal.STATE_UNREADABLE
    for attempt in (me.issue, lambda: Identity.open(vault, book)):
        with pytest.raises(ConfigError, match="later version"):
            attempt()
    assert file.read_text() == later


def test_what_a_later_version_added_is_kept(me, book):
    """Fields that are not known survive a change."""
    file = folder_of(book) / "access.json"
    content = json.loads(file.read_text())
    content["new"] = content["identities"][me.address.lower()]["newer"] = [1]
    file.write_text(json.dumps(content))

    me.issue()

    changed = json.loads(file.read_text())
    assert changed["new"] == changed["identities"][me.address.lower()]["newer"] == [1]


def test_a_disk_that_takes_nothing_is_told(me, book):
    """A counter that could not be written down is not used."""
    (folder_of(book) / f".access.json.{os.getpid()}.tmp").mkdir()

    with pytest.raises(ConfigError, match="Nothing was changed"):
        me.issue()

    assert list(book.list()) == []
