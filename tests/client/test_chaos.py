"""`with osaurus.chaos(...)`: faults on purpose, from a ladder that is proven to breakers that are not poisoned."""

from __future__ import annotations

import asyncio

import pytest

import osaurus_nb as osaurus
from osaurus_nb.client import AsyncClient, Client
from osaurus_nb.errors import NobodyAnswered, OsaurusError, RequestError, StreamCut
from osaurus_nb.events import AttemptFailed, Finished, PartEnded, TextDelta
from osaurus_nb.ports import Timeouts
from osaurus_nb.runtime import Runtime
from osaurus_nb.testing.scripted import ScriptedAdapter, says
from osaurus_nb.trouble import KINDS, Trouble, parse

LONG = [*(TextDelta(f"w{number} ") for number in range(50)), PartEnded(), Finished("stop")]
NAMES = {"model": "lab/m", "fallbacks": ("spare/m",)}


@pytest.fixture
def lab():
    return ScriptedAdapter({"m": [LONG], "other": [says("other")]}, provider="lab")


@pytest.fixture
def runtime(lab):
    timeouts = Timeouts(first_token=0.2, between_tokens=0.2)
    return Runtime([lab, ScriptedAdapter({"m": [says("spare")]}, provider="spare")], timeouts=timeouts)


@pytest.fixture
def client(runtime):
    return Client(backend=runtime)


@pytest.mark.parametrize(
    ("text", "trouble"),
    [
        ("lab down", Trouble("lab", "down")),
        ("Lab is DOWN after 20 tokens", Trouble("Lab", "down", after=20)),
        ("lab slow by 3 s", Trouble("lab", "slow", seconds=3.0)),
        ("lab slow by 250ms", Trouble("lab", "slow", seconds=0.25)),
        ("lab rate limited", Trouble("lab", "rate limited")),
        ("lab rate-limited for 5 s", Trouble("lab", "rate limited", seconds=5.0)),
        ("lab/m empty", Trouble("lab/m", "empty")),
        ("local worker dies", Trouble("local worker", "dies")),
        ("everything outside down", Trouble("everything outside", "down")),
        ("everything refuses the key", Trouble("everything", "refuses the key")),
        ("10 % of lab fails", Trouble("lab", "down", share=0.1)),
        ("the provider down after 1 token", Trouble("provider", "down", after=1)),
    ],
)
def test_faults_are_written_in_plain_words(text, trouble):
    """Each reads as it is said, and what it is written as reads as the same again."""
    assert parse(text) == (trouble,)
    assert parse(str(trouble)) == (trouble,)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "No fault is written"),
        ("lab explodes", "'lab explodes' is no fault"),
        ("lab slow", "say by how much"),
        ("lab down for 3 s", "take a time"),
        ("lab empty after 3 tokens", "after some tokens"),
        ("0 % of lab down", "more than 0"),
        ("lab dies", "only a worker of this machine"),
        ("lab down;" * 20, "At most 16"),
        ("x" * 2000, "at most 1000"),
    ],
)
def test_what_is_no_fault_is_refused_with_what_can_be_written(text, said):
    """At once, not at the first question."""
    with pytest.raises(RequestError, match=said):
        osaurus.chaos(text)


def test_an_unknown_word_is_answered_with_all_that_exist():
    """Whoever mistypes sees the whole grammar."""
    with pytest.raises(RequestError) as refused:
        osaurus.chaos("lab explodes")

    assert all(kind in str(refused.value) for kind in KINDS)


@pytest.mark.parametrize("what", [*KINDS, "stalls after 0 tokens"])
def test_a_ladder_holds_whatever_happens_to_the_first(client, lab, what):
    """The substitute answers, and the answer says that all of it was on purpose."""
    who = "provider"
    what = {"slow": "slow by 1 s"}.get(what, what)

    with osaurus.chaos(f"{who} {what}"):
        reply = client.chat("hi", **NAMES)

    assert reply.text == "spare"
    assert reply.substituted
    assert [warning.code for warning in reply.warnings] == ["chaos"]
    assert f"{who} {what}".replace(" after 0 tokens", "") in reply.warnings[0].message
    assert lab.requests == []


def test_it_breaks_off_after_so_many_tokens(client):
    """What had come is kept, and nobody else's words are put behind it."""
    with osaurus.chaos("provider down after 20 tokens"), pytest.raises(StreamCut) as cut:
        client.chat("hi", **NAMES)

    assert cut.value.reply.text.split()[-1] == "w19"


def test_only_who_is_meant_is_struck(client):
    """One model of a provider, and not the others."""
    with osaurus.chaos("lab/m down"):
        assert client.chat("hi", model="lab/other").text == "other"
        with pytest.raises(OsaurusError, match="on purpose"):
            client.chat("hi", model="lab/m")


def test_blocks_hold_together_and_end(client):
    """Both faults inside, the outer one after it, none at the end; no answer carries the warning then."""
    with osaurus.chaos("lab down"):
        with osaurus.chaos("spare down"), pytest.raises(NobodyAnswered):
            client.chat("hi", **NAMES)
        assert client.chat("hi", **NAMES).text == "spare"
    reply = client.chat("hi", **NAMES)

    assert reply.text.startswith("w0")
    assert reply.warnings == ()


def test_breakers_open_for_the_block_alone(client, runtime):
    """After some failures the block leaves the provider alone, as it would in earnest; outside nothing was learnt."""
    with osaurus.chaos("lab down"):
        replies = [client.chat("hi", **NAMES) for _ in range(7)]
    failures = [next(a for a in reply.attempts if isinstance(a, AttemptFailed)).error.code for reply in replies]

    assert failures[0] == "endpoint_unreachable"
    assert failures[-1] == "provider_resting"
    assert runtime.health.conditions() == []
    assert client.chat("hi", model="lab/m").text.startswith("w0")


def test_a_share_strikes_some(client):
    """Half of many calls: surely one of each kind."""
    with osaurus.chaos("50 % of lab empty"):
        texts = {client.chat("hi", **NAMES).text[:2] for _ in range(60)}

    assert texts == {"sp", "w0"}


@pytest.mark.anyio
async def test_it_holds_for_the_tasks_of_an_async_block(runtime):
    """Tasks that the block starts are inside it; others are not."""
    client = AsyncClient(backend=runtime)

    async with osaurus.chaos("lab down"):
        inside = asyncio.create_task(client.chat("hi", **NAMES))
    outside = asyncio.create_task(client.chat("hi", **NAMES))

    assert (await inside).text == "spare"
    assert (await outside).text.startswith("w0")


def test_vectors_are_struck_too():
    """They have no substitute: the fault is told; a slow one comes, with the warning."""
    client = Client(backend=Runtime([ScriptedAdapter({}, embeds=["e"], provider="lab")]))

    with osaurus.chaos("lab down"), pytest.raises(OsaurusError, match="on purpose"):
        client.embed("a text", model="lab/e")
    with osaurus.chaos("lab slow by 1 ms"):
        found = client.embed("a text", model="lab/e")

    assert [warning.code for warning in found.warnings] == ["chaos"]
