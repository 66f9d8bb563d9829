"""The app's diagnostics file: its schema to the letter, figures and ids, and never a word of content."""

from __future__ import annotations

import json
import uuid
from dataclasses import replace
from datetime import UTC, datetime

import pytest

from osaurus_nb.ledger.diagnostics import FORBIDDEN, ContentRefused, Machine, diagnostics, here, refuse_content
from osaurus_nb.models import Usage
from osaurus_nb.spending import Cost, Entry, Origin

NOW = datetime(2026, 11, 21, 9, 30, tzinfo=UTC)
MACHINE = Machine("0.1.0", "macOS 26.1", "0xAb00000000000000000000000000000000000001")
CANARY = "canary-7f3a: why is\nmy secret plan failing?"
CALL = Entry(
    "settle",
    "step-1",
    1,
    NOW.timestamp() - 60,
    "osaurus",
    "venice/model-b",
    "osaurus/venice/model-b",
    origin=Origin("session-1", "secret-plans.ipynb", "cell-1", "run-1", "key-1"),
    request_id="req_1",
    usage=Usage(10, 5, cache_read_input_tokens=7, reasoning_output_tokens=2),
    token_source="provider",
    cost=Cost(1234, "provider"),
    outcome="tool_only",
)


def report(*entries: Entry) -> dict:
    return json.loads(diagnostics(entries, MACHINE, NOW))


def test_it_is_the_apps_schema_to_the_letter():
    """The same keys in the same order, ISO-8601 times, whole token counts, micro-dollars as a string."""
    told = report(CALL)

    assert list(told) == ["schemaVersion", "generatedAt", "appVersion", "osVersion", "walletAddress", "entries"]
    assert told["schemaVersion"] == 1
    assert told["generatedAt"] == "2026-11-21T09:30:00Z"
    (row,) = told["entries"]
    assert uuid.UUID(row.pop("id")).version == 5
    assert row == {
        "requestId": "req_1",
        "createdAt": "2026-11-21T09:29:00Z",
        "sessionId": "session-1",
        "turnId": "step-1",
        "model": "venice/model-b",
        "tokenSource": "provider",
        "inputTokens": 17,
        "outputTokens": 7,
        "costMicro": "1234",
        "status": "completed",
        "outcome": "toolOnly",
        "appVersion": "0.1.0",
    }


def test_every_provider_is_in_it_by_name():
    """The app knows the Router alone; whose model another is stands before its name."""
    (row,) = report(replace(CALL, provider="openai", model="gpt-5", answered="gpt-5-2026"))["entries"]

    assert row["model"] == "openai/gpt-5-2026"


def test_what_is_not_known_is_not_nothing():
    """An unknown amount is empty and not zero; what is free is zero; a call without an end is pending."""
    unknown = replace(CALL, cost=Cost(None))
    free, orphan = replace(CALL, cost=Cost(0, "free")), replace(CALL, kind="open", cost=Cost(None), outcome=None)
    rows = report(unknown, free, orphan)["entries"]

    assert [row["costMicro"] for row in rows] == ["", "0", ""]
    assert [(row["status"], row["outcome"]) for row in rows][2] == ("pending", "pending")


def test_what_never_happened_is_not_in_it():
    """A line that was struck is no call."""
    assert report(replace(CALL, kind="void"))["entries"] == []


def test_the_same_call_has_the_same_id_each_time():
    """Two files of one machine can be compared; two attempts of one step are two calls."""
    first, again, other = (report(call)["entries"][0]["id"] for call in (CALL, CALL, replace(CALL, attempt=2)))

    assert first == again != other


def test_neither_content_nor_notebook_is_in_it():
    """Not where a stranger put a prompt in the place of an id; and nothing of notebooks, cells and keys."""
    strange = replace(
        CALL,
        step=CANARY,
        model=CANARY,
        request_id=CANARY,
        answered=CANARY,
        finish_reason=CANARY,
        origin=Origin(CANARY, CANARY, CANARY, CANARY, CANARY),
    )
    data = diagnostics([CALL, strange], MACHINE, NOW).decode()

    for word in ("canary", "secret", "cell-1", "run-1", "key-1"):
        assert word not in data


@pytest.mark.parametrize("key", [*sorted(FORBIDDEN), "Prompt", " messages "])
def test_a_forbidden_key_is_refused_however_deep(key):
    """Before anything is written, and without a word of what stood there."""
    with pytest.raises(ContentRefused) as refused:
        refuse_content({"entries": [{"id": "1"}, {"more": ({key: CANARY},)}]})

    assert "entries.1.more.0" in str(refused.value)
    assert "canary" not in str(refused.value)


def test_this_machine_is_not_named():
    """Its system and its version; no host, no user."""
    import getpass
    import socket

    told = here("0.1.0")

    assert told.os_version
    assert socket.gethostname() not in told.os_version
    assert getpass.getuser() not in told.os_version
